"""Placing a row among landmarks: where its nearest landmarks lie, without landing between two clusters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEAREST = 8
BLOCK = 32_768
# A landmark this far from the nearest one's place (share of the map's extent) still has weight exp(-1/2).
REACH = 0.03


@dataclass(frozen=True)
class Landmarks:
    """Rows whose places are known: standardised `rows` (m, K) float32 and `places` (m, 2) float64."""

    rows: NDArray[np.float32]
    places: NDArray[np.float64]

    def place(self, S: NDArray[np.float32]) -> NDArray[np.float64]:
        """Places (n, 2) of standardised rows (n, K).

        The mean of the nearest landmarks' places under modified Shepard weights ((R - d) / (R d))² with R the
        distance of the furthest one (Franke and Nielson 1980): exact at a landmark, and without a jump where
        the set of neighbours changes. Each weight is damped by how far that landmark lies from the nearest
        one on the map, one step of mean shift: a row between two clusters joins the nearer, and does not end
        up alone in the gap.
        """
        places = np.empty((len(S), 2))
        extent = float(np.ptp(self.places, axis=0).max()) or 1.0
        for start in range(0, len(S), BLOCK):
            block = S[start : start + BLOCK]
            near, distance = self.nearest(block, min(NEAREST, len(self.rows)))
            there = self.places[near]
            radius = distance[:, -1:]
            d = np.maximum(distance, 1e-9 * np.maximum(radius, 1e-9))
            weight = ((radius - d) / (np.maximum(radius, 1e-9) * d)) ** 2
            apart = ((there - there[:, :1]) ** 2).sum(axis=2)
            weight = weight * np.exp(-apart / (2 * (REACH * extent) ** 2))
            weight[~(weight.sum(axis=1) > 0), 0] = 1.0
            weight /= weight.sum(axis=1, keepdims=True)
            places[start : start + BLOCK] = np.einsum("nk,nkc->nc", weight, there)
        return places

    def nearest(self, S: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The k nearest landmarks (n, k) of rows (n, K), nearest first, and their distances (n, k)."""
        # Rounded sums depend on the size of the batch: a few candidates more, measured again one by one, are
        # the same ones however many rows are asked for at once.
        spare = min(k + 4, len(self.rows))
        near = self._index.kneighbors(S, spare, return_distance=False)
        difference = self.rows[near].astype(np.float64) - S[:, None].astype(np.float64)
        distance = np.sqrt(np.einsum("nkd,nkd->nk", difference, difference))
        best = np.lexsort((near, distance), axis=1)[:, :k]
        return np.take_along_axis(near, best, 1), np.take_along_axis(distance, best, 1)

    @cached_property
    def _index(self) -> Any:
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors(algorithm="brute").fit(self.rows)
