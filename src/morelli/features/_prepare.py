"""What decode threads do to one image before the encoder sees it: read, recognise, decode, transform.

Pillow and numpy release the interpreter lock for the heavy part, so threads suffice, and nothing has
to be pickled or forked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from morelli.errors import ImageError
from morelli.features._failures import Failure
from morelli.features._schema import FIRST_CLASS

if TYPE_CHECKING:
    from morelli.encoders import PreparedImage
    from morelli.images import ImageItem, Limits, Perturbation
    from morelli.images.transforms import Transform

Identity = tuple[bytes, str]
"""SHA-256 of the bytes and id of the perturbation ("" for none): what makes a row one of its own."""


LONGEST_TOOL = 80

Row = dict[str, Any]
"""Metadata of one image by column name."""


@dataclass(frozen=True)
class KnownImage:
    """An image that was there already, recognised by its content; it was read but not decoded."""

    identity: Identity
    uri: str
    label: int | None
    generator: str | None = None


@dataclass(frozen=True)
class NewImage:
    """An image that the table does not hold: its row without vectors."""

    identity: Identity
    row: Row


@dataclass(frozen=True)
class Preparation:
    """The decode threads' job for any item: `__call__` is thread-safe and never raises for a bad image."""

    transform: Transform
    perturbation: Perturbation | None
    limits: Limits
    present: Container[Identity]

    def __call__(self, item: ImageItem) -> PreparedImage[NewImage | KnownImage | Failure]:
        """Read and prepare one item, or state that it is known or why it cannot be used."""
        from morelli.encoders import PreparedImage
        from morelli.images import image_errors

        try:
            with image_errors():
                return self._prepare(item)
        except ImageError as error:
            return PreparedImage(Failure(item.uri, error.reason, str(error)))

    def _prepare(self, item: ImageItem) -> PreparedImage[NewImage | KnownImage | Failure]:
        from morelli.encoders import PreparedImage
        from morelli.images import decode, image_generator, phash, read_bytes

        data = read_bytes(item)
        digest = hashlib.sha256(data).digest()
        changed = self.perturbation.id if self.perturbation else ""
        identity = (digest, changed)
        if identity in self.present:
            return PreparedImage(KnownImage(identity, item.uri, item.label, item.generator))
        decoded = decode(data, self.limits)
        statements = _statements(data)
        del data
        image, facts = decoded.image, decoded.facts
        others = statements | {k: v for k, v in item.metadata.items() if k not in FIRST_CLASS and v}
        row = {
            "sha256": digest.hex(),
            "perturbation": changed,
            "uri": item.uri,
            "label": item.label,
            "generator": item.generator,
            **{name: item.metadata.get(name) or None for name in FIRST_CLASS},
            "metadata": _canonical_json(others) if others else None,
            "width": facts.width,
            "height": facts.height,
            "bytes": facts.bytes,
            "format": facts.format,
            "jpeg_quality": facts.jpeg_quality,
            "has_icc": facts.has_icc,
            "has_exif": facts.has_exif,
            "notes": "; ".join(facts.notes) or None,
            "phash": phash(image),
        }
        if self.perturbation:
            image = self.perturbation(image, image_generator(digest, changed))
        return PreparedImage(NewImage(identity, row), self.transform(image))


def _statements(data: bytes) -> dict[str, str]:
    """What the file says of itself, its strongest claim: `provenance_claims`, `_strength` and `_tool`."""
    from morelli.provenance import read_provenance

    try:
        findings = read_provenance(data).findings
    except Exception:  # evidence beside the features: whatever a reader trips over, the image is encoded
        return {}
    claim = next((one for one in findings if one.claims != "none"), None)
    if claim is None:
        return {}
    found = {
        "claims": claim.claims,
        "strength": claim.strength,
        "tool": "".join(c for c in claim.tool or "" if c.isprintable())[:LONGEST_TOOL],
    }
    return {f"provenance_{name}": value for name, value in found.items() if value}


def image_pixels(
    data: bytes, transform: Transform, perturbation: str = "", limits: Limits | None = None
) -> npt.NDArray[np.float32]:
    """(3, s, s) pixels that an extraction gave the encoder for this file, perturbed by the same random draws.

    Raises:
        ImageError: the file cannot be decoded, perturbed or transformed.
        UsageError: no perturbation of that id exists.
    """
    from morelli.images import decode, image_errors, image_generator
    from morelli.images import perturbation as named_perturbation

    change = named_perturbation(perturbation) if perturbation else None
    with image_errors():
        image = decode(data, limits).image
        if change:
            image = change(image, image_generator(hashlib.sha256(data).digest(), perturbation))
        return transform(image)


def _canonical_json(values: dict[str, str]) -> str:
    import json

    return json.dumps(values, ensure_ascii=False, sort_keys=True)
