"""Provenance: what a file says about itself, as evidence apart from any verdict on its pixels.

Content Credentials, IPTC fields, generator metadata, camera data and watermarks. It may raise suspicion and
never lowers it; absence proves nothing. Nothing is fetched from the network.
"""

from __future__ import annotations

from morelli.provenance._finding import Finding, Provenance
from morelli.provenance._read import read_provenance
from morelli.provenance._trust import TrustList
from morelli.provenance._watermark import InvisibleWatermark, WatermarkReader

__all__ = [
    "Finding",
    "InvisibleWatermark",
    "Provenance",
    "TrustList",
    "WatermarkReader",
    "read_provenance",
]
