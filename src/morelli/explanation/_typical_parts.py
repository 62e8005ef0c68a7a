"""What typical real images get from each expert, by patches, blocks and MLPs: readings compare with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from morelli.artefacts import dump_json, read_file, write_file
from morelli.artefacts.tensors import pack_tensors, unpack_tensors
from morelli.errors import ArtifactError
from morelli.explanation.concepts import default_concepts_path

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.encoders.direct_paths import DirectParts

FILE = "typical-parts.safetensors"
_LARGEST = 16 << 20
_NAMES = ("patches", "own", "mlps", "start")


@dataclass(frozen=True, eq=False)
class TypicalParts:
    """Means over real images of each expert's `DirectParts`.

    Attributes:
        patches: (K, L, P). own, mlps: (K, L). start: (K,). All float64.
    """

    patches: NDArray[np.float64] = field(repr=False)
    own: NDArray[np.float64] = field(repr=False)
    mlps: NDArray[np.float64] = field(repr=False)
    start: NDArray[np.float64] = field(repr=False)

    @property
    def total(self) -> NDArray[np.float64]:
        """(K,): what each expert gives a typical real image, without its bias."""
        added = self.own + self.mlps + self.patches.sum(axis=2)
        return np.asarray(added.sum(axis=1) + self.start)

    @classmethod
    def of(cls, found: Iterable[DirectParts]) -> Self:
        """The means of some images' parts, at least one."""
        count, sums = 0, [np.zeros(()) for _ in _NAMES]
        for parts in found:
            sums = [total + getattr(parts, name) for total, name in zip(sums, _NAMES, strict=True)]
            count += 1
        return cls(*(total / count for total in sums))

    def starting_at(self, totals: NDArray[Any]) -> TypicalParts:
        """These parts with constants such that `total` is `totals` (K,), so that both sums start alike."""
        return TypicalParts(self.patches, self.own, self.mlps, self.start + totals - self.total)

    def save(self, bundle: Bundle, images: int, folder: Path | None = None) -> Path:
        """Write the file beside the concepts of `folder` (by default the shipped ones)."""
        tensors = {name: getattr(self, name).astype(np.float64) for name in _NAMES}
        about = {
            "format": "morelli-typical-parts",
            "version": "1",
            "bundle": bundle.digest or "",
            "images": str(images),
        }
        path = (folder or default_concepts_path()) / FILE
        write_file(path, pack_tensors(tensors, about | {"sha256": _digest(about, tensors)}))
        return path


def shipped_typical_parts(bundle: Bundle, folder: Path | None = None) -> TypicalParts | None:
    """The parts of `folder` (by default the shipped ones) for the bundle that they were made with, else None.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = (folder or default_concepts_path()) / FILE
    data = read_file(path, largest=_LARGEST, what="typical parts")  # a regular file, and not a pipe
    try:
        with safe_open(path, "np") as file:
            about = dict(file.metadata() or {})
        tensors = unpack_tensors(data, path)
    except (OSError, SafetensorError, ArtifactError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); install Morelli again") from error
    if set(tensors) != set(_NAMES) or about.pop("sha256", None) != _digest(about, tensors):
        raise ArtifactError(f"{path} was changed or damaged; install Morelli again")
    if bundle.head is None or not bundle.digest or about.get("bundle") != bundle.digest:
        return None
    return TypicalParts(**{name: tensors[name].astype(np.float64) for name in _NAMES})


def _digest(about: dict[str, str], tensors: dict[str, NDArray[Any]]) -> str:
    """SHA-256 (hex) of the facts and the numbers, which safetensors itself does not protect."""
    digest = hashlib.sha256(dump_json(dict(about), sort_keys=True))
    for name in sorted(tensors):
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()
