"""Between the fields of a `Bundle` and the documents and tensors of its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morelli.artefacts import read_folder, write_folder
from morelli.artefacts.tensors import Tensors
from morelli.detectors._attribution import Attribution
from morelli.detectors._bank import Bank
from morelli.detectors._bundle_folder import (
    ATTRIBUTION,
    BANK,
    CARD,
    ENSEMBLE,
    FORM,
    HEAD,
    HELD_OUT,
    MANIFEST,
    MEMBERS,
)
from morelli.detectors._bundle_parts import HeldOut, NeighborRule
from morelli.detectors._common_record import common_document, common_fields, errors_named, held_out_tensors
from morelli.detectors._expert_head import ExpertHead
from morelli.detectors._linear_head import LinearHead
from morelli.detectors._model_card import model_card
from morelli.detectors._precision import PrecisionCost
from morelli.encoders import Build, Encoder
from morelli.errors import ArtifactError, UsageError

_COLUMNS = ("ids", "generators", "uris", "groups")
_FAMILY_TENSORS = {"weights": 2, "biases": 1, "slopes": 1, "offsets": 1}


def write_record(stored: Mapping[str, Any], path: Path, *, unless_changed: str | None = None) -> str:
    """Write a bundle's fields at `path`, see `write_folder`; the digest of what was written."""
    document, tensors, columns = record_parts(stored)
    written = write_folder(
        path,
        FORM,
        document,
        tensors=tensors,
        columns=columns,
        texts={CARD: model_card(document)},
        unless_changed=unless_changed,
    )
    return str(written["digest"])


def record_parts(stored: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensors], dict[str, Any]]:
    """A bundle's fields as the manifest's document, tensors by file, and columns by file."""
    tensors: dict[str, Tensors] = {}
    columns: dict[str, Any] = {}
    head: LinearHead | ExpertHead | None = stored["head"]
    bank: Bank | None = stored["bank"]
    held_out: HeldOut | None = stored["held_out"]
    if head is not None:
        bias = head.biases if isinstance(head, ExpertHead) else np.array([head.bias])
        tensors[HEAD] = {"weights": head.weights, "bias": bias}
        if head.draws is not None and head.draw_biases is not None:
            tensors[HEAD] |= {"draws": head.draws, "draw_biases": head.draw_biases}
    if bank is not None:
        tensors[BANK] = {"vectors": bank.vectors, "labels": bank.labels, "mean": bank.mean}
        if bank.draws is not None:
            tensors[BANK]["draws"] = bank.draws
        columns[MEMBERS] = {name: list(getattr(bank, name)) for name in _COLUMNS}
    if held_out is not None:
        tensors[HELD_OUT] = held_out_tensors(held_out)
    families: Attribution | None = stored["attribution"]
    if families is not None:
        tensors[ATTRIBUTION] = {name: getattr(families, name) for name in _FAMILY_TENSORS}
    return _document(stored), tensors, columns


