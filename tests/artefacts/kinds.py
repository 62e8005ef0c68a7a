"""Every kind of artefact, for the tests that kill its writer and damage its files.

A new kind is one more entry of `KINDS`: how to write it with one of two contents, and how to read which of
the two it holds. Reading must fail with an `ArtifactError` unless all of it is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from morelli.errors import ArtifactError

OLD, NEW = 0.25, 0.75


@dataclass(frozen=True)
class Kind:
    """One kind of artefact: `write(path, OLD)` or `write(path, NEW)`, then `load(path)` gives the same.

    keeps_others: files of the user in its folder stay when it is replaced.
    """

    name: str
    write: Callable[[Path, float], object]
    load: Callable[[Path], float]
    keeps_others: bool = True


@cache
def _bundle():
    from morelli.detectors import Bundle, default_bundle_path

    whole = Bundle.load(default_bundle_path())
    bank, head = whole.bank, replace(whole.head, draws=None, draw_biases=None)  # small files, quickly written
    few = np.concatenate([np.flatnonzero(bank.labels == label)[:20] for label in (0, 1)])
    return replace(whole, bank=bank.removed(np.isin(np.arange(len(bank)), few)), head=head, origin=None)


def write_bundle(path: Path, value: float) -> None:
    _bundle().with_base_rate(value).save(path)


def load_bundle(path: Path) -> float:
    from morelli.detectors import Bundle

    return Bundle.load(path).base_rate


@cache
def _map():
    from morelli.atlas.distiller import DistilledMap, default_map_path

    return DistilledMap.load(default_map_path())


def write_map(path: Path, value: float) -> None:
    replace(_map(), w=np.full(16, value)).save(path)


def load_map(path: Path) -> float:
    from morelli.atlas.distiller import DistilledMap

    return float(DistilledMap.load(path).w[0])


def write_concepts(path: Path, value: float) -> None:
    from morelli.explanation.concepts import ConceptBank

    angle = np.pi * value
    directions = np.array([[np.cos(angle), np.sin(angle)], [0, 1]])
    ConceptBank.of(["one", "other"], directions, metadata={"value": value}).save(path)


def load_concepts(path: Path) -> float:
    from morelli.explanation.concepts import ConceptBank

    bank = ConceptBank.load(path)
    value = bank.metadata["value"]
    assert np.allclose(bank.directions[0], [np.cos(np.pi * value), np.sin(np.pi * value)])
    return value


@cache
def _mixed_form():
    from morelli.artefacts import Format

    return Format(
        "mixed", "mixture", "mixture.json", 1, "mix again", suffixes=(".safetensors", ".json", ".bin")
    )


def write_mixture(path: Path, value: float) -> None:
    """Every sort of content, in subfolders too."""
    from morelli.artefacts import write_folder

    write_folder(
        path,
        _mixed_form(),
        {"value": value},
        tensors={"inner/x.safetensors": {"x": np.full((3, 4), value).T}},
        columns={"columns.json": [value] * 3},
        texts={"pages/page.md": f"# {value}\n"},
        others={"inner/raw.bin": str(value).encode(), "streamed.bin": lambda file: file.write(b"%f" % value)},
    )


def load_mixture(path: Path) -> float:
    from morelli.artefacts import read_folder

    found = read_folder(path, _mixed_form())
    try:
        values = {
            found.document["value"],
            *found.tensors["inner/x.safetensors"]["x"].ravel().tolist(),
            *found.columns["columns.json"],
            float(found.texts["pages/page.md"][2:]),
            *(float(inner.read_bytes()) for inner in found.paths.values()),
        }
        (value,) = values
    except (KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is no mixture of one value: {error!r}") from error
    return value


KINDS = {
    kind.name: kind
    for kind in (
        Kind("bundle", write_bundle, load_bundle),
        Kind("distilled map", write_map, load_map),
        Kind("concept bank", write_concepts, load_concepts),
        Kind("mixture", write_mixture, load_mixture),
    )
}
