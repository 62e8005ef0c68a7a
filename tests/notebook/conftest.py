"""The small atlas for the widgets, and a kernel's end of their messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from morelli.atlas import Atlas
from tests.notebook.kernel import Kernel


@pytest.fixture
def atlas(planted_atlas_dir: Path) -> Atlas:
    return Atlas.open(planted_atlas_dir)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    """Where widgets made by the test send their messages."""
    with Kernel.listening(monkeypatch) as one:
        yield one
