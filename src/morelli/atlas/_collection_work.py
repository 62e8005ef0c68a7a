"""What people do with a collection besides looking at it: its columns with counts, feedback, exports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from morelli.atlas._collection import Collection
from morelli.atlas._edits import Edits
from morelli.atlas._exports import ExportFormat, export_rows
from morelli.atlas._fields import Fields, conditions
from morelli.atlas._once import once
from morelli.atlas._selection import EVERYTHING
from morelli.errors import UsageError

if TYPE_CHECKING:
    from morelli.atlas._selection import Selection, Spec


class CollectionWork(ABC):
    """The part of `Atlas` that works on columns, files and what people say of images."""

    collection: Collection
    edits: Edits

    @abstractmethod
    def select(self, spec: Spec) -> Selection:
        """The images that a selection document means."""

    @abstractmethod
    def dimension_names(self) -> list[str]:
        """Names of the dimensions."""

    @abstractmethod
    def _check_row(self, row: int) -> None:
        """Raise `UsageError` where there is no such row."""

    @once
    def _fields(self) -> Fields:
        return Fields(self.collection)

    def columns(self, selection: Selection | None = None) -> list[dict[str, Any]]:
        """All columns with their counts, among all images and in a selection; see `Fields.view`.

        A column that the selection has a condition on is counted without that condition.
        """
        if selection is None:
            return self._fields.view(None, {})
        apart = {name: self.select(rest).mask for name, rest in conditions(selection.spec).items()}
        return self._fields.view(selection.mask, apart)

    def feedback(self, row: int, label: str, note: str = "") -> None:
        """Note that an image's verdict is wrong: it is said to be `real` or `fake`."""
        if label not in ("real", "fake"):
            raise UsageError(f"An image is real or fake, not {label!r}.")
        self._check_row(row)
        facts = self.collection.records([row], ["uri", "sha256", "generator", "source"]).to_pylist()[0]
        facts["path"] = facts.pop("uri")
        probability = round(float(self.collection.probabilities[row]), 6)
        self.edits.add_feedback([{**facts, "label": label, "probability": probability, "note": note}])

    def export(self, selection: Selection | None, form: ExportFormat) -> bytes:
        """The selected images as CSV, Parquet, or SHA-256 sums line by line."""
        everything = self.select(EVERYTHING) if selection is None else selection
        return export_rows(self.collection, everything.rows, form, self.dimension_names())
