"""What operating systems and programs leave beside pictures: it has picture names and is no picture."""

from __future__ import annotations

from typing import Final

_FILES: Final = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", ".ds_store"})
_FOLDERS: Final = frozenset(
    {
        "__macosx",  # zip archives of the Finder
        ".appledouble",  # netatalk
        ".spotlight-v100",
        ".fseventsd",
        ".trashes",
        ".trash",
        ".temporaryitems",
        "@eadir",  # Synology
        "#recycle",
        "@recycle",
        "$recycle.bin",
        "system volume information",
        ".ipynb_checkpoints",  # Jupyter: copies of what was opened
        ".thumbnails",
        "lost+found",
    }
)


def is_left_folder(name: str) -> bool:
    """True for a folder that a system keeps for itself: thumbnails, waste, copies, resource forks.

    >>> is_left_folder("__MACOSX"), is_left_folder("@eaDir"), is_left_folder("photos")
    (True, True, False)
    """
    low = name.lower()
    return low in _FOLDERS or low.startswith(".trash-")


def is_left_file(name: str) -> bool:
    """True for a file that a system keeps in a folder for itself.

    >>> is_left_file("Thumbs.db"), is_left_file("a.jpg")
    (True, False)
    """
    return name.lower() in _FILES


def is_left_member(name: str) -> bool:
    """`is_left_file` and `is_left_folder` for the whole name of an archive's member."""
    parts = name.replace("\\", "/").rstrip("/").split("/")
    return is_left_file(parts[-1]) or any(is_left_folder(part) for part in parts)


def may_be_apple_double(name: str) -> bool:
    """True for ``._NAME``, where macOS keeps the resource fork of NAME on other systems' disks.

    The name is no proof: such a file is passed over unless its first bytes are a picture's.

    >>> may_be_apple_double("Photos/._a.jpg"), may_be_apple_double("Photos/a.jpg")
    (True, False)
    """
    return name.replace("\\", "/").rpartition("/")[2].startswith("._")
