"""Write the browser's types of requests and answers, and the columns of its tables, from the program.

    python scripts/api_types.py web/src/api/generated.ts

A schema that answers use has every field that the server always sends; one that only requests use has the
fields that must be sent required, and the others optional. No name may be both.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
HEAD = """\
/** What the server takes and sends. Written by `python scripts/api_types.py`; change the server instead. */

"""
LONGEST_TUPLE = 4
PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def types() -> str:
    """The whole file, of the application as it stands."""
    from morelli.server import ServerSettings, create_app

    return types_of(create_app(ServerSettings()).openapi())


def types_of(document: Schema) -> str:
    """The whole file, of an OpenAPI document."""
    schemas = document["components"]["schemas"]
    operations = [one for path in document["paths"].values() for one in path.values()]
    asked = _reached([one.get("requestBody", {}) for one in operations], schemas)
    answered = _reached([one["responses"] for one in operations], schemas)
    if asked & answered:
        raise SystemExit(f"{', '.join(sorted(asked & answered))}: requests and answers are two models")
    interfaces = (_interface(name, schemas[name], name in asked) for name in sorted(asked | answered))
    return HEAD + "\n".join([*interfaces, *_constants()])


def _constants() -> Iterator[str]:
    """What the app writes into a table of verdicts under the names of the command line."""
    from morelli.cli._outputs import CLAIMS
    from morelli.inspection.answers import COLUMNS, SECOND_COLUMNS

    for name, columns, about in (
        ("COLUMNS", COLUMNS, "Columns of a table of verdicts."),
        ("SECOND_COLUMNS", SECOND_COLUMNS, "More of them where a second detector judges beside the first."),
    ):
        names = "".join(f"  {json.dumps(column)},\n" for column in columns)
        yield f"{_comment(about, '')}export const {name} = [\n{names}] as const;\n"
    words = "".join(f"  {claim}: {json.dumps(words)},\n" for claim, (_, words, _) in CLAIMS.items())
    about = _comment("A claim in a cell of such a table.", "")
    yield f"{about}export const CLAIM_WORDS = {{\n{words}}} as const;\n"


def _reached(places: list[Any], schemas: dict[str, Schema]) -> set[str]:
    """Names of the schemas that these parts of the document refer to, directly or not."""
    found: set[str] = set()
    waiting: list[Any] = list(places)
    while waiting:
        for name in set(re.findall(r"#/components/schemas/([\w-]+)", json.dumps(waiting.pop()))) - found:
            found.add(name)
            waiting.append(schemas[name])
    return found


def _interface(name: str, schema: Schema, asked: bool) -> str:
    text = _comment(schema.get("description"), "")
    if schema.get("type") != "object":
        return f"{text}export type {name} = {_type(schema)};\n"
    fields = "".join(_fields(schema, asked))
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        return f"{text}export type {name} = Readonly<Record<string, {_type(more)}>> & {{\n{fields}}};\n"
    return f"{text}export interface {name} {{\n{fields}}}\n"


def _fields(schema: Schema, asked: bool) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        # The server fills a default in before it sends, and a client may leave it out.
        always = name in required or (not asked and "default" in field)
        key = name if name.isidentifier() else json.dumps(name)
        kind = _type(field)
        if not always and not asked:
            kind = kind.removesuffix(" | null")  # it is left out instead
        yield _comment(field.get("description"), "  ")
        yield f"  readonly {key}{'' if always else '?'}: {kind};\n"


def _comment(text: str | None, indent: str) -> str:
    return f"{indent}/** {' '.join(text.split()).replace('*/', '* /')} */\n" if text else ""


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(map(_type, schema[key])))
    kind = schema.get("type")
    if kind == "array":
        if "prefixItems" in schema:
            return f"readonly [{', '.join(map(_type, schema['prefixItems']))}]"
        inner = _type(schema.get("items", {}))
        if (length := schema.get("maxItems", 0)) == schema.get("minItems") and 0 < length <= LONGEST_TUPLE:
            return f"readonly [{', '.join([inner] * length)}]"
        return f"readonly ({inner})[]" if " " in inner else f"readonly {inner}[]"
    if kind == "object":
        more = schema.get("additionalProperties", True)
        return f"Readonly<Record<string, {_type(more) if isinstance(more, dict) else 'unknown'}>>"
    return PLAIN.get(str(kind), "unknown")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(types(), encoding="utf-8")
    else:
        sys.stdout.write(types())
