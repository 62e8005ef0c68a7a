"""Aligned copies: both classes delivered alike, so that format and size can no longer tell them apart.

What an alignment removes: format, codec settings, size, shape, embedded metadata. What it cannot remove: the
traces in the pixels of earlier compression and of the resampling itself. An image enlarged from 256 pixels is
not one shrunk from 4000, and a former JPEG re-encoded carries two generations of loss. The manifest therefore
records each original's size and quality and the resize factor, and an audit of the copy says how well the
factor alone still separates the classes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from morelli.artefacts import locked, read_file, write_file
from morelli.artefacts.schema import Each, check_schema
from morelli.artefacts.targets import check_inside
from morelli.artefacts.text import csv_table
from morelli.audit._facts import Unreadable
from morelli.errors import ArtifactError, ImageError, UsageError
from morelli.images import ImageItem, Limits, decode, image_errors, in_threads, iter_source, read_bytes

if TYPE_CHECKING:
    from PIL import Image

MANIFEST = "manifest.csv"
_JOURNAL = "align.jsonl"
_WAIT = 10.0
_DONE = ("uri", "path", "sha256", "original_sha256")
_ENTRY = Each(str)
_CLASS = {0: "real", 1: "fake", None: "unlabelled"}
_SUFFIX = {"jpeg": ".jpg", "webp": ".webp", "png": ".png"}
_SUBSAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
_OF_THE_FILE = frozenset(
    ("width", "height", "format", "bytes", "sha1", "sha256", "md5", "mode", "jpeg_quality", "path", "done")
)


@dataclass(frozen=True)
class AlignRecipe:
    """How every image is delivered, whatever it was.

    The centre square is resampled (Lanczos, with antialiasing) to `side` × `side` pixels, stripped of all
    metadata and written with one codec. `small` says what becomes of images whose short side is below
    `side`: "upscale" keeps them all, "skip" leaves them out, which is the stricter choice where one class is
    smaller than the other. `quality` and `subsampling` do not apply to PNG, `subsampling` not to WebP.
    """

    side: int = 256
    codec: Literal["jpeg", "webp", "png"] = "jpeg"
    quality: int = 85
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:2:0"
    small: Literal["upscale", "skip"] = "upscale"

    def __post_init__(self) -> None:
        if self.codec not in _SUFFIX or self.subsampling not in _SUBSAMPLING:
            raise UsageError(
                f"Unknown codec {self.codec!r} or subsampling {self.subsampling!r}: "
                f"codecs are {', '.join(_SUFFIX)}, subsamplings {', '.join(_SUBSAMPLING)}."
            )
        if (
            not 16 <= self.side <= 8192
            or not 1 <= self.quality <= 100
            or self.small not in {"upscale", "skip"}
        ):
            raise UsageError("An alignment needs side 16–8192, quality 1–100 and small 'upscale' or 'skip'.")

    def check_target(
        self, out_dir: str | Path, source: str | Path | Sequence[str | Path] | Iterable[ImageItem] = ()
    ) -> None:
        """Raise UsageError where `align` could not write its copies: ask before other work, not after it.

        Args:
            out_dir, source: those of `align`.
        """
        out = Path(out_dir)
        _check_apart(source, out)
        _check_ours(out)
        check_inside(out)
        _read_journal(out / _JOURNAL, self)

    @property
    def id(self) -> str:
        """The recipe in one word, such as ``align-256-lanczos-crop-jpeg85-420-upscale-v1``."""
        codec = self.codec if self.codec == "png" else f"{self.codec}{self.quality}"
        chroma = f"-{self.subsampling.replace(':', '')}" if self.codec == "jpeg" else ""
        return f"align-{self.side}-lanczos-crop-{codec}{chroma}-{self.small}-v1"


@dataclass(frozen=True)
class AlignReport:
    """What an alignment did: images `written` now, `reused` from an earlier run, `skipped` as too small.

    `skipped` counts by class word (real, fake, unlabelled); `failed` lists what could not be read.
    """

    manifest: Path
    recipe: AlignRecipe
    written: int
    reused: int
    skipped: dict[str, int]
    failed: tuple[Unreadable, ...]


def align_image(image: Image.Image, recipe: AlignRecipe) -> bytes:
    """The file that `recipe` makes of an RGB image."""
    from PIL import Image

    width, height = image.size
    short = min(width, height)
    if image.size != (recipe.side, recipe.side):
        left, top = (width - short) / 2, (height - short) / 2
        image = image.resize(
            (recipe.side, recipe.side), Image.Resampling.LANCZOS, box=(left, top, left + short, top + short)
        )
    buffer = io.BytesIO()
    if recipe.codec == "jpeg":
        image.save(
            buffer,
            "JPEG",
            quality=recipe.quality,
            subsampling=_SUBSAMPLING[recipe.subsampling],
            optimize=True,
        )
    elif recipe.codec == "webp":
        image.save(buffer, "WEBP", quality=recipe.quality, method=4)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def align(
    source: str | Path | Sequence[str | Path] | Iterable[ImageItem],
    out_dir: str | Path,
    recipe: AlignRecipe | None = None,
    *,
    limits: Limits | None = None,
    workers: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    **reading: Any,
) -> AlignReport:
    """Write an aligned copy of a set of images, with a manifest of what was done to each.

    Args:
        source: what `iter_source` reads, or image items themselves.
        out_dir: gets ``real/``, ``fake/``, ``unlabelled/`` and ``manifest.csv``, which `iter_source` reads.
        recipe: how to deliver; 256 × 256 JPEG of quality 85, 4:2:0, if None.
        limits: bounds on single images.
        workers: threads; one for each processor if None.
        progress: called with (images done, None).
        reading: further arguments of `iter_source`, such as label_from="folders".

    Each file is put in its place whole, and the manifest last. A run that was broken off goes on where it
    stopped: images whose bytes are unchanged and whose copy is intact are not done again.

    Raises UsageError when `out_dir` holds a copy made by another recipe or anything else, or lies inside the
    source.
    """
    recipe, bounds, out = recipe or AlignRecipe(), limits or Limits(), Path(out_dir)
    recipe.check_target(out, source)
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / MANIFEST, wait=_WAIT):
        earlier = _read_journal(out / _JOURNAL, recipe)
        named = isinstance(source, str | Path) or (
            isinstance(source, Sequence) and all(isinstance(entry, str | Path) for entry in source)
        )
        items: Iterable[ImageItem] = iter_source(source, limits=bounds, **reading) if named else source  # type: ignore[arg-type,assignment]
        rows: list[dict[str, str]] = []
        failed: list[Unreadable] = []
        counts, skipped = Counter[str](), Counter[str]()

        def one(item: ImageItem) -> tuple[str, ImageItem, dict[str, str] | ImageError]:
            return _one(item, out, recipe, bounds, earlier)

        with (out / _JOURNAL).open("a", encoding="utf-8") as journal:
            if not earlier:
                journal.write(json.dumps({"recipe": recipe.id}) + "\n")
            for done, (outcome, item, made) in enumerate(in_threads(one, items, workers), start=1):
                if isinstance(made, ImageError):
                    failed.append(Unreadable(item.uri, item.label, made.reason, str(made)))
                elif outcome == "skipped":
                    skipped[_CLASS[item.label]] += 1
                else:
                    counts[outcome] += 1
                    rows.append(_row(item, made))
                    if outcome == "written":
                        journal.write(json.dumps({"uri": item.uri, **made}, ensure_ascii=False) + "\n")
                        journal.flush()
                if progress is not None:
                    progress(done, None)
        _write_manifest(out / MANIFEST, rows)
        return AlignReport(
            out / MANIFEST, recipe, counts["written"], counts["reused"], dict(skipped), tuple(failed)
        )


def _check_apart(source: object, out: Path) -> None:
    """A copy inside the folder that is read would be read as well."""
    given = [source] if isinstance(source, str | Path) else source if isinstance(source, Sequence) else []
    for entry in given:
        if isinstance(entry, str | Path) and out.resolve().is_relative_to(Path(entry).resolve()):
            raise UsageError(f"{out} lies inside {entry}, which is being read: choose a folder outside it.")


def _one(
    item: ImageItem, out: Path, recipe: AlignRecipe, limits: Limits, earlier: dict[str, dict[str, str]]
) -> tuple[str, ImageItem, dict[str, str] | ImageError]:
    """Align one image; the outcome is "written", "reused", "skipped" or "failed"."""
    try:
        data = read_bytes(item)
        digest = hashlib.sha256(data).hexdigest()
        path = Path(_CLASS[item.label]) / f"{digest[:20]}{_SUFFIX[recipe.codec]}"
        known = earlier.get(item.uri)
        if known and known["original_sha256"] == digest and known["path"] == path.as_posix():
            copy = out / path
            if copy.is_file() and hashlib.sha256(copy.read_bytes()).hexdigest() == known["sha256"]:
                return "reused", item, known
        decoded = decode(data, limits)
    except ImageError as error:
        return "failed", item, error
    facts = decoded.facts
    short = min(facts.width, facts.height)
    if short < recipe.side and recipe.small == "skip":
        return "skipped", item, {}
    try:
        with image_errors():
            made = align_image(decoded.image, recipe)
    except ImageError as error:
        return "failed", item, error
    # Without a lock: copies are called after their content, so that two writers write the same.
    write_file(out / path, made, lock=False)
    quality = "" if facts.jpeg_quality is None else str(facts.jpeg_quality)
    return (
        "written",
        item,
        {
            "path": path.as_posix(),
            "sha256": hashlib.sha256(made).hexdigest(),
            "original_sha256": digest,
            "original_format": facts.format,
            "original_width": str(facts.width),
            "original_height": str(facts.height),
            "original_bytes": str(facts.bytes),
            "original_jpeg_quality": quality,
            "align_scale": f"{recipe.side / short:.6g}",
            "align_recipe": recipe.id,
            "align_done": "; ".join([*facts.notes, *_steps(facts.width, facts.height, recipe)]),
        },
    )


def _steps(width: int, height: int, recipe: AlignRecipe) -> list[str]:
    short, side = min(width, height), recipe.side
    steps = [] if width == height else [f"centre {short}×{short} of {width}×{height} kept"]
    if short != side:
        steps.append(f"{'enlarged' if short < side else 'shrunk'} to {side}×{side} (Lanczos)")
    codec = {
        "jpeg": f"JPEG quality {recipe.quality}, {recipe.subsampling}",
        "webp": f"WebP quality {recipe.quality}",
        "png": "PNG",
    }[recipe.codec]
    return [*steps, f"written as {codec}", "metadata stripped"]


def _row(item: ImageItem, made: dict[str, str]) -> dict[str, str]:
    """The manifest's row: the copy, then every original column; those about the old file are renamed."""
    row = {
        "path": made["path"],
        "label": "" if item.label is None else _CLASS[item.label],
        "generator": item.generator or "",
        "original_path": item.uri,
    }
    for name, text in item.metadata.items():
        row[f"original_{name}" if name in _OF_THE_FILE else name] = text
    return row | {name: text for name, text in made.items() if name not in {"path", "uri"}}


