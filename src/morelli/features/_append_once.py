"""Appends that are tried again after Ctrl-C, and land once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from morelli.features._table import FeatureTable


class AppendOnce:
    """Appends of one writer to a table whose lock it holds.

    Python raises KeyboardInterrupt when a library's call has returned: the new version is there, and the
    writer does not know of it. What it writes on its way out, all that is left, would be the same rows again.
    """

    def __init__(self, table: FeatureTable) -> None:
        self._table = table
        self._before: int | None = None

    def run(self, write: Callable[[], None]) -> None:
        """Call `write`, which appends one version, unless an interrupted call of the same rows did."""
        if self._before is None:
            self._before = self._table.version
        else:
            self._table.refresh()
        if self._table.version == self._before:
            write()

    def landed(self) -> None:
        """The writer has forgotten the rows: the next call is of others."""
        self._before = None
