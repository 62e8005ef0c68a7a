"""Inspection: from an image's bytes to verdict, evidence, relevance maps, neighbours and a sentence.

`load`, which is `morelli.load` too, gives an `Inspector`: `detect` for a whole source, `inspect` for one
image. The command line, the server and the notebook answer through it, and so give the same answers.
"""

from __future__ import annotations

from morelli.inspection._case import StoredCase
from morelli.inspection._inspect import Inspection, image_file
from morelli.inspection._inspector import Inspector
from morelli.inspection._load import load
from morelli.inspection._prepare import PreparedCase, Vectors, whole_picture
from morelli.inspection._sentence import percent
from morelli.inspection._stability import STABILITY_PERTURBATIONS, stability_answer
from morelli.inspection._stream import Detection

__all__ = [
    "STABILITY_PERTURBATIONS",
    "Detection",
    "Inspection",
    "Inspector",
    "PreparedCase",
    "StoredCase",
    "Vectors",
    "image_file",
    "load",
    "percent",
    "stability_answer",
    "whole_picture",
]
