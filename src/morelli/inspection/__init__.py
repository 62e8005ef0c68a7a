"""Inspection: from an image's bytes to verdict, evidence, relevance maps, neighbours and a sentence.

`load`, which is `morelli.load` too, gives an `Inspector`: `detect` for a whole source, `inspect` for one
image. The command line, the server and the notebook answer through it, and so give the same answers.
"""

from __future__ import annotations

from morelli.inspection._answers import (
    Case,
    Delivery,
    Distilled,
    Evidence,
    EvidencePart,
    Facts,
    NeighborAnswer,
    Neighbors,
    Share,
    Stability,
    Thresholds,
    Versions,
    Word,
)
from morelli.inspection._case import StoredCase
from morelli.inspection._inspect import Inspection, image_file
from morelli.inspection._inspector import Inspector, Vectors
from morelli.inspection._load import load
from morelli.inspection._prepare import PreparedCase, whole_picture
from morelli.inspection._sentence import percent, verdict_line
from morelli.inspection._stability import STABILITY_PERTURBATIONS, stability_answer
from morelli.inspection._stream import Detection, detect

__all__ = [
    "STABILITY_PERTURBATIONS",
    "Case",
    "Delivery",
    "Detection",
    "Distilled",
    "Evidence",
    "EvidencePart",
    "Facts",
    "Inspection",
    "Inspector",
    "NeighborAnswer",
    "Neighbors",
    "PreparedCase",
    "Share",
    "Stability",
    "StoredCase",
    "Thresholds",
    "Vectors",
    "Versions",
    "Word",
    "detect",
    "image_file",
    "load",
    "percent",
    "stability_answer",
    "verdict_line",
    "whole_picture",
]
