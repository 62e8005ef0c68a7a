"""Images that could not be used, summed up: by reason, the first few by name, and where the rest is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from morelli.cli._console import error_console, printable
from morelli.cli._errors import warn

SHOWN = 10
_MANIFESTS = {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow"}


def print_failures(
    failed: Sequence[tuple[str, str, str]],
    what: str,
    *,
    rest: str,
    sources: Sequence[str] = (),
    done: int = 0,
) -> None:
    """Say on stderr what failed.

    Args:
        failed: address, reason and message of each.
        what: what could not be done with them: "judged", "read".
        rest: where all of them are listed, or how to have them listed.
        sources: what the command was given, to tell a manifest whose paths lead nowhere.
        done: how many did not fail.
    """
    if not failed:
        return
    reasons = Counter(reason for _, reason, _ in failed)
    counts = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in reasons.most_common())
    warn(f"{len(failed):,} could not be {what}: {counts}")
    screen = error_console()
    for uri, reason, message in failed[:SHOWN]:
        line = f"  {printable(uri)}: {reason}: {printable(message)}"
        screen.print(line, markup=False, highlight=False, soft_wrap=True)
    if len(failed) > SHOWN:
        line = f"  … and {len(failed) - SHOWN:,} more; {rest}"
        screen.print(line, markup=False, highlight=False, soft_wrap=True)
    manifests = [source for source in sources if Path(source).suffix.lower() in _MANIFESTS]
    if manifests and not done and set(reasons) == {"missing"}:
        warn(
            f"no path of {printable(manifests[0])} leads to a file: paths are relative to its folder; "
            "--root FOLDER names another"
        )
