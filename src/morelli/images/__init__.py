"""Images: bytes in, safe RGB out.

Sources (file, folder, glob, manifest, archive, webdataset shard), decoding under limits, the
encoders' transforms, and the perturbations of robustness tests. Everything here is thread-safe
and loads no torch.
"""

from __future__ import annotations

from morelli.images._decode import ImageFacts, decode
from morelli.images._files import file_item
from morelli.images._item import ImageItem
from morelli.images._limits import Limits
from morelli.images._perturb import Perturbation, image_generator, perturbation
from morelli.images._phash import phash
from morelli.images._problems import image_errors
from morelli.images._quiet import quiet_pillow
from morelli.images._reading import read_bytes, read_image
from morelli.images._seen import as_seen
from morelli.images._sniff import sniff
from morelli.images._sources import iter_source
from morelli.images._threads import in_threads
from morelli.images._thumbnail import thumbnail

__all__ = [
    "ImageFacts",
    "ImageItem",
    "Limits",
    "Perturbation",
    "as_seen",
    "decode",
    "file_item",
    "image_errors",
    "image_generator",
    "in_threads",
    "iter_source",
    "perturbation",
    "phash",
    "quiet_pillow",
    "read_bytes",
    "read_image",
    "sniff",
    "thumbnail",
]
