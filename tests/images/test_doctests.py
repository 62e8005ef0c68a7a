from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import morelli.images

MODULES = [info.name for info in pkgutil.iter_modules(morelli.images.__path__, "morelli.images.")]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_public_names_are_documented():
    for name in morelli.images.__all__:
        thing = getattr(morelli.images, name)
        if callable(thing) and not name.isupper():
            assert (thing.__doc__ or "").strip(), name
