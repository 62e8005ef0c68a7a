"""From vectors and metadata to rows that can be stored: which are usable, and how they look in Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from morelli.errors import UsageError
from morelli.features._schema import COLUMNS, Dtype, column_of

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.features._features import Floats

NOT_FINITE = "the encoder gave infinite or undefined values for this image"


def finite_rows(vectors: Mapping[str, Floats], count: int) -> npt.NDArray[np.bool_]:
    """(count,) whether all vectors of a row are finite."""
    finite = np.ones(count, dtype=bool)
    for array in vectors.values():
        finite &= np.isfinite(array).reshape(len(array), -1).all(axis=1)
    return finite


def check_range(vectors: Mapping[str, Floats], dtype: Dtype) -> None:
    """Raise `UsageError` where a value cannot be stored in this precision."""
    if dtype != "float16":
        return
    for kind, array in vectors.items():
        largest = float(np.abs(array).max(initial=0))
        if largest > float(np.finfo(np.float16).max):
            raise UsageError(
                f"{kind} reaches {largest:.3g}, float16 holds up to 65504; extract to a table of float32"
            )


def arrow_rows(
    meta: pa.Table, vectors: Mapping[str, Floats], kinds: Sequence[str], dtype: Dtype, schema: pa.Schema
) -> pa.Table:
    """Rows in the table's schema, from the columns beside the vectors and (n, …) arrays by kind."""
    import pyarrow as pa

    arrays: list[Any] = [meta.column(name).cast(schema.field(name).type) for name in COLUMNS]
    item = np.dtype(dtype)
    for kind in kinds:
        flat = np.ascontiguousarray(vectors[kind], dtype=item).reshape(-1)
        field_type = schema.field(column_of(kind)).type
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), type=field_type))
    return pa.Table.from_arrays(arrays, schema=schema)
