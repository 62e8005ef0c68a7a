"""The shipped concepts in the space of the shipped detector, without the images that they are measured from.

Additive evidence compares an image with typical real ones. Two things about those are kept beside the
shipped bank: their mean under the detector's head, and the spread of each concept's coordinate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.artefacts import dump_json, read_file, write_file
from morelli.artefacts.tensors import pack_tensors
from morelli.errors import ArtifactError
from morelli.explanation._additive import ConceptSpace, bundle_space, kind_sizes
from morelli.explanation.concepts import ConceptBank, default_concepts_path

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.features import Features

FILE = "typical-real.safetensors"
_LARGEST = 64 << 20


def save_typical(bundle: Bundle, reference: Features, folder: Path | None = None) -> Path:
    """Keep what the bank in `folder` (by default the shipped one) needs of the real images `reference`."""
    folder = folder or default_concepts_path()
    space = bundle_space(bundle, ConceptBank.load(folder), reference)
    tensors = {"mean": space.reference.astype(np.float32), "spread": space.spread.astype(np.float32)}
    about = {
        "format": "morelli-typical-real",
        "version": "1",
        "bundle": bundle.digest or "",
        "concepts": "\n".join(space.names),
        "dims": ",".join(str(d) for d in kind_sizes(bundle, reference)),
        "images": str(len(reference)),
    }
    write_file(folder / FILE, pack_tensors(tensors, about | {"sha256": _digest(about, tensors)}))
    return folder / FILE


def _digest(about: Mapping[str, str], tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 (hex) of the facts and the numbers, which safetensors itself does not protect."""
    digest = hashlib.sha256(dump_json(dict(about), sort_keys=True))
    for name in sorted(tensors):
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()


def shipped_space(bundle: Bundle, folder: Path | None = None) -> ConceptSpace | None:
    """The concepts of `folder` (by default the shipped ones) for the bundle that `save_typical` was given.

    None for any other bundle: what is typical under one head says nothing about another.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    folder = folder or default_concepts_path()
    read_file(folder / FILE, largest=_LARGEST, what="concept bank")  # a regular file, and not a pipe
    try:
        with safe_open(folder / FILE, "np") as file:
            about = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in ("mean", "spread")}
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{folder / FILE} cannot be read ({error}); install Morelli again") from error
    if (stated := about.pop("sha256", None)) is not None and stated != _digest(about, tensors):
        raise ArtifactError(f"{folder / FILE} was changed or damaged; install Morelli again")
    mean, spread = (tensors[name].astype(np.float64) for name in ("mean", "spread"))
    if bundle.head is None or not bundle.digest or about.get("bundle") != bundle.digest:
        return None
    bank = ConceptBank.load(folder)
    try:
        dims = [int(d) for d in about["dims"].split(",")]
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"{folder / FILE} lacks its dims ({error}); install Morelli again") from error
    space = ConceptSpace.around(bank, bundle.head_kinds, dims, mean, spread)
    if "\n".join(space.names) != about.get("concepts"):
        raise ArtifactError(
            f"{folder / FILE} belongs to other concepts; run scripts/default_concepts.py again"
        )
    return space
