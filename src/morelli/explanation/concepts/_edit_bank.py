"""Concepts from edits: the mean shift of embeddings when one attribute of real photographs is changed.

A direction made so needs no text tower and exists in every feature kind. It says what the encoder itself
registers of an attribute, with the photographs' content cancelled because each is its own comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from morelli.errors import UsageError
from morelli.explanation._residuals import normalize_rows
from morelli.explanation.concepts._bank import Concept, ConceptBank
from morelli.explanation.concepts._edits import EDITS, REFERENCE_SIDE, Edit

if TYPE_CHECKING:
    from morelli.encoders import Encoder

BATCH = 8
Progress = Callable[[int, int], None]
"""Called with pictures done and pictures in all."""


def working_size(image: Image.Image, short_side: int) -> Image.Image:
    """The image with its short side at `short_side`, so that an edit of 2 pixels is the same for all."""
    factor = short_side / min(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def edit_banks(
    images: Iterable[Image.Image],
    encoder: Encoder,
    *,
    kinds: Sequence[str] = ("final",),
    edits: Sequence[Edit] = EDITS,
    short_side: int | None = None,
    random_state: int = 0,
    progress: Progress | None = None,
) -> dict[str, ConceptBank]:
    """One bank per feature kind, with one concept per edit, from real photographs.

    Args:
        images: RGB photographs, some dozens of different ones.
        encoder: what the features come from.
        kinds: kinds of one vector per image: ``final``, ``layer:k``, ``mean:k``.
        edits: what is done to each photograph.
        short_side: size at which edits are made; None: 9/7 of the encoder's input, 288 for 224.
        random_state: seed of the edits that draw noise and of the halves behind `reliability`.
        progress: called after every photograph.

    Raises:
        UsageError: fewer than four photographs, or a kind that is no single vector.
    """
    from morelli.encoders import expand_kinds

    names = expand_kinds(list(kinds), layers=encoder.layers)
    if any(name.startswith(("tokens", "attention")) for name in names):
        raise UsageError("Concepts are directions of one vector per image: final, layer:k or mean:k.")
    pictures = list(images)
    if len(pictures) < 4:
        raise UsageError(f"Edits need at least 4 photographs, better 50; got {len(pictures)}.")
    side = short_side or round(encoder.card.image_size * REFERENCE_SIDE / 224)
    shifts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for number, picture in enumerate(pictures):
        variants = _variants(working_size(picture.convert("RGB"), side), edits, random_state, number)
        found = _encode(variants, encoder, names)
        for name in names:
            shifts[name].append(_shifts(found[name], edits))
        if progress:
            progress(number + 1, len(pictures))
    material = {"images": len(pictures), "short_side": side, "random_state": random_state}
    return {name: _bank(np.stack(shifts[name]), edits, name, encoder, material) for name in names}


def _variants(picture: Image.Image, edits: Sequence[Edit], seed: int, number: int) -> list[Image.Image]:
    """The picture, then each edit's positive end, and its negative end where it has one."""
    out = [picture]
    for place, one in enumerate(edits):
        out.append(one(picture, one.strength, np.random.default_rng([seed, number, place])))
        if one.both:
            out.append(one(picture, -one.strength, np.random.default_rng([seed, number, place])))
    return out


def _encode(
    images: Sequence[Image.Image], encoder: Encoder, kinds: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Unit rows (n, d) of each kind."""
    parts: dict[str, list[NDArray[np.float32]]] = {kind: [] for kind in kinds}
    for start in range(0, len(images), BATCH):
        batch = np.stack([encoder.transform(image) for image in images[start : start + BATCH]])
        for kind, rows in encoder.trace(batch, kinds=list(kinds)).items():
            parts[kind].append(rows)
    return {kind: np.asarray(normalize_rows(np.concatenate(rows))) for kind, rows in parts.items()}


def _shifts(rows: NDArray[np.float64], edits: Sequence[Edit]) -> NDArray[np.float64]:
    """Displacement (edits, d) of one photograph, from its own variants' rows."""
    out, at = [], 1
    for one in edits:
        if one.both:
            out.append((rows[at] - rows[at + 1]) / 2)
            at += 2
        else:
            out.append(rows[at] - rows[0])
            at += 1
    return np.stack(out)


def _bank(
    shifts: NDArray[np.float64], edits: Sequence[Edit], kind: str, encoder: Encoder, material: dict[str, Any]
) -> ConceptBank:
    """From displacements (photographs, edits, d)."""
    mean = shifts.mean(axis=0)
    reliability = split_half(shifts, np.random.default_rng(material["random_state"]))
    concepts = [
        Concept(
            one.name, one.opposite, "edit", one.sentence, extent=float(np.linalg.norm(mean[i])),
            reliability=float(reliability[i]), n=len(shifts),
        )
        for i, one in enumerate(edits)
    ]  # fmt: skip
    strengths = {one.key: one.strength for one in edits}
    return ConceptBank.of(
        concepts, mean, kind=kind, build=encoder.build, metadata={**material, "strengths": strengths}
    )


def split_half(shifts: NDArray[np.float64], rng: np.random.Generator, draws: int = 20) -> NDArray[np.float64]:
    """Mean cosine (m,) between mean shifts of random halves of (n, m, d)."""
    n = len(shifts)
    total = np.zeros(shifts.shape[1])
    for _ in range(draws):
        order = rng.permutation(n)
        a = normalize_rows(shifts[order[: n // 2]].mean(axis=0))
        b = normalize_rows(shifts[order[n // 2 :]].mean(axis=0))
        total += np.einsum("md,md->m", a, b)
    return total / draws
