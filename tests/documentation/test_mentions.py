"""What a user can set or call is said in the pages that people write; generated pages do not count."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from morelli.server import ServerSettings, create_app
from tests.cli.test_program import LEAVES
from tests.documentation.pages import ROOT, written_pages

TEXT = {page: (ROOT / page).read_text(encoding="utf-8") for page in written_pages()}
SERVE = next(command for path, command in LEAVES if path == ("serve",))


def said(pattern: str, texts: dict[str, str] = TEXT) -> bool:
    return any(re.search(pattern, text) for text in texts.values())


def command_pattern(path: tuple[str, ...]) -> str:
    """`morelli a b`, or `b` in a list that begins with another command of the same group."""
    whole = re.escape(" ".join(path))
    group = re.escape(" ".join(path[:-1]))
    listed = rf"|`morelli {group} [\w-]+`(, `[\w-]+`)*, `{re.escape(path[-1])}`" if group else ""
    return rf"morelli {whole}\b{listed}"


@pytest.mark.parametrize("path", [path for path, _ in LEAVES], ids=" ".join)
def test_every_command_is_in_a_guide(path: tuple[str, ...]) -> None:
    assert said(command_pattern(path)), f"no page mentions morelli {' '.join(path)}"


@pytest.mark.parametrize(
    "name", sorted({name for one in SERVE.params for name in one.opts if name != "--help"})
)
def test_every_option_of_the_server_is_in_a_guide(name: str) -> None:
    assert said(rf"`{name}\b|morelli serve[^`]*{name}\b"), name


@pytest.mark.parametrize("name", [field.name for field in fields(ServerSettings)])
def test_every_setting_of_the_server_is_in_a_guide(name: str) -> None:
    assert f"`{name}`" in TEXT["docs/settings.md"]


@pytest.mark.parametrize("path", sorted(create_app(ServerSettings()).openapi()["paths"]))
def test_every_route_is_in_the_page_of_the_interface(path: str) -> None:
    short = path.removeprefix("/api/v1").removeprefix("/atlases/{atlas}") or "/"
    assert re.search(rf"[` ]{re.escape(short)}[`, ]", TEXT["docs/http-api.md"]), path


def test_every_variable_of_the_environment_is_in_a_guide() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in Path(ROOT / "src").rglob("*.py"))
    # Workers of one server find each other by these; nobody sets them.
    own = {"MORELLI_SERVER_PEERS", "MORELLI_SERVER_SETTINGS"}
    unsaid = [name for name in set(re.findall(r"MORELLI_[A-Z_]+", source)) - own if not said(rf"`{name}`")]
    assert not unsaid


@pytest.mark.parametrize(
    ("path", "cut"),
    [(("bank", "remove"), "`morelli bank remove`"), (("evaluate", "analyses"), "analyses")],
)
def test_a_command_that_is_taken_out_of_the_guides_is_missed(path: tuple[str, ...], cut: str) -> None:
    without = {page: text.replace(cut, "") for page, text in TEXT.items()}
    assert said(command_pattern(path)) and not said(command_pattern(path), without)
