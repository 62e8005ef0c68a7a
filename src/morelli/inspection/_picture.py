"""What a verdict is worth on pictures that show little or nothing to the encoder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from morelli.detectors import Verdict
from morelli.images.transforms import seen_part

if TYPE_CHECKING:
    from morelli.images import ImageFacts
    from morelli.images.transforms import Transform

LEAST_SIDE = 32
"""Pixels of the shorter side below which every picture is out of domain: what an encoder then sees is the
interpolation of a few pixels."""
LEAST_SEEN = 1 / 3
"""Share of the longer side below which a verdict says which part of the picture was judged."""


def limited(verdict: Verdict, facts: ImageFacts, transform: Transform) -> Verdict:
    """`verdict`, or out of domain where there is no picture: below `LEAST_SIDE` pixels, or of one colour.

    Of panoramas and strips, which an encoder sees cut to the middle, a reason says so.
    """
    width, height = facts.width, facts.height
    if min(width, height) < LEAST_SIDE:
        words = (
            f"picture of {width} × {height} pixels is too small to say anything; {LEAST_SIDE} are the least"
        )
    elif facts.plain:
        words = "the picture is of one colour throughout: there is nothing to judge"
    else:
        part = seen_part(transform, width, height)
        if max(part) >= LEAST_SEEN * max(width, height):
            return verdict
        sizes = f"{part[0]:,} × {part[1]:,} of {width:,} × {height:,} pixels"
        cut = f"only the middle {sizes} was judged; judge other parts as pictures of their own"
        return replace(verdict, reasons=(*verdict.reasons, cut))
    kept = [one for one in verdict.reasons if one.startswith("nearest ")]
    return replace(verdict, verdict="out_of_domain", reasons=(words, *kept), family=None)
