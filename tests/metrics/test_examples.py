"""Every metric shows an example; tests/documentation runs them."""

from __future__ import annotations

import inspect

import pytest

import morelli.metrics
from morelli.metrics import resampling


@pytest.mark.parametrize("room", [morelli.metrics, resampling], ids=lambda room: room.__name__)
def test_every_function_has_an_example(room: object) -> None:
    functions = [name for name in room.__all__ if inspect.isfunction(getattr(room, name))]
    without = [name for name in functions if ">>> " not in (inspect.getdoc(getattr(room, name)) or "")]
    assert functions
    assert not without
