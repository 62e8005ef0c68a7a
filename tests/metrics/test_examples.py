"""Examples in the docstrings of the metrics give what they print."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import morelli.metrics
from morelli.metrics import resampling

MODULES = [f"morelli.metrics.{module.name}" for module in pkgutil.iter_modules(morelli.metrics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("room", [morelli.metrics, resampling], ids=lambda room: room.__name__)
def test_every_function_has_an_example(room: object) -> None:
    functions = [name for name in room.__all__ if inspect.isfunction(getattr(room, name))]
    without = [name for name in functions if ">>> " not in (inspect.getdoc(getattr(room, name)) or "")]
    assert functions
    assert not without
