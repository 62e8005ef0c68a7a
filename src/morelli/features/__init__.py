"""The feature table: what a frozen encoder saw, kept once for everything that reads it.

`extract` fills a `FeatureTable` from a source of images; `Features` is what comes out of it and what
detectors, evaluation and explanation take. Importing this room loads neither torch nor Lance.
"""

from __future__ import annotations

from morelli.features._extract import extract
from morelli.features._features import Features
from morelli.features._groups import RealGroups, near_duplicates
from morelli.features._lance import is_panic, open_dataset
from morelli.features._prepare import image_pixels
from morelli.features._schema import metadata_schema
from morelli.features._table import FeatureTable

__all__ = [
    "FeatureTable",
    "Features",
    "RealGroups",
    "extract",
    "image_pixels",
    "is_panic",
    "metadata_schema",
    "near_duplicates",
    "open_dataset",
]
