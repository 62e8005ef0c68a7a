"""What judges: encoder, bundle, distilled map and concepts, loaded once and read from then on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.errors import BuildMismatchError, UsageError
from morelli.server import _models as m
from morelli.server._cases import StoredCase
from morelli.server._prepare import Prepared, as_jpeg, judged_picture
from morelli.server._problems import ProblemError
from morelli.server._queue import Vectors
from morelli.server._sentence import sentence
from morelli.server._settings import ServerSettings

if TYPE_CHECKING:
    from morelli.atlas.distiller import DistilledMap
    from morelli.detectors import Bundle, Neighbor, Verdict
    from morelli.encoders import Encoder, LastBlock
    from morelli.explanation import ConceptSpace

DIMENSIONS_FOR_SENTENCES = 3


@dataclass(frozen=True, eq=False)
class Judge:
    """Everything that turns features into an answer. `kinds` is what the encoder must give for it."""

    encoder: Encoder
    bundle: Bundle
    distilled: DistilledMap | None = None
    distilled_digest: str | None = None
    last_block: LastBlock | None = None
    space: ConceptSpace | None = None
    concepts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        more: list[str] = []
        if self.distilled is not None:
            more.append(self.distilled.kind)
        if self.last_block is not None:
            more.extend(self.last_block.inputs)
        object.__setattr__(self, "kinds", tuple(dict.fromkeys([*self.bundle.kinds, *more])))

    def stored(self, prepared: Prepared, vectors: Vectors) -> StoredCase:
        """The case of one encoded picture."""
        from morelli.features import Features

        features = Features.from_arrays(
            {kind: vector[None] for kind, vector in vectors.items()},
            build=self.encoder.build,
            uri=[prepared.name],
            sha256=[prepared.facts.sha256],
        )
        picture = as_jpeg(judged_picture(prepared.pixels, self.encoder.transform))
        return StoredCase(
            id=prepared.id,
            name=prepared.name,
            data=prepared.data,
            judged=picture,
            facts=prepared.facts,
            features=features,
            edits=prepared.edits,
            derived_from=prepared.derived_from,
        )

    def tuned(self, base_rate: float | None, fpr: float | None = None) -> Bundle:
        """The bundle at another base rate or false alarm rate."""
        bundle = self.bundle if fpr is None else self.bundle.with_fpr(fpr)
        return bundle if base_rate is None else bundle.with_base_rate(base_rate)

    def case(
        self,
        stored: StoredCase,
        *,
        base_rate: float | None = None,
        fpr: float | None = None,
        off: Sequence[int] = (),
        stability: m.Stability | None = None,
    ) -> m.Case:
        """The answer about one stored case."""
        bundle = self.tuned(base_rate, fpr)
        (verdict,) = bundle.verdicts(stored.features)
        ends = bundle.calibration.probability([bundle.ai.logit, bundle.real.logit], bundle.base_rate)
        distilled = self._distilled(stored, bundle.base_rate, off)
        return m.Case(
            id=stored.id,
            name=stored.name,
            verdict=verdict.verdict,
            probability=verdict.probability,
            interval=verdict.interval,
            thresholds=m.Thresholds(ai=float(ends[0]), real=float(ends[1])),
            base_rate=bundle.base_rate,
            reasons=list(verdict.reasons),
            sentence=sentence(stored, verdict, bundle),
            facts=_facts(stored),
            logit=verdict.logit,
            domain_distance=None if math.isnan(verdict.domain_distance) else verdict.domain_distance,
            distilled=distilled,
            evidence=_evidence(distilled) if distilled is not None else self._concept_evidence(stored),
            neighbors=_neighbors(verdict.neighbors),
            stability=stability,
            edits=stored.edits or None,
            derived_from=stored.derived_from,
            versions=self.versions(),
        )

    def verdict(self, stored: StoredCase, base_rate: float | None = None) -> Verdict:
        """The bundle's verdict alone."""
        (verdict,) = self.tuned(base_rate).verdicts(stored.features)
        return verdict

    def versions(self) -> m.Versions:
        """What judges, by name, version and hash."""
        from morelli import __version__

        build = self.bundle.build
        return m.Versions(
            morelli=__version__,
            bundle=self.bundle.name,
            bundle_digest=self.bundle.digest,
            build=build.fingerprint,
            encoder=build.encoder,
            weights=build.weights,
            transform=build.transform,
            dtype=build.dtype,
            device=self.encoder.device,
            distilled_digest=self.distilled_digest,
        )

    def neighbors(self, stored: StoredCase, k: int) -> m.Neighbors:
        """The k nearest members of the bank on either side."""
        bank = self.bundle.bank
        if bank is None:
            raise ProblemError(
                409,
                "no-bank",
                f"The bundle {self.bundle.name} has no bank of known images.",
                next="Fit a bundle with a bank: morelli fit.",
            )
        near = bank.near(bank.prepare(stored.features), k)
        found = [
            bank.neighbor(int(where), float(cosine))
            for positions, similarities in (
                (near.real[0], near.real_similarity[0]),
                (near.fake[0], near.fake_similarity[0]),
            )
            for where, cosine in zip(positions, similarities, strict=True)
            if where >= 0
        ]
        return _neighbors(found)

    def concept_evidence(self, stored: StoredCase) -> m.Evidence:
        """The bundle's logit as named concepts and a rest.

        Raises:
            ProblemError: 409, the server was started without concepts, or the bundle has no linear head.
        """
        found = self._concept_evidence(stored)
        if found is None:
            raise ProblemError(
                409,
                "no-concepts",
                "This server has no concepts to explain with.",
                next="Build a bank: `morelli concepts build photos/ -o edits.concepts --kind KIND`, KIND one "
                f"of {', '.join(self.bundle.head_kinds)}, and start the server with it and a feature table "
                "of real images.",
            )
        return found

    def _concept_evidence(self, stored: StoredCase) -> m.Evidence | None:
        from morelli.explanation import bundle_evidence

        if self.space is None:
            return None
        (found,) = bundle_evidence(self.bundle, stored.features, self.space)
        parts = [m.EvidencePart(name=p.name, logit=p.logit, amount=p.amount) for p in found.parts]
        return m.Evidence(
            of="concepts",
            logit=found.logit,
            bias=found.bias,
            parts=parts,
            rest=found.rest,
            sentences=found.sentences(),
        )

    def _distilled(self, stored: StoredCase, base_rate: float, off: Sequence[int]) -> m.Distilled | None:
        if self.distilled is None:
            if off:
                raise no_distilled()
            return None
        X = stored.features.vectors[self.distilled.kind]
        values = np.asarray(self.distilled.values(X)[0], dtype=np.float64)
        impacts = np.asarray(self.distilled.impacts(X)[0], dtype=np.float64)
        beyond = [k for k in off if k >= len(impacts)]
        if beyond:
            raise ProblemError(
                422,
                "unknown-dimension",
                f"There is no dimension {beyond[0]}; there are 0 to {len(impacts) - 1}.",
            )
        kept = np.delete(impacts, list(off)) if off else impacts
        logit = float(kept.sum() + self.distilled.bias)
        probability = float(self.distilled.calibration.probability([logit], base_rate)[0])
        return m.Distilled(
            values=values.tolist(),
            impacts=impacts.tolist(),
            bias=float(self.distilled.bias),
            logit=logit,
            probability=probability,
            names=list(self.distilled.names),
            off=sorted(set(off)),
        )


