"""What gives a generator away, and what to throw out: residuals, component removal, isotropy, transfer."""

from __future__ import annotations

from morelli.explanation._erasure import Eraser, leace, one_hot, pca_basis, residual_basis
from morelli.explanation._isotropy import (
    Isotropy,
    isoscore,
    isotropy,
    mean_cosine,
    partition_ratio,
    top_share,
)
from morelli.explanation._residuals import (
    Residual,
    ResidualSet,
    fit_residual,
    residual,
    residual_direction,
    residuals,
)
from morelli.explanation._transfer import (
    Context,
    Difference,
    TransferMatrix,
    auc,
    difference,
    discriminant,
    fit_discriminant,
    real_halves,
    transfer_matrix,
)
from morelli.explanation.components import ComponentMask, fit_masked, select_components

__all__ = [
    "ComponentMask",
    "Context",
    "Difference",
    "Eraser",
    "Isotropy",
    "Residual",
    "ResidualSet",
    "TransferMatrix",
    "auc",
    "difference",
    "discriminant",
    "fit_discriminant",
    "fit_masked",
    "fit_residual",
    "isoscore",
    "isotropy",
    "leace",
    "mean_cosine",
    "one_hot",
    "partition_ratio",
    "pca_basis",
    "real_halves",
    "residual",
    "residual_basis",
    "residual_direction",
    "residuals",
    "select_components",
    "top_share",
    "transfer_matrix",
]
