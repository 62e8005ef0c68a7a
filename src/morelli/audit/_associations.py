"""How strongly each file fact goes with the label: effect sizes, single-fact AUCs, one-line rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from morelli.metrics import roc_auc

Array = npt.NDArray[Any]

CATEGORIES = {
    "format": "file format",
    "mode": "pixel mode",
    "subsampling": "chroma subsampling",
    "quantisation": "JPEG quantisation tables",
    "dimensions": "exact size",
    "camera": "camera named in EXIF",
    "software": "software named in EXIF",
}
NUMBERS = {
    "short_side": "short side",
    "megapixels": "pixel count",
    "aspect": "aspect ratio (long by short side)",
    "jpeg_quality": "JPEG quality (JPEG files only)",
    "bytes_per_pixel": "bytes per pixel",
    "scale": "resize factor of the alignment (resampling history)",
}


@dataclass(frozen=True)
class Association:
    """One fact against the label.

    `effect` is the bias-corrected Cramér's V (Bergsma 2013) of a category and the Kolmogorov–Smirnov distance
    of a number, both 0–1. `auc` is the better direction's AUC of a number (0.5–1), or of the in-sample
    frequencies of a category. `real` and `fake` hold the frequent values' shares, or quantiles.
    """

    fact: str
    title: str
    kind: Literal["category", "number"]
    effect: float
    auc: float
    real: dict[str, float]
    fake: dict[str, float]


@dataclass(frozen=True)
class Rule:
    """A one-line detector: images with `fact` are called `means` ("generated" or "real").

    `share_real` and `share_fake` are the shares of each class that have the fact.
    """

    fact: str
    means: Literal["generated", "real"]
    balanced_accuracy: float
    share_real: float
    share_fake: float

    def sentence(self) -> str:
        """The rule in words, with its figures."""
        return (
            f"“{self.fact}” means {self.means}: balanced accuracy {self.balanced_accuracy:.2f} "
            f"({percent(self.share_fake)} of the generated images, "
            f"{percent(self.share_real)} of the real ones)."
        )


def fact_columns(table: pa.Table) -> dict[str, Array]:
    """The facts of `table` as arrays, (n,) each: categories as str, numbers as float with NaN for unknown.

    JPEG tables are named by the libjpeg quality they come nearest to and their signature: ``Q95 a96e355c``.
    """
    width, height = (table.column(name).to_numpy().astype(float) for name in ("width", "height"))
    short, long = np.minimum(width, height), np.maximum(width, height)
    columns: dict[str, Array] = {
        name: np.asarray(table.column(name).to_pylist(), dtype=str)
        for name in CATEGORIES
        if name in table.column_names
    }
    columns["quantisation"] = np.asarray(
        [
            f"Q{quality} {tables}" if tables else ""
            for tables, quality in zip(
                columns["quantisation"], table.column("jpeg_quality").to_pylist(), strict=True
            )
        ]
    )
    columns["dimensions"] = np.asarray([f"{int(w)}×{int(h)}" for w, h in zip(width, height, strict=True)])
    columns["short_side"], columns["megapixels"] = short, width * height / 1e6
    columns["aspect"] = long / np.maximum(short, 1)
    columns["bytes_per_pixel"] = table.column("bytes").to_numpy() / np.maximum(width * height, 1)
    for name in ("jpeg_quality", "scale"):
        values = [np.nan if value is None else float(value) for value in table.column(name).to_pylist()]
        columns[name] = np.asarray(values)
    return columns


def associations(y: Array, columns: Mapping[str, Array]) -> list[Association]:
    """Every fact's association with the labels `y` (n,), the strongest first."""
    found = []
    for name, title in CATEGORIES.items():
        values = columns[name]
        if len(np.unique(values)) > 1:
            found.append(_category(name, title, y, values))
    for name, title in NUMBERS.items():
        known = np.isfinite(columns[name])
        if all((known & (y == value)).sum() >= 2 for value in (0, 1)):
            found.append(_number(name, title, y[known], columns[name][known]))
    return sorted(found, key=lambda entry: -entry.auc)


