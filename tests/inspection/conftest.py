"""An inspector of a small detector over a small real CLIP."""

from __future__ import annotations

from pathlib import Path

import pytest

import morelli
from morelli.inspection import Inspector
from tests.small_detector import bundle_dir, distilled_dir, features, table

__all__ = ["bundle_dir", "distilled_dir", "features", "table"]


@pytest.fixture(scope="session")
def inspector(bundle_dir: Path, distilled_dir: Path, tiny_clip_dir: Path) -> Inspector:
    return morelli.load(
        bundle_dir, distilled=distilled_dir, weights=tiny_clip_dir, device="cpu", offline=True
    )


@pytest.fixture
def file(collection: Path) -> Path:
    """A generated picture, 64 pixels square or so, as PNG."""
    return sorted((collection / "fake").rglob("*.png"))[7]
