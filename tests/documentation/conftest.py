"""A desk with small collections, and the real encoder, which remembers what it has seen in this session."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from morelli.encoders import Encoder
from tests.documentation.desk import make_desk
from tests.wheel_photos import GREY, load_photos

if TYPE_CHECKING:
    from PIL import Image


@pytest.fixture(scope="session")
def known() -> dict[tuple[object, ...], dict[str, np.ndarray]]:
    """Features by build, runtime, precision, kinds and pixels."""
    return {}


@pytest.fixture(scope="module")
def remembered(
    real_encoder: Encoder, known: dict[tuple[object, ...], dict[str, np.ndarray]]
) -> Iterator[None]:
    """Pages show the same pictures over and over: each is encoded once, whatever loads the encoder.

    Tests of other folders meet the encoder itself again.
    """
    traced = Encoder.trace

    def trace(self: Encoder, batch: np.ndarray, *, kinds: Collection[str]) -> dict[str, np.ndarray]:
        names = tuple(kinds)
        marks = [hashlib.sha256(np.ascontiguousarray(one)).digest() for one in batch]
        found: list[dict[str, np.ndarray]] = []
        for mark, one in zip(marks, batch, strict=True):
            key = (self.build.fingerprint, self.runtime, self.precision, *names, mark)
            if key not in known:
                known[key] = {kind: rows[0] for kind, rows in traced(self, one[None], kinds=names).items()}
            found.append(known[key])
        return {kind: np.stack([each[kind] for each in found]) for kind in found[0]}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "trace", trace)
        yield


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory, photos: list[tuple[str, Image.Image]]) -> Path:
    """The folder that pages work in; pages that write get a copy."""
    return make_desk(tmp_path_factory.mktemp("desk") / "work", [*photos, *load_photos(GREY)])