def _document(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Everything of a bundle that is no tensor, as plain JSON values."""
    document: dict[str, Any] = {
        "build": stored["build"].to_json(),
        "kinds": list(stored["kinds"]),
        "detector": {"kinds": list(stored["head_kinds"]), "unit": stored["unit"], "type": "linear"},
        "interval_level": stored["interval_level"],
        "bank": None,
    }
    costs: Mapping[str, PrecisionCost] = stored["quick_costs"]
    document |= {dtype: costs[dtype].to_json() for dtype in Encoder.quick_dtypes if dtype in costs}
    rule: NeighborRule | None = stored["neighbor_rule"]
    bank: Bank | None = stored["bank"]
    if isinstance(stored["head"], ExpertHead):
        document["detector"] |= {"type": "experts", "experts": list(stored["head"].experts)}
    families: Attribution | None = stored["attribution"]
    if families is not None:
        document["attribution"] = {
            "families": list(families.families),
            "least": families.least,
            "figures": dict(families.figures),
        }
    if rule is not None:
        document["detector"] |= {"type": "neighbors", "k": rule.k, "voting": rule.voting}
    if bank is not None:
        document["bank"] = {
            "kinds": list(bank.kinds),
            "sizes": list(bank.sizes),
            "members": len(bank),
            "k": bank.k,
            "quantile": bank.quantile,
            "limit": bank.limit,
        }
    return common_document(stored, document)


def read_record(path: Path) -> tuple[dict[str, Any], str]:
    """The fields of the bundle at `path`, all of it checked, and its digest; see `Bundle.load`."""
    if not (path / MANIFEST).exists() and (path / ENSEMBLE).is_file():
        raise ArtifactError(
            f"{path} is an ensemble of detectors, where one bundle is needed: give one of the bundles that "
            "it was fitted from"
        )
    found = read_folder(path, FORM)
    return read_parts(path, found.document, found.tensors, found.columns), str(found.document["digest"])


def read_parts(
    path: Path, document: dict[str, Any], tensors: dict[str, Tensors], columns: dict[str, Any]
) -> dict[str, Any]:
    """The fields that `record_parts` gave, all of them checked; the document fits the schema."""
    with errors_named(path, MANIFEST):
        return _fields(path, document, tensors, columns)


def _fields(
    path: Path, document: dict[str, Any], tensors: dict[str, Tensors], columns: dict[str, Any]
) -> dict[str, Any]:
    detector = document["detector"]
    kinds = tuple(str(kind) for kind in detector["kinds"])
    head: LinearHead | ExpertHead | None = None
    rule = None
    if detector["type"] in ("linear", "experts"):
        named = detector["type"] == "experts"
        head = _head(path, tensors, tuple(detector.get("experts", ())) if named else None)
    elif detector["type"] == "neighbors":
        if detector["voting"] not in ("mean_similarity", "majority"):
            raise ArtifactError(f"unknown neighbour rule: k {detector['k']}, voting {detector['voting']!r}")
        rule = NeighborRule(int(detector["k"]), detector["voting"])
    else:
        raise ArtifactError(f"unknown type of detector {detector['type']!r}")
    return {
        **common_fields(document, tensors),
        "build": Build.from_json(document["build"]),
        "head_kinds": kinds,
        "head": head,
        "neighbor_rule": rule,
        "bank": None if document["bank"] is None else _bank(path, document["bank"], tensors, columns),
        "attribution": _attribution(path, document.get("attribution"), tensors),
        "unit": bool(detector["unit"]),
        "interval_level": float(document["interval_level"]),
        "quick_costs": {
            dtype: PrecisionCost.from_json(document[dtype])
            for dtype in Encoder.quick_dtypes
            if dtype in document
        },
    }


def _head(
    path: Path, tensors: dict[str, Tensors], experts: tuple[str, ...] | None
) -> LinearHead | ExpertHead:
    """The head of `experts`, whose tensors have an axis more than the linear one's; None: the linear head."""
    found = _required(path, tensors, HEAD, {"weights": 1 if experts is None else 2, "bias": 1})
    weights, bias = found["weights"], found["bias"]
    draws, biases = found.get("draws"), found.get("draw_biases")
    if experts is not None and (len(experts) < 2 or not len(experts) == len(weights) == len(bias)):
        raise ArtifactError(
            f"{HEAD}: {len(experts)} experts do not fit weights {weights.shape} and biases {bias.shape}"
        )
    if (experts is None and bias.shape != (1,)) or (draws is None) != (biases is None):
        raise ArtifactError(f"{HEAD}: a head has one bias, and draws together with draw_biases")
    if draws is not None and biases is not None:
        if draws.shape[1:] != weights.shape or draws.shape[:-1] != biases.shape:
            raise ArtifactError(
                f"{HEAD}: draws {draws.shape} do not fit {len(biases)} biases, {len(weights)} weights"
            )
        draws, biases = draws.astype(np.float32), biases.astype(np.float64)
    if experts is None:
        return LinearHead(weights.astype(np.float64), float(bias[0]), draws, biases)
    return ExpertHead(experts, weights.astype(np.float64), bias.astype(np.float64), draws, biases)


def _bank(path: Path, facts: dict[str, Any], tensors: dict[str, Tensors], columns: dict[str, Any]) -> Bank:
    found = _required(path, tensors, BANK, {"vectors": 2, "labels": 1, "mean": 1})
    vectors, labels, mean = found["vectors"], found["labels"], found["mean"]
    sizes = tuple(int(size) for size in facts["sizes"])
    members = columns.get(MEMBERS)
    if not isinstance(members, dict) or set(members) != set(_COLUMNS):
        raise ArtifactError(f"{MEMBERS} must hold the columns {', '.join(_COLUMNS)}")
    if any(not isinstance(column, list) or len(column) != len(labels) for column in members.values()):
        raise ArtifactError(f"{MEMBERS}: every column needs {len(labels)} entries")
    known = all(isinstance(v, str) for name in ("ids", "groups") for v in members[name])
    if not known or not all(v is None or isinstance(v, str) for column in members.values() for v in column):
        raise ArtifactError(f"{MEMBERS} holds something else than names")
    if vectors.shape != (len(labels), sum(sizes)) or mean.shape != (sum(sizes),) or min(sizes) < 1:
        raise ArtifactError(f"{BANK}: vectors {vectors.shape} and mean {mean.shape} do not fit sizes {sizes}")
    if set(np.unique(labels).tolist()) != {0, 1} or len(sizes) != len(facts["kinds"]):
        raise ArtifactError(f"{BANK}: labels must be 0 and 1, both present, and every kind needs a size")
    draws = found.get("draws")
    if draws is not None and (draws.ndim != 2 or len(draws) != len(labels)):
        raise ArtifactError(f"{BANK}: draws {draws.shape} do not fit {len(labels)} members")
    limit = facts["limit"]
    return Bank(
        kinds=tuple(str(kind) for kind in facts["kinds"]),
        sizes=sizes,
        mean=mean.astype(np.float32),
        vectors=vectors.astype(np.float16),
        labels=labels.astype(np.int8),
        ids=tuple(members["ids"]),
        generators=tuple(members["generators"]),
        uris=tuple(members["uris"]),
        groups=tuple(members["groups"]),
        k=int(facts["k"]),
        quantile=float(facts["quantile"]),
        limit=None if limit is None else float(limit),
        draws=draws,
    )


def _attribution(path: Path, facts: dict[str, Any] | None, tensors: dict[str, Tensors]) -> Attribution | None:
    if facts is None:
        return None
    found = _required(path, tensors, ATTRIBUTION, _FAMILY_TENSORS)
    try:
        return Attribution(
            families=tuple(str(name) for name in facts["families"]),
            weights=found["weights"].astype(np.float32),
            biases=found["biases"].astype(np.float64),
            slopes=found["slopes"].astype(np.float64),
            offsets=found["offsets"].astype(np.float64),
            least=float(facts["least"]),
            figures=dict(facts["figures"]),
        )
    except UsageError as error:
        raise ArtifactError(f"{ATTRIBUTION}: {error}") from error


def _required(path: Path, tensors: dict[str, Tensors], file: str, axes: dict[str, int]) -> Tensors:
    if file not in tensors:
        raise ArtifactError(f"{file} is not part of the bundle, though its detector needs it")
    found = tensors[file]
    for name, count in axes.items():
        if name not in found or found[name].ndim != count:
            raise ArtifactError(f"{file} needs a tensor {name} with {count} axes")
    return found
