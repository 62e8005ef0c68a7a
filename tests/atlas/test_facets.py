"""What the browser's views need besides the pyramid: facets of cells, and scores without dimensions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from morelli.atlas import Atlas


def column(table, name):  # type: ignore[no-untyped-def]
    return np.array(table[name].to_pylist())


@pytest.mark.parametrize("off", [(), (1,)])
def test_verdicts_doubt_and_generators_of_all_cells_are_those_of_the_images(
    atlas: Atlas, off: tuple[int, ...]
) -> None:
    chosen = atlas.select({"and": [{"column": "label", "in": ["fake"]}, {"rect": [0, 0, 1, 0.6]}]})
    p = atlas.probabilities(off)[chosen.mask]
    low, high = atlas.record.thresholds
    for level in (0, 3):
        table = atlas.tile(level, selection=chosen, off=off)
        assert column(table, "ai").sum() == (p >= high).sum()
        assert column(table, "inconclusive").sum() == ((p > low) & (p < high)).sum()
        named = json.loads(table.schema.metadata[b"generators"])
        counts = column(table, "generators").sum(axis=0)
        for name, count in zip(named, counts, strict=True):
            of_it = atlas.select({"and": [chosen.spec, {"column": "generator", "in": [name]}]})
            assert count == of_it.counts["count"]
    whole = atlas.tile(0, selection=chosen, off=off)
    assert whole["uncertainty"][0].as_py() == pytest.approx((1 - abs(2 * p - 1)).mean(), abs=1e-5)
    assert whole["fn"][0].as_py() == (p <= low).sum() and whole["fp"][0].as_py() == 0
    assert whole["tp"][0].as_py() == (p >= high).sum()
    assert whole["unanswered"][0].as_py() == ((p > low) & (p < high)).sum() > 0


def test_rows_are_judged_by_what_is_left_when_dimensions_are_off(atlas: Atlas) -> None:
    for off in ([0], [1, 3]):
        p = atlas.probabilities(off)
        rows = atlas.rows(sort="probability", descending=True, limit=500, off=off)
        assert [r["probability"] for r in rows] == pytest.approx(np.sort(p)[::-1].tolist(), abs=1e-6)
        for item in rows:
            row = item["row"]
            assert item["probability"] == pytest.approx(p[row], abs=1e-6)
            outcomes = {"real": {"tn", "fn"}, "inconclusive": {"unanswered"}, "ai": {"tp", "fp"}}
            assert item["error"] in outcomes[item["verdict"]]
        doubt = [
            1 - abs(2 * r["probability"] - 1) for r in atlas.rows(sort="uncertainty", limit=500, off=off)
        ]
        assert doubt == pytest.approx(sorted(doubt), abs=1e-6)
    plain = atlas.rows(sort="row", limit=3)
    assert plain == atlas.rows(sort="row", limit=3, off=[])
