"""Reading an upload: multipart, in memory, within limits that are checked while the bytes arrive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from morelli.server._problems import ProblemError, busy
from morelli.server._settings import RequestLimits

_HEADER_BYTES = 8192
_LONGEST_NAME = 200


class UploadBudget:
    """Bytes of uploads held at once, of all requests together (one event loop, so no lock)."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0

    @contextmanager
    def share(self) -> Iterator[_Share]:
        """A request's share, given back at the end."""
        share = _Share(self)
        try:
            yield share
        finally:
            self._held -= share.held

    def _take(self, size: int) -> None:
        if self._held + size > self._most:
            raise busy(5, "The server holds as many uploads as it may at once.")
        self._held += size


@dataclass
class _Share:
    budget: UploadBudget
    held: int = 0

    def take(self, size: int) -> None:
        """Count `size` more bytes; raises a 503 problem when the budget is used up."""
        self.budget._take(size)
        self.held += size


@dataclass
class Upload:
    """One uploaded file: its name, cleaned for showing, and its bytes."""

    name: str
    data: bytes


@dataclass
class _Part:
    headers: dict[str, bytes] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    header_bytes: int = 0
    name: str = ""
    is_file: bool = False


async def read_uploads(
    request: Request, limits: RequestLimits, share: _Share, *, field_name: str = "file"
) -> list[Upload]:
    """The files of a multipart request in the field `file`; other fields are refused.

    Raises:
        ProblemError: 415 another content type, 400 a broken body, 413 too much, 503 no memory left.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise ProblemError(
            415,
            "not-multipart",
            "The body is not multipart/form-data.",
            next="Send the pictures as multipart/form-data, each in a field called file: "
            "curl -F file=@photo.jpg …/api/v1/detect",
        )
    reader = _Reader(limits, share, field_name)
    try:
        parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]
        async for chunk in request.stream():
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise ProblemError(400, "broken-multipart", f"The multipart body cannot be read: {error}") from error
    if not reader.complete:
        raise ProblemError(400, "broken-multipart", "The multipart body ends before its last boundary.")
    if not reader.files:
        raise ProblemError(
            422,
            "no-file",
            "The request holds no file.",
            next=f"Put each picture into a part of its own, called {field_name} and with a file name.",
        )
    return reader.files


class _Reader:
    """What the parser calls; raises as soon as a limit is passed."""

    def __init__(self, limits: RequestLimits, share: _Share, field_name: str) -> None:
        self.files: list[Upload] = []
        self.complete = False
        self._limits, self._share, self._field = limits, share, field_name
        self._part = _Part()
        self._header = bytearray()
        self._value = bytearray()

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.files) >= self._limits.files:
            raise ProblemError(
                413,
                "too-many-files",
                f"More than {self._limits.files} files are in one request.",
                next="Send fewer at once, or ask for a folder as a job: POST /api/v1/jobs.",
            )
        self._part = _Part()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._value += data[start:end]

    def _count_header(self, size: int) -> None:
        self._part.header_bytes += size
        if self._part.header_bytes > _HEADER_BYTES:
            raise ProblemError(400, "broken-multipart", "The headers of a part are too long.")

    def _header_end(self) -> None:
        self._part.headers[self._header.decode("latin-1").lower()] = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._part.headers.get("content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self._part.is_file = b"filename" in options
        if name != self._field or not self._part.is_file:
            raise ProblemError(
                422,
                "unknown-field",
                f"The field {shown_name(name)!r} is not a file in the field {self._field}.",
                next=f"Put each picture into a part of its own, called {self._field} and with a file name.",
            )
        self._part.name = shown_name(options[b"filename"].decode("utf-8", "replace"))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if len(self._part.data) + end - start > self._limits.file_bytes:
            raise ProblemError(
                413,
                "too-many-bytes",
                f"{self._part.name} has more than {self._limits.file_bytes:,} bytes.",
                next="Send a smaller file.",
            )
        self._share.take(end - start)
        self._part.data += data[start:end]

    def _end(self) -> None:
        self.files.append(Upload(self._part.name, bytes(self._part.data)))
        self._part = _Part()

    def _finish(self) -> None:
        self.complete = True


def shown_name(name: str) -> str:
    """The last part of a client's file name, in one printable line of bounded length.

    >>> shown_name("..\\\\..\\\\a\\nb.jpg")
    'a\\\\nb.jpg'
    """
    last = PurePosixPath(PureWindowsPath(name).name).name or "unnamed"
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in last)
    if len(safe) > _LONGEST_NAME:
        safe = safe[: _LONGEST_NAME - 20] + "…" + safe[-19:]
    return safe
