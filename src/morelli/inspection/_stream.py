"""From a source of images to verdicts, a stream with bounded memory.

Read, decode and transform in threads, encode in batches (`morelli.encoders.encode_stream`), judge. A bad
image becomes a `Detection` with its failure and stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from morelli.encoders import PreparedImage, encode_stream
from morelli.errors import ImageError
from morelli.images import Limits, decode, image_errors, read_bytes, thumbnail
from morelli.inspection._provenance import file_provenance
from morelli.inspection._sentence import verdict_line
from morelli.inspection._small import small_is_out_of_domain

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from morelli.detectors import Bundle, Verdict
    from morelli.encoders import Encoder
    from morelli.images import ImageFacts, ImageItem
    from morelli.inspection.answers import ProvenanceFinding
    from morelli.provenance import TrustList


@dataclass(frozen=True)
class Detection:
    """What became of one image: either `verdict` and `facts`, or `failure`.

    `provenance` is what the file says of itself, the strongest first: evidence apart from the verdict, empty
    where it says nothing. `thumbnail` (RGB, at most 220 pixels) is there when it was asked for.
    """

    uri: str
    label: int | None = None
    generator: str | None = None
    facts: ImageFacts | None = None
    verdict: Verdict | None = None
    failure: ImageError | None = None
    thumbnail: Image.Image | None = field(default=None, repr=False)
    provenance: tuple[ProvenanceFinding, ...] = ()

    def __str__(self) -> str:
        if self.verdict is not None:
            found = self.verdict
            return verdict_line(self.uri, found.verdict, found.probability, found.interval)
        if self.failure is not None:
            return f"{self.uri}: {self.failure.reason}: {self.failure}"
        return self.uri


def detect(
    items: Iterable[ImageItem],
    bundle: Bundle,
    encoder: Encoder,
    *,
    batch_size: int = 16,
    workers: int = 2,
    limits: Limits | None = None,
    thumbnails: bool = False,
    trust: TrustList | None = None,
) -> Iterator[Detection]:
    """Judge every image of `items` with `bundle`, in order, as a stream.

    At most two batches of images are held at a time, however many there are. `workers` threads read and
    decode while the encoder works. Raises `BuildMismatchError` before the first image when `encoder` is not
    the one that the bundle was fitted on.
    """
    bundle.check_build(encoder.build)
    stream = encode_stream(
        items,
        _Preparation(encoder, limits or Limits(), thumbnails, trust),
        encoder,
        bundle.kinds,
        batch_size=batch_size,
        threads=workers,
        ahead=2 * batch_size,
    )
    with closing(stream):
        for batch in stream:
            verdicts = {}
            if batch.rows:
                good = [batch.images[row] for row in batch.rows]
                judged = _judged(good, batch.vectors, bundle, encoder)
                verdicts = dict(zip(batch.rows, judged, strict=True))
            for row, detection in enumerate(batch.images):
                yield replace(detection, verdict=verdicts[row]) if row in verdicts else detection


@dataclass(frozen=True)
class _Preparation:
    """The decode threads' job for any item; never raises for a bad image."""

    encoder: Encoder
    limits: Limits
    thumbnails: bool
    trust: TrustList | None

    def __call__(self, item: ImageItem) -> PreparedImage[Detection]:
        detection = Detection(item.uri, item.label, item.generator)
        try:
            data = read_bytes(item)
            decoded = decode(data, self.limits)
            with image_errors():
                pixels = self.encoder.transform(decoded.image)
                small = thumbnail(decoded.image) if self.thumbnails else None
        except ImageError as error:
            return PreparedImage(replace(detection, failure=error))
        said = file_provenance(data, self.trust)
        detection = replace(detection, facts=decoded.facts, thumbnail=small, provenance=said)
        return PreparedImage(detection, pixels)


def _judged(
    good: Sequence[Detection],
    vectors: Mapping[str, NDArray[Any]],
    bundle: Bundle,
    encoder: Encoder,
) -> list[Verdict]:
    """The verdicts of a batch's readable images, from their vectors (n, …) of each kind."""
    from morelli.features import Features

    features = Features.from_arrays(
        vectors,
        build=encoder.build,
        uri=[detection.uri for detection in good],
        sha256=[detection.facts.sha256 for detection in good if detection.facts is not None],
    )
    return [
        verdict
        if detection.facts is None
        else small_is_out_of_domain(verdict, detection.facts.width, detection.facts.height)
        for verdict, detection in zip(bundle.verdicts(features), good, strict=True)
    ]
