"""Opening a Lance dataset that may come from anybody: an error is one line, and its data is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from morelli.errors import ArtifactError


def open_dataset(path: Path | str, version: int | None = None) -> Any:
    """The Lance dataset in a folder, at its newest version or at `version`.

    The manifest of a Lance dataset may name other places that its data is in, a store on the network among
    them, which reading it would contact. Morelli writes no such dataset, and opens none.

    Args:
        path: the dataset's folder.
        version: number of the version to read.

    Raises:
        ArtifactError: there is none, it is damaged, or its data lies elsewhere.
    """
    import lance

    try:
        dataset = lance.dataset(path, version=version)
        places = [place.path for place in dataset.base_paths().values()]
    except Exception as error:
        raise ArtifactError(f"{path} is damaged or missing ({reason(error)}); make it again") from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise ArtifactError(f"{path} is damaged: its reader gave up ({reason(error)})") from error
    if places:
        raise ArtifactError(
            f"{path} says that its data is in another place ({reason(places[0])}), and such a table is not "
            "opened: get a copy that holds its data itself"
        )
    return dataset


def is_panic(error: BaseException) -> bool:
    """True of what a Rust library raises when it gives up; it descends from BaseException alone."""
    return type(error).__name__ == "PanicException"


def reason(error: object) -> str:
    """The first line of an error's text, printable and of bounded length."""
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
    return line if len(line) <= 300 else f"{line[:300]}…"
