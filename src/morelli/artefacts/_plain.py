"""Results as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np


def plain_json(value: Any) -> Any:
    """Dataclasses, mappings, sequences and numbers as JSON values; numbers that JSON lacks become null."""
    if hasattr(value, "__dataclass_fields__"):
        return {k: plain_json(getattr(value, k)) for k in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(k): plain_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not isfinite(value) else value
