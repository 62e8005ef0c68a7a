"""From what the rooms below find in one image to the parts of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from morelli.detectors import Ensemble
from morelli.errors import UnknownDimensionError
from morelli.inspection import answers as a

if TYPE_CHECKING:
    from morelli.atlas.distiller import DistilledMap
    from morelli.detectors import Bank, Bundle, Neighbor, Verdict
    from morelli.explanation import ConceptSpace
    from morelli.explanation.deciding import LogitSum
    from morelli.features import Features
    from morelli.inspection._case import StoredCase

PARTS_FOR_SENTENCES = 3


def facts_answer(stored: StoredCase) -> a.Facts:
    """What the file is."""
    f = stored.facts
    return a.Facts(
        format=f.format,
        mode=f.mode,
        width=f.width,
        height=f.height,
        bytes=f.bytes,
        sha256=f.sha256,
        frames=f.frames,
        jpeg_quality=f.jpeg_quality,
        has_icc=f.has_icc,
        has_exif=f.has_exif,
        notes=list(f.notes),
    )


def nearest(bank: Bank, features: Features, k: int) -> list[Neighbor]:
    """The k nearest members of either side, of one image."""
    near = bank.near(bank.prepare(features), k)
    return [
        bank.neighbor(int(where), float(cosine))
        for positions, similarities in (
            (near.real[0], near.real_similarity[0]),
            (near.fake[0], near.fake_similarity[0]),
        )
        for where, cosine in zip(positions, similarities, strict=True)
        if where >= 0
    ]


def neighbors_answer(found: Sequence[Neighbor]) -> a.Neighbors:
    """Members of the bank by side, in the order given."""
    sides: dict[int, list[a.NeighborAnswer]] = {0: [], 1: []}
    for one in found:
        sides[one.label].append(
            a.NeighborAnswer(
                id=one.id,
                name=one.uri,
                generator=one.generator,
                label="fake" if one.label else "real",
                distance=1.0 - one.similarity,
            )
        )
    return a.Neighbors(fake=sides[1], real=sides[0])


def distilled_answer(
    stored: StoredCase, distilled: DistilledMap, decided: float, off: Sequence[int]
) -> a.Distilled:
    """The distilled dimensions; those in `off` do not count.

    Args:
        decided: the deciding logit, calibrated to log-odds at even base rate.

    Raises:
        UnknownDimensionError: `off` names a dimension that does not exist.
    """
    X = stored.features.vectors[distilled.kind]
    values = np.asarray(distilled.values(X)[0], dtype=np.float64)
    impacts = np.asarray(distilled.impacts(X)[0], dtype=np.float64)
    beyond = [k for k in off if k >= len(impacts)]
    if beyond:
        raise UnknownDimensionError(f"There is no dimension {beyond[0]}; there are 0 to {len(impacts) - 1}.")
    kept = np.delete(impacts, list(off)) if off else impacts
    logit = float(kept.sum() + distilled.bias)
    (odds,) = distilled.calibration.log_odds([logit], 0.5)
    return a.Distilled(
        values=values.tolist(),
        impacts=impacts.tolist(),
        bias=float(distilled.bias),
        logit=logit,
        agrees=bool((odds > 0) == (decided > 0)),
        names=list(distilled.names),
        off=sorted(set(off)),
    )


def ensemble_answer(verdict: Verdict) -> a.Ensemble | None:
    """What each member of an ensemble says; None where one bundle judged."""
    found = verdict.ensemble
    if found is None:
        return None
    return a.Ensemble(
        members=[
            a.MemberOpinion(
                name=one.name,
                encoder=one.encoder,
                dtype=one.dtype,
                weight=one.weight,
                probability=one.probability,
                verdict=one.verdict,
            )
            for one in found.members
        ],
        spread=found.spread,
        limit=found.limit,
        contradict=found.contradict,
        unusual=found.unusual,
        withheld=found.withheld,
        disagree=found.disagree,
        sentence=found.sentence,
    )


def decision_evidence(
    stored: StoredCase, bundle: Bundle | Ensemble, space: ConceptSpace | None
) -> a.Evidence | None:
    """The bundle's logit by named concepts and blocks; None for nearest neighbours and for an ensemble."""
    from morelli.explanation.deciding import logit_sums

    if isinstance(bundle, Ensemble) or bundle.head is None:
        return None
    (found,) = logit_sums(bundle, stored.features, space)
    return _evidence("decision", found, bundle)


def reading_evidence(found: LogitSum, bundle: Bundle | Ensemble) -> a.Evidence:
    """The bundle's logit by where the encoder read it."""
    return _evidence("reading", found, bundle)


def _evidence(of: Literal["decision", "reading"], found: LogitSum, bundle: Bundle | Ensemble) -> a.Evidence:
    parts = [a.EvidencePart(name=p.name, logit=p.logit, amount=p.amount) for p in found.parts]
    sentences = [
        f"{part.name} moves the logit by {part.logit:+.2f}, towards {_side(part.logit)}."
        for part in parts[:PARTS_FOR_SENTENCES]
    ]
    (probability,) = bundle.calibration.probability([found.logit], bundle.base_rate)
    sentences.append(
        f"A typical real image starts at {found.bias:+.2f}; all parts together make {found.logit:+.2f}, "
        f"which is a probability of {probability:.2f} where {bundle.base_rate:.0%} of such pictures are "
        "generated."
    )
    return a.Evidence(
        of=of, logit=found.logit, bias=found.bias, parts=parts, rest=found.rest, sentences=sentences
    )


def concept_evidence(stored: StoredCase, bundle: Bundle, space: ConceptSpace) -> a.Evidence:
    """The bundle's logit as named concepts, and everything else as the rest."""
    from morelli.explanation import bundle_evidence

    (found,) = bundle_evidence(bundle, stored.features, space)
    parts = [a.EvidencePart(name=p.name, logit=p.logit, amount=p.amount) for p in found.parts]
    return a.Evidence(
        of="concepts",
        logit=found.logit,
        bias=found.bias,
        parts=parts,
        rest=found.rest,
        sentences=found.sentences(),
    )


def _side(logit: float) -> str:
    return "generated" if logit > 0 else "real"