def no_distilled() -> ProblemError:
    """409: the server has no distilled map."""
    return ProblemError(
        409,
        "no-distilled-map",
        "This server has no distilled map for its encoder, so there are no dimensions and no relevance maps.",
        next="Start it with a distilled map of the same build, or with the shipped bundle.",
    )


def load_judge(settings: ServerSettings, say: Callable[[str, float | None], None] | None = None) -> Judge:
    """Load what judges, the weights last, since they may have to be fetched.

    Raises:
        MorelliError: something is missing, damaged, or of another build; the text says what to do.
    """
    from morelli.detectors import Bundle, default_bundle_path
    from morelli.encoders import encoder_for_build

    bundle = Bundle.load(settings.bundle or default_bundle_path())
    if bundle.bank is not None:
        _ = bundle.bank.detector  # built once here, not in the first request of every thread
    distilled, digest = _load_distilled(settings, bundle)
    space, names = _load_concepts(settings, bundle)
    encoder = encoder_for_build(
        bundle.build,
        encoder=settings.encoder,
        device=settings.device,
        weights=settings.weights,
        offline=settings.offline,
        progress=say or (lambda message, fraction: None),
    )
    return Judge(
        encoder=encoder,
        bundle=bundle,
        distilled=distilled,
        distilled_digest=digest,
        last_block=None if distilled is None else _last_block(encoder, distilled.kind),
        space=space,
        concepts=names,
    )


