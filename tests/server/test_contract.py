"""The browser's contract: every answer has a model, and the types of the app are made of them."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from morelli.server import ServerSettings, create_app
from morelli.server import _atlas_models as a
from morelli.server import _models as m
from morelli.server._atlas_answers import json_text
from tests.documentation.pages import blocks

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web" / "src"
GENERATED = WEB / "api" / "generated.ts"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(ServerSettings()).openapi()


def api_types() -> Any:
    spec = importlib.util.spec_from_file_location("api_types", ROOT / "scripts" / "api_types.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_json_answer_has_a_model(document: dict[str, Any]) -> None:
    bare = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                schema = answer.get("content", {}).get("application/json", {}).get("schema")
                if status.startswith("2") and schema is not None:
                    inner = schema.get("items", schema.get("additionalProperties", schema))
                    # A saved selection is the user's own document.
                    if "$ref" not in inner and not path.endswith("/saved-selections"):
                        bare.append(f"{method} {path}")
    assert not bare


def test_the_types_of_the_app_are_those_of_the_server(document: dict[str, Any]) -> None:
    assert GENERATED.read_text(encoding="utf-8") == api_types().types_of(document), (
        "run `make docs-reference`, then look at what the app makes of the change"
    )


def test_a_renamed_field_changes_the_types(document: dict[str, Any]) -> None:
    changed = copy.deepcopy(document)
    fields = changed["components"]["schemas"]["Case"]["properties"]
    fields["chance"] = fields.pop("probability")
    assert api_types().types_of(changed) != GENERATED.read_text(encoding="utf-8")


def test_a_model_of_both_requests_and_answers_is_refused(document: dict[str, Any]) -> None:
    changed = copy.deepcopy(document)
    answer = changed["paths"]["/api/v1/health"]["get"]["responses"]["200"]["content"]["application/json"]
    answer["schema"] = {"$ref": "#/components/schemas/WhatIf"}
    with pytest.raises(SystemExit, match="WhatIf"):
        api_types().types_of(changed)


def test_no_type_of_an_answer_is_written_by_hand() -> None:
    """What the app asks for is typed by generated names, or by types that are derived from them."""
    generated = set(re.findall(r"^export (?:interface|type) (\w+)", GENERATED.read_text(), re.MULTILINE))
    names = (WEB / "api" / "types.ts").read_text()
    listed = re.search(r"^export type \{(.*?)\} from \"./generated\";", names, re.MULTILINE | re.DOTALL)
    assert listed is not None
    pairs = [re.split(r"\s+as\s+", one.strip()) for one in listed[1].split(",") if one.strip()]
    assert {pair[0] for pair in pairs} <= generated
    known = generated | {pair[-1] for pair in pairs}
    derived = {
        "Info",
        "Selected",
        "Rescored",
        "ImageDetail",
        "T",
    }  # in explore/model/api.ts, of generated ones
    asked = set()
    for path in [*WEB.rglob("*.ts"), *WEB.rglob("*.svelte")]:
        asked |= set(
            re.findall(
                r"\b(?:get|send)Json<(?:readonly )?(?!undefined)(\w+)", path.read_text(encoding="utf-8")
            )
        )
    assert len(asked) > 10
    assert asked <= known | derived


def test_an_answer_of_another_shape_is_not_sent() -> None:
    share = {"name": "sdxl", "n": 4, "flagged": 0.5, "low": 0.1, "high": 0.9, "unanswered": 0.25}
    assert json.loads(json_text(a.ShareCalled, share)) == share
    with pytest.raises(ValidationError, match="caught"):
        json_text(a.ShareCalled, share | {"caught": 0.5})


@pytest.mark.parametrize(
    ("heading", "shape"),
    [
        ("### `POST /detect`", m.Detected),
        ("### `POST /cases/{id}/whatif`", m.WhatIf),
        ("## Batches", m.Job),
    ],
)
def test_the_examples_of_the_page_are_what_the_server_takes_and_sends(heading: str, shape: Any) -> None:
    text = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8").split(heading, 1)[1]
    example = next(block for block in blocks("docs/http-api.md", text) if block.language == "json")
    TypeAdapter(shape).validate_json(example.text)
