"""Between the fields of an `Ensemble` and the documents and tensors of its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morelli.artefacts import read_folder, write_folder
from morelli.artefacts.schema import check_schema
from morelli.artefacts.tensors import Tensors
from morelli.detectors._bundle import Bundle
from morelli.detectors._bundle_folder import CARD, ENSEMBLE, ENSEMBLE_FORM, FORM, HELD_OUT, MANIFEST
from morelli.detectors._bundle_record import read_parts, record_parts
from morelli.detectors._common_record import common_document, common_fields, errors_named, held_out_tensors
from morelli.detectors._disagreement import Disagreement
from morelli.detectors._model_card import ensemble_card
from morelli.errors import ArtifactError


def write_ensemble(stored: Mapping[str, Any], path: Path) -> str:
    """Write an ensemble's fields at `path`, see `write_folder`; the digest of what was written.

    The files of member k lie in the folder `member-k`, as in a bundle's; its `bundle.json` is the document
    alone, since the manifest of the ensemble names and hashes all of them.
    """
    tensors: dict[str, Tensors] = {}
    columns: dict[str, Any] = {}
    members = []
    shares = zip(stored["members"], stored["weights"], stored["scales"], strict=True)
    for number, (member, weight, scale) in enumerate(shares, 1):
        folder = f"member-{number}"
        document, arrays, lists = record_parts(member.stored())
        tensors |= {f"{folder}/{name}": found for name, found in arrays.items()}
        columns |= {f"{folder}/{name}": found for name, found in {MANIFEST: document, **lists}.items()}
        members.append(
            {
                "folder": folder,
                "name": member.name,
                "digest": member.digest,
                "build": member.build.to_json(),
                "weight": weight,
                "scale": scale,
            }
        )
    if stored["held_out"] is not None:
        tensors[HELD_OUT] = held_out_tensors(stored["held_out"])
    document = common_document(stored, {"members": members, "disagreement": stored["disagreement"].to_json()})
    written = write_folder(
        path, ENSEMBLE_FORM, document, tensors=tensors, columns=columns, texts={CARD: ensemble_card(document)}
    )
    return str(written["digest"])


def read_ensemble(path: Path) -> tuple[dict[str, Any], str]:
    """The fields of the ensemble at `path`, all of it checked, and its digest; see `Ensemble.load`."""
    found = read_folder(path, ENSEMBLE_FORM)
    document = found.document
    with errors_named(path, ENSEMBLE):
        fields = {
            **common_fields(document, found.tensors),
            "members": tuple(
                _member(path, facts, found.tensors, found.columns) for facts in document["members"]
            ),
            "weights": tuple(float(facts["weight"]) for facts in document["members"]),
            "scales": tuple(float(facts["scale"]) for facts in document["members"]),
            "disagreement": Disagreement.from_json(document["disagreement"]),
        }
    return fields, str(document["digest"])


def _member(
    path: Path, facts: Mapping[str, Any], tensors: Mapping[str, Tensors], columns: Mapping[str, Any]
) -> Bundle:
    folder = facts["folder"]
    before = f"{folder}/"
    document = columns.get(before + MANIFEST)
    if not isinstance(document, dict):
        raise ArtifactError(f"{before}{MANIFEST} is missing, or is no JSON object")
    check_schema(document, FORM.schema, path / folder / MANIFEST)
    own = [
        {k.removeprefix(before): v for k, v in all_.items() if k.startswith(before)}
        for all_ in (tensors, columns)
    ]
    stored = read_parts(path / folder, document, *own)
    # The digest says which folder it was fitted into; the ensemble's manifest hashes what it is now.
    bundle = Bundle.restored(stored, facts["digest"], folder)
    if bundle.build.to_json() != facts["build"] or bundle.name != facts["name"]:
        raise ArtifactError(f"{folder} is another bundle than {ENSEMBLE} names")
    return bundle