def _load_distilled(settings: ServerSettings, bundle: Bundle) -> tuple[DistilledMap | None, str | None]:
    from morelli.atlas import distiller

    path = settings.distilled or distiller.default_map_path()
    found = distiller.DistilledMap.load(path)
    if not found.build.matches(bundle.build):
        if settings.distilled is None:
            return None, None  # the shipped map belongs to the shipped bundle's encoder
        raise BuildMismatchError(
            f"The distilled map {path} belongs to {found.build.encoder} (build {found.build.fingerprint}), "
            f"the bundle {bundle.name} to {bundle.build.encoder} (build {bundle.build.fingerprint}): give "
            "two of one build."
        )
    return found, folder_digest(path)


def _last_block(encoder: Encoder, kind: str) -> LastBlock | None:
    from morelli.encoders import LastBlock

    try:
        return LastBlock(encoder, kind)
    except UsageError:
        return None  # not a CLIP: verdicts work, relevance says that it does not


def _load_concepts(settings: ServerSettings, bundle: Bundle) -> tuple[ConceptSpace | None, tuple[str, ...]]:
    from morelli.explanation import ConceptBank, bundle_space, shipped_space

    if not settings.concepts:
        space = shipped_space(bundle)
        return space, () if space is None else ("default",)
    if settings.reference is None:
        raise UsageError(
            "Concepts are measured from typical real images: give a feature table with some (reference), of "
            f"the bundle's kinds: {bundle.extract_command()}"
        )
    from morelli.features import FeatureTable

    banks = [ConceptBank.load(path) for path in settings.concepts]
    reference = FeatureTable.open(settings.reference).load(kinds=list(bundle.head_kinds), where="label = 0")
    return bundle_space(bundle, banks, reference), tuple(path.name for path in settings.concepts)


def folder_digest(path: Any) -> str:
    """SHA-256 over the names and contents of an artefact's files."""
    import hashlib

    digest = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _facts(stored: StoredCase) -> m.Facts:
    f = stored.facts
    return m.Facts(
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


def _neighbors(found: Sequence[Neighbor]) -> m.Neighbors:
    sides: dict[int, list[m.NeighborAnswer]] = {0: [], 1: []}
    for one in found:
        sides[one.label].append(
            m.NeighborAnswer(
                id=one.id,
                name=one.uri,
                generator=one.generator,
                label="fake" if one.label else "real",
                distance=1.0 - one.similarity,
            )
        )
    return m.Neighbors(fake=sides[1], real=sides[0])


def _evidence(distilled: m.Distilled) -> m.Evidence:
    """The distilled logit as its dimensions, the heaviest first."""
    on = [k for k in range(len(distilled.impacts)) if k not in set(distilled.off)]
    order = sorted(on, key=lambda k: -abs(distilled.impacts[k]))
    parts = [m.EvidencePart(name=distilled.names[k], logit=distilled.impacts[k]) for k in order]
    said = [
        f"{part.name} moves the logit by {part.logit:+.2f}, towards {_side(part.logit)}."
        for part in parts[:DIMENSIONS_FOR_SENTENCES]
    ]
    return m.Evidence(
        of="distilled", logit=distilled.logit, bias=distilled.bias, parts=parts, rest=0.0, sentences=said
    )


def _side(logit: float) -> str:
    return "generated" if logit > 0 else "real"