def _read_journal(path: Path, recipe: AlignRecipe) -> dict[str, dict[str, str]]:
    """What an earlier run with the same recipe has done, by uri; a half-written last line is ignored."""
    done: dict[str, dict[str, str]] = {}
    if not os.path.lexists(path):
        return done
    for line in read_file(path, what="folder of aligned copies").decode("utf-8", "replace").splitlines():
        try:
            entry = json.loads(line)
            check_schema(entry, _ENTRY, path)
        except (ValueError, RecursionError, ArtifactError):
            continue
        if "recipe" in entry and entry["recipe"] != recipe.id:
            raise UsageError(
                f"{path.parent} holds copies by {entry['recipe']}, not {recipe.id}: "
                "choose another folder, or the same recipe."
            )
        if set(_DONE) <= set(entry):
            done[entry.pop("uri")] = entry
    return done


def _check_ours(out: Path) -> None:
    """Refuse a folder of other files: its manifest would be replaced, and copies join its pictures."""
    if not out.is_dir() or (out / _JOURNAL).exists():
        return
    if any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise UsageError(f"{out} holds something else than aligned copies; name another folder, or empty it")


def _write_manifest(path: Path, rows: Sequence[dict[str, str]]) -> None:
    header = list(dict.fromkeys(name for row in rows for name in row)) or ["path", "label", "generator"]
    text = csv_table(header, ([row.get(name, "") for name in header] for row in rows), mark=False)
    write_file(path, text)
