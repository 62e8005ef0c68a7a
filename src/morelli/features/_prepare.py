"""What worker threads do to one image before the encoder sees it: read, recognise, decode, transform.

Pillow and numpy release the interpreter lock for the heavy part, so threads suffice, and nothing has
to be pickled or forked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from morelli.errors import ImageError
from morelli.features._failures import Failure
from morelli.features._schema import FIRST_CLASS

if TYPE_CHECKING:
    from morelli.images import ImageItem, Limits, Perturbation, Transform

Identity = tuple[bytes, str]
"""SHA-256 of the bytes and id of the perturbation ("" for none): what makes a row one of its own."""


Row = dict[str, Any]
"""Metadata of one image by column name."""


@dataclass(frozen=True)
class Known:
    """An image that was there already, told by its content; it was read but not decoded."""

    identity: Identity


@dataclass(frozen=True)
class Prepared:
    """An image ready for the encoder: its row without vectors, and the pixels (3, size, size) float32."""

    identity: Identity
    row: Row
    pixels: npt.NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True)
class Preparation:
    """The worker's job for any item: `__call__` is thread-safe and never raises for a bad image."""

    transform: Transform
    perturbation: Perturbation | None
    limits: Limits
    present: Container[Identity]

    def __call__(self, item: ImageItem) -> Known | Prepared | Failure:
        """Read and prepare one item, or say that it is known or why it cannot be used."""
        try:
            return self._prepare(item)
        except ImageError as error:
            return Failure(item.uri, error.reason, str(error))
        except MemoryError:
            return Failure(item.uri, "out_of_memory", "not enough memory to decode this image")
        except Exception as error:  # a bug met on one image must not lose a night's batch; it is listed
            return Failure(item.uri, "unexpected", f"{type(error).__name__}: {error}")

    def _prepare(self, item: ImageItem) -> Known | Prepared:
        from morelli.images import decode, phash

        data = item.read()
        digest = hashlib.sha256(data).digest()
        changed = self.perturbation.id if self.perturbation else ""
        identity = (digest, changed)
        if identity in self.present:
            return Known(identity)
        decoded = decode(data, self.limits)
        del data
        image, facts = decoded.image, decoded.facts
        others = {k: v for k, v in item.metadata.items() if k not in FIRST_CLASS and v}
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
            image = self.perturbation(image, image_generator(identity))
        return Prepared(identity, row, self.transform(image))


def image_pixels(
    data: bytes, transform: Transform, perturbation: str = "", limits: Limits | None = None
) -> npt.NDArray[np.float32]:
    """(3, s, s) pixels that an extraction gave the encoder for this file, perturbed by the same random draws.

    Raises:
        ImageError: the file cannot be decoded.
        UsageError: no perturbation of that id exists.
    """
    from morelli.images import decode
    from morelli.images import perturbation as named_perturbation

    image = decode(data, limits).image
    if perturbation:
        identity = (hashlib.sha256(data).digest(), perturbation)
        image = named_perturbation(perturbation)(image, image_generator(identity))
    return transform(image)


def image_generator(identity: Identity) -> np.random.Generator:
    """The random generator of one image's perturbation: by content, so that order does not matter."""
    digest, perturbation = identity
    seed = hashlib.sha256(digest + perturbation.encode()).digest()
    return np.random.default_rng(np.frombuffer(seed, dtype=np.uint32))


def _canonical_json(values: dict[str, str]) -> str:
    import json

    return json.dumps(values, ensure_ascii=False, sort_keys=True)
