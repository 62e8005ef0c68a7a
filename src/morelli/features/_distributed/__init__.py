"""Extraction on many machines: workers write fragments of the table, one coordinator commits in order."""

from __future__ import annotations

from morelli.features._distributed._coordinator import ClusterJob, extract_on_cluster

__all__ = ["ClusterJob", "extract_on_cluster"]
