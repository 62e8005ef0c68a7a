"""What a user can set or call is said in the pages that people write; generated pages do not count."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

from morelli.detectors import Bundle, default_bundle_path
from morelli.metrics.resampling import clustered_interval
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


def test_the_error_rates_of_the_shipped_detector_are_those_that_its_scores_give() -> None:
    bundle = Bundle.load(default_bundle_path())
    scores = bundle.held_out
    assert scores is not None and scores.groups is not None
    real = scores.labels == 0
    wrong = (
        (scores.logits[real] > bundle.ai.logit, scores.groups[real]),
        (scores.logits[~real] <= bundle.real.logit, scores.groups[~real]),
    )
    for errors, groups in wrong:
        assert str(clustered_interval(errors, groups)) in " ".join(TEXT["docs/evaluation.md"].split())
    for threshold in (bundle.ai, bundle.real):
        assert f"{threshold.upper:.1%}".replace("%", " %") in TEXT["docs/evaluation.md"]


def test_the_pages_state_the_thresholds_of_the_shipped_detector() -> None:
    bundle = Bundle.load(default_bundle_path())
    ends = [bundle.ai.logit, bundle.real.logit]
    ai, real = bundle.calibration.probability(ends, bundle.base_rate)
    page = TEXT["docs/http-api.md"]
    assert (
        f'"thresholds": {{"ai": {ai:.4f}, "real": {real:.4f}}},\n    "base_rate": {bundle.base_rate}' in page
    )
    assert f"the threshold {real:.2f} under which {100 * bundle.real.rate:.2g} % of held-out" in page
    assert bundle.digest is not None and f'"bundle_digest": "{bundle.digest[:8]}…"' in page
    rare = bundle.calibration.probability(ends, 0.05)[0]
    assert f"from a probability of {100 * rare:.0f} % on" in TEXT["docs/getting-started.md"]


def test_the_first_page_leads_to_every_other() -> None:
    """Somebody who reads docs/ in the repository has no menu."""
    menu = set(re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert len(menu) > 20
    linked = set(re.findall(r"\]\(([\w-]+\.md)", TEXT["docs/index.md"]))
    assert menu - {"index.md"} == linked


def literals(call: str, place: int) -> set[str]:
    """The strings that the program gives calls of this name as the argument at `place`."""
    found = set()
    for path in Path(ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == call and len(node.args) > place:
                found |= {
                    one.value
                    for one in ast.walk(node.args[place])
                    if isinstance(one, ast.Constant) and isinstance(one.value, str)
                }
    return found


def test_every_reason_of_a_bad_image_is_in_the_list() -> None:
    calls = (("ImageError", 0), ("problem_item", 1), ("Failure", 1))
    reasons = set().union(*(literals(call, place) for call, place in calls)) - {"_", "-"}
    assert len(reasons) > 20
    listed = set(re.findall(r"^\| `(\w+)` \|", TEXT["docs/hostile-input.md"], re.MULTILINE))
    assert reasons == listed


def test_every_type_of_problem_is_in_the_page_of_the_interface() -> None:
    table = TEXT["docs/http-api.md"].partition("## Errors")[2].partition("\n## ")[0]
    # Those of an image's reason have a list of their own.
    kinds = (literals("ProblemError", 1) | literals("MissingPartError", 0)) - {"_", "-", "no-app"}
    assert not {kind for kind in kinds if f"`{kind}`" not in table}


def limit_in_words(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return f"{value / 1024**2:g} MiB"
    if not name.endswith("_seconds"):
        return f"{value:,}"
    return f"{value:g} s" if value < 600 else f"{value / 60:g} min" if value < 3600 else f"{value / 3600:g} h"


@pytest.mark.parametrize("name", [field.name for field in fields(ServerSettings().limits)])
def test_every_limit_of_the_server_is_stated_with_its_default(name: str) -> None:
    words = limit_in_words(name, getattr(ServerSettings().limits, name))
    assert f"| `{name}` | {words} |" in TEXT["docs/http-api.md"]


@pytest.mark.parametrize(
    ("path", "cut"),
    [(("bank", "remove"), "`morelli bank remove`"), (("evaluate", "analyses"), "analyses")],
)
def test_a_command_that_is_taken_out_of_the_guides_is_missed(path: tuple[str, ...], cut: str) -> None:
    without = {page: text.replace(cut, "") for page, text in TEXT.items()}
    assert said(command_pattern(path)) and not said(command_pattern(path), without)
