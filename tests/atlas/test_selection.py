"""Selections: documents that mean images, and mean the same wherever they are evaluated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from morelli.atlas import Atlas
from morelli.atlas._collection import VERDICTS, verdict_of
from morelli.errors import UsageError


def rows(atlas: Atlas, spec: dict[str, Any]) -> set[int]:
    return set(atlas.select(spec).rows.tolist())


def test_everything_and_nothing(atlas: Atlas) -> None:
    assert rows(atlas, {"and": []}) == set(range(len(atlas)))
    assert rows(atlas, {"or": []}) == set()


def test_clauses_agree_with_the_columns(atlas: Atlas) -> None:
    found = atlas.collection
    generator = atlas.collection.category("generator")
    name = generator.names[0]
    assert rows(atlas, {"column": "label", "in": ["fake"]}) == set(np.flatnonzero(found.labels == 1).tolist())
    assert rows(atlas, {"column": "generator", "in": [name]}) == set(
        np.flatnonzero(generator.codes == 0).tolist()
    )
    assert rows(atlas, {"column": "generator", "in": [None]}) == set(
        np.flatnonzero(generator.codes == -1).tolist()
    )
    assert rows(atlas, {"column": "probability", "range": [0.25, None]}) == set(
        np.flatnonzero(found.probabilities >= 0.25).tolist()
    )
    assert rows(atlas, {"dimension": 2, "range": [None, 0.1]}) == set(
        np.flatnonzero(found.impacts[:, 2] <= 0.1).tolist()
    )
    wrong = rows(atlas, {"column": "error", "in": ["fp", "fn"]})
    low, high = (np.float32(one) for one in found.base_thresholds)
    called, passed = found.probabilities > high, found.probabilities < low
    assert wrong == set(np.flatnonzero(np.where(found.labels == 1, passed, called)).tolist())
    # No answer is an outcome of its own, and no error.
    assert rows(atlas, {"column": "error", "in": ["unanswered"]}) == set(np.flatnonzero(~called & ~passed))
    assert (~called & ~passed).any()


def test_logic_is_that_of_sets(atlas: Atlas) -> None:
    fake = {"column": "label", "in": ["fake"]}
    sure = {"column": "probability", "range": [0.5, 1]}
    a, b, everything = rows(atlas, fake), rows(atlas, sure), set(range(len(atlas)))
    assert rows(atlas, {"and": [fake, sure]}) == a & b
    assert rows(atlas, {"or": [fake, sure]}) == a | b
    assert rows(atlas, {"not": {"or": [fake, {"not": sure}]}}) == everything - (a | (everything - b))


def test_places_on_the_map(atlas: Atlas) -> None:
    xy = atlas.collection.xy
    inside = set(np.flatnonzero((xy[:, 0] <= 0.5) & (xy[:, 1] <= 0.5)).tolist())
    assert rows(atlas, {"rect": [0.5, 0.5, 0, 0]}) == inside
    assert rows(atlas, {"polygon": [[-1, -1], [0.5, -1], [0.5, 0.5], [-1, 0.5]]}) == inside
    cells = atlas.tile(1)
    for cell, count in zip(cells["cell"].to_pylist(), cells["count"].to_pylist(), strict=True):
        assert len(rows(atlas, {"cells": {"level": 1, "ids": [cell]}})) == count


def test_text_needs_every_word_in_any_case(atlas: Atlas) -> None:
    generator = atlas.collection.category("generator").names[0]
    first, second = generator[:4], generator[-4:]
    wanted = rows(atlas, {"column": "generator", "in": [generator]})
    assert wanted <= rows(atlas, {"text": f"{first.upper()} {second}"})
    assert rows(atlas, {"text": f"{first} no-such-word"}) == set()
    assert rows(atlas, {"text": "  "}) == set(range(len(atlas)))


def test_prototypes_select_their_images(atlas: Atlas) -> None:
    shown = atlas.prototypes()
    for item in shown:
        selected = atlas.select({"prototype": item["id"]})
        assert selected.counts["count"] == item["images"] > 0


def test_counts_add_up(atlas: Atlas) -> None:
    counts = atlas.select({"and": []}).counts
    assert counts["real"] + counts["fake"] == counts["count"] == len(atlas)
    answered = sum(counts[name] for name in ("tn", "fp", "fn", "tp"))
    assert answered + counts["unanswered"] == len(atlas) and counts["unanswered"] > 0
    for label, outcomes in (("fake", ("tp", "fn")), ("real", ("tn", "fp"))):
        of_it = atlas.select({"column": "label", "in": [label]}).counts
        assert sum(of_it[name] for name in outcomes) + of_it["unanswered"] == counts[label]


def test_keys_name_documents(atlas: Atlas) -> None:
    a = atlas.select({"column": "label", "in": ["fake"]})
    b = atlas.select({"in": ["fake"], "column": "label"})
    c = atlas.select({"column": "label", "in": ["real"]})
    assert a.key == b.key != c.key
    assert a.to_json()["spec"] == {"column": "label", "in": ["fake"]}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        [],
        {"and": [], "or": []},
        {"and": {}},
        {"column": "label", "in": ["maybe"]},
        {"column": "no such column", "in": ["x"]},
        {"column": "probability", "range": ["a", 1]},
        {"column": "probability", "range": [float("nan"), 1]},
        {"column": "uri", "range": [0, 1]},
        {"dimension": 99, "range": [0, 1]},
        {"dimension": 0, "range": [0]},
        {"polygon": [[0, 0], [1, 1]]},
        {"polygon": [[0, 0], [1, 1], [0, "x"]]},
        {"rect": [0, 0, 1]},
        {"rows": [0.5]},
        {"rows": [True]},
        {"prototype": 10_000},
        {"cells": {"level": 1, "ids": [99]}},
        {"cells": {"level": 99, "ids": [0]}},
        {"cells": {"level": -1, "ids": [0]}},
        {"cells": {"level": 2**70, "ids": [0]}},
        {"cells": {"level": True, "ids": [0]}},
        {"prototype": True},
        {"prototype": 2**70},
        {"prototype": -(2**70)},
        {"dimension": True, "range": [0, 1]},
        {"dimension": 2**70, "range": [0, 1]},
        {"copies": 2**70},
        {"column": "probability", "range": [0, 10**400]},
        {"rect": [0, 0, 1, -(10**400)]},
        {"rows": [2**70]},
        {"or": [{"text": "x"}] * 400},
    ],
)
def test_what_is_no_selection_says_so(atlas: Atlas, spec: Any) -> None:
    with pytest.raises(UsageError):
        atlas.select(spec)


def test_the_image_that_sets_a_threshold_is_on_its_harmless_side() -> None:
    """A real image's score is not yet called AI, and a generated one's, less one step, not yet real."""
    for score in (0.70178142, 0.70178145, 0.1, 1 / 3):
        stored = np.array([score], np.float32)
        thresholds = float(np.nextafter(score, -np.inf)), score
        assert VERDICTS[verdict_of(stored, thresholds)[0]] == "inconclusive"
        above, below = np.nextafter(stored, np.float32(2)), np.nextafter(stored, np.float32(-1))
        assert VERDICTS[verdict_of(above, thresholds)[0]] == "ai"
        assert VERDICTS[verdict_of(below, thresholds)[0]] == "real"
