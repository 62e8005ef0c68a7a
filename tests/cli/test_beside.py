"""`morelli detect --beside`: a second detector's verdicts in every output, by what it says alone."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import morelli
from tests.cli.test_ensemble import other_bundle, other_table
from tests.small_ensemble import naflex_dir

__all__ = ["naflex_dir", "other_bundle", "other_table"]


def results(run: Any) -> dict[str, dict[str, Any]]:
    assert run.code == 0, run.err
    return {one["uri"]: one for one in json.loads(run.out)["results"]}


def test_both_say_in_one_run_what_each_says_alone(
    tmp_path: Path, bundle: Path, other_bundle: Path, collection: Path, tiny_clip_dir: Path, naflex_dir: Path
) -> None:
    table, columns = tmp_path / "v.csv", tmp_path / "v.parquet"
    options = ["--base-rate", "0.3", "--json", "--quiet"]
    run = morelli(
        *("detect", collection, "--bundle", bundle, "--beside", other_bundle),
        *("--weights", naflex_dir, "--weights", tiny_clip_dir, *options),
        *("--parquet", columns),
    )
    both = results(run)
    first = results(morelli("detect", collection, "-b", bundle, "--weights", tiny_clip_dir, *options))
    second = results(morelli("detect", collection, "-b", other_bundle, "--weights", naflex_dir, *options))
    assert list(both) == list(first) == list(second) and len(both) > 60
    for uri, one in both.items():
        said = one.pop("second")
        assert one["probability"] == pytest.approx(first[uri]["probability"], abs=1e-6)
        assert (said["verdict"], said["name"]) == (second[uri]["verdict"], "naflex")
        assert said["probability"] == pytest.approx(second[uri]["probability"], abs=1e-6)
        assert said["interval"] == pytest.approx(second[uri]["interval"], abs=1e-6)
        assert set(one) == set(first[uri]) and one["verdict"] == first[uri]["verdict"]
        one["second"] = said
    document = json.loads(run.out)
    assert (document["second"]["name"], document["second"]["base_rate"]) == ("naflex", 0.3)
    counted = Counter(one["second"]["agreement"] for one in both.values())
    assert Counter(document["summary"]["agreement"]) == counted
    written = pq.read_table(columns).to_pylist()
    assert [row["second_verdict"] for row in written] == [one["second"]["verdict"] for one in both.values()]
    shown = morelli(
        *("detect", collection / "fake", "-b", bundle, "--beside", other_bundle, "--csv", table),
        *("--weights", naflex_dir, "--weights", tiny_clip_dir),
    )
    assert shown.code == 0 and "beside the second detector: " in shown.out
    with table.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            said = both[row["uri"]]["second"]
            assert (row["second_verdict"], row["agreement"]) == (said["verdict"], said["agreement"])


def test_a_rate_is_both_detectors(
    bundle: Path, other_bundle: Path, collection: Path, tiny_clip_dir: Path, naflex_dir: Path
) -> None:
    files = collection / "fake"
    options = ["--fpr", "0.2", "--json", "--quiet"]
    run = morelli(
        *("detect", files, "-b", bundle, "--beside", other_bundle, *options),
        *("--weights", naflex_dir, "--weights", tiny_clip_dir),
    )
    alone = morelli("detect", files, "-b", other_bundle, "--weights", naflex_dir, *options)
    both, second = results(run), results(alone)
    assert json.loads(run.out)["second"]["thresholds"] == json.loads(alone.out)["bundle"]["thresholds"]
    assert [one["second"]["verdict"] for one in both.values()] == [one["verdict"] for one in second.values()]
    assert all(one["second"]["digest"] for one in both.values())


def test_one_detector_alone_writes_what_it_wrote(
    tmp_path: Path, bundle: Path, collection: Path, tiny_clip_dir: Path
) -> None:
    table = tmp_path / "v.csv"
    run = morelli("detect", collection / "fake", "-b", bundle, "--weights", tiny_clip_dir, "--csv", table)
    assert run.code == 0 and "second" not in run.out
    assert "second" not in table.read_text(encoding="utf-8-sig").splitlines()[0]


def test_what_cannot_stand_beside_is_refused(
    tmp_path: Path, bundle: Path, collection: Path, tiny_clip_dir: Path
) -> None:
    start = ["detect", collection / "fake", "-b", bundle, "--weights", tiny_clip_dir, "--beside"]
    gone = morelli(*start, tmp_path / "gone")
    assert gone.code == 4 and "gone" in gone.err
    itself = morelli(*start, bundle)
    assert itself.code == 2 and "is the first one" in " ".join(itself.err.split())
    apart = morelli(*start, bundle, "--engine", "ray")
    assert apart.code == 2 and "leave --engine or --beside out" in " ".join(apart.err.split())
