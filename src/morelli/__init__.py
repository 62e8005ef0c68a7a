"""Morelli: detect AI-generated images, measure detectors honestly, explain and explore their tells.

Importing the package loads no heavy library; each room (`morelli.images`, `morelli.encoders`, …)
is loaded when it is first touched.
"""

from __future__ import annotations

__version__ = "0.1.0"
