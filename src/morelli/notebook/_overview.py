"""The overview of an atlas: drawn in the notebook, data by the kernel's messages, one selection for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from morelli.errors import MorelliError, UsageError
from morelli.notebook._frontend import script, style
from morelli.notebook._tiles import image_answer, packed

if TYPE_CHECKING:
    from morelli.atlas import Atlas

EVERYTHING: dict[str, Any] = {"and": []}
MOST_PICTURES = 200
"""Thumbnails in one message."""


class OverviewWidget(anywidget.AnyWidget):  # type: ignore[misc]
    """What `morelli.show(atlas)` gives.

    Attributes:
        selection: what is selected, as a selection document; set it from Python or with the mouse.
        counts: how many images are selected: `count`, `real`, `fake`, and the error types.
        colour: `signature` (all dimensions), `probability`, `label` or `error`.
        height: of map and images, below the tools, in pixels.
        atlas: the atlas itself.
    """

    _esm = script("shared", "panel", "map", "gallery", "overview")
    _css = style()

    info = traitlets.Dict(read_only=True).tag(sync=True)
    selection = traitlets.Dict(EVERYTHING).tag(sync=True)
    counts = traitlets.Dict(read_only=True).tag(sync=True)
    colour = traitlets.Enum(["signature", "probability", "label", "error"], "signature").tag(sync=True)
    height = traitlets.Int(520, min=240, max=4000).tag(sync=True)

    def __init__(self, atlas: Atlas, **options: Any) -> None:
        self.atlas = atlas
        super().__init__(**options)
        everything = atlas.select(EVERYTHING)
        self.set_trait(
            "info",
            {
                "name": atlas.record.name,
                "images": len(atlas),
                "levels": atlas.record.levels,
                "dimensions": atlas.record.dimensions,
                "names": atlas.dimension_names(),
                "weights": [float(w) for w in atlas.distilled.w],
                "encoder": atlas.record.build.encoder,
                "everything": dict(everything.counts),
                "maps": atlas.record.patches > 0,
            },
        )
        self._count()
        self.on_msg(self._asked)

    # The selection, for Python

    @property
    def selected_rows(self) -> NDArray[np.int64]:
        """Row numbers of the selected images, ascending."""
        return self.atlas.select(self.selection).rows

    def select_rows(self, rows: Sequence[int] | NDArray[np.integer]) -> None:
        """Select images by row number; numbers that do not exist are ignored."""
        self.selection = {"rows": [int(row) for row in np.unique(np.asarray(rows, dtype=np.int64))]}

    def clear(self) -> None:
        """Select everything again."""
        self.selection = EVERYTHING

    @traitlets.validate("selection")
    def _evaluated(self, proposal: Any) -> Any:
        try:
            self.atlas.select(proposal["value"])
        except UsageError as error:
            raise traitlets.TraitError(str(error)) from error
        return proposal["value"]

    @traitlets.observe("selection")
    def _selected(self, change: Any) -> None:
        self._count()

    def _count(self) -> None:
        found = self.atlas.select(self.selection)
        self.set_trait("counts", {"key": found.key, **found.counts})

    # Messages of the page

    def _asked(self, widget: Any, content: Any, buffers: Any) -> None:
        """Answer one question; what goes wrong is said in the widget and not lost in a log."""
        number = content.get("id") if isinstance(content, Mapping) else None
        try:
            answer, more = self._answer(content)
        except (MorelliError, KeyError, TypeError, ValueError) as error:
            answer, more = {"kind": "problem", "text": str(error) or type(error).__name__}, []
        self.send({**answer, "id": number}, more)

    def _answer(self, asked: Any) -> tuple[dict[str, Any], list[bytes]]:
        atlas = self.atlas
        match asked["kind"]:
            case "tile":
                level, tx, ty = (int(asked[name]) for name in ("level", "tx", "ty"))
                chosen = atlas.select(self.selection)
                columns, buffers = packed(atlas.tile(level, tx, ty, selection=chosen))
                return {"kind": "tile", "key": chosen.key, "columns": columns}, buffers
            case "rows":
                chosen = atlas.select(self.selection)
                rows = atlas.rows(
                    chosen,
                    sort=str(asked.get("sort", "row")),
                    descending=bool(asked.get("descending", False)),
                    offset=int(asked["offset"]),
                    limit=int(asked["limit"]),
                )
                return {"kind": "rows", "key": chosen.key, "rows": rows}, []
            case "thumbs":
                wanted = [int(row) for row in asked["rows"]][:MOST_PICTURES]
                found = [(row, atlas.thumbnail(row)) for row in wanted]
                there = [(row, picture) for row, picture in found if picture is not None]
                return {"kind": "thumbs", "rows": [row for row, _ in there]}, [one for _, one in there]
            case "image":
                return image_answer(atlas, int(asked["row"]))
        raise UsageError(f"The widget does not know the question {str(asked['kind'])[:40]!r}.")

    def __repr__(self) -> str:
        counts = self.counts
        return (
            f"OverviewWidget({self.info['name']!r}, {counts['count']:,} of {self.info['images']:,} selected)"
        )
