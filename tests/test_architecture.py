"""The arrows between rooms, what importing loads, and what the documentation must mention."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.documentation.pages import written_pages

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "morelli"
DOCS = ROOT / "docs"

# Each room and all that it may import, as docs/architecture.md draws it.
GROUND = {"errors", "extras", "palette", "metrics", "artefacts"}
MAY_IMPORT: dict[str, set[str]] = {
    "metrics": set(),
    "artefacts": set(),
    "images": set(),
    "provenance": {"images"},
    "encoders": {"images"},
    "features": {"images", "provenance", "encoders"},
    "audit": {"images", "features", "provenance"},
    "detectors": {"images", "encoders", "features"},
    "evaluation": {"images", "encoders", "features", "audit", "detectors"},
    "explanation": {"images", "encoders", "features", "detectors"},
    "atlas": {"images", "encoders", "features", "audit", "detectors", "evaluation", "explanation"},
    "inspection": {
        *("images", "provenance", "encoders", "features", "audit"),
        *("detectors", "evaluation", "explanation", "atlas"),
    },
}
for above in MAY_IMPORT:
    if above not in GROUND:
        MAY_IMPORT[above] |= {"metrics", "artefacts"}
EVERYTHING = {*MAY_IMPORT, "reports", "recipes", "server", "notebook", "cli"}
MAY_IMPORT |= {
    "reports": EVERYTHING - {"recipes", "server", "notebook", "cli"},
    "recipes": EVERYTHING - {"server", "notebook", "cli"},
    "server": EVERYTHING - {"recipes", "cli", "notebook"},
    "notebook": EVERYTHING - {"recipes", "cli"},
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


@pytest.mark.parametrize("module", ["errors", "extras", "palette"])
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


def module_sources() -> dict[str, str]:
    """The text of every module by its full name; a package's `__init__` counts as the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def module_imports(sources: dict[str, str]) -> dict[str, set[str]]:
    """The modules that each imports; `from package import name` is the submodule where there is one."""
    graph: dict[str, set[str]] = {name: set() for name in sources}
    for name, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom):
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [one if one in sources else str(node.module) for one in whole]
            elif isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            else:
                continue
            graph[name] |= {target for target in targets if target in sources and target != name}
    return graph


