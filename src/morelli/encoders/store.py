"""What the command line asks of the weights' store: fetch, check, describe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from morelli.encoders._cache import CacheDirectory, Progress, Record, sha256_file
from morelli.encoders._cards import EncoderCard, SourceKind, encoder_card
from morelli.encoders._resolve import records_of, resolve, stderr_progress
from morelli.errors import WeightsError


@dataclass(frozen=True)
class Stored:
    """Weights in the cache, from one source."""

    name: str
    source: str
    """`hub:owner/name` or `package-index:package==version`."""
    sha256: str
    """`Build.weights` of encoders loaded from it."""
    folder: Path
    megabytes: float
    pinned_by: str
    """`registry`, or `first use` where the hash was learnt at the first download."""
    revision: str | None


@dataclass(frozen=True)
class FileCheck:
    """One file after a full check; `problem` is None when its hash is right."""

    name: str
    source: str
    path: Path
    sha256: str
    problem: str | None


@dataclass(frozen=True)
class EncoderInfo:
    """A card, and what the cache holds of it."""

    card: EncoderCard
    stored: tuple[Stored, ...]
    cache: Path


def pull(
    name: str,
    progress: Progress = stderr_progress,
    *,
    source: SourceKind | None = None,
    offline: bool = False,
) -> Stored:
    """Make an encoder's weights present in the cache; quick when they are there.

    Raises:
        UsageError: no such encoder.
        WeightsError: no source could give the weights.
    """
    card = encoder_card(name)
    checkpoint = resolve(card, source=source, offline=offline, progress=progress)
    (record,) = (entry for entry in records_of(card) if entry.source == checkpoint.origin)
    return _stored(card, record)


def verify(name: str, progress: Progress = stderr_progress) -> list[FileCheck]:
    """Hash every cached file of an encoder again. Damaged files are reported, not removed.

    Raises:
        UsageError: no such encoder.
        WeightsError: nothing of it is cached.
    """
    card = encoder_card(name)
    records = records_of(card)
    if not records:
        raise WeightsError(
            f"Nothing of {card.name} is cached. Fetch it: `morelli encoders pull {card.name}`."
        )
    checks = []
    for record in records:
        for file in record.files:
            path = Path(file.path)
            found = sha256_file(path, progress) if path.is_file() else None
            problem = None if found == file.sha256 else "is gone" if found is None else f"has SHA-256 {found}"
            checks.append(FileCheck(card.name, record.source, path, file.sha256, problem))
    return checks


def info(name: str) -> EncoderInfo:
    """What is known of an encoder, and what the cache holds of it; touches no network.

    Raises:
        UsageError: no such encoder.
    """
    card = encoder_card(name)
    return EncoderInfo(
        card, tuple(_stored(card, record) for record in records_of(card)), CacheDirectory(card.name).folder
    )


def _stored(card: EncoderCard, record: Record) -> Stored:
    return Stored(
        name=card.name,
        source=record.source,
        sha256=record.sha256,
        folder=Path(record.folder),
        megabytes=round(sum(file.size for file in record.files) / 1e6, 1),
        pinned_by=record.pinned_by,
        revision=record.revision,
    )
