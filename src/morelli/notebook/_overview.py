"""The overview of an atlas: the app's own views, fed by the kernel's messages, one selection for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from morelli.errors import UsageError
from morelli.notebook._frontend import app, script, style

if TYPE_CHECKING:
    from morelli.atlas import Atlas

EVERYTHING: dict[str, Any] = {"and": []}


class OverviewWidget(anywidget.AnyWidget):  # type: ignore[misc]
    """What `morelli.show(atlas)` gives: map, dimensions, patterns and images of the app.

    Attributes:
        selection: what is selected, as a selection document; set it from Python or on the page.
        counts: how many images are selected: `count`, `real`, `fake`, and the error types.
        colour: what the cells show, as the app's address names it: `signature` (all dimensions), `score`,
            `label`, `verdict`, `error`, `generator`, `uncertainty` or `dimension:K`.
        height: in pixels.
        atlas: the atlas that the page shows, opened again when it was built again meanwhile; original images
            are looked for in the folders that the widget was given.

    Raises:
        MissingPartError: the app was not built into this installation.
    """

    _esm = script("shared", "overview")
    _css = style()

    page = traitlets.Unicode(read_only=True).tag(sync=True)
    page_style = traitlets.Unicode(read_only=True).tag(sync=True)
    name = traitlets.Unicode(read_only=True).tag(sync=True)
    selection = traitlets.Dict(EVERYTHING).tag(sync=True)
    counts = traitlets.Dict(read_only=True).tag(sync=True)
    colour = traitlets.Unicode("signature").tag(sync=True)
    height = traitlets.Int(720, min=240, max=4000).tag(sync=True)

    def __init__(self, atlas: Atlas, *, images: Sequence[Path | str] = (), **options: Any) -> None:
        from morelli.server.embedded import EmbeddedAtlas

        built, look = app()
        self._embedded = EmbeddedAtlas(atlas.path, images)
        super().__init__(**options)
        self.set_trait("page", built)
        self.set_trait("page_style", look)
        self.set_trait("name", self._embedded.name)
        self._count()
        self.on_msg(self._answer_page)

    @property
    def atlas(self) -> Atlas:
        """The atlas that the page shows."""
        return self._embedded.atlas

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

    # Requests of the page

    def _answer_page(self, widget: Any, content: Any, buffers: Any) -> None:
        """Answer one request of the page as the server would."""
        if not isinstance(content, Mapping):
            return
        method, address = str(content.get("method", "GET")), str(content.get("address", ""))
        body = content.get("body")
        answer = self._embedded.answer(method, address, body if isinstance(body, str) else None)
        head = {"id": content.get("id"), "status": answer.status, "headers": answer.headers}
        self.send(head, [answer.body])

    def __repr__(self) -> str:
        counts = self.counts
        return f"OverviewWidget({self.name!r}, {counts['count']:,} of {len(self.atlas):,} selected)"
