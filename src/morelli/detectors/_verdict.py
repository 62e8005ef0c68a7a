"""The verdict: one of four words, a probability with its interval, and the evidence in sentences."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from morelli.detectors._thresholds import Threshold

Word = Literal["ai", "real", "inconclusive", "out_of_domain"]


@dataclass(frozen=True)
class Neighbor:
    """A member of the bank: `id` is its image's SHA-256, label 0 real or 1 fake, `similarity` a cosine."""

    id: str
    label: int
    generator: str | None
    similarity: float
    uri: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What a bundle says of one image.

    probability: calibrated, at the bundle's base rate. interval: of that probability, under another
    draw of training groups. logit: the detector's raw score. domain_distance: cosine distance to the
    k-th nearest bank member (nan without a bank). neighbors: the nearest of each class, best first.
    reasons: short sentences for people.
    """

    verdict: Word
    probability: float
    interval: tuple[float, float]
    logit: float
    domain_distance: float
    neighbors: tuple[Neighbor, ...] = ()
    reasons: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values; an unknown distance is null."""
        data = asdict(self)
        data["interval"] = list(self.interval)
        data["neighbors"] = [asdict(one) for one in self.neighbors]
        data["reasons"] = list(self.reasons)
        if math.isnan(self.domain_distance):
            data["domain_distance"] = None
        return data


@dataclass(frozen=True)
class Case:
    """What is known of one image when the verdict is spoken.

    even_interval: the interval at even odds; the probabilities besides it are at the chosen base rate.
    ai_probability, real_probability: the two thresholds as probabilities. expert: the one that spoke most for
    generated, where the head has several.
    """

    logit: float
    probability: float
    interval: tuple[float, float]
    even_interval: tuple[float, float]
    ai: Threshold
    real: Threshold
    ai_probability: float
    real_probability: float
    distance: float
    limit: float | None
    neighbors: tuple[Neighbor, ...]
    expert: str | None = None


def decide(case: Case) -> Verdict:
    """Apply the rules, the first that fits.

    1. Farther from the bank than its limit: out_of_domain.
    2. Above the upper threshold: ai; at or below the lower one: real – unless that threshold has too few
       held-out images to promise its rate, and the interval at even odds holds one half, so that resampled
       heads disagree: inconclusive.
    3. Between the thresholds: inconclusive.
    """
    word, reason = _word(case)
    reasons = [reason]
    if word == "ai" and case.expert is not None:
        years = case.expert if case.expert.startswith("until") else f"of {case.expert}"
        reasons.append(f"it resembles images by generators {years}")
    nearest = {label: next((n for n in case.neighbors if n.label == label), None) for label in (0, 1)}
    told = [
        f"{name} neighbour{f' ({one.generator})' if one.generator else ''} at cosine {one.similarity:.2f}"
        for name, one in (("generated", nearest[1]), ("real", nearest[0]))
        if one is not None
    ]
    if told:
        reasons.append("nearest " + ", nearest ".join(told))
    return Verdict(
        word, case.probability, case.interval, case.logit, case.distance, case.neighbors, tuple(reasons)
    )


def _word(case: Case) -> tuple[Word, str]:
    p = f"probability {case.probability:.2f}"
    if case.limit is not None and case.distance > case.limit:
        return (
            "out_of_domain",
            "image is far from everything the bank knows "
            f"(distance {case.distance:.2f}, limit {case.limit:.2f})",
        )
    low, high = case.even_interval
    straddles = low <= 0.5 <= high
    if case.logit > case.ai.logit:
        if straddles and low < high and not case.ai.guaranteed:
            return "inconclusive", _disagreement(case, p)
        return "ai", f"{p} lies above the threshold {case.ai_probability:.2f}{_keeps_false_alarms(case.ai)}"
    if case.logit <= case.real.logit:
        if straddles and low < high and not case.real.guaranteed:
            return "inconclusive", _disagreement(case, p)
        return "real", f"{p} lies below the threshold {case.real_probability:.2f}{_keeps_misses(case.real)}"
    return (
        "inconclusive",
        f"{p} lies between the thresholds {case.real_probability:.2f} (real) "
        f"and {case.ai_probability:.2f} (AI)",
    )


def _disagreement(case: Case, p: str) -> str:
    low, high = case.interval
    return f"{p}, but heads fitted on other draws of the training groups disagree ({low:.2f} to {high:.2f})"


def _keeps_false_alarms(threshold: Threshold) -> str:
    if math.isnan(threshold.rate):
        return ", whose error rate nobody measured"
    return f" that keeps false alarms at {100 * threshold.rate:.2g} % of held-out real images"


def _keeps_misses(threshold: Threshold) -> str:
    if math.isnan(threshold.rate):
        return ", whose error rate nobody measured"
    return f" under which {100 * threshold.rate:.2g} % of held-out generated images fall"
