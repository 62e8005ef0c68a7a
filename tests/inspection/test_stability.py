"""What is said of deliveries that change the verdict."""

from __future__ import annotations

from morelli.detectors import Verdict
from morelli.inspection._stability import flip_reason, stability_answer


def verdict(word: str, probability: float) -> Verdict:
    return Verdict(word, probability, (probability, probability), 0.0, 0.1)  # type: ignore[arg-type]


def test_a_flip_names_the_deliveries() -> None:
    own = verdict("ai", 0.9)
    steady = stability_answer(
        own, {"jpeg:60": verdict("ai", 0.8), "resize:0.5": verdict("inconclusive", 0.6)}
    )
    assert (steady.low, steady.high, steady.flips) == (0.6, 0.9, False)
    assert flip_reason("ai", steady) is None
    moved = stability_answer(
        own,
        {"jpeg:60": verdict("real", 0.1), "screenshot": verdict("real", 0.2), "webp:75": verdict("ai", 0.9)},
    )
    assert flip_reason("ai", moved) == "delivered otherwise it is called real after jpeg:60, screenshot"


def test_an_open_answer_is_held_against_both() -> None:
    moved = stability_answer(
        verdict("inconclusive", 0.5), {"jpeg:60": verdict("real", 0.1), "webp:75": verdict("ai", 0.9)}
    )
    assert (
        flip_reason("inconclusive", moved)
        == "delivered otherwise it is called AI-generated after webp:75 and real after jpeg:60"
    )
