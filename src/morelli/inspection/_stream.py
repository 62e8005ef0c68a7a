"""From a source of images to verdicts, a stream with bounded memory.

Read, decode and transform in threads, encode in batches (`morelli.encoders.encode_stream`), judge. A bad
image becomes a `Detection` with its failure and stops nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.encoders import PreparedImage, encode_stream
from morelli.errors import ImageError, UsageError
from morelli.images import (
    Limits,
    decode,
    image_errors,
    image_generator,
    iter_source,
    perturbation,
    read_bytes,
    thumbnail,
)
from morelli.inspection._picture import limited
from morelli.inspection._provenance import file_provenance
from morelli.inspection._second import common_encoder, common_kinds, part_of
from morelli.inspection._sentence import verdict_line
from morelli.inspection._stability import STABILITY_PERTURBATIONS, flip_reason, stability_answer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from morelli.detectors import Bundle, Ensemble, Verdict
    from morelli.encoders import Encoder, EncoderSet
    from morelli.features import Features
    from morelli.images import ImageFacts, ImageItem
    from morelli.images.layouts import SourceReport
    from morelli.inspection._second import SecondDetector
    from morelli.inspection.answers import ProvenanceFinding, Second, Stability
    from morelli.provenance import TrustList


@dataclass(frozen=True)
class Detection:
    """What became of one image: either `verdict` and `facts`, or `failure`.

    `provenance` is what the file says of itself, the strongest first: evidence apart from the verdict, empty
    where it says nothing. `thumbnail` (RGB, at most 220 pixels) and `stability` are there when they were
    asked for. `second` is what a second detector says, where one judges beside the first.
    """

    uri: str
    label: int | None = None
    generator: str | None = None
    facts: ImageFacts | None = None
    verdict: Verdict | None = None
    failure: ImageError | None = None
    thumbnail: Image.Image | None = field(default=None, repr=False)
    provenance: tuple[ProvenanceFinding, ...] = ()
    stability: Stability | None = None
    second: Second | None = None

    def __str__(self) -> str:
        if self.verdict is not None:
            found = self.verdict
            return verdict_line(self.uri, found.verdict, found.probability, found.interval)
        if self.failure is not None:
            return f"{self.uri}: {self.failure.reason}: {self.failure}"
        return self.uri


def detect(
    items: Iterable[ImageItem],
    bundle: Bundle | Ensemble,
    encoder: Encoder | EncoderSet,
    *,
    batch_size: int = 16,
    workers: int = 2,
    limits: Limits | None = None,
    thumbnails: bool = False,
    trust: TrustList | None = None,
    stability: bool = False,
    second: SecondDetector | None = None,
) -> Iterator[Detection]:
    """Judge every image of `items` with `bundle`, and with `second` beside it, in order, as a stream.

    With `stability` each image is also judged after every one of `STABILITY_PERTURBATIONS`.

    At most two batches of images are held at a time, however many there are. `workers` threads read and
    decode while the encoder works. Raises `BuildMismatchError` before the first image when `encoder` is not
    the one that the bundle was fitted on.
    """
    bundle.check_build(encoder.build)
    detectors = _Detectors(bundle, encoder, second and second.at(bundle.base_rate))
    specs = (None, *STABILITY_PERTURBATIONS) if stability else (None,)
    kinds = common_kinds(detectors.common, encoder, bundle.kinds, second)
    stream = encode_stream(
        _deliveries(items, limits or Limits(), specs),
        _Preparation(detectors.common, thumbnails, trust),
        detectors.common,
        kinds,
        batch_size=batch_size,
        threads=workers,
        ahead=2 * batch_size,
    )
    # While the first images are read and decoded: both take a tenth of a second and more.
    with ThreadPoolExecutor(2, "get ready") as pool, closing(stream):
        pool.submit(detectors.common.get_ready, kinds)
        pool.submit(detectors.get_ready)
        judged = (one for batch in stream for one in detectors(batch.images, batch.rows, batch.vectors))
        yield from _with_stability(judged) if stability else (detection for detection, _ in judged)


_Delivered = tuple[Detection, str | None]
"""A detection, and the perturbation under which the image was judged; None: as it came."""


def _with_stability(judged: Iterable[_Delivered]) -> Iterator[Detection]:
    """Each image's own detection, told how its deliveries, which follow it, were judged."""
    own: Detection | None = None
    others: dict[str, Verdict] = {}
    for detection, spec in judged:
        if spec is not None:
            if detection.verdict is not None:
                others[spec] = detection.verdict
            continue
        if own is not None:
            yield _with_answers(own, others)
        own, others = detection, {}
    if own is not None:
        yield _with_answers(own, others)


def _with_answers(detection: Detection, others: Mapping[str, Verdict]) -> Detection:
    verdict = detection.verdict
    if verdict is None:
        return detection
    found = stability_answer(verdict, others)
    reason = flip_reason(verdict.verdict, found)
    if reason is not None:
        verdict = replace(verdict, reasons=(*verdict.reasons, reason))
    return replace(detection, verdict=verdict, stability=found)


def _deliveries(
    items: Iterable[ImageItem], limits: Limits, specs: Sequence[str | None]
) -> Iterator[tuple[_Opened, str | None]]:
    for item in items:
        opened = _Opened(item, limits, len(specs))
        for spec in specs:
            yield opened, spec


