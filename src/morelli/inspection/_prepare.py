"""From a file's bytes to what the encoder is fed, with a picture of exactly that."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from morelli.images import Limits, decode, image_errors, image_generator, perturbation
from morelli.inspection._provenance import file_provenance

if TYPE_CHECKING:
    from PIL import Image

    from morelli.images import ImageFacts
    from morelli.images.transforms import Transform
    from morelli.inspection._case import StoredCase
    from morelli.inspection.answers import ProvenanceFinding
    from morelli.provenance import TrustList


Vectors = Mapping[str, npt.NDArray[np.float32]]
"""Features of one image by kind, without a batch axis."""


@dataclass(frozen=True)
class PreparedCase:
    """One picture ready for the encoder, and what its case will hold.

    Attributes:
        id: SHA-256 of the file, or of the file and its edits.
        name: what it is called.
        data: the file; for an edited picture, a lossless file of it.
        pixels: (3, s, s) float32, as the encoder's transform gives them.
        facts: of the original file.
        edits: canonical perturbation, empty for a picture as it came.
        derived_from: id of the original's case.
        provenance: what the original file says of itself.
    """

    id: str
    name: str
    data: bytes
    pixels: npt.NDArray[np.float32]
    facts: ImageFacts
    edits: str = ""
    derived_from: str | None = None
    provenance: tuple[ProvenanceFinding, ...] = ()


def prepare(
    data: bytes, name: str, transform: Transform, limits: Limits, trust: TrustList | None = None
) -> PreparedCase:
    """Decode and transform one file.

    Raises:
        ImageError: it cannot be read, with the reason; crafted files never raise anything else.
    """
    with image_errors():
        decoded = decode(data, limits, name=name)
        pixels = transform(decoded.image)
    findings = file_provenance(data, trust)
    return PreparedCase(decoded.facts.sha256, name, data, pixels, decoded.facts, provenance=findings)


def prepare_edited(
    original: bytes, name: str, spec: str, transform: Transform, limits: Limits
) -> PreparedCase:
    """The picture of `original` changed by the perturbation `spec`, as a case of its own.

    Raises:
        UsageError: an unknown perturbation or value.
        ImageError: the change cannot be made with this picture.
    """
    change = perturbation(spec)
    decoded = decode(original, limits, name=name)
    digest = decoded.facts.sha256
    # By content, so that the same question has the same answer.
    image = change(decoded.image, image_generator(bytes.fromhex(digest), change.id))
    facts = replace(decoded.facts, width=image.width, height=image.height)
    stored = BytesIO()
    _at_most(image, 2048).save(stored, "WEBP", lossless=True, method=0)
    id = hashlib.sha256(f"{digest}+{change.id}".encode()).hexdigest()
    return PreparedCase(id, name, stored.getvalue(), transform(image), facts, change.id, digest)


def edited_again(case: StoredCase, prepared: PreparedCase) -> PreparedCase:
    """An edit of an edited picture as the original after all edits, of which `prepared` is the last.

    What `prepare_edited` saw was the picture that was kept of the earlier edits, which is nobody's file.
    """
    return replace(
        prepared,
        id=hashlib.sha256(f"{case.id}+{prepared.edits}".encode()).hexdigest(),
        facts=replace(case.facts, width=prepared.facts.width, height=prepared.facts.height),
        edits=f"{case.edits}+{prepared.edits}",
        derived_from=case.derived_from,
    )


def as_jpeg(image: Image.Image, quality: int = 92) -> bytes:
    """A JPEG file of an RGB picture."""
    stored = BytesIO()
    image.save(stored, "JPEG", quality=quality, subsampling="4:4:4")
    return stored.getvalue()


def whole_picture(data: bytes, limits: Limits, size: int) -> bytes:
    """A JPEG of the whole picture in the file `data`, at most `size` pixels on its long side.

    Raises:
        ImageError: it cannot be read, with the reason.
    """
    return as_jpeg(_at_most(decode(data, limits).image, size), 88)


def _at_most(image: Image.Image, longest: int) -> Image.Image:
    if max(image.size) <= longest:
        return image
    small = image.copy()
    small.thumbnail((longest, longest))
    return small
