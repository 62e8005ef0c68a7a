"""What the overview's page is sent: columns of cells as buffers, and all about one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.atlas import Atlas

_WHOLE = ("cell", "ix", "iy", "count", "selected", "real", "fake", "fp", "fn")


def packed(table: pa.Table) -> tuple[list[dict[str, Any]], list[bytes]]:
    """A tile's columns as little-endian buffers, and what each is: name, type, values per cell.

    `exemplar` is the row number of each cell's most typical image, −1 where the cell has none.
    """
    columns: list[dict[str, Any]] = []
    buffers: list[bytes] = []

    def add(name: str, values: Any, type: str, width: int = 1) -> None:
        columns.append({"name": name, "type": type, "width": width})
        buffers.append(np.ascontiguousarray(values, dtype="<i4" if type == "int32" else "<f4").tobytes())

    for name in _WHOLE:
        add(name, table[name].to_numpy(), "int32")
    add("probability", np.nan_to_num(table["probability"].to_numpy(), nan=0.5), "float32")
    impact = table["impact"].combine_chunks()
    width = impact.type.list_size
    add("impact", np.nan_to_num(impact.flatten().to_numpy(zero_copy_only=False)), "float32", width)
    first = [one[0] if one else -1 for one in table["exemplars"].to_pylist()]
    add("exemplar", first, "int32")
    return columns, buffers


def image_answer(atlas: Atlas, row: int) -> tuple[dict[str, Any], list[bytes]]:
    """One image as the check panel shows it; buffers: its thumbnail (may be empty) and relevance maps."""
    known = atlas.image(row)
    low, high = atlas.collection.base_thresholds
    maps = b""
    if atlas.record.patches and atlas.pixels is not None:
        dimensions = [*range(atlas.record.dimensions), None]
        maps = np.stack([atlas.relevance(row, k) for k in dimensions]).astype("<f4").tobytes()
    label = {"real": "real", "fake": "generated"}.get(str(known["label"]), "of unknown origin")
    said = f"{label}, by {known['generator']}" if known["generator"] and known["label"] == "fake" else label
    case = {
        "name": str(known["uri"]).replace("\\", "/").rsplit("/", 1)[-1],
        "verdict": known["verdict"],
        "probability": known["probability"],
        "interval": None,
        "thresholds": {"real": low, "ai": high},
        "sentence": f"Image {row} of the atlas, said to be {said}. The figures are held out: the map behind "
        "them was fitted without this image and what it is related to.",
        "reasons": [
            f"the atlas calls an image generated from {high:.2f} on, and real up to {low:.2f}",
        ],
        "facts": {name: known.get(name) for name in ("format", "width", "height", "bytes", "sha256")},
        "distilled": {
            "names": atlas.dimension_names(),
            "impacts": known["impacts"],
            "bias": known["bias"],
            "logit": known["logit"],
        },
    }
    grid = round(atlas.record.patches**0.5) if maps else 0
    picture = atlas.thumbnail(row) or b""
    return {"kind": "image", "row": row, "case": case, "grid": grid}, [picture, maps]
