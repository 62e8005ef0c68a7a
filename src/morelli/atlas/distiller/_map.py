"""The distilled map: what a fitted distiller is, as numbers – one affine map, an activation, a linear head.

ASAP's chain is embedding → forget-to-spell (256) → distiller (16) → head (2404.02990, after a second-hand
summary). The first two are linear, so they fold into one matrix; impact z_k w_k is then a share of the
logit exactly, which is what makes patterns comparable (the paper's "uniform metric").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.artefacts import Format, read_folder, write_folder
from morelli.artefacts.schema import COUNT
from morelli.atlas.distiller._activation import Activation, activate, require_activation, slope, unit_rows
from morelli.detectors import Calibration
from morelli.encoders import Build
from morelli.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from morelli.features import Features

Floats = NDArray[np.float64]

TENSORS = "map.safetensors"


def _files_of_version_1(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {TENSORS: {"sha256": document.get("tensors_sha256")}}


FORM = Format(
    name="morelli-distilled-map",
    what="distilled map",
    manifest="map.json",
    version=2,
    again="fit the distiller again",
    schema={
        "kind": str,
        "unit": bool,
        "activation": str,
        "bias": float,
        "names": [str],
        "build": dict,
        "calibration": dict,
        "record": dict,
        "shape?": [COUNT],
    },
    dtypes=("float64",),
    largest=1 << 30,
    files_of=_files_of_version_1,
    known_by=("spelling.json",),
)


LARGEST = 1e12
"""Of every number in a map: its relevance is computed in float32, where products of greater ones overflow."""


@dataclass(frozen=True, eq=False)
class DistilledMap:
    """z = act(x A + b), logit = z · w + bias, of one feature kind of one build.

    kind: the feature kind x (d,) is of. unit: scale x to length 1 first. A: (d, K). b, w: (K,).
    names: K names. calibration: from the logit to a probability. record: how it was made and what was
    measured, plain JSON values.

    Raises:
        UsageError: shapes that do not fit, numbers that are not finite or beyond 1e12, an unknown activation.
    """

    kind: str
    unit: bool
    A: Floats
    b: Floats
    activation: Activation
    w: Floats
    bias: float
    build: Build
    names: tuple[str, ...] = ()
    calibration: Calibration = field(default_factory=Calibration)
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_activation(self.activation)
        for name in ("A", "b", "w"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        if not self.names:
            object.__setattr__(self, "names", dimension_names(len(self.w)))
        k = len(self.w)
        if self.A.ndim != 2 or self.A.shape[1] != k or self.b.shape != (k,) or len(self.names) != k:
            raise UsageError(
                f"a distilled map needs A (d, K), b (K,), w (K,) and K names; got {self.A.shape}, "
                f"{self.b.shape}, {self.w.shape} and {len(self.names)}"
            )
        if not all(np.isfinite(part).all() for part in (self.A, self.b, self.w, self.bias)):
            raise UsageError("a distilled map holds a number that is not finite")
        if max(np.abs(part).max(initial=0) for part in (self.A, self.b, self.w, self.bias)) > LARGEST:
            raise UsageError(f"a distilled map holds a number beyond {LARGEST:g}, with which sums overflow")

    @property
    def d(self) -> int:
        """Length of a feature vector."""
        return int(self.A.shape[0])

    @property
    def n_dimensions(self) -> int:
        """Number K of distilled dimensions."""
        return len(self.w)

    def values(self, X: ArrayLike) -> Floats:
        """Distilled values z (n, K) of features X (n, d)."""
        X = np.asarray(X)
        if X.ndim != 2 or X.shape[1] != self.d:
            raise UsageError(
                f"the distilled map reads {self.kind} of length {self.d}; got an array {X.shape}"
            )
        rows = unit_rows(X) if self.unit else X.astype(np.float64)
        return np.asarray(activate(self.activation, rows @ self.A + self.b))

    def impacts(self, X: ArrayLike) -> Floats:
        """Signed shares of the logit (n, K): z_k w_k, positive towards generated."""
        return self.values(X) * self.w

    def logits(self, X: ArrayLike) -> Floats:
        """Logits (n,): the impacts of an image and the bias, summed."""
        return np.asarray(self.impacts(X).sum(axis=1) + self.bias)

    def probability(self, X: ArrayLike, base_rate: float | None = None) -> Floats:
        """Calibrated probability of "generated" (n,), see `Calibration`."""
        return self.calibration.probability(self.logits(X), base_rate)

    def values_and_gradients(self, X: ArrayLike) -> tuple[Floats, Floats]:
        """Distilled values z (n, K) of features X (n, d), and the gradient of each by its feature, (n, K, d).

        With r = x / |x| and h = r A + b: ∂z_k/∂x = act'(h_k) (A_k - r ⟨r, A_k⟩) / |x|; without `unit`,
        act'(h_k) A_k. A feature that is zero has no direction: its gradient is that of r = 0, |x| = 1.
        """
        X = np.asarray(X, dtype=np.float64)
        z = self.values(X)
        gradients = np.broadcast_to(self.A.T, (*z.shape, self.d))
        if self.unit:
            rows = unit_rows(X)
            lengths = np.linalg.norm(X, axis=1)
            along = rows @ self.A
            gradients = gradients - along[..., None] * rows[:, None]
            gradients /= np.where(lengths > 0, lengths, 1.0)[:, None, None]
        return z, gradients * slope(self.activation, z)[..., None]

    def matrix(self, features: Features) -> NDArray[np.float32]:
        """What the map reads of `features`: (n, d).

        Raises:
            BuildMismatchError: features of another build.
            UsageError: the kind is not loaded.
        """
        self.build.require_same(features.build, what="the table of features")
        return features.matrix(self.kind)

    def renamed(self, names: Mapping[int, str]) -> DistilledMap:
        """This map with other names for some dimensions (numbered from 0)."""
        return replace(self, names=tuple(names.get(k, name) for k, name in enumerate(self.names)))

    def save(self, folder: str | Path) -> None:
        """Write the map as a folder, whole or not at all; an older map there is replaced.

        Raises:
            UsageError: something that is no distilled map stands at `folder`.
        """
        document = {
            "kind": self.kind,
            "unit": self.unit,
            "activation": self.activation,
            "bias": float(self.bias),
            "names": list(self.names),
            "build": self.build.to_json(),
            "calibration": self.calibration.to_json(),
            "record": dict(self.record),
        }
        # float32 would halve the file, but the impacts would no longer sum to the logit as exactly.
        tensors = {name: getattr(self, name) for name in ("A", "b", "w")}
        write_folder(folder, FORM, document, tensors={TENSORS: tensors})

    @classmethod
    def load(cls, folder: str | Path) -> DistilledMap:
        """Read what `save` wrote, after checking every part of it.

        Raises:
            ArtifactError: says what is missing, changed, misshapen or of an unknown version.
        """
        folder = Path(folder)
        found = read_folder(folder, FORM)
        document, tensors = found.document, found.tensors.get(TENSORS, {})
        if set(tensors) != {"A", "b", "w"} or document.get("shape", list(tensors["A"].shape)) != list(
            tensors["A"].shape
        ):
            raise ArtifactError(
                f"{folder / TENSORS} does not hold the tensors that {FORM.manifest} declares; {FORM.again}"
            )
        try:
            return cls(
                kind=document["kind"],
                unit=document["unit"],
                A=tensors["A"],
                b=tensors["b"],
                activation=document["activation"],
                w=tensors["w"],
                bias=float(document["bias"]),
                build=Build.from_json(document["build"]),
                names=tuple(document["names"]),
                calibration=Calibration.from_json(document["calibration"]),
                record=document["record"],
            )
        except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
            raise ArtifactError(f"{folder} is a damaged distilled map ({error}); {FORM.again}") from error


def dimension_names(k: int) -> tuple[str, ...]:
    """Names D1 … DK that say nothing but the order."""
    return tuple(f"D{i + 1}" for i in range(k))


def default_map_path() -> Path:
    """The folder of the distilled map that ships with Morelli."""
    return Path(__file__).parent / "default_map"
