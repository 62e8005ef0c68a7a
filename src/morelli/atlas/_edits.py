"""What people add to an atlas: names, notes, merges, saved selections, and verdicts that they call wrong.

Everything else in an atlas is computed and can be computed again; these files alone cannot, so they stand
apart, are written whole or not at all, and survive a rebuild.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from morelli.artefacts import locked, read_file, read_json, write_file
from morelli.artefacts.schema import Each, Number, check_schema
from morelli.artefacts.text import csv_table
from morelli.errors import ArtifactError, ChangedMeanwhileError, UsageError

LONGEST_TEXT = 4000
MOST_SAVED = 1000
FEEDBACK_COLUMNS = ("path", "label", "generator", "source", "sha256", "probability", "note")
_LARGEST = 256 << 20
_WAIT = 10.0
_SCHEMA = {
    "prototypes?": Each(
        {
            "name?": str,
            "note?": str,
            "hidden?": bool,
            "merged_into?": (Number(0, 1 << 31, whole=True), None),
        }
    ),
    "dimensions?": Each({"name?": str, "note?": str}),
    "selections?": Each(dict),
}

_FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "prototypes": {"name": (str,), "note": (str,), "hidden": (bool,), "merged_into": (int, type(None))},
    "dimensions": {"name": (str,), "note": (str,)},
}


class Edits:
    """Names and notes of one atlas, in `edits.json` and `feedback.csv` of its folder.

    Several processes may write: each change reads the file again under a lock.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "edits.json"
        self.feedback_path = folder / "feedback.csv"

    def read(self) -> dict[str, Any]:
        """The document: `prototypes`, `dimensions` (number as text → fields), `selections` (name → spec).

        Raises:
            ArtifactError: the file is damaged.
        """
        empty: dict[str, Any] = {"prototypes": {}, "dimensions": {}, "selections": {}}
        if not os.path.lexists(self.path):
            return empty
        try:
            found = read_json(self.path, largest=_LARGEST, what="atlas")
            check_schema(found, _SCHEMA, self.path)
        except ArtifactError as error:
            raise ArtifactError(f"{error}; restore it or remove it") from error
        for what in ("prototypes", "dimensions"):
            odd = [key for key in found.get(what, {}) if not (key.isascii() and key.isdecimal())]
            if odd:
                raise ArtifactError(
                    f"{self.path}: {what} have numbers, not {odd[0]!r}; restore it or remove it"
                )
        return {**empty, **found}

    def stamp(self) -> tuple[int, int, int] | None:
        """What changes whenever this or another process writes the document; None where there is none."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def of(self, what: str, number: int) -> Mapping[str, Any]:
        """Fields that people gave one prototype or dimension."""
        return dict(self.read()[what].get(str(number), {}))

    def change(
        self, what: str, number: int, fields: Mapping[str, Any], was: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """Set fields of a prototype (`name`, `note`, `hidden`, `merged_into`) or dimension (`name`, `note`).

        An empty name takes the edit back: then the suggested one shows again. `was` holds fields as the
        caller saw them, an empty name for the suggested one. Returns all fields, the change made.

        Raises:
            UsageError: an unknown field, a value of another type, or a text that is too long.
            ChangedMeanwhileError: a field has another value than `was` says; nothing is changed.
        """
        known = _FIELDS[what]
        for name, value in (*fields.items(), *(was or {}).items()):
            if name not in known:
                raise UsageError(f"A {what[:-1]} has the fields {', '.join(known)}; not {name!r}.")
            if not isinstance(value, known[name]) or (known[name] == (int, type(None)) and value is True):
                raise UsageError(f"The field {name} of a {what[:-1]} cannot be {value!r}.")
            if isinstance(value, str) and len(value) > LONGEST_TEXT:
                raise UsageError(f"The field {name} has at most {LONGEST_TEXT} characters.")
        with self._changing() as document:
            before = document[what].get(str(number), {})
            for name, seen in (was or {}).items():
                now = before.get(name) or None
                if now != (seen or None):
                    shown = f"is {now!r}" if now is not None else "was taken back"
                    raise ChangedMeanwhileError(
                        f"Nothing was changed: somebody else edited this {what[:-1]}, and its {name} {shown} "
                        "by now. Look at it again, then repeat the change."
                    )
            entry = {**before, **fields}
            # By identity: prototype 0 is a number to merge into, although 0 == False.
            entry = {k: v for k, v in entry.items() if not (v is None or v is False or v == "")}
            document[what][str(number)] = entry
            if not entry:
                del document[what][str(number)]
        return entry

    def save_selection(self, name: str, spec: Mapping[str, Any]) -> None:
        """Keep a selection under a name; an older one of that name is replaced.

        Raises:
            UsageError: no name, a name that is too long, or too many.
        """
        if not name.strip() or len(name) > 200:
            raise UsageError("A saved selection needs a name of 1 to 200 characters.")
        with self._changing() as document:
            document["selections"][name] = dict(spec)
            if len(document["selections"]) > MOST_SAVED:
                raise UsageError(f"An atlas keeps at most {MOST_SAVED} selections; delete some.")

    def delete_selection(self, name: str) -> None:
        """Forget a saved selection.

        Raises:
            UsageError: there is none of that name.
        """
        with self._changing() as document:
            if document["selections"].pop(name, None) is None:
                raise UsageError(f"No selection is saved under {name!r}.")

    def add_feedback(self, rows: list[Mapping[str, Any]]) -> None:
        """Note that these verdicts are wrong, in a manifest that `morelli extract` reads.

        Each row has `FEEDBACK_COLUMNS`, `label` being what the image is said to be. A later word on the same
        image replaces the earlier.
        """
        with locked(self.feedback_path, wait=_WAIT):
            before = self.read_feedback()
            latest = {
                row["sha256"]: {c: _plain(row.get(c)) for c in FEEDBACK_COLUMNS} for row in [*before, *rows]
            }
            rows_of = ([row[c] for c in FEEDBACK_COLUMNS] for row in latest.values())
            write_file(self.feedback_path, csv_table(FEEDBACK_COLUMNS, rows_of, mark=False))

    def read_feedback(self) -> list[dict[str, str]]:
        """Every image whose verdict was called wrong.

        Raises:
            ArtifactError: the file is damaged.
        """
        if not os.path.lexists(self.feedback_path):
            return []
        try:
            text = read_file(self.feedback_path, largest=_LARGEST, what="atlas").decode("utf-8-sig")
            reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
            rows = list(reader)
        except (ValueError, csv.Error) as error:
            raise ArtifactError(
                f"{self.feedback_path} is damaged ({error}); restore it or remove it"
            ) from error
        missing = set(FEEDBACK_COLUMNS) - set(reader.fieldnames or ())
        if missing or any(None in row or None in row.values() for row in rows):
            what = f"it lacks {', '.join(sorted(missing))}" if missing else "a row has too few or many fields"
            raise ArtifactError(f"{self.feedback_path} is damaged ({what}); restore it or remove it")
        return rows

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        with locked(self.path, wait=_WAIT):
            document = self.read()
            yield document
            write_file(self.path, json.dumps(document, indent=1, sort_keys=True, allow_nan=False))


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
