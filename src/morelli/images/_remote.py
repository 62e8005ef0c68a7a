"""Images at addresses: read as a stream, under limits, and only where the caller asks for it."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any, Final
from urllib.parse import quote, urlsplit

from morelli.errors import ImageError, UsageError
from morelli.images._files import is_image_name, too_many_bytes
from morelli.images._item import ImageItem, printable, problem_item
from morelli.images._limits import Limits

SCHEMES: Final = ("http", "https", "s3", "gs", "hf")
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_SECONDS: Final = 30.0
_CHUNK: Final = 1 << 20
_SEVERAL: Final = 1000
_PACKAGES: Final = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface-hub"}
_OTHERS: Final = (
    ".csv",
    ".tsv",
    ".jsonl",
    ".ndjson",
    ".parquet",
    ".arrow",
    ".zip",
    ".tar",
    ".gz",
    ".tgz",
    ".bz2",
    ".xz",
    ".zst",
)


def is_address(text: str) -> bool:
    """True for something with a scheme that is no path in the file system."""
    return bool(_ADDRESS.match(text)) and not os.path.lexists(text)


def scheme_problem(address: str) -> str | None:
    """Why an address is not read; None where it is.

    Schemes that name local files, other programs or chains of file systems (``zip://a::http://b``) are
    refused: a table's addresses must not reach further than a picture on a server.
    """
    scheme = address.split("://", 1)[0].lower()
    if "::" in address:
        return "chains of file systems are not read; download it first and give the local path"
    if scheme not in SCHEMES:
        return f"addresses of {scheme} are not read; use {', '.join(SCHEMES)}, or download it first"
    if not urlsplit(address).netloc:
        return "the address names no server or bucket"
    return None


def remote_item(address: str, limits: Limits) -> ImageItem:
    """The item of one address; nothing is contacted before it is read."""
    problem = scheme_problem(address)
    if problem is not None:
        return problem_item(printable(address), "remote_address", f"{printable(address)}: {problem}")
    return ImageItem(printable(address), partial(_read, address, limits))


def iter_remote(
    address: str, limits: Limits, claim: Callable[[str], bool]
) -> Iterator[tuple[ImageItem, tuple[str, ...]]]:
    """The image at an address, or those below a folder or a pattern of s3, gs and hf.

    Raises:
        UsageError: an address that is not read, an archive or a manifest, or a package is missing.
    """
    problem = scheme_problem(address)
    if problem is not None:
        raise UsageError(f"{printable(address)}: {problem}")
    if urlsplit(address).path.lower().endswith(_OTHERS):
        raise UsageError(
            f"{printable(address)} is an archive or a manifest; download it first and give the local path"
        )
    scheme = address.split("://", 1)[0].lower()
    if scheme in ("http", "https"):
        if claim(address):
            yield remote_item(address, limits), ()
        return
    names, top = _listed(address, scheme)
    for count, name in enumerate(_plainly(names, address)):
        if count >= limits.max_members:
            raise UsageError(
                f"{printable(address)} holds more than {limits.max_members:,} files (max_members)"
            )
        found = f"{scheme}://{name.lstrip('/')}"
        if claim(found):
            below = PurePosixPath(name).relative_to(top) if PurePosixPath(name).is_relative_to(top) else None
            parts = (PurePosixPath(top).name, *below.parent.parts) if below is not None else ()
            yield remote_item(found, limits), parts


def _listed(address: str, scheme: str) -> tuple[Iterable[str], str]:
    """Names of the files that an address stands for, sorted, and the folder that leads to them."""
    system, path = _file_system(address, scheme)
    try:
        if any(c in path for c in "*?["):
            fixed = path[: min(path.index(c) for c in "*?[" if c in path)].rpartition("/")[0]
            return sorted(n for n in system.glob(path) if is_image_name(n)), fixed
        if system.isfile(path):
            return [path], str(PurePosixPath(path).parent)
        found = _pages(system, path) if scheme == "s3" and hasattr(system, "_iterdir") else system.find(path)
        names = (n for n in found if is_image_name(n))
        return (names if isinstance(found, Iterator) else sorted(names)), path.rstrip("/")
    except Exception as error:  # each file system raises its own kinds
        raise UsageError(f"{printable(address)} cannot be listed: {_first_line(error)}") from error


def _pages(system: Any, path: str) -> Iterator[str]:
    """The names below a path of S3, which gives them sorted, a page at a time: none but the page is held."""
    from fsspec.asyn import sync

    bucket, _, prefix = path.strip("/").partition("/")
    pages = system._iterdir(bucket, delimiter="", prefix=f"{prefix}/" if prefix else "")
    while True:
        part = sync(system.loop, _several, pages)
        for entry in part:
            if not entry["name"].endswith("/"):  # what consoles make to show a folder
                yield str(entry["name"])
        if len(part) < _SEVERAL:
            return


async def _several(pages: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    part = []
    async for entry in pages:
        part.append(entry)
        if len(part) == _SEVERAL:
            break
    return part


def _plainly(names: Iterable[str], address: str) -> Iterator[str]:
    try:
        yield from names
    except Exception as error:  # a page that cannot be had
        raise UsageError(f"{printable(address)} cannot be listed further: {_first_line(error)}") from error


def _file_system(address: str, scheme: str) -> tuple[Any, str]:
    try:
        import fsspec.core

        system, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"{printable(address)}: {_PACKAGES[scheme]} is needed to read addresses of {scheme}; "
            "install `morelli[remote]`"
        ) from error
    except Exception as error:
        raise UsageError(f"{printable(address)} cannot be opened: {_first_line(error)}") from error
    return system, str(path)


def _read(address: str, limits: Limits) -> bytes:
    scheme = address.split("://", 1)[0].lower()
    name = printable(address)
    try:
        if scheme in ("http", "https"):
            return _read_http(address, limits)
        system, path = _file_system(address, scheme)
        with system.open(path, "rb") as file:
            return _bounded(file, name, limits)
    except (ImageError, UsageError):
        raise
    except FileNotFoundError as error:
        raise ImageError("missing", f"{name} does not exist") from error
    except urllib.error.HTTPError as error:
        error.close()
        reason = "missing" if error.code in (404, 410) else "unreadable"
        raise ImageError(reason, f"{name}: the server answers {error.code} {error.reason}") from error
    except Exception as error:  # each file system and every layer of the network raises its own kinds
        raise ImageError("unreadable", f"{name} cannot be read: {_first_line(error)}") from error


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follow a server to other web addresses, and nowhere else."""

    def redirect_request(  # noqa: PLR0917 - urllib's own signature
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https"):
            fp.close()
            raise ImageError("unreadable", f"{printable(req.full_url)} leads to {printable(newurl)}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _read_http(address: str, limits: Limits) -> bytes:
    # Of urllib's handlers only these two: no file://, no ftp://, no data:.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _WebOnly(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(_encoded(address), headers={"User-Agent": "morelli"})
    with opener.open(request, timeout=_SECONDS) as answer:
        stated = answer.headers.get("Content-Length", "")
        if stated.isdigit() and int(stated) > limits.max_bytes:
            raise too_many_bytes(printable(address), int(stated), limits)
        data = _bounded(answer, printable(address), limits)
        if stated.isdigit() and len(data) < int(stated):
            raise ImageError("truncated", f"{printable(address)}: the connection ended early")
        return data


def _encoded(address: str) -> str:
    """The address as browsers send it: spaces and letters beyond ASCII by percent signs, hosts as IDNA.

    >>> _encoded("https://a.example/b c/ü.png?x=1&y=%20")
    'https://a.example/b%20c/%C3%BC.png?x=1&y=%20'
    """
    parts = urlsplit(address)
    if parts.netloc.isascii():
        return quote(address, safe="%/:?#[]@!$&'()*+,;=~")
    host = parts.netloc.encode("idna").decode("ascii")
    return _encoded(address.replace(parts.netloc, host, 1))


def _bounded(file: IO[bytes], name: str, limits: Limits) -> bytes:
    """All of a stream, read in pieces, refused as soon as it is larger than the limit."""
    pieces, size = [], 0
    while piece := file.read(_CHUNK):
        size += len(piece)
        if size > limits.max_bytes:
            raise too_many_bytes(name, size, limits)
        pieces.append(piece)
    return b"".join(pieces)


def _first_line(error: BaseException) -> str:
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return printable(line[:200])