class _Opened:
    """An image that is read and decoded once, by the thread that first needs it, for all its deliveries.

    Nothing is kept beyond the last of them: a decoded photograph is large.
    """

    def __init__(self, item: ImageItem, limits: Limits, deliveries: int) -> None:
        self.item = item
        self._limits, self._left = limits, deliveries
        self._lock = threading.Lock()
        self._found: tuple[bytes, Image.Image, ImageFacts] | ImageError | None = None

    def read(self) -> tuple[bytes, Image.Image, ImageFacts]:
        """Bytes, picture and facts, once for each delivery; raises `ImageError` for a bad image."""
        with self._lock:
            found = self._read() if self._found is None else self._found
            self._left -= 1
            self._found = found if self._left else None
        if isinstance(found, ImageError):
            raise found
        return found

    def _read(self) -> tuple[bytes, Image.Image, ImageFacts] | ImageError:
        try:
            data = read_bytes(self.item)
            decoded = decode(data, self._limits, name=self.item.uri)
        except ImageError as error:
            return error
        return data, decoded.image, decoded.facts


@dataclass(frozen=True)
class _Preparation:
    """The decode threads' job for any item and perturbation; never raises for a bad image."""

    encoder: Encoder | EncoderSet
    thumbnails: bool
    trust: TrustList | None

    def __call__(self, delivery: tuple[_Opened, str | None]) -> PreparedImage[_Delivered]:
        opened, spec = delivery
        item = opened.item
        detection = Detection(item.uri, item.label, item.generator)
        try:
            data, image, facts = opened.read()
            with image_errors():
                if spec is not None:
                    change = perturbation(spec)
                    # The generator is by content, so that the same question has the same answer.
                    digest = bytes.fromhex(facts.sha256)
                    image = change(image, image_generator(digest, change.id))
                pixels = self.encoder.transform(image)
                small = thumbnail(image) if self.thumbnails and spec is None else None
        except ImageError as error:
            return PreparedImage((replace(detection, failure=error), spec))
        if spec is not None:
            return PreparedImage((replace(detection, facts=facts), spec), pixels)
        findings = file_provenance(data, self.trust)
        detection = replace(detection, facts=facts, thumbnail=small, provenance=findings)
        return PreparedImage((detection, spec), pixels)


class _Detectors:
    """The detectors over one pass of their encoders: what they say of the images of a batch."""

    def __init__(
        self, bundle: Bundle | Ensemble, encoder: Encoder | EncoderSet, second: SecondDetector | None
    ) -> None:
        self._bundle, self._encoder, self._second = bundle, encoder, second
        self.common = common_encoder(encoder, second)

    def get_ready(self) -> None:
        """Do what the first verdicts would otherwise wait for."""
        self._bundle.get_ready()
        if self._second is not None:
            self._second.bundle.get_ready()

    def __call__(
        self, images: Sequence[_Delivered], rows: Sequence[int], vectors: Mapping[str, NDArray[Any]]
    ) -> list[_Delivered]:
        """The images of a batch, those at `rows` with the verdicts on their vectors."""
        found = list(images)
        if not rows:
            return found
        good = [found[row][0] for row in rows]
        facts = [one.facts for one in good if one.facts is not None]
        features = self._features(good, vectors, self._encoder, self._bundle.kinds)
        verdicts = [
            limited(verdict, one, self._encoder.transform)
            for verdict, one in zip(self._bundle.verdicts(features), facts, strict=True)
        ]
        seconds: list[Second | None] = [None] * len(good)
        if self._second is not None:
            second = self._second
            features = self._features(good, vectors, second.encoder, second.bundle.kinds)
            seconds = [
                second.answer(own, verdict, self._bundle.name)
                for own, verdict in zip(second.verdicts(features, facts), verdicts, strict=True)
            ]
        for row, verdict, other in zip(rows, verdicts, seconds, strict=True):
            detection, spec = found[row]
            found[row] = replace(detection, verdict=verdict, second=other), spec
        return found

    def _features(
        self,
        good: Sequence[Detection],
        vectors: Mapping[str, NDArray[Any]],
        owner: Encoder | EncoderSet,
        kinds: Sequence[str],
    ) -> Features:
        from morelli.features import Features

        return Features.from_arrays(
            part_of(vectors, self.common, owner, kinds),
            build=owner.build,
            uri=[detection.uri for detection in good],
            sha256=[detection.facts.sha256 for detection in good if detection.facts is not None],
        )


def items_of(
    source: str | Path | Sequence[str | Path] | Iterable[ImageItem], limits: Limits | None
) -> Iterable[ImageItem]:
    """The images of paths; images that were listed already stay what they are.

    Raises:
        UsageError: something else than paths and listed images, such as a picture itself.
    """
    if isinstance(source, str | Path):
        return iter_source(source, limits=limits)
    if isinstance(source, Sequence) and not isinstance(source, bytes | bytearray):
        paths = [one for one in source if isinstance(one, str | Path)]
        if len(paths) == len(source):
            return iter_source(paths, limits=limits)
    if not isinstance(source, Iterable):
        raise _no_source(source)
    return _mixed(source, limits)


def _mixed(source: Iterable[Any], limits: Limits | None) -> Iterator[ImageItem]:
    """The images of paths and of listed images, in order."""
    from morelli.images import ImageItem

    for one in source:
        if isinstance(one, ImageItem):
            yield one
        elif isinstance(one, str | Path):
            yield from iter_source(one, limits=limits)
        else:
            raise _no_source(source if isinstance(source, bytes | bytearray) else one)


def _no_source(found: object) -> UsageError:
    kind = type(found).__name__
    return UsageError(
        f"Sources are paths, addresses or image items, not {kind}; a picture or its bytes go to `inspect`."
    )


def counted(understood: SourceReport, item: ImageItem) -> ImageItem:
    """The same image, after `understood` has counted it."""
    understood.count(item)
    return item
