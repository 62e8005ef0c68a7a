"""`Inspector`: encoder, bundle, distilled map and concepts, loaded once, and what they say of images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import numpy.typing as npt

from morelli.detectors import Ensemble
from morelli.encoders import EncoderSet
from morelli.errors import ImageError, MissingPartError, UsageError
from morelli.images import Limits, as_seen, iter_source
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
from morelli.inspection._prepare import PreparedCase, as_jpeg, prepare, prepare_edited
from morelli.inspection._relevance import case_maps, dimension_map
from morelli.inspection._small import small_is_out_of_domain
from morelli.inspection._stability import STABILITY_PERTURBATIONS, stability_answer
from morelli.inspection._stream import Detection, detect

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
    from morelli.provenance import TrustList

Vectors = Mapping[str, npt.NDArray[np.float32]]
"""Features of one image by kind, without a batch axis."""


@dataclass(frozen=True, eq=False)
class Inspector:
    """Everything that turns images into answers. `morelli.load` makes one; it may be used from any thread.

    `detect` and `inspect` are for scripts. The other methods are the steps between, for a caller that encodes
    by itself: `prepare`, then the encoder's `trace` of `kinds`, then `stored`, then any question.

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
        kinds: the features that answers need.

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
    kinds: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.bundle.check_build(self.encoder.build)
        more: list[str] = []
        if self.distilled is not None:
            more.append(self.distilled.kind)
        if self.last_block is not None:
            more.extend(self.last_block.inputs)
        object.__setattr__(self, "kinds", tuple(dict.fromkeys([*self.bundle.kinds, *more])))

    def __repr__(self) -> str:
        return f"<Inspector {self.bundle.name} on {self.encoder.build.encoder}, {self.encoder.device}>"

    def at_precision(self, precision: a.Precision) -> Inspector:
        """This inspector computing features in float32, bfloat16 or int8, as for `morelli.load`.

        Raises:
            UsageError: a quicker format was asked for, and the processor or the bundle does not allow it.
        """
        from morelli.inspection._precision import at_precision

        return replace(self, encoder=at_precision(self.encoder, self.bundle, precision))

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
        items = iter(source()) if callable(source) else _items(source, limits)
        return detect(
            items if understood is None else map(partial(_counted, understood), items),
            self.bundle,
            self.encoder,
            batch_size=batch_size,
            workers=workers,
            limits=limits,
            thumbnails=thumbnails,
            trust=self.trust,
            stability=stability,
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
        moved = self.stability(stored, base_rate=base_rate, limits=limits) if stability else None
        case = self.case(stored, base_rate=base_rate, fpr=fpr, stability=moved)
        maps = self.relevance(stored) if self.has_relevance else None
        return Inspection(case, stored.judged, maps, partial(self._read, stored) if case.readable else None)

    # The steps between

    def prepare(self, data: bytes, name: str, limits: Limits) -> PreparedCase:
        """Decode and transform the bytes of an image file.

        Raises:
            ImageError: it cannot be read, with the reason; crafted files never raise anything else.
        """
        return prepare(data, name, self.encoder.transform, limits, self.trust)

    def prepare_edited(self, stored: StoredCase, perturbation: str, limits: Limits) -> PreparedCase:
        """The picture of a case changed by a perturbation such as ``jpeg:60+blur:1``, as a case of its own.

        Raises:
            UsageError: an unknown perturbation or value.
            ImageError: the change cannot be made with this picture.
        """
        prepared = prepare_edited(stored.data, stored.name, perturbation, self.encoder.transform, limits)
        # An edit writes the picture without its metadata; what the original says stays evidence of it.
        return replace(prepared, provenance=stored.provenance)

    def stored(self, prepared: PreparedCase, vectors: Vectors) -> StoredCase:
        """The case of one encoded picture."""
        from morelli.features import Features

        features = Features.from_arrays(
            {kind: vector[None] for kind, vector in vectors.items()},
            build=self.encoder.build,
            uri=[prepared.name],
            sha256=[prepared.facts.sha256],
        )
        seen = as_seen(prepared.pixels, self.encoder.transform)
        return StoredCase(
            id=prepared.id,
            name=prepared.name,
            data=prepared.data,
            judged=as_jpeg(seen),
            seen=np.asarray(seen),
            facts=prepared.facts,
            features=features,
            edits=prepared.edits,
            derived_from=prepared.derived_from,
            provenance=prepared.provenance,
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
        verdict = _verdict(bundle, stored)
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
        )

    def verdict(self, stored: StoredCase, base_rate: float | None = None) -> Verdict:
        """The bundle's verdict alone."""
        return _verdict(self.tuned(base_rate), stored)

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
        self, stored: StoredCase, *, base_rate: float | None = None, limits: Limits | None = None
    ) -> a.Stability:
        """How the probability moves after each of `STABILITY_PERTURBATIONS`.

        One that cannot be made with this picture, such as a crop of a tiny one, is left out.
        """
        possible: list[PreparedCase] = []
        for spec in STABILITY_PERTURBATIONS:
            try:
                possible.append(self.prepare_edited(stored, spec, limits or Limits()))
            except ImageError:
                continue
        verdicts = [
            self.verdict(self.stored(prepared, vectors), base_rate)
            for prepared, vectors in zip(possible, self._encode(possible), strict=True)
        ]
        names = [prepared.edits for prepared in possible]
        return stability_answer(self.verdict(stored, base_rate), dict(zip(names, verdicts, strict=True)))

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
        found = self.encoder.trace(np.stack([one.pixels for one in images]), kinds=self.kinds)
        return [{kind: array[row] for kind, array in found.items()} for row in range(len(images))]


def _verdict(bundle: Bundle | Ensemble, stored: StoredCase) -> Verdict:
    (verdict,) = bundle.verdicts(stored.features)
    return small_is_out_of_domain(verdict, stored.facts.width, stored.facts.height)


def _items(
    source: str | Path | Sequence[str | Path] | Iterable[ImageItem], limits: Limits | None
) -> Iterable[ImageItem]:
    """The images of paths; images that were listed already stay what they are."""
    if isinstance(source, str | Path):
        return iter_source(source, limits=limits)
    if isinstance(source, Sequence):
        paths = [one for one in source if isinstance(one, str | Path)]
        if len(paths) == len(source):
            return iter_source(paths, limits=limits)
    return cast("Iterable[ImageItem]", source)


def _no_distilled() -> MissingPartError:
    return MissingPartError(
        "no-distilled-map",
        "There is no distilled map for this encoder, so there are no dimensions and no relevance maps.",
        "Load a distilled map of the same build, or the shipped bundle.",
    )


def _counted(understood: SourceReport, item: ImageItem) -> ImageItem:
    understood.count(item)
    return item
