"""`Inspector`: encoder, bundle, distilled map and concepts, loaded once, and what they say of images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import numpy.typing as npt

from morelli.detectors import Ensemble
from morelli.encoders import EncoderSet
from morelli.errors import ImageError, MissingPartError, UsageError
from morelli.images import Limits, as_seen
from morelli.inspection import answers as a
from morelli.inspection._case import StoredCase
from morelli.inspection._case_answer import case_answer, versions_of
from morelli.inspection._evidence import (
    concept_evidence,
    decision_evidence,
    distilled_answer,
    nearest,
    neighbors_answer,
    reading_evidence,
)
from morelli.inspection._inspect import Inspection, image_file
from morelli.inspection._picture import limited
from morelli.inspection._prepare import PreparedCase, Vectors, as_jpeg, edited_again, prepare, prepare_edited
from morelli.inspection._relevance import case_maps, dimension_map
from morelli.inspection._second import SecondDetector, case_features, common_encoder, common_kinds
from morelli.inspection._stability import STABILITY_PERTURBATIONS, stability_answer
from morelli.inspection._stream import Detection, counted, detect, items_of

if TYPE_CHECKING:
    from PIL import Image

    from morelli.atlas.distiller import DistilledMap
    from morelli.detectors import Bank, Bundle, Verdict
    from morelli.encoders import Encoder, LastBlock
    from morelli.encoders.cluster import Cluster, Listing
    from morelli.explanation import ConceptSpace
    from morelli.explanation.deciding import Reading, TypicalParts
    from morelli.images import ImageItem
    from morelli.images.layouts import SourceReport
    from morelli.images.transforms import Transform
    from morelli.provenance import TrustList


@dataclass(frozen=True, eq=False)
class Inspector:
    """Everything that turns images into answers. `morelli.load` makes one; it may be used from any thread.

    `detect` and `inspect` are for scripts. The other methods are the steps between, for a caller that encodes
    by itself: `prepare`, then `passes.trace` of `kinds`, then `stored`, then any question.

    Attributes:
        encoder: the encoder that the bundle was fitted on; of an ensemble, those of its members.
        bundle: the detector.
        distilled: the distilled map, another reader of the same image; None: there is none.
        distilled_digest: SHA-256 of its folder.
        last_block: for relevance maps; None where the encoder is not a CLIP.
        space: concepts, measured from typical real images.
        concepts: names of their banks.
        typical: what typical real images get from each part of the encoder; None: readings start at zero.
        trust: root certificates of trusted signers of Content Credentials; None: every signer is unknown.
        second: another detector that judges the same images beside the bundle; None: the bundle judges alone.
        passes: what every image goes through, each encoder once: `encoder`, and what `second` needs besides.
        kinds: the features that answers need, as `passes` names them.

    Raises:
        BuildMismatchError: the encoder is not the one that the bundle was fitted on.

    Example:
        >>> import morelli
        >>> detector = morelli.load()
        >>> for detection in detector.detect("holiday.zip"):
        ...     print(detection)
        holiday.zip::beach.jpg: ..., ... % (... %)
        >>> print(detector.inspect("photo.jpg").sentence)
        Morelli ... with the detector default ... “photo.jpg” ...
    """

    encoder: Encoder | EncoderSet
    bundle: Bundle | Ensemble
    distilled: DistilledMap | None = None
    distilled_digest: str | None = None
    last_block: LastBlock | None = None
    space: ConceptSpace | None = None
    concepts: tuple[str, ...] = ()
    typical: TypicalParts | None = None
    trust: TrustList | None = None
    second: SecondDetector | None = None
    passes: Encoder | EncoderSet = field(init=False)
    kinds: tuple[str, ...] = field(init=False)
    _read_kinds: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.bundle.check_build(self.encoder.build)
        more: list[str] = []
        if self.distilled is not None:
            more.append(self.distilled.kind)
        if self.last_block is not None:
            more.extend(self.last_block.inputs)
        own = tuple(dict.fromkeys([*self.bundle.kinds, *more]))
        passes = common_encoder(self.encoder, self.second)
        object.__setattr__(self, "passes", passes)
        object.__setattr__(self, "kinds", common_kinds(passes, self.encoder, own, self.second))
        object.__setattr__(self, "_read_kinds", own)

    def __repr__(self) -> str:
        return f"<Inspector {self.bundle.name} on {self.encoder.build.encoder}, {self.encoder.device}>"

    def at_precision(self, precision: a.Precision) -> Inspector:
        """This inspector computing features in float32, bfloat16 or int8, as for `morelli.load`.

        Where a second detector reads the same encoder, both have to allow it.

        Raises:
            UsageError: a quicker format was asked for, and the processor or a detector does not allow it.
        """
        from morelli.inspection._precision import both_at_precision

        encoder, second = both_at_precision(self.encoder, self.bundle, self.second, precision)
        return replace(self, encoder=encoder, second=second)

    # Images in, answers out

    def detect(
        self,
        source: str | Path | Sequence[str | Path] | Iterable[ImageItem] | Listing,
        *,
        batch_size: int = 16,
        workers: int = 2,
        limits: Limits | None = None,
        thumbnails: bool = False,
        stability: bool = False,
        understood: SourceReport | None = None,
        engine: Literal["local", "ray"] | Cluster = "local",
    ) -> Iterator[Detection]:
        """The verdict on every image of a source, in its order, as a stream with bounded memory.

        Args:
            source: a file, folder, glob, archive or manifest, several of them, images from `iter_source`, or
                a function that lists them.
            batch_size: images that the encoder gets at once.
            workers: threads that read and decode.
            limits: what one image may cost.
            thumbnails: keep a small picture of each.
            stability: also judge each after re-encoding, scaling and cropping (seven more images to encode).
            understood: counts what is understood of the images while they are taken.
            engine: ``local``; ``ray``, or a `morelli.encoders.cluster.Cluster`, judges on many machines by
                Ray Data; then an iterator is no source, as for `morelli.features.extract`.

        Yields:
            A `Detection` for each image, one that cannot be read with its `failure`.

        Raises:
            UsageError: the source is not understood.
        """
        if engine != "local":
            from morelli.encoders.cluster import cluster_of, listing_of, require_ray
            from morelli.inspection._distributed import detect_on_cluster

            if isinstance(self.bundle, Ensemble) or isinstance(self.encoder, EncoderSet):
                raise UsageError("An ensemble judges on one machine: leave --engine out, or give one bundle.")
            if self.second is not None:
                raise UsageError("Two detectors judge on one machine: leave --engine or --beside out.")
            listing, cluster = listing_of(source, limits or Limits()), cluster_of(engine)
            require_ray()
            return detect_on_cluster(
                listing,
                self.bundle,
                self.encoder,
                cluster=cluster,
                batch_size=batch_size,
                workers=workers,
                limits=limits or Limits(),
                thumbnails=thumbnails,
                trust=self.trust,
                stability=stability,
                understood=understood,
            )
        items = iter(source()) if callable(source) else items_of(source, limits)
        return detect(
            items if understood is None else map(partial(counted, understood), items),
            self.bundle,
            self.encoder,
            batch_size=batch_size,
            workers=workers,
            limits=limits,
            thumbnails=thumbnails,
            trust=self.trust,
            stability=stability,
            second=self.second,
        )

    def inspect(
        self,
        image: str | Path | bytes | Image.Image | npt.NDArray[np.uint8],
        *,
        name: str | None = None,
        base_rate: float | None = None,
        fpr: float | None = None,
        stability: bool = False,
        limits: Limits | None = None,
    ) -> Inspection:
        """All that can be said of one image: verdict, evidence, relevance maps, neighbours, a sentence.

        Args:
            image: a file's path, the bytes of a file, a PIL image, or an array (height, width, 3) of uint8.
                The last two are judged as the PNG file of their pixels.
            name: what to call it; the file's name if None.
            base_rate: share of generated images to assume; the bundle's if None.
            fpr: share of real images that may be called AI-generated; the bundle's if None.
            stability: also judge it after re-encoding, scaling and cropping (seven more images to encode).
            limits: what the image may cost.

        Raises:
            UsageError: `image` is no image or its file cannot be opened.
            ImageError: it cannot be read, with the reason.
        """
        limits = limits or Limits()
        data, called = image_file(image)
        prepared = self.prepare(data, name or called, limits)
        stored = self.stored(prepared, self._encode([prepared])[0])
        moved = self.stability(stored, base_rate=base_rate, fpr=fpr, limits=limits) if stability else None
        case = self.case(stored, base_rate=base_rate, fpr=fpr, stability=moved)
        maps = self.relevance(stored) if self.has_relevance else None
        return Inspection(case, stored.judged, maps, partial(self._read, stored) if case.readable else None)

    # The steps between

    def prepare(self, data: bytes, name: str, limits: Limits) -> PreparedCase:
        """Decode and transform the bytes of an image file.

        Raises:
            ImageError: it cannot be read, with the reason; crafted files never raise anything else.
        """
        return prepare(data, name, self.passes.transform, limits, self.trust)

    def prepare_edited(self, stored: StoredCase, perturbation: str, limits: Limits) -> PreparedCase:
        """The picture of a case changed by a perturbation such as ``jpeg:60+blur:1``, as a case of its own.

        Raises:
            UsageError: an unknown perturbation or value.
            ImageError: the change cannot be made with this picture.
        """
        prepared = prepare_edited(stored.data, stored.name, perturbation, self.passes.transform, limits)
        # An edit writes the picture without its metadata; what the original says stays evidence of it.
        prepared = replace(prepared, provenance=stored.provenance)
        return prepared if stored.derived_from is None else edited_again(stored, prepared)

    def stored(self, prepared: PreparedCase, vectors: Vectors) -> StoredCase:
        """The case of one encoded picture."""
        second = None if self.second is None else self.second.features(prepared, vectors, self.passes)
        seen = as_seen(prepared.pixels, self.passes.transform)
        return StoredCase(
            id=prepared.id,
            name=prepared.name,
            data=prepared.data,
            judged=as_jpeg(seen),
            seen=np.asarray(seen),
            facts=prepared.facts,
            features=case_features(prepared, vectors, self.passes, self.encoder, self._read_kinds),
            edits=prepared.edits,
            derived_from=prepared.derived_from,
            provenance=prepared.provenance,
            second=second,
        )

    # Questions about a case

    def tuned(self, base_rate: float | None, fpr: float | None = None) -> Bundle | Ensemble:
        """The bundle at another base rate or false alarm rate.

        Raises:
            UsageError: a rate out of range, or one that the bundle's held-out scores cannot give.
        """
        bundle = self.bundle if fpr is None else self.bundle.with_fpr(fpr)
        return bundle if base_rate is None else bundle.with_base_rate(base_rate)

    def case(
        self,
        stored: StoredCase,
        *,
        base_rate: float | None = None,
        fpr: float | None = None,
        off: Sequence[int] = (),
        stability: a.Stability | None = None,
    ) -> a.Case:
        """The answer about one stored case; dimensions in `off` do not count for the distilled map.

        Raises:
            MissingPartError: `off` names dimensions and there is no distilled map.
            UnknownDimensionError: `off` names one that does not exist.
        """
        bundle = self.tuned(base_rate, fpr)
        verdict = _verdict(bundle, stored, self.encoder.transform)
        distilled = None
        if self.distilled is not None:
            (odds,) = bundle.calibration.log_odds([verdict.logit], 0.5)
            distilled = distilled_answer(stored, self.distilled, float(odds), off)
        elif off:
            raise _no_distilled()
        return case_answer(
            stored,
            bundle,
            verdict,
            evidence=decision_evidence(stored, bundle, self.space),
            readable=self.has_reading,
            distilled=distilled,
            stability=stability,
            versions=self.versions(),
            second=None if self.second is None else self.second.opinion(stored, verdict, bundle, fpr),
        )

    def second_opinion(
        self, stored: StoredCase, base_rate: float | None = None, fpr: float | None = None
    ) -> a.Second | None:
        """What the second detector says of a case; None where there is none."""
        if self.second is None:
            return None
        first = self.tuned(base_rate, fpr)
        return self.second.opinion(stored, _verdict(first, stored, self.encoder.transform), first, fpr)

    def verdict(
        self, stored: StoredCase, base_rate: float | None = None, fpr: float | None = None
    ) -> Verdict:
        """The bundle's verdict alone."""
        return _verdict(self.tuned(base_rate, fpr), stored, self.encoder.transform)

    def versions(self) -> a.Versions:
        """Encoder, bundle and distilled map by name, version and hash."""
        return versions_of(self.bundle, self.encoder, self.distilled_digest)

    @property
    def bank(self) -> Bank | None:
        """The bank that gives the neighbours: the bundle's, or that of an ensemble's leading member."""
        return self.bundle.lead.bank if isinstance(self.bundle, Ensemble) else self.bundle.bank

    def neighbors(self, stored: StoredCase, k: int) -> a.Neighbors:
        """The k nearest members of the bank on either side.

        Raises:
            MissingPartError: the bundle has no bank.
        """
        bank = self.bank
        if bank is None:
            raise MissingPartError(
                "no-bank",
                f"The bundle {self.bundle.name} has no bank of known images.",
                "Fit a bundle with a bank: morelli fit.",
            )
        features = stored.features
        if isinstance(self.bundle, Ensemble):
            features = self.bundle.part(features, self.bundle.lead)
        return neighbors_answer(nearest(bank, features, k))

    def concept_evidence(self, stored: StoredCase) -> a.Evidence:
        """The bundle's logit as named concepts and a rest.

        Raises:
            MissingPartError: there are no concepts.
        """
        found = self._concepts_of(stored)
        if found is None:
            raise MissingPartError(
                "no-concepts",
                "There are no concepts to explain with.",
                f"Build a bank: {self.concepts_command()}, and load it with a feature table of real images.",
            )
        return found

    def concepts_command(self) -> str:
        """The command line that builds a concept bank for this bundle, in words."""
        kinds = ", ".join(self.bundle.head_kinds)
        return f"`morelli concepts build photos/ -o edits.concepts --kind KIND`, KIND one of {kinds}"

    def stability(
        self,
        stored: StoredCase,
        *,
        base_rate: float | None = None,
        fpr: float | None = None,
        limits: Limits | None = None,
    ) -> a.Stability:
        """How the probability moves after each of `STABILITY_PERTURBATIONS`, judged at the same rates.

        One that cannot be made with this picture, such as a crop of a tiny one, is left out.
        """
        possible: dict[str, PreparedCase] = {}
        for spec in STABILITY_PERTURBATIONS:
            with suppress(ImageError):
                possible[spec] = self.prepare_edited(stored, spec, limits or Limits())
        encoded = self._encode(list(possible.values()))
        verdicts = {
            spec: self.verdict(self.stored(prepared, vectors), base_rate, fpr)
            for (spec, prepared), vectors in zip(possible.items(), encoded, strict=True)
        }
        return stability_answer(self.verdict(stored, base_rate, fpr), verdicts)

    @property
    def has_reading(self) -> bool:
        """True where it can be said which patches the deciding logit was read from: a head, over a CLIP."""
        from morelli.encoders.direct_paths import readable

        return self.bundle.head is not None and self.encoder.is_clip and readable(self.bundle.head_kinds)

    def reading(self, stored: StoredCase) -> Reading:
        """Where the encoder read the deciding logit, one more pass through it; kept with the case.

        Raises:
            MissingPartError: the bundle decides by nearest neighbours, or the encoder is not a CLIP.
        """
        from PIL import Image

        from morelli.explanation.deciding import logit_reading

        if not self.has_reading:
            raise MissingPartError(
                "no-reading",
                "Where this detector read its number cannot be said: that needs a head over class tokens of "
                "a CLIP.",
                "Ask with the shipped bundle, or one fitted with --detector probe.",
            )
        # An ensemble has no reading, see `has_reading`.
        bundle, encoder = cast("Bundle", self.bundle), cast("Encoder", self.encoder)
        with stored.lock:
            if stored.reading is None:
                pixels = encoder.transform(Image.fromarray(stored.seen))
                stored.reading = logit_reading(bundle, stored.features, encoder, pixels, self.typical)
            return stored.reading

    def reading_evidence(self, stored: StoredCase) -> a.Evidence:
        """The bundle's logit by where the encoder read it.

        Raises:
            MissingPartError: as `reading`.
        """
        return reading_evidence(self.reading(stored).sum, self.bundle)

    @property
    def has_relevance(self) -> bool:
        """True where the distilled map's dimensions have relevance maps: the encoder is a CLIP."""
        return self.distilled is not None and self.last_block is not None

    def relevance(self, stored: StoredCase) -> npt.NDArray[np.float32]:
        """The distilled map's relevance, (K + 1, g, g) ≥ 0, each of its value's own sign; last its logit's.

        Raises:
            MissingPartError: there is no distilled map, or the encoder is not a CLIP.
        """
        return case_maps(stored, *self._for_relevance())

    def dimension_relevance(self, stored: StoredCase, dimension: str) -> tuple[npt.NDArray[np.float32], bool]:
        """One map (g, g) by a dimension's number or ``logit``, and whether it points towards "generated".

        Raises:
            MissingPartError: as `relevance`.
            UnknownDimensionError: there is no such dimension.
        """
        return dimension_map(stored, *self._for_relevance(), dimension)

    def _read(self, stored: StoredCase) -> tuple[a.Evidence, npt.NDArray[np.float32]]:
        found = self.reading(stored)
        return reading_evidence(found.sum, self.bundle), found.map.astype(np.float32)

    def _for_relevance(self) -> tuple[LastBlock, DistilledMap]:
        if self.distilled is None or self.last_block is None:
            raise _no_distilled()
        return self.last_block, self.distilled

    def _concepts_of(self, stored: StoredCase) -> a.Evidence | None:
        if self.space is None or isinstance(self.bundle, Ensemble):
            return None
        return concept_evidence(stored, self.bundle, self.space)

    def _encode(self, images: Sequence[PreparedCase]) -> list[Vectors]:
        """Features of a few images, one pass."""
        if not images:
            return []
        found = self.passes.trace(np.stack([one.pixels for one in images]), kinds=self.kinds)
        return [{kind: array[row] for kind, array in found.items()} for row in range(len(images))]


def _verdict(bundle: Bundle | Ensemble, stored: StoredCase, transform: Transform) -> Verdict:
    (verdict,) = bundle.verdicts(stored.features)
    return limited(verdict, stored.facts, transform)


def _no_distilled() -> MissingPartError:
    return MissingPartError(
        "no-distilled-map",
        "There is no distilled map for this encoder, so there are no dimensions and no relevance maps.",
        "Load a distilled map of the same build, or the shipped bundle.",
    )
