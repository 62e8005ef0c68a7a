"""What the folders of bundles and of ensembles hold alike, between fields and documents or tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from morelli._version import __version__
from morelli.artefacts.tensors import Tensors
from morelli.detectors._bundle_folder import HELD_OUT
from morelli.detectors._bundle_parts import HeldOut
from morelli.detectors._calibration import Calibration
from morelli.detectors._thresholds import Threshold
from morelli.errors import ArtifactError

_OBJECTS, _TEXTS = ("training", "recipe", "metrics"), ("licence", "command")


def common_document(stored: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a detector's fields: what both kinds of detector store, and what is its `own`."""
    return {
        "name": stored["name"],
        "morelli": __version__,
        **own,
        "calibration": stored["calibration"].to_json(),
        "thresholds": {"ai": stored["ai"].to_json(), "real": stored["real"].to_json()},
        "base_rate": stored["base_rate"],
        **{name: dict(stored[name]) for name in _OBJECTS},
        **{name: stored[name] for name in _TEXTS},
        "notes": list(stored["notes"]),
    }


def common_fields(document: Mapping[str, Any], tensors: Mapping[str, Tensors]) -> dict[str, Any]:
    """The fields that `common_document` took, and the held-out scores; the document fits its schema."""
    return {
        "name": str(document["name"]),
        "ai": Threshold.from_json(document["thresholds"]["ai"]),
        "real": Threshold.from_json(document["thresholds"]["real"]),
        "calibration": Calibration.from_json(document["calibration"]),
        "held_out": read_held_out(tensors[HELD_OUT]) if HELD_OUT in tensors else None,
        "base_rate": float(document["base_rate"]),
        **{name: dict(document[name]) for name in _OBJECTS},
        **{name: str(document[name]) for name in _TEXTS},
        "notes": tuple(str(note) for note in document["notes"]),
    }


@contextmanager
def errors_named(path: Path, manifest: str) -> Iterator[None]:
    """What is wrong with a document inside, as an `ArtifactError` that names its folder or file."""
    try:
        yield
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"{path / manifest} lacks something or has it in a wrong form: {error!r}"
        ) from error


def held_out_tensors(held_out: HeldOut) -> Tensors:
    """Held-out scores as the tensors of `held_out.safetensors`."""
    found: Tensors = {"logits": held_out.logits, "labels": held_out.labels}
    return found if held_out.groups is None else found | {"groups": held_out.groups}


def read_held_out(tensors: Tensors) -> HeldOut:
    """What `held_out_tensors` gave.

    Raises:
        ArtifactError: shapes or labels do not fit.
    """
    if not {"logits", "labels"} <= set(tensors):
        raise ArtifactError(f"{HELD_OUT} needs the tensors logits and labels")
    logits, labels, groups = tensors["logits"], tensors["labels"], tensors.get("groups")
    if logits.ndim != 1 or logits.shape != labels.shape or not np.isin(labels, (0, 1)).all():
        raise ArtifactError(f"{HELD_OUT}: logits and labels (0, 1) must be two lists of one length")
    if groups is not None and groups.shape != logits.shape:
        raise ArtifactError(f"{HELD_OUT}: groups {groups.shape} do not fit logits {logits.shape}")
    return HeldOut(
        logits.astype(np.float64), labels.astype(np.int8), None if groups is None else groups.astype(np.int32)
    )
