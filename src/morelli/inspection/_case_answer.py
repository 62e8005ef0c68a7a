"""The answer about one case, put together from its verdict and its evidence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from morelli.inspection import answers as a
from morelli.inspection._evidence import ensemble_answer, facts_answer, neighbors_answer
from morelli.inspection._sentence import sentence
from morelli.inspection._stability import flip_reason

if TYPE_CHECKING:
    from morelli.detectors import Bundle, Ensemble, Verdict
    from morelli.encoders import Encoder, EncoderSet
    from morelli.inspection._case import StoredCase


def case_answer(
    stored: StoredCase,
    bundle: Bundle | Ensemble,
    verdict: Verdict,
    *,
    evidence: a.Evidence | None,
    readable: bool,
    distilled: a.Distilled | None,
    stability: a.Stability | None,
    versions: a.Versions,
    second: a.Second | None = None,
) -> a.Case:
    """Everything that is said of one case.

    Args:
        stored: the case.
        bundle: the detector at the rates that were asked for.
        verdict: what it says of the case.
        evidence: the logit as named parts.
        readable: whether it can be said where the encoder read the logit.
        distilled: the distilled map's answer, if there is one.
        stability: the verdicts after small changes, if they were asked for.
        versions: of what answered.
        second: what a second detector says.
    """
    ends = bundle.calibration.probability([bundle.ai.logit, bundle.real.logit], bundle.base_rate)
    flips = None if stability is None else flip_reason(verdict.verdict, stability)
    return a.Case(
        id=stored.id,
        name=stored.name,
        verdict=verdict.verdict,
        probability=verdict.probability,
        interval=verdict.interval,
        thresholds=a.Thresholds(ai=float(ends[0]), real=float(ends[1])),
        base_rate=bundle.base_rate,
        reasons=[*verdict.reasons, *([] if flips is None else [flips])],
        family=None
        if verdict.family is None
        else a.Family(family=verdict.family.family, probability=verdict.family.probability),
        ensemble=ensemble_answer(verdict),
        second=second,
        sentence=sentence(stored, verdict, bundle, second),
        facts=facts_answer(stored),
        provenance=list(stored.provenance),
        logit=verdict.logit,
        domain_distance=None if math.isnan(verdict.domain_distance) else verdict.domain_distance,
        evidence=evidence,
        readable=readable,
        distilled=distilled,
        neighbors=neighbors_answer(verdict.neighbors),
        stability=stability,
        edits=stored.edits or None,
        derived_from=stored.derived_from,
        versions=versions,
    )


def versions_of(
    bundle: Bundle | Ensemble, encoder: Encoder | EncoderSet, distilled_digest: str | None
) -> a.Versions:
    """Encoder, bundle and distilled map by name, version and hash."""
    from morelli._version import __version__

    build = bundle.build
    return a.Versions(
        morelli=__version__,
        bundle=bundle.name,
        bundle_digest=bundle.digest,
        build=build.fingerprint,
        encoder=build.encoder,
        weights=build.weights,
        transform=build.transform,
        dtype=build.dtype,
        precision=encoder.precision,
        device=encoder.device,
        runtime=encoder.runtime,
        distilled_digest=distilled_digest,
    )
