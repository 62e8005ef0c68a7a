"""The names that a predictions table knows protocols, perturbations and groups of generators by."""

from __future__ import annotations

LINEAGE = "leave-one-lineage-out"
FAMILY = "leave-one-family-out"
ERA = "by-era"
SOURCE = "by-real-source"
TRANSFER = "transfer"
FIXED = "fixed"
UNIVFD = "univfd"
ROBUSTNESS = "robustness"

SHORT = {
    "lineage": LINEAGE,
    "family": FAMILY,
    "era": ERA,
    "source": SOURCE,
    "transfer": TRANSFER,
    "fixed": FIXED,
    "univfd": UNIVFD,
}
"""Protocols by their short names, which the command line and `evaluate` take."""
EVALUATED: tuple[str, ...] = (LINEAGE, FAMILY, ERA, SOURCE, TRANSFER)
"""Protocols that divide the images of one table."""
POOLED = frozenset({LINEAGE, SOURCE, FIXED, "external"})
"""Protocols whose folds are parts of one set of out-of-fold scores; the others are read fold by fold."""

CLEAN = ""
"""The perturbation of an image as it is."""
ALL = "all"
"""The family of a robustness curve over all generators."""
