"""Which rows of a table are read where it holds its images under several perturbations."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from morelli.errors import UsageError


def one_perturbation(
    path: Path, held: Iterable[str | None], wanted: str | None, where: str | None
) -> str | None:
    """The Lance filter of the rows of one perturbation, and of `where`; None: every row.

    Args:
        path: of the table, for messages.
        held: the perturbations in the table, each at least once.
        wanted: its id, ``clean`` or an empty text for images as they are; None: the only one there is.
        where: another filter.

    Raises:
        UsageError: the table holds several and none is wanted, or it does not hold that one.

    >>> one_perturbation(Path("F.lance"), ["jpeg:70"], None, "label = 1")
    '(label = 1)'
    >>> one_perturbation(Path("F.lance"), ["", "jpeg:70"], "clean", None)
    "perturbation = ''"
    """
    ids = sorted({one or "" for one in held})
    named = ", ".join(one or "clean" for one in ids)
    parts = [] if where is None else [f"({where})"]
    if wanted is not None:
        chosen = "" if wanted == "clean" else wanted
        if chosen not in ids:
            raise UsageError(
                f"{path} has no images of the perturbation {chosen or 'clean'}; it has {named or 'no images'}"
            )
        quoted = chosen.replace("'", "''")
        parts.append(f"perturbation = '{quoted}'")
    elif len(ids) > 1:
        raise UsageError(
            f"{path} holds its images under several perturbations ({named}); choose one with --perturbation"
        )
    return " AND ".join(parts) or None
