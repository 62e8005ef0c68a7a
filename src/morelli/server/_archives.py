"""Uploaded archives: their members are listed at once and judged one by one, each within the usual limits.

An archive lies in a private temporary file, since its directory is read from the end; it is deleted when
the client closes it, when nobody asked for a member for a while, when too many are open, and when the server
stops.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from morelli.errors import ImageError
from morelli.images import read_bytes
from morelli.server._problems import ProblemError

if TYPE_CHECKING:
    from morelli.images import ImageItem, Limits

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MOST_OPEN = 4
MOST_MEMBERS = 10_000


@dataclass(eq=False)
class OpenArchive:
    """One archive: its members in its order, as `iter_source` lists them.

    It may be closed by another request at any moment; what is asked of it then is answered as by the store.
    """

    id: str
    name: str
    folder: Path = field(repr=False)
    items: list[ImageItem] = field(repr=False)
    used: float = field(default_factory=time.monotonic)
    closed: bool = False

    def members(self) -> list[ImageItem]:
        """All members.

        Raises:
            ProblemError: 404, the archive was closed meanwhile.
        """
        found = list(self.items)
        # Asked afterwards, since it is set before the members are let go.
        if self.closed:
            raise unknown_archive(self.id)
        return found

    def member(self, index: int) -> ImageItem:
        """One member.

        Raises:
            ProblemError: 404, there is none of that number, or the archive was closed meanwhile.
        """
        found = self.members()
        if index >= len(found):
            raise ProblemError(
                404,
                "unknown-member",
                f"{self.name} has no member {index}; there are {len(found)}.",
                next=f"GET /api/v1/archives/{self.id} lists them.",
            )
        return found[index]

    def member_name(self, item: ImageItem) -> str:
        """A member's name inside the archive."""
        return item.uri.partition("::")[2] or self.name

    def read(self, index: int) -> bytes:
        """A member's bytes.

        Raises:
            ImageError: it cannot be read, with the reason; messages name the archive as the client does.
            ProblemError: 404, as `member` says.
        """
        item = self.member(index)
        try:
            return read_bytes(item)
        except ImageError as error:
            if self.closed:  # its file went away while it was read
                raise unknown_archive(self.id) from error
            raise ImageError(error.reason, self.shown(str(error))) from error

    def shown(self, message: str) -> str:
        """A message without the temporary file's place, which is nobody's business."""
        return message.replace(f"{self.folder}/", "")

    def close(self) -> None:
        """Let go of the file and delete it."""
        self.closed = True
        self.items.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def unknown_archive(id: str) -> ProblemError:
    """404: no such archive is open, or not any more."""
    return ProblemError(404, "unknown-archive", f"No archive {id} is open.", next="Upload the archive again.")


def _more(uri: str) -> ImageItem:
    """What stands for the members that are not listed, so that nobody takes the list for the archive."""
    from morelli.images import ImageItem

    text = f"more than {MOST_MEMBERS:,} members, and the others are not listed: use `morelli detect` for them"
    return ImageItem(uri, bytes, problem=ImageError("too_many_members", text))


class ArchiveStore:
    """The archives that are open, the longest unused of which make room."""

    def __init__(self, seconds: float) -> None:
        """Start empty; an archive that nobody asks for is closed after `seconds`."""
        self._seconds = seconds
        self._open: OrderedDict[str, OpenArchive] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, name: str, data: bytes, limits: Limits) -> OpenArchive:
        """Store an archive and list its members; its directory is read, no picture is decoded.

        Raises:
            ProblemError: 415, its name is that of no archive that can be read.
        """
        from morelli.images import iter_source

        suffix = next((one for one in SUFFIXES[::-1] if name.lower().endswith(one)), None)
        if suffix is None:
            raise ProblemError(
                415,
                "no-archive",
                f"{name} is no archive by its name.",
                next=f"Send {', '.join(SUFFIXES)}, or upload pictures to /api/v1/detect.",
            )
        folder = Path(tempfile.mkdtemp(prefix="morelli-archive-"))
        try:
            file = folder / f"archive{suffix}"
            file.write_bytes(data)
            items = list(islice(iter_source(file, limits=limits), MOST_MEMBERS + 1))
            if len(items) > MOST_MEMBERS:
                items[MOST_MEMBERS:] = [_more(f"{file}")]
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        found = OpenArchive(secrets.token_hex(8), name, folder, items)
        with self._lock:
            self._expire()
            self._open[found.id] = found
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)[1].close()
        return found

    def get(self, id: str) -> OpenArchive:
        """An open archive, which counts as used now.

        Raises:
            ProblemError: 404.
        """
        with self._lock:
            self._expire()
            found = self._open.get(id)
            if found is None:
                raise unknown_archive(id)
            found.used = time.monotonic()
            self._open.move_to_end(id)
            return found

    def close(self, id: str) -> None:
        """Close an archive; one that is closed already is no error."""
        with self._lock:
            found = self._open.pop(id, None)
        if found is not None:
            found.close()

    def clear(self) -> None:
        """Close all."""
        for id in list(self._open):
            self.close(id)

    def _expire(self) -> None:
        oldest = time.monotonic() - self._seconds
        for id in [one.id for one in self._open.values() if one.used < oldest]:
            self._open.pop(id).close()
