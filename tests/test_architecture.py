"""The arrows between rooms, what importing loads, and what the documentation must mention."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "morelli"
DOCS = ROOT / "docs"

# Each room and all that it may import, as docs/architecture.md draws it.
GROUND = {"errors", "palette", "metrics", "artefacts"}
MAY_IMPORT: dict[str, set[str]] = {
    "metrics": set(),
    "artefacts": set(),
    "images": set(),
    "provenance": {"images"},
    "encoders": {"images"},
    "features": {"images", "encoders"},
    "audit": {"images", "features"},
    "detectors": {"images", "encoders", "features"},
    "evaluation": {"images", "encoders", "features", "audit", "detectors"},
    "explanation": {"images", "encoders", "features", "detectors"},
    "atlas": {"images", "encoders", "features", "audit", "detectors", "evaluation", "explanation"},
    "inspection": {
        *("images", "encoders", "features", "audit"),
        *("detectors", "evaluation", "explanation", "atlas"),
    },
}
for above in MAY_IMPORT:
    if above not in GROUND:
        MAY_IMPORT[above] |= {"metrics", "artefacts"}
EVERYTHING = {*MAY_IMPORT, "reports", "server", "notebook", "cli"}
MAY_IMPORT |= {
    "reports": EVERYTHING - {"server", "notebook", "cli"},
    "server": EVERYTHING - {"cli", "notebook"},
    "notebook": EVERYTHING - {"cli"},
    "cli": EVERYTHING,
}

HEAVY = [
    "torch",
    "transformers",
    "sklearn",
    "scipy",
    "faiss",
    "lance",
    "pyarrow",
    "matplotlib",
    "onnx",
    "numpy",
    "PIL",
]


def rooms() -> list[str]:
    return sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())


def room_imports(source: str) -> set[str]:
    """The rooms that a module's text imports, imports inside functions and for types included."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "rooms are imported by their full name"
            names = [node.module or ""]
            if node.module == "morelli":
                names = [f"morelli.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("morelli.")}
    return found


def test_the_reader_of_imports_sees_every_form() -> None:
    text = """
import morelli.images
from morelli import encoders, __version__
from morelli.features._table import FeatureTable
def late():
    from morelli.detectors import Bundle
"""
    assert room_imports(text) & EVERYTHING == {"images", "encoders", "features", "detectors"}


def test_every_room_is_in_the_drawing() -> None:
    assert set(rooms()) <= set(MAY_IMPORT)


@pytest.mark.parametrize("module", ["errors", "palette"])
def test_the_ground_imports_nothing_of_the_project(module: str) -> None:
    assert not room_imports((PACKAGE / f"{module}.py").read_text())


@pytest.mark.parametrize("room", rooms())
def test_arrows_between_rooms_run_one_way(room: str) -> None:
    for path in sorted((PACKAGE / room).rglob("*.py")):
        imported = room_imports(path.read_text()) & EVERYTHING
        forbidden = imported - MAY_IMPORT[room] - {room}
        assert not forbidden, f"{path.relative_to(ROOT)} imports {sorted(forbidden)}, against the arrows"


@pytest.mark.parametrize("room", rooms())
def test_other_rooms_are_used_through_their_front_door(room: str) -> None:
    """A module imports another room's public names, never its private modules."""
    for path in sorted((PACKAGE / room).rglob("*.py")):
        for other in EVERYTHING - {room}:
            private = re.search(rf"(from|import) morelli\.{other}\._\w+", path.read_text())
            assert private is None, (
                f"{path.relative_to(ROOT)}: {private and private.group()} is private to {other}"
            )


def loaded_after(code: str) -> set[str]:
    """The modules in memory after a fresh interpreter ran `code`."""
    script = f"import sys, json\n{code}\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


HELP = """
sys.argv = ["morelli", "--help"]
from morelli.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
"""


@pytest.mark.parametrize(
    "code", ["import morelli", "import morelli.cli", HELP], ids=["package", "cli", "help"]
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    loaded = loaded_after(code)
    assert "morelli" in loaded
    assert not loaded & set(HEAVY)


def test_rooms_other_than_encoders_load_without_torch() -> None:
    code = "\n".join(f"import morelli.{room}" for room in rooms())
    assert not loaded_after(code) & {"torch", "transformers"}


def documentation() -> str:
    return "\n".join(path.read_text() for path in sorted(DOCS.rglob("*.md")))


@pytest.mark.parametrize("room", [room for room in rooms() if room not in {"cli", "server"}])
def test_every_public_name_is_documented(room: str) -> None:
    text = documentation()
    names = importlib.import_module(f"morelli.{room}").__all__
    missing = [name for name in names if not re.search(rf"\b{re.escape(name)}\b", text)]
    assert not missing, f"docs/ says nothing about {missing} of morelli.{room}: add them to docs/api.md"


@pytest.mark.parametrize("page", ["cli", "api"])
def test_references_are_what_the_program_says(page: str) -> None:
    """Both pages are generated; `make docs-reference` writes them anew."""
    script = str(ROOT / "scripts" / f"{page}_reference.py")
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert (DOCS / f"{page}.md").read_text() == result.stdout, "run `make docs-reference`"
