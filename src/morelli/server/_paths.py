"""Paths in requests: inside the declared roots, or refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.server._problems import ProblemError

if TYPE_CHECKING:
    from morelli.images import ImageItem, Limits


def inside(path: Path, roots: Sequence[Path]) -> bool:
    """True where `path`, all links followed, lies in one of `roots`."""
    try:
        real = path.resolve(strict=True)
        return any(real.is_relative_to(root.resolve()) for root in roots)
    except (OSError, RuntimeError, ValueError):
        return False


def allowed_path(text: str, roots: Sequence[Path]) -> Path:
    """The existing file or folder that a request names: absolute, or relative to one of the roots.

    Raises:
        ProblemError: 409 no roots are declared, 403 it lies outside or does not exist (alike,
            so that nothing is told about files outside).
    """
    if not roots:
        raise ProblemError(
            409,
            "no-roots",
            "This server reads no files: no folder was declared.",
            next="Start it with the folders that may be read (--root FOLDER), or upload the pictures.",
        )
    given = [Path(text)] if os.path.isabs(text) else [root / text for root in roots]  # noqa: PTH117 - no Path of a NUL
    for path in given:
        if inside(path, roots):
            return path.resolve()
    raise ProblemError(
        403,
        "outside-roots",
        "The path is not inside the folders that this server may read, or does not exist there.",
        next=f"Name something inside {', '.join(root.name or str(root) for root in roots)}.",
    )


def items_inside(
    path: Path, roots: Sequence[Path], limits: Limits, reading: Mapping[str, Any]
) -> Iterator[ImageItem]:
    """The images of a source, without those that links or a manifest place outside the roots.

    `reading`: further arguments of `iter_source`.

    Such an entry is given as a failure without its name, which is nobody's business here.
    """
    from morelli.errors import ImageError
    from morelli.images import ImageItem, iter_source

    for item in iter_source(path, limits=limits, **reading):
        # A name that was escaped for showing does not exist as it stands, and so is refused as well.
        if item.problem is None and not inside(Path(item.uri.split("::", 1)[0]), roots):
            problem = ImageError("outside_roots", "it lies outside the folders that this server may read")
            yield ImageItem(
                "(outside the roots)", _refuse(problem), item.label, item.generator, problem=problem
            )
        else:
            yield item


def _refuse(problem: Exception) -> Callable[[], bytes]:
    def read() -> bytes:
        raise problem

    return read
