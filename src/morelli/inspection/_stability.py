"""How far a verdict moves when the image is delivered in other ways, as it is on the web."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from morelli.inspection import answers as a
from morelli.inspection._sentence import SHORT

if TYPE_CHECKING:
    from morelli.detectors import Verdict

STABILITY_PERTURBATIONS = (
    "jpeg:90",
    "jpeg:60",
    "webp:75",
    "resize:0.5",
    "centercrop:0.9",
    "social:whatsapp",
    "screenshot",
)
"""Perturbations after which `Stability` judges an image again: re-encoding, scaling, cropping."""


def stability_answer(own: Verdict, perturbed: Mapping[str, Verdict]) -> a.Stability:
    """The image's own verdict beside those after each perturbation."""
    found = [
        a.Delivery(delivery=spec, probability=verdict.probability, verdict=verdict.verdict)
        for spec, verdict in perturbed.items()
    ]
    probabilities = [own.probability, *(one.probability for one in found)]
    words = {own.verdict, *(one.verdict for one in found)}
    return a.Stability(
        low=min(probabilities), high=max(probabilities), flips={"ai", "real"} <= words, deliveries=found
    )


def flip_reason(own: str, stability: a.Stability) -> str | None:
    """A sentence on the deliveries whose confident verdict is another than the image's own; None without any.

    Args:
        own: the image's verdict. One without an answer is held against both confident ones.
        stability: of this image.
    """
    if not stability.flips:
        return None
    other = {
        word: [one.delivery for one in stability.deliveries if one.verdict == word]
        for word in ("ai", "real")
        if word != own
    }
    other_answers = [f"{SHORT[word]} after {', '.join(names)}" for word, names in other.items() if names]
    return f"delivered otherwise it is called {' and '.join(other_answers)}"
