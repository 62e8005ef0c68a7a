"""Where the members of an ensemble disagree: what counts as disagreement, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.detectors._thresholds import Threshold, conformal_threshold
from morelli.errors import ArtifactError

LEVEL = 0.05
"""Share of held-out images whose members' probabilities lie farther apart than the stored limit."""


@dataclass(frozen=True)
class Disagreement:
    """What disagreement among the members is, measured on held-out images.

    Two members *contradict* each other where one is above its own upper threshold and another at or below
    its own lower one. Their *spread*, the range of their calibrated probabilities at even odds, is unusual
    above `limit`, which a share `level` of new images exceeds (`conformal_threshold`).

    images: held-out ones. contradicted: those whose members contradict each other. answered, wrong: of these,
    those that the combination calls ai or real, and calls so wrongly. others_answered, others_wrong: the same
    of all other images. promised: the larger of the two error rates that the thresholds were made for.
    """

    limit: float
    level: float
    images: int
    contradicted: int
    answered: int
    wrong: int
    others_answered: int
    others_wrong: int
    promised: float

    def __post_init__(self) -> None:
        if not (
            self.wrong <= self.answered <= self.contradicted <= self.images
            and self.others_wrong <= self.others_answered <= self.images - self.contradicted
        ):
            raise ArtifactError("the counts of disagreeing images do not fit each other")

    @property
    def withholds(self) -> bool:
        """True where images whose members contradict each other get no answer.

        That is so where held-out answers on such images were wrong more often than the thresholds promise.
        """
        return self.answered > 0 and self.wrong / self.answered > self.promised

    def to_json(self) -> dict[str, Any]:
        """Plain values for `ensemble.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Disagreement:
        """Read what `to_json` wrote; the schema of the folder has checked the fields.

        Raises:
            ArtifactError: the counts do not fit each other.
        """
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Opinion:
    """What one member says of an image by itself.

    name: of its bundle. encoder, dtype: of its build. weight: its share of the combination. probability: its
    own, calibrated, at the base rate of the ensemble. verdict: by its own thresholds alone: ai, real or
    inconclusive.
    """

    name: str
    encoder: str
    dtype: str
    weight: float
    probability: float
    verdict: Literal["ai", "real", "inconclusive"]


@dataclass(frozen=True)
class Opinions:
    """What the members of an ensemble say of one image, and whether they disagree.

    spread: range of their probabilities at even odds; limit: see `Disagreement`. contradict: a member says ai
    and another real. unusual: the spread is above the limit. withheld: the combination would have given an
    answer, and gives none because the members contradict each other. sentence: in words, where they disagree.
    """

    members: tuple[Opinion, ...]
    spread: float
    limit: float
    contradict: bool
    unusual: bool
    withheld: bool
    sentence: str | None

    @property
    def disagree(self) -> bool:
        """True where they contradict each other or their spread is unusual."""
        return self.contradict or self.unusual

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"disagree": self.disagree, "members": [asdict(one) for one in self.members]}


def opinions(
    members: Sequence[Opinion], even: Sequence[float], measured: Disagreement, *, answered: bool
) -> Opinions:
    """Put the members' opinions together.

    Args:
        members: what each says.
        even: their probabilities at even odds.
        measured: what disagreement is.
        answered: whether the combination calls the image ai or real.
    """
    spread = max(even) - min(even)
    contradict = {"ai", "real"} <= {one.verdict for one in members}
    unusual = spread > measured.limit
    withheld = contradict and answered and measured.withholds
    sentence = None
    if contradict or unusual:
        each = ", ".join(f"{one.name} {_opinion_text(one)}" for one in members)
        sentence = f"the members disagree: {each}" + (
            ""
            if contradict
            else f"; their probabilities lie wider apart than on {_share(measured)} of images"
        )
    return Opinions(tuple(members), spread, measured.limit, contradict, unusual, withheld, sentence)


def contradicting(words: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The images (n,) where a member says ai and another real; words (n, m) as `member_words` gives them."""
    found: NDArray[np.bool_] = (words == 1).any(axis=1) & (words == -1).any(axis=1)
    return found


def member_words(logits: NDArray[np.float64], ai: Threshold, real: Threshold) -> NDArray[np.int64]:
    """Verdicts (n,) of logits (n,) by thresholds alone: 1 ai, -1 real, 0 neither."""
    return np.where(logits > ai.logit, 1, np.where(logits <= real.logit, -1, 0))


def measure_disagreement(
    probabilities: NDArray[np.float64],
    words: NDArray[np.int64],
    combined: NDArray[np.int64],
    y: NDArray[Any],
    promised: float,
) -> Disagreement:
    """Measure disagreement on held-out images.

    Args:
        probabilities: (n, m) of the members, calibrated, at even odds.
        words: (n, m) verdicts of the members, see `member_words`.
        combined: (n,) of the combination.
        y: (n,) real 0, fake 1.
        promised: error rate.
    """
    spread = probabilities.max(axis=1) - probabilities.min(axis=1)
    apart = contradicting(words)
    answered = combined != 0
    wrong = answered & ((combined == 1) != (y == 1))
    return Disagreement(
        limit=conformal_threshold(spread, LEVEL).logit,
        level=LEVEL,
        images=len(y),
        contradicted=int(apart.sum()),
        answered=int((apart & answered).sum()),
        wrong=int((apart & wrong).sum()),
        others_answered=int((~apart & answered).sum()),
        others_wrong=int((~apart & wrong).sum()),
        promised=promised,
    )


def _opinion_text(one: Opinion) -> str:
    words = {"ai": "says AI-generated", "real": "says real", "inconclusive": "does not decide"}
    return f"{words[one.verdict]} ({one.probability:.2f})"


def _share(measured: Disagreement) -> str:
    return f"{100 * (1 - measured.level):.0f} %"
