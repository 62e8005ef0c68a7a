"""A value with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; `low` and `high` are NaN where nothing could be resampled.

    >>> print(Estimate(0.912, 0.87, 0.94))
    0.912 [0.870, 0.940]
    >>> Estimate(0.912).to_json()
    {'value': 0.912, 'low': None, 'high': None}
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")

    def to_json(self) -> dict[str, float | None]:
        """Value and ends; NaN, which JSON lacks, becomes null."""
        return {k: None if isnan(v) else v for k, v in vars(self).items()}

    def __str__(self) -> str:
        if isnan(self.value):
            return "–"
        ends = "" if isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{ends}"
