"""What people do with a collection besides looking at it: its columns with counts, feedback, exports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.atlas._collection import Collection
from morelli.atlas._copies import Across, Copies, find_copies
from morelli.atlas._edits import Edits
from morelli.atlas._embeddings import Embeddings
from morelli.atlas._exports import ExportFormat, export_rows
from morelli.atlas._fields import Fields, conditions
from morelli.atlas._locked_cached_property import locked_cached_property
from morelli.atlas._selection import EVERYTHING
from morelli.atlas._tags import COLUMN, Tags
from morelli.errors import ChangedMeanwhileError, MissingPartError, UsageError

if TYPE_CHECKING:
    from morelli.atlas._selection import Mask, Selection, Spec


class CollectionWork(ABC):
    """The part of `Atlas` that works on columns, files and what people say of images."""

    path: Path
    collection: Collection
    edits: Edits
    tags: Tags

    @abstractmethod
    def select(self, spec: Spec) -> Selection:
        """The images that a selection document means."""

    @abstractmethod
    def dimension_names(self) -> list[str]:
        """Names of the dimensions."""

    @abstractmethod
    def _check_row(self, row: int) -> None:
        """Raise `UsageError` where there is no such row."""

    @locked_cached_property
    def embeddings(self) -> Embeddings | None:
        """The encoder's embeddings of all images; None in an atlas that was built without."""
        return Embeddings.open(self.path, len(self.collection))

    def require_embeddings(self) -> Embeddings:
        """The embeddings.

        Raises:
            MissingPartError: the atlas has none.
        """
        if self.embeddings is None:
            raise MissingPartError(
                "no-embeddings",
                "This atlas holds no embeddings to search in: it was built by an earlier version.",
                "Build it again from its table of features.",
            )
        return self.embeddings

    def nearest(self, search: str, *, top: int) -> tuple[list[int], list[float]]:
        """Rows of the `top` images nearest to a search of `embeddings`, nearest first, and their cosines."""
        found = self.require_embeddings().similarities(search)
        order = self.by_nearness(search, None, descending=True)[:top]
        # Embeddings in float16 are not quite of length 1, so that one's cosine to itself may exceed 1.
        return order.tolist(), [round(float(one), 4) for one in np.clip(found[order], -1.0, 1.0)]

    def by_nearness(self, search: str, selection: Selection | None, *, descending: bool) -> NDArray[np.int64]:
        """Rows of a selection by their cosine to a search of `embeddings`."""
        found = self.require_embeddings().similarities(search)
        rows = np.arange(len(found)) if selection is None else selection.rows
        return rows[np.argsort(-found[rows] if descending else found[rows], kind="stable")]

    @locked_cached_property
    def copies(self) -> Copies:
        """Groups of near-duplicates; found when first asked for."""
        return find_copies(self.collection)

    def _copied(self, which: int | Across) -> Mask:
        return self.copies.mask(which)

    @locked_cached_property
    def _fields(self) -> Fields:
        return Fields(self.collection)

    def columns(self, selection: Selection | None = None) -> list[dict[str, Any]]:
        """All columns with their counts, among all images and in a selection; see `Fields.view`.

        A column that the selection has a condition on is counted without that condition.
        """
        mask = None if selection is None else selection.mask
        rest = {} if selection is None else conditions(selection.spec)
        apart = {name: self.select(spec).mask for name, spec in rest.items()}
        tags = self.tags.view(apart.get(COLUMN, mask))
        return [*([] if tags is None else [tags]), *self._fields.view(mask, apart)]

    def tag_images(
        self, selection: Selection, add: Sequence[str], remove: Sequence[str], *, count: int | None = None
    ) -> None:
        """Give the selected images some tags and take others from them, in one step.

        Args:
            selection: which images.
            add: tags to give; new ones are made.
            remove: tags to take away; one that no image has any more is gone.
            count: how many images the caller saw selected.

        Raises:
            UsageError: a name that cannot be a tag's.
            ChangedMeanwhileError: other images are selected by now than `count` says; nothing is changed.
        """
        now = self.select(selection.spec)
        if count is not None and count != now.counts["count"]:
            raise ChangedMeanwhileError(
                "Nothing was tagged: somebody else changed tags or patterns, and "
                f"{now.counts['count']:,} images are selected by now instead of {count:,}. "
                "Look at them again, then repeat the change."
            )
        self.tags.change(now.rows, add, remove)

    def _tagged(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Records of images with their tags."""
        tags = self.tags.of(np.array([one["row"] for one in records], dtype=np.int64))
        for one, names in zip(records, tags, strict=True):
            one["tags"] = names
        return records

    def feedback(self, row: int, label: str, note: str = "") -> tuple[Literal["real", "fake"] | None, int]:
        """Note that an image's verdict is wrong: it is said to be `real` or `fake`.

        Returns what had been said of it before, and of how many images something is said.
        """
        if label not in ("real", "fake"):
            raise UsageError(f"An image is real or fake, not {label!r}.")
        self._check_row(row)
        facts = self.collection.records([row], ["uri", "sha256", "generator", "source"]).to_pylist()[0]
        facts["path"] = facts.pop("uri")
        probability = round(float(self.collection.probabilities[row]), 6)
        before = {one["sha256"]: one["label"] for one in self.edits.read_feedback()}
        self.edits.add_feedback([{**facts, "label": label, "probability": probability, "note": note}])
        earlier = before.get(facts["sha256"])
        kept = len(before.keys() | {facts["sha256"]})
        return ("real" if earlier == "real" else "fake" if earlier == "fake" else None), kept

    def export(self, selection: Selection | None, form: ExportFormat) -> bytes:
        """The selected images as CSV, Parquet, or SHA-256 sums line by line."""
        everything = self.select(EVERYTHING) if selection is None else selection
        return export_rows(self.collection, everything.rows, form, self.dimension_names(), self.tags)