def rules(table: pa.Table, y: Array, columns: Mapping[str, Array], least: float = 0.6) -> list[Rule]:
    """One-line detectors whose balanced accuracy is at least `least`, the best first."""
    width, height = (table.column(name).to_numpy() for name in ("width", "height"))
    tests: dict[str, Array] = {
        "square": width == height,
        "both sides divisible by 64": (width % 64 == 0) & (height % 64 == 0),
        "progressive JPEG": _flags(table, "progressive"),
        "carries EXIF": _flags(table, "has_exif"),
        "names a camera": columns["camera"] != "",
        "carries a colour profile": _flags(table, "has_icc"),
        "has an alpha channel": _flags(table, "has_alpha"),
        "rotated by an EXIF tag": _flags(table, "oriented"),
        "several frames": _flags(table, "animated"),
    }
    for name, phrase in (
        ("format", "{} file"),
        ("mode", "pixel mode {}"),
        ("subsampling", "chroma {}"),
        ("dimensions", "exactly {} pixels"),
        ("quantisation", "JPEG tables {}"),
    ):
        levels, counts = np.unique(columns[name], return_counts=True)
        for value in levels[np.argsort(-counts, kind="stable")][:20]:
            if value:
                tests[phrase.format(value)] = columns[name] == value
    found = []
    for fact, has in tests.items():
        real, fake = float(has[y == 0].mean()), float(has[y == 1].mean())
        accuracy = (1 + abs(fake - real)) / 2
        if accuracy >= least:
            found.append(Rule(fact, "generated" if fake > real else "real", accuracy, real, fake))
    return sorted(found, key=lambda rule: -rule.balanced_accuracy)


def _category(name: str, title: str, y: Array, values: Array) -> Association:
    levels, index = np.unique(values, return_inverse=True)
    counts = np.zeros((2, len(levels)))
    np.add.at(counts, (y, index), 1)
    share = counts / counts.sum(axis=1, keepdims=True)
    top = np.argsort(-counts.sum(axis=0), kind="stable")[:8]
    real, fake = ({str(levels[k]) or "none": float(share[row, k]) for k in top} for row in (0, 1))
    lean = (share[1] / (share[0] + share[1]))[index]
    return Association(name, title, "category", cramers_v(counts), roc_auc(y, lean), real, fake)


def _number(name: str, title: str, y: Array, values: Array) -> Association:
    from scipy.stats import ks_2samp

    auc = roc_auc(y, values)
    distance = float(ks_2samp(values[y == 1], values[y == 0]).statistic)
    real, fake = (
        {
            word: float(value)
            for word, value in zip(
                ("5 %", "25 %", "median", "75 %", "95 %"),
                np.quantile(values[y == row], [0.05, 0.25, 0.5, 0.75, 0.95]),
                strict=True,
            )
        }
        for row in (0, 1)
    )
    return Association(name, title, "number", distance, max(auc, 1 - auc), real, fake)


def cramers_v(counts: Array) -> float:
    """Cramér's V of a (2, levels) table of counts, corrected for bias (Bergsma 2013), 0–1."""
    n, (rows, levels) = counts.sum(), counts.shape
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / n
    phi2 = float(((counts - expected) ** 2 / expected).sum() / n)
    corrected = max(0.0, phi2 - (levels - 1) * (rows - 1) / (n - 1))
    least = min(levels - (levels - 1) ** 2 / (n - 1), rows - (rows - 1) ** 2 / (n - 1)) - 1
    return float(min(1.0, np.sqrt(corrected / least))) if least > 0 else 0.0


def _flags(table: pa.Table, name: str) -> Array:
    return np.asarray(table.column(name).to_numpy(zero_copy_only=False), bool)


def percent(share: float) -> str:
    """A share in words; under one and over 99 per cent with a decimal.

    >>> percent(0.25), percent(0.004), percent(1.0)
    ('25 %', '0.4 %', '100 %')
    """
    return (
        f"{share:.0%}".replace("%", " %")
        if share in {0.0, 1.0} or 0.01 < share < 0.99
        else (f"{100 * share:.1f} %")
    )