def circles(graph: dict[str, set[str]]) -> set[tuple[str, ...]]:
    """Groups of more than one module that all import each other, directly or by way of others."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for target in graph[waiting.pop()] - seen:
                seen.add(target)
                waiting.append(target)
        return seen

    behind = {name: reached(name) for name in graph}
    groups = {tuple(sorted({b for b in behind[a] if a in behind[b]} | {a})) for a in graph}
    return {group for group in groups if len(group) > 1}


def test_the_search_for_circles_sees_late_imports_and_submodules() -> None:
    sources = {
        "p": "from p.a import f",
        "p.a": "def f():\n    from p import b",
        "p.b": "if TYPE_CHECKING:\n    import p.c",
        "p.c": "from p.a import f",
    }
    assert circles(module_imports(sources)) == {("p.a", "p.b", "p.c")}


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert not circles(module_imports(module_sources()))


def test_only_load_and_show_reach_up_from_the_root_package() -> None:
    """The root may import rooms for its two entry points; below, nothing imports what the root offers."""
    graph = module_imports(module_sources())
    own = {"morelli._lazy", "morelli._version"}
    assert graph["morelli"] == own | {"morelli.inspection", "morelli.notebook"}
    below = set(graph) - {"morelli", "morelli.__main__"}
    assert not {name for name in below if "morelli" in graph[name]}
    ground = below - {name for name in below if name.split(".")[1] in rooms()}
    assert not {name for name in ground if graph[name]}


def test_names_loaded_late_are_those_that_type_checkers_see() -> None:
    """Each is imported under TYPE_CHECKING from the module that it is loaded from."""
    found = 0
    for package, source in module_sources().items():
        tree = ast.parse(source)
        late = [
            ast.literal_eval(node.args[1])
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_names"
        ]
        if not late:
            continue
        (typed,) = (
            node
            for node in tree.body
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        )
        imported = {
            alias.name: str(node.module).removeprefix(f"{package}.")
            for node in typed.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert late == [imported], package
        found += 1
    assert found >= 5


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


def test_torch_is_imported_by_towers_alone() -> None:
    """Elsewhere not even late: gradients and forward passes come from numpy or from the runtime."""
    arrays = (
        "_attention_pass",
        "_class_parts",
        "direct_paths",
        "_kept_patches",
        "_last_block",
        "_vit_arrays",
        "_vit_weights",
    )
    importing = set()
    for name, source in module_sources().items():
        for node in ast.walk(ast.parse(source)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if {one.partition(".")[0] for one in names} & {"torch", "transformers"}:
                importing.add(name)
    assert "morelli.encoders._vit" in importing
    assert not {name for name in importing if not name.startswith("morelli.encoders.")}
    assert not importing & {f"morelli.encoders.{module}" for module in arrays}


# Modules beside the doors that other rooms and users import too: one idea each, small enough to list nowhere.
PUBLIC_MODULES = {
    *("__main__", "errors", "extras", "palette"),
    *("artefacts.schema", "artefacts.outputs", "artefacts.targets", "artefacts.tensors", "artefacts.text"),
    *("encoders.cluster", "encoders.direct_paths", "encoders.store", "explanation.deciding"),
    *("evaluation.projection", "evaluation.protocols", "evaluation.streams"),
    *("images.layouts", "images.transforms", "inspection.answers"),
    *("metrics.odds", "metrics.probabilities", "metrics.resampling", "metrics.shares", "metrics.streams"),
    *("recipes.plans", "recipes.run", "server.deployment", "server.embedded"),
}
MOST_NAMES, MOST_AT_ONE_DOOR = 236, 45


def doors() -> dict[str, list[str]]:
    """The public names of every package, as its `__init__` lists them."""
    found = {}
    for path in sorted(PACKAGE.rglob("__init__.py")):
        name = ".".join(path.parent.relative_to(PACKAGE.parent).parts)
        if "._" in name:  # a room's own folder of modules
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                found[name] = ast.literal_eval(node.value)
    return found


def test_the_doors_are_narrow() -> None:
    listed = doors()
    assert set(listed) == {name for name in module_sources() if is_package(name) and "._" not in name}
    assert max(map(len, listed.values())) <= MOST_AT_ONE_DOOR
    assert sum(map(len, listed.values())) <= MOST_NAMES


def is_package(name: str) -> bool:
    return (PACKAGE.parent / name.replace(".", "/") / "__init__.py").is_file()


def test_a_name_has_one_door() -> None:
    """The root package alone repeats two names, `load` and `show`, for people at a prompt."""
    places: dict[int, list[str]] = {}
    for door, names in doors().items():
        module = importlib.import_module(door)
        for name in names:
            if door != "morelli":
                places.setdefault(id(getattr(module, name)), []).append(f"{door}.{name}")
    assert not [where for where in places.values() if len(where) > 1]


def test_public_modules_are_few_and_known() -> None:
    modules = {name.removeprefix("morelli.") for name in module_sources() if not is_package(name)}
    assert {name for name in modules if not re.search(r"(^|\.)_(?!_)", name)} == PUBLIC_MODULES


@pytest.mark.parametrize("door", doors())
def test_public_names_have_docstrings(door: str) -> None:
    module = importlib.import_module(door)
    things = {name: getattr(module, name) for name in doors()[door] if name != "__version__"}
    # A constant or an alias cannot carry one; its comment stands in the source.
    own_text = api_reference().own_text
    written = {
        name: thing for name, thing in things.items() if inspect.isroutine(thing) or inspect.isclass(thing)
    }
    bare = [name for name, thing in written.items() if not own_text(thing)]
    for name, thing in written.items():
        members = dict(api_reference().members(thing, set()))
        bare += [f"{name}.{one}" for one, member in members.items() if not member_text(member)]
    assert not bare, f"{door}: say what {', '.join(bare)} are in docstrings"


def member_text(member: Any) -> str:
    """The docstring of a method or a property."""
    reference = api_reference()
    return str(reference.own_text(reference.function_of(member)))


@pytest.mark.parametrize(
    "name", ["Bundle.with_fpr", "FeatureTable.load", "Inspector.inspect", "Atlas.select"]
)
def test_the_python_reference_shows_methods(name: str) -> None:
    assert any(f"# `{name}`" in text for text in api_reference().pages().values())


def test_the_python_reference_has_a_section_for_every_door() -> None:
    rooms = {f"morelli.{room}" for room in api_reference().ROOMS}
    # The command line, what holds other modules alone, and names of strings.
    aside = {
        *("morelli", "morelli.__main__", "morelli.cli", "morelli.recipes", "morelli.evaluation.protocols")
    }
    assert rooms | aside == {*doors(), *(f"morelli.{name}" for name in PUBLIC_MODULES)} | aside


def api_reference() -> Any:
    """The script that writes docs/api.md, as a module."""
    path = ROOT / "scripts" / "api_reference.py"
    spec = importlib.util.spec_from_file_location("api_reference", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What each room is entered by; the guides must name all of it, and the room must list it.
ENTRY_POINTS = {
    "morelli": {"load", "show"},
    "morelli.metrics": {"roc_auc", "average_precision", "tpr_at_fpr", "rates_at"},
    "morelli.artefacts": {"write_folder", "read_folder", "write_file", "locked"},
    "morelli.images": {"iter_source", "decode", "read_image", "perturbation"},
    "morelli.provenance": {"read_provenance"},
    "morelli.encoders": {"load_encoder", "encoder_for_build", "EncoderSet", "encode_stream"},
    "morelli.features": {"extract", "FeatureTable", "Features"},
    "morelli.audit": {"audit", "align", "leak_report", "metadata_only_auc"},
    "morelli.detectors": {
        *("fit_bundle", "Bundle", "fit_ensemble", "Ensemble"),
        *("LinearProbe", "NearestNeighborDetector", "UnivFDProbe"),
    },
    "morelli.evaluation": {"evaluate", "summarize", "Predictions", "analyse", "compare_tables", "execute"},
    "morelli.explanation": {"explain_generator", "bundle_evidence", "residuals", "describe_heads"},
    "morelli.explanation.concepts": {"ConceptBank", "text_concepts", "edit_banks", "example_concepts"},
    "morelli.explanation.components": {"ComponentMask"},
    "morelli.explanation.relevance": {"relevance_maps", "rollout_maps", "overlay", "upsample"},
    "morelli.explanation.study": {"transfer_study", "study_bundle"},
    "morelli.atlas": {"build_atlas", "add_images", "verify_atlas", "Atlas"},
    "morelli.atlas.cells": {"project", "Grid", "Pyramid", "draw_cells"},
    "morelli.atlas.distiller": {"Distiller", "DistilledMap"},
    "morelli.atlas.patterns": {"find_prototypes", "suggest_names", "measure_counterfactuals"},
    "morelli.inspection": {"load", "Inspector"},
    "morelli.reports": {"write_report", "write_analyses", "write_study", "write_explanation", "export_atlas"},
    "morelli.reports.plots": {"relevance_png"},
    "morelli.recipes": set(),
    "morelli.server": {"serve", "create_app", "ServerSettings"},
    "morelli.notebook": {"show"},
    "morelli.cli": {"main"},
}


def guides() -> dict[str, str]:
    """The pages that people write; those that scripts write mention everything."""
    return {page: (ROOT / page).read_text() for page in written_pages()}


def test_every_door_has_entry_points() -> None:
    listed = doors()
    assert set(ENTRY_POINTS) == set(listed)
    unlisted = {door: names - set(listed[door]) for door, names in ENTRY_POINTS.items()}
    assert not {door: names for door, names in unlisted.items() if names}


@pytest.mark.parametrize("door", ENTRY_POINTS)
def test_the_guides_name_every_entry_point(door: str) -> None:
    text = "\n".join(guides().values())
    missing = [name for name in sorted(ENTRY_POINTS[door]) if not re.search(rf"`{name}\b|\b{name}\(", text)]
    assert not missing, f"no guide says anything about {', '.join(missing)} of {door}"


def test_imports_in_the_guides_are_of_public_names() -> None:
    listed = doors()
    found = 0
    for page, text in guides().items():
        for module, names in re.findall(r"^from (morelli[\w.]*) import ([\w, ]+)$", text, re.MULTILINE):
            found += 1
            hidden = {name.strip() for name in names.split(",")} - set(listed.get(module, ()))
            known = module.removeprefix("morelli.") in PUBLIC_MODULES
            assert known or not hidden, f"{page} imports {sorted(hidden)}, which {module} does not list"
    assert found > 5


def test_the_command_reference_is_what_the_program_says() -> None:
    """The page is generated; `make docs-reference` writes it."""
    script = str(ROOT / "scripts" / "cli_reference.py")
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert (DOCS / "cli.md").read_text() == result.stdout, "run `make docs-reference`"


def test_the_python_reference_is_what_the_docstrings_say() -> None:
    """One page a room, all of them generated; no page of a room that is gone is left."""
    written = {path.relative_to(DOCS).as_posix() for path in [*DOCS.glob("api/*.md"), DOCS / "api.md"]}
    assert {name: (DOCS / name).read_text() for name in written} == api_reference().pages(), (
        "run `make docs-reference`"
    )
