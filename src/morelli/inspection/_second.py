"""A second detector beside the first: one pass for both, and what the second one says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from morelli.encoders import EncoderSet
from morelli.inspection import answers as a
from morelli.inspection._picture import limited
from morelli.inspection._sentence import SHORT

if TYPE_CHECKING:
    from morelli.detectors import Bundle, Ensemble, Verdict
    from morelli.encoders import Encoder
    from morelli.features import Features
    from morelli.images import ImageFacts
    from morelli.inspection._case import StoredCase
    from morelli.inspection._prepare import PreparedCase, Vectors

Array = TypeVar("Array")
_ANSWERS = ("ai", "real")


@dataclass(frozen=True, eq=False)
class SecondDetector:
    """A detector that judges the same images beside the first. It moves nothing of the first one's answer.

    Attributes:
        bundle: the detector.
        encoder: its encoder, or its members' encoders.
        digest: SHA-256 of the folder that it was read from, which a bundle at other rates does not know.

    Raises:
        BuildMismatchError: the encoder is not the one that the detector was fitted on.
    """

    bundle: Bundle | Ensemble
    encoder: Encoder | EncoderSet
    digest: str | None = None

    def __post_init__(self) -> None:
        self.bundle.check_build(self.encoder.build)
        object.__setattr__(self, "digest", self.digest or self.bundle.digest)

    def at(self, base_rate: float, fpr: float | None = None) -> SecondDetector:
        """This detector at the base rate of the first one's answer, and at its false alarm rate.

        Raises:
            UsageError: a rate that this detector's held-out scores cannot give.
        """
        bundle = self.bundle if fpr is None else self.bundle.with_fpr(fpr)
        return replace(self, bundle=bundle.with_base_rate(base_rate))

    def features(self, prepared: PreparedCase, vectors: Vectors, common: Encoder | EncoderSet) -> Features:
        """What it reads of one image, from what `common` computed."""
        return case_features(prepared, vectors, common, self.encoder, self.bundle.kinds)

    def verdicts(self, features: Features, facts: Sequence[ImageFacts]) -> list[Verdict]:
        """Its verdicts on images of which these are the facts."""
        return [
            limited(verdict, one, self.encoder.transform)
            for verdict, one in zip(self.bundle.verdicts(features), facts, strict=True)
        ]

    def opinion(
        self, stored: StoredCase, verdict: Verdict, first: Bundle | Ensemble, fpr: float | None = None
    ) -> a.Second:
        """What it says of a case of which the detector `first` gave `verdict`."""
        assert stored.second is not None
        at = self.at(first.base_rate, fpr)
        (own,) = at.verdicts(stored.second, [stored.facts])
        return at.answer(own, verdict, first.name)

    def answer(self, verdict: Verdict, first: Verdict, name: str) -> a.Second:
        """What it says of an image, beside what the first detector, called `name`, says."""
        ends = self.bundle.calibration.probability(
            [self.bundle.ai.logit, self.bundle.real.logit], self.bundle.base_rate
        )
        agreement = agreement_of(first.verdict, verdict.verdict)
        build = self.bundle.build
        return a.Second(
            name=self.bundle.name,
            digest=self.digest,
            build=build.fingerprint,
            encoder=build.encoder,
            precision=self.encoder.precision,
            verdict=verdict.verdict,
            probability=verdict.probability,
            interval=verdict.interval,
            thresholds=a.Thresholds(ai=float(ends[0]), real=float(ends[1])),
            logit=verdict.logit,
            agreement=agreement,
            sentence=_sentence(agreement, _names(name, self.bundle.name), first, verdict),
        )


def agreement_of(first: a.Word, second: a.Word) -> a.Agreement:
    """How two verdicts on one image stand to each other.

    >>> agreement_of("ai", "real"), agreement_of("ai", "inconclusive"), agreement_of("real", "real")
    ('disagree', 'one_answers', 'agree')
    """
    answered = (first in _ANSWERS) + (second in _ANSWERS)
    if answered == 2:
        return "agree" if first == second else "disagree"
    return "one_answers" if answered else "neither_answers"


def common_encoder(first: Encoder | EncoderSet, second: SecondDetector | None) -> Encoder | EncoderSet:
    """What every image goes through for both detectors: the encoder of each build once."""
    if second is None:
        return first
    known = {one.build.qualified("") for one in encoders_in(first)}
    more = [one for one in encoders_in(second.encoder) if one.build.qualified("") not in known]
    return EncoderSet([*encoders_in(first), *more]) if more else first


def common_kinds(
    common: Encoder | EncoderSet,
    encoder: Encoder | EncoderSet,
    kinds: Sequence[str],
    second: SecondDetector | None,
) -> tuple[str, ...]:
    """The features that `common` computes: `kinds` of the first one's encoder, and those of the second."""
    names = [_name_in(common, encoder, kind) for kind in kinds]
    if second is not None:
        names += [_name_in(common, second.encoder, kind) for kind in second.bundle.kinds]
    return tuple(dict.fromkeys(names))


def part_of(
    found: Mapping[str, Array],
    common: Encoder | EncoderSet,
    owner: Encoder | EncoderSet,
    kinds: Sequence[str],
) -> dict[str, Array]:
    """The features of `owner` in what `common` computed, by the names that `owner` gives them."""
    return {kind: found[_name_in(common, owner, kind)] for kind in kinds}


def case_features(
    prepared: PreparedCase,
    vectors: Vectors,
    common: Encoder | EncoderSet,
    owner: Encoder | EncoderSet,
    kinds: Sequence[str],
) -> Features:
    """The features of one image that a detector over `owner` reads, from what `common` computed."""
    from morelli.features import Features

    return Features.from_arrays(
        {kind: one[None] for kind, one in part_of(vectors, common, owner, kinds).items()},
        build=owner.build,
        uri=[prepared.name],
        sha256=[prepared.facts.sha256],
    )


def encoders_in(encoder: Encoder | EncoderSet) -> tuple[Encoder, ...]:
    """An encoder, or those of a set."""
    return encoder.encoders if isinstance(encoder, EncoderSet) else (encoder,)


def _name_in(common: Encoder | EncoderSet, owner: Encoder | EncoderSet, kind: str) -> str:
    """What `common` calls a kind of `owner`: sets name kinds by their build, an encoder does not."""
    if isinstance(common, EncoderSet) == isinstance(owner, EncoderSet):
        return kind
    if isinstance(common, EncoderSet):
        return owner.build.qualified(kind)
    return kind.removeprefix(common.build.qualified(""))


def _names(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


def _sentence(agreement: a.Agreement, names: tuple[str, str], first: Verdict, second: Verdict) -> str:
    one, other = (
        f"{name} says {SHORT[verdict.verdict]} ({verdict.probability:.2f})"
        for name, verdict in zip(names, (first, second), strict=True)
    )
    begin = {
        "agree": "The two detectors agree",
        "disagree": "The two detectors disagree",
        "one_answers": "Only one of the two detectors answers",
        "neither_answers": "Neither of the two detectors answers",
    }
    return f"{begin[agreement]}: {one}, {other}."
