"""The layout: every image's place on a plane, and how a new image finds its own without moving another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.artefacts.schema import check_schema
from morelli.atlas.cells._files import read_array, read_tensors, write_array, write_tensors
from morelli.atlas.cells._placement import Landmarks
from morelli.errors import ArtifactError, UsageError

Method = Literal["tsne", "umap", "pca"]


@dataclass(frozen=True)
class Axes:
    """Two directions (K, 2) of the standardised values: the map of a PCA."""

    directions: NDArray[np.float64]

    def place(self, S: NDArray[np.float32]) -> NDArray[np.float64]:
        """Places (n, 2) of standardised rows (n, K)."""
        # einsum, unlike a matrix product, adds in one order whatever the number of rows.
        return np.asarray(np.einsum("nk,kc->nc", S.astype(np.float64), self.directions))


@dataclass(frozen=True)
class Layout:
    """Places of a collection's images and what places further ones.

    `xy` (n, 2) float32 in [0, 1]². `centre` and `scale` (K,) standardise the rows that were projected,
    `frame` turns them into places, and `bounds` (2, 2), lowest and highest x and y, brings those into
    [0, 1]²; beyond them places are clipped.
    """

    xy: NDArray[np.float32]
    method: Method
    seed: int
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    frame: Landmarks | Axes
    bounds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.xy)

    def place(self, Z: ArrayLike) -> NDArray[np.float32]:
        """Places (m, 2) of further rows (m, K). An image's place depends on no other row of Z."""
        low, high = self.bounds
        places = self.frame.place(standardised(Z, self.centre, self.scale))
        return np.asarray(np.clip((places - low) / (high - low), 0, 1), np.float32)

    def extended(self, Z: ArrayLike) -> Layout:
        """The layout with further rows (m, K) behind the others, none of which moves."""
        return replace(self, xy=np.concatenate([self.xy, self.place(Z)]))

    def save(self, folder: Path | str) -> None:
        """Write `layout.safetensors` and `xy.npy` into a folder; the same layout gives the same bytes."""
        tensors: dict[str, NDArray[Any]] = {"centre": self.centre, "scale": self.scale, "bounds": self.bounds}
        if isinstance(self.frame, Axes):
            tensors["directions"] = self.frame.directions
        else:
            tensors |= {"landmarks": self.frame.rows, "places": self.frame.places}
        about = {"format": "morelli-layout", "version": 1, "method": self.method, "seed": self.seed}
        write_tensors(Path(folder) / "layout.safetensors", tensors, about)
        write_array(Path(folder) / "xy.npy", self.xy)

    @classmethod
    def load(cls, folder: Path | str) -> Layout:
        """Read what `save` wrote; `xy` is memory-mapped.

        Raises:
            ArtifactError: missing, damaged, or no layout.
        """
        path = Path(folder) / "layout.safetensors"
        tensors, about = read_tensors(path)
        if about.get("format") != "morelli-layout" or about.get("version") != 1:
            raise ArtifactError(f"{path} is no layout of version 1; build the atlas again")
        if about.get("method") not in get_args(Method):
            raise ArtifactError(f"{path} has the method {about.get('method')!r}; build the atlas again")
        try:
            frame: Landmarks | Axes = (
                Axes(tensors["directions"])
                if about["method"] == "pca"
                else Landmarks(tensors["landmarks"], tensors["places"])
            )
            known = {name: tensors[name] for name in ("centre", "scale", "bounds")}
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ArtifactError(f"{path} lacks {error}; build the atlas again") from error
        check_schema(about, {"seed": int}, path)
        xy = read_array(Path(folder) / "xy.npy", np.float32, 2)
        return cls(xy, about["method"], int(about["seed"]), frame=frame, **known)


def standardised(
    Z: ArrayLike, centre: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Rows (n, K) less `centre`, over `scale`.

    Raises:
        UsageError: another number of columns, or values that are not finite.
    """
    rows = np.asarray(Z)
    if rows.ndim != 2 or rows.shape[1] != len(centre):
        raise UsageError(f"this layout places rows of {len(centre)} values; the rows given are {rows.shape}")
    result = np.asarray((rows - centre) / scale, np.float32)
    if not np.isfinite(result).all():
        raise UsageError("a row to be placed on the map holds values that are not finite")
    return result
