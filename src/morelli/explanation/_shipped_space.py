"""The shipped concepts in the space of the shipped detector, without the images that they are measured from.

Additive evidence compares an image with typical real ones. Two things about those are kept beside the
shipped bank: their mean under the detector's head, and the spread of each concept's coordinate.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from morelli.artefacts import write_file
from morelli.artefacts.tensors import pack_tensors
from morelli.errors import ArtifactError
from morelli.explanation._additive import ConceptSpace, bundle_space, kind_sizes
from morelli.explanation.concepts import ConceptBank, default_concepts_path

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.features import Features

FILE = "typical-real.safetensors"


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
    write_file(folder / FILE, pack_tensors(tensors, about))
    return folder / FILE


def shipped_space(bundle: Bundle, folder: Path | None = None) -> ConceptSpace | None:
    """The concepts of `folder` (by default the shipped ones) for the bundle that `save_typical` was given.

    None for any other bundle: what is typical under one head says nothing about another.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    folder = folder or default_concepts_path()
    try:
        with safe_open(folder / FILE, "np") as file:
            about = file.metadata() or {}
            mean, spread = (file.get_tensor(name).astype(np.float64) for name in ("mean", "spread"))
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{folder / FILE} cannot be read ({error}); install Morelli again") from error
    if bundle.head is None or not bundle.digest or about.get("bundle") != bundle.digest:
        return None
    bank = ConceptBank.load(folder)
    dims = [int(d) for d in about["dims"].split(",")]
    space = ConceptSpace.around(bank, bundle.head_kinds, dims, mean, spread)
    if "\n".join(space.names) != about.get("concepts"):
        raise ArtifactError(
            f"{folder / FILE} belongs to other concepts; run scripts/default_concepts.py again"
        )
    return space
