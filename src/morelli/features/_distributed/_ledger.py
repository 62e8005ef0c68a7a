"""The ledger of a job: which shards are in the table, so that a job that was ended goes on behind them.

It saves time and decides nothing: what is in the table is recognised by content. A ledger that is lost, or
behind the table by a commit, costs the reading of some images once more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from morelli.artefacts import parse_json
from morelli.artefacts.schema import Number, check_schema
from morelli.errors import ArtifactError
from morelli.features._failures import Failure

FORMAT = 1
_LARGEST = 1 << 50
_COUNT = Number(0, _LARGEST, whole=True)
_LINE = {"s": _COUNT, "d": str, "n": _COUNT, "k": _COUNT, "c": _COUNT, "e": _COUNT, "r": _COUNT}
_HEAD = {"format": _COUNT, "job": str}


@dataclass(frozen=True)
class ShardCounts:
    """What became of one shard: rows it gave, images that were there, copies within the job."""

    number: int
    digest: bytes
    done: int = 0
    skipped: int = 0
    copies: int = 0


class Ledger:
    """One line a shard, appended behind the commit of its rows; beside it the failures and label conflicts.

    Args:
        folder: where the two files are, `job.jsonl` and `job-notes.jsonl`.
        job: names what is extracted and how. A ledger of another job is dropped.
        rows: of the table. A ledger that speaks of more is dropped: they are lost, or were removed.
    """

    def __init__(self, folder: Path, job: str, rows: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path, self._notes_path = folder / "job.jsonl", folder / "job-notes.jsonl"
        self.finished = b""
        """Digests of the shards that are through, 16 bytes each by number."""
        self.skipped = self.copies = 0
        self.failures: list[Failure] = []
        self.conflicts: list[str] = []
        end = self._read(job, rows)
        self._lines = self._open(self._path, end[0])
        self._notes = self._open(self._notes_path, end[1])
        if not end[0]:
            self._append(self._lines, [{"format": FORMAT, "job": job}])

    @property
    def shards(self) -> int:
        """How many shards are through."""
        return len(self.finished) // 16

    def add(
        self,
        shards: Sequence[ShardCounts],
        failures: Iterable[Failure],
        conflicts: Iterable[str],
        rows: int,
    ) -> None:
        """Write down shards whose rows are committed, what was found in them, and the table's rows now."""
        notes = [asdict(failure) for failure in failures] + [{"conflict": uri} for uri in conflicts]
        if notes:
            self._append(self._notes, notes)
        end = self._notes.tell()
        self._append(
            self._lines,
            [
                {
                    "s": shard.number,
                    "d": shard.digest.hex(),
                    "n": shard.done,
                    "k": shard.skipped,
                    "c": shard.copies,
                    "e": end,
                    "r": rows,
                }
                for shard in shards
            ],
        )

    def close(self) -> None:
        """Close the files; they stay."""
        self._lines.close()
        self._notes.close()

    def remove(self) -> None:
        """The job is through: the next one reads everything again, as on one machine."""
        self.close()
        for path in (self._path, self._notes_path):
            path.unlink(missing_ok=True)

    def _read(self, job: str, rows: int) -> tuple[int, int]:
        """Take over what a former run of the same job wrote; where both files are to be continued."""
        shards: dict[int, dict[str, Any]] = {}
        at = end = 0
        # Of a line that a kill cut, of a damaged one and of all behind them: as if they were not there.
        with suppress(OSError, ArtifactError), self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                found = parse_json(line.decode("utf-8", "replace"), self._path)
                if at == 0:
                    check_schema(found, _HEAD, self._path)
                    if found["format"] != FORMAT or found["job"] != job:
                        break
                else:
                    check_schema(found, _LINE, self._path)
                    if found["s"] > len(shards) or len(found["d"]) != 32:
                        break
                    shards[found["s"]] = found
                    end = found["e"]
                at += len(line)
        lost = max((line["r"] for line in shards.values()), default=0) > rows
        if not shards or lost or not self._read_notes(end):
            return 0, 0
        self.finished = b"".join(bytes.fromhex(shards[number]["d"]) for number in range(len(shards)))
        self.skipped = sum(line["n"] + line["k"] for line in shards.values())
        self.copies = sum(line["c"] for line in shards.values())
        return at, end

    def _read_notes(self, end: int) -> bool:
        """Take over failures and conflicts up to `end`; False where they are damaged."""
        try:
            data = self._notes_path.read_bytes()[:end] if end else b""
            notes = [json.loads(line) for line in data.decode().splitlines()]
            failures = [Failure(**note) for note in notes if "conflict" not in note]
            conflicts = [str(note["conflict"]) for note in notes if "conflict" in note]
        except (OSError, ValueError, TypeError, RecursionError):
            return False
        self.failures, self.conflicts = failures, conflicts
        return len(data) == end

    @staticmethod
    def _open(path: Path, end: int) -> IO[bytes]:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        file = os.fdopen(descriptor, "r+b")
        file.truncate(end)
        file.seek(end)
        return file

    @staticmethod
    def _append(file: IO[bytes], lines: Iterable[dict[str, Any]]) -> None:
        file.write("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode())
        file.flush()
        os.fsync(file.fileno())
