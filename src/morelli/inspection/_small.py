"""Pictures that are too small for any verdict."""

from __future__ import annotations

from dataclasses import replace

from morelli.detectors import Verdict

LEAST_SIDE = 32
"""Pixels of the shorter side below which every picture is out of domain: what an encoder then sees is the
interpolation of a few pixels."""


def small_is_out_of_domain(verdict: Verdict, width: int, height: int) -> Verdict:
    """`verdict`, or out of domain where the picture's shorter side is below `LEAST_SIDE` pixels."""
    if min(width, height) >= LEAST_SIDE:
        return verdict
    reason = f"picture of {width} × {height} pixels is too small to say anything; {LEAST_SIDE} are the least"
    kept = [one for one in verdict.reasons if one.startswith("nearest ")]
    return replace(verdict, verdict="out_of_domain", reasons=(reason, *kept), family=None)
