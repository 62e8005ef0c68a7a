"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import shutil
import zipfile
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import morelli

FLAGS = doctest.ELLIPSIS
NEEDS_ENCODER = {
    "morelli.encoders._encoder",
    "morelli.encoders._last_block",
    "morelli.encoders.direct_paths",
    "morelli.inspection._inspect",
    "morelli.inspection._inspector",
    "morelli.inspection._load",
    "morelli.reports._case_report",
}
"""Modules whose examples judge a photograph with the shipped detector."""


@cache
def examples(module: ModuleType) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


def modules() -> list[str]:
    """The modules whose text holds an example."""
    found = []
    for info in pkgutil.walk_packages(morelli.__path__, "morelli."):
        spec = importlib.util.find_spec(info.name)
        assert spec is not None and spec.origin is not None
        if ">>> " in Path(spec.origin).read_text(encoding="utf-8"):
            found.append(info.name)
    return found


def run(tests: list[doctest.DocTest]) -> list[str]:
    """Run examples; return what went wrong."""
    wrong: list[str] = []
    for test in tests:
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=wrong.append)
    return wrong


@pytest.fixture(scope="module")
def place(tmp_path_factory, photo_dir):
    """A folder with what the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    photo = min(photo_dir.glob("*.jpg"))
    shutil.copy(photo, folder / "photo.jpg")
    with zipfile.ZipFile(folder / "holiday.zip", "w") as archive:
        archive.write(photo, "beach.jpg")
    return folder


SHOWS_ATLAS = {"morelli.notebook._show", "morelli.server.embedded"}

MARKED = [pytest.param(n, marks=pytest.mark.encoder) if n in NEEDS_ENCODER else n for n in modules()]


@pytest.mark.parametrize("name", MARKED)
def test_examples_print_what_they_say(name, place, monkeypatch, request):
    monkeypatch.chdir(place)
    if name in NEEDS_ENCODER:
        request.getfixturevalue("remembered")
    if name == "morelli.notebook._show":
        request.getfixturevalue("built_views")
    if name in SHOWS_ATLAS and not (place / "faces.atlas").exists():
        (place / "faces.atlas").symlink_to(request.getfixturevalue("planted_atlas_dir"))
    tests = examples(importlib.import_module(name))
    assert tests, f"{name} holds >>> outside a docstring that is found"
    assert not run(tests)
    skipped = [test.name for test in tests if any(doctest.SKIP in one.options for one in test.examples)]
    assert not skipped


def test_a_wrong_example_is_noticed():
    text = """Adds.

    >>> 1 + 1
    3
    """
    planted = doctest.DocTestParser().get_doctest(text, {}, "planted", "planted.py", 0)
    assert "Expected:\n    3\nGot:\n    2" in "".join(run([planted]))


def test_as_many_examples_run_as_the_source_holds():
    """Counted twice: by the prompts in the text, and by what the finder hands to the runner."""
    package = Path(morelli.__path__[0])
    written = sum(
        line.strip().startswith(">>> ")
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
    )
    found = sum(len(test.examples) for name in modules() for test in examples(importlib.import_module(name)))
    assert written == found
