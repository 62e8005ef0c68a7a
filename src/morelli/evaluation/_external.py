"""Bring any other detector to the table: a function, or a command that reads paths and writes scores."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from morelli.errors import ImageError, UsageError
from morelli.evaluation._arrays import FloatArray
from morelli.evaluation._predictions import Predictions
from morelli.images import read_bytes

if TYPE_CHECKING:
    from morelli.images import ImageItem

Predict = Callable[[Sequence[str]], Sequence[float]]


def predict_external(
    detector: str | Sequence[str] | Predict,
    items: Iterable[ImageItem],
    *,
    name: str | None = None,
    scores: Literal["probability", "logit"] = "probability",
    batch: int = 256,
    timed: bool = False,
    timeout: float | None = None,
) -> Predictions:
    """Score labelled images by a foreign detector.

    Args:
        detector: a function from paths to scores, one per path in the same order, or a command (split as
            a POSIX shell would, but run without one) that reads one path a line on standard input and
            writes one line per path on standard output, its last word the score.
        items: images with labels, as `morelli.images.iter_source` gives them. Those inside archives
            are written to a temporary folder under their own file name's suffix.
        name: what the table calls it.
        scores: ``probability`` of being generated in 0..1, or ``logit``, above 0 for generated.
        batch: paths handed over at a time.
        timed: fill the column `seconds` with each batch's mean; times differ from run to run, so the
            table is then no longer byte-identical.
        timeout: seconds that one batch may take.

    Raises UsageError when the detector fails, gives the wrong number of scores or impossible ones.
    """
    rows: dict[str, Any] = {
        key: [] for key in ("sha256", "uri", "label", "generator", "lineage", "source", "era", "bytes")
    }
    values: list[FloatArray] = []
    seconds: list[float] = []
    pending: list[str] = []
    with tempfile.TemporaryDirectory(prefix="morelli-external-") as folder:

        def flush() -> None:
            start = time.perf_counter()
            values.append(_scores(detector, pending, timeout))
            seconds.extend([(time.perf_counter() - start) / len(pending)] * len(pending))
            pending.clear()

        for number, item in enumerate(items):
            if item.label is None:
                raise UsageError(f"{item.uri} has no label; metrics need real or generated for every image")
            try:
                data = read_bytes(item)
            except ImageError as error:
                raise UsageError(f"{item.uri} cannot be read: {error}; take it out of the source") from error
            pending.append(_path_of(item.uri, data, Path(folder), number))
            rows["sha256"].append(hashlib.sha256(data).hexdigest())
            rows["uri"].append(item.uri)
            rows["label"].append(item.label)
            rows["generator"].append(item.generator)
            rows["bytes"].append(len(data))
            for key in ("lineage", "source", "era"):
                rows[key].append(item.metadata.get(key))
            if len(pending) == batch:
                flush()
        if pending:
            flush()
    if not values:
        raise UsageError("the source holds no image to score")
    scored = np.concatenate(values)
    outside = (scored < 0) | (scored > 1)
    if scores == "probability" and outside.any():
        raise UsageError(
            f"{int(outside.sum())} scores lie outside 0..1 (the first: {scored[outside][0]:.6g}); "
            "if the detector gives logits, say so with scores='logit'"
        )
    label = name or (detector if isinstance(detector, str) else getattr(detector, "__name__", "external"))
    return Predictions.from_columns(
        **rows,
        logit=scored if scores == "logit" else None,
        probability=scored if scores == "probability" else None,
        detector=str(label),
        seconds=seconds if timed else None,
    )


def _path_of(uri: str, data: bytes, folder: Path, number: int) -> str:
    """The image's own file when it is one on this disk, else a copy of its bytes."""
    path = Path(uri)
    if "::" not in uri and "\n" not in uri and path.is_file():
        return str(path.resolve())
    copy = folder / f"{number:08d}{Path(uri.rpartition('::')[2]).suffix}"
    copy.write_bytes(data)
    return str(copy)


def _scores(
    detector: str | Sequence[str] | Predict, paths: Sequence[str], timeout: float | None
) -> FloatArray:
    given = detector(list(paths)) if callable(detector) else _run(detector, paths, timeout)
    scored = np.asarray(given, dtype=np.float64)
    if scored.shape != (len(paths),):
        raise UsageError(
            f"the detector gave {scored.size} scores for {len(paths)} images; it must give one each"
        )
    if not np.isfinite(scored).all():
        bad = paths[int(np.flatnonzero(~np.isfinite(scored))[0])]
        raise UsageError(f"the detector gave no finite score for {bad}")
    return scored


def _run(command: str | Sequence[str], paths: Sequence[str], timeout: float | None) -> list[float]:
    words = shlex.split(command) if isinstance(command, str) else list(command)
    if not words:
        raise UsageError("the external command is empty")
    try:
        done = subprocess.run(
            words, input="\n".join(paths) + "\n", capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise UsageError(f"there is no program {words[0]!r} to run; give its full path") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"{words[0]} took longer than {timeout:g} s for {len(paths)} images") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it wrote nothing on standard error"]
        raise UsageError(f"{words[0]} ended with status {done.returncode}: {last[0]}")
    result = []
    for line in done.stdout.splitlines():
        if not line.strip():
            continue
        try:
            result.append(float(line.split()[-1]))
        except ValueError:
            raise UsageError(f"{words[0]} wrote {line[:80]!r}, whose last word is no number") from None
    return result
