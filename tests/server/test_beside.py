"""A server that shows a second detector beside the first: its answer, one pass for both, and its errors."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import morelli
from morelli.encoders import Encoder
from morelli.inspection import Inspector
from morelli.server import ServerSettings
from morelli.server._greeting import greeting
from tests.server.conftest import png
from tests.server.running import Running, running, until
from tests.server.test_jobs import finished
from tests.small_beside import contrary_dir, naflex_dir, naflex_features, naflex_table, other_dir
from tests.small_ensemble import ensemble_dir

__all__ = ["contrary_dir", "ensemble_dir", "naflex_dir", "naflex_features", "naflex_table", "other_dir"]
WORDS = {"ai": 1, "real": 0}


@pytest.fixture(scope="module")
def shared(settings: ServerSettings, contrary_dir: Path) -> Iterator[Running]:
    """Two detectors on one encoder."""
    with running(replace(settings, beside=contrary_dir)) as one:
        yield one


@pytest.fixture(scope="module")
def apart(settings: ServerSettings, other_dir: Path, naflex_dir: Path) -> Iterator[Running]:
    """Two detectors, each on an encoder of its own."""
    both = (naflex_dir, *([settings.weights] if isinstance(settings.weights, Path) else []))
    with running(replace(settings, beside=other_dir, weights=both)) as one:
        yield one


def inspected(bundle: Path, weights: Path, file: Path, **rates: float) -> Any:
    """What a detector says alone, of one encoded image."""
    return morelli.load(bundle, weights=weights, device="cpu", offline=True).inspect(file, **rates).case


@contextmanager
def counted(inspector: Inspector) -> Iterator[Counter[str]]:
    """Count the images that go through the tower of each encoder."""
    found: Counter[str] = Counter()
    encoders: list[Encoder] = list(getattr(inspector.passes, "encoders", [inspector.passes]))

    def counting(name: str, trace: Callable[..., Any]) -> Callable[..., Any]:
        def count(pixels: Any, *more: Any, **named: Any) -> Any:
            found[name] += len(pixels)
            return trace(pixels, *more, **named)

        return count

    before = [(one.tower, one.tower.trace) for one in encoders]
    for one in encoders:
        one.tower.trace = counting(one.build.encoder, one.tower.trace)  # type: ignore[method-assign]
    try:
        yield found
    finally:
        for tower, trace in before:
            tower.trace = trace  # type: ignore[method-assign]


def pictures(collection: Path, most: int = 40) -> list[Path]:
    files = [sorted((collection / name).rglob("*.png")) for name in ("real", "fake")]
    return [*files[0][: most // 2], *files[1][: most // 2]]


def case_of(server: Running, file: Path, **params: object) -> dict[str, Any]:
    answer = server.upload((file.name, file.read_bytes()), **params)
    assert answer.status_code == 200, answer.text
    (case,) = answer.json()["cases"]
    return dict(case)


def test_the_second_says_what_it_says_alone(
    shared: Running,
    apart: Running,
    bundle_dir: Path,
    contrary_dir: Path,
    other_dir: Path,
    tiny_clip_dir: Path,
    naflex_dir: Path,
    collection: Path,
) -> None:
    file = pictures(collection)[3]
    for server, second_dir, weights in (
        (shared, contrary_dir, tiny_clip_dir),
        (apart, other_dir, naflex_dir),
    ):
        case = case_of(server, file, base_rate=0.2)
        own = inspected(bundle_dir, tiny_clip_dir, file, base_rate=0.2)
        alone = inspected(second_dir, weights, file, base_rate=0.2)
        assert (case["verdict"], case["probability"]) == (
            own.verdict,
            pytest.approx(own.probability, abs=1e-6),
        )
        second = case["second"]
        assert (second["name"], second["verdict"]) == (alone.versions.bundle, alone.verdict)
        assert (second["digest"], second["build"]) == (alone.versions.bundle_digest, alone.versions.build)
        assert second["probability"] == pytest.approx(alone.probability, abs=1e-6)
        assert second["interval"] == pytest.approx(list(alone.interval), abs=1e-6)
        assert second["thresholds"]["ai"] == pytest.approx(alone.thresholds.ai)
        assert case["neighbors"]["fake"] and case["distilled"] is not None


def test_one_pass_serves_both(shared: Running, apart: Running, collection: Path) -> None:
    files = pictures(collection)[4:9]
    for server, encoders in ((shared, 1), (apart, 2)):
        with counted(server.state.inspector) as images:
            answer = server.upload(*((file.name, file.read_bytes()) for file in files))
        assert len(answer.json()["cases"]) == 5
        assert set(images.values()) == {5} and len(images) == encoders


def test_disagreement_and_silence_are_told_apart(shared: Running, collection: Path) -> None:
    found: dict[str, dict[str, Any]] = {}
    for file in pictures(collection):
        case = case_of(shared, file)
        first, second = WORDS.get(case["verdict"]), WORDS.get(case["second"]["verdict"])
        expected = {
            (True, True): "neither_answers",
            (True, False): "one_answers",
            (False, True): "one_answers",
            (False, False): "agree" if first == second else "disagree",
        }[first is None, second is None]
        assert case["second"]["agreement"] == expected
        found.setdefault(expected, case)
    assert {"disagree", "one_answers"} <= set(found)
    tiny = shared.upload(("tiny.png", png(Image.new("RGB", (20, 20))))).json()["cases"][0]
    assert tiny["second"]["agreement"] == "neither_answers"
    case = found["disagree"]
    assert "The second detector contrary (build" in case["sentence"]
    assert case["second"]["sentence"].startswith("The two detectors disagree: small says ")
    assert "second detector" not in found["one_answers"]["sentence"]
    page = shared.get(f"/cases/{case['id']}/report").text
    assert "What a second detector says" in page and case["second"]["digest"] in page
    data = shared.get(f"/cases/{case['id']}/report", params={"format": "json"}).json()
    assert data["second"] == case["second"]


def test_changes_and_rates_reach_the_second(shared: Running, contrary_dir: Path, collection: Path) -> None:
    case = case_of(shared, pictures(collection)[0])
    asked = {"edits": [{"name": "blur", "value": 3}]}
    changed = shared.post(f"/cases/{case['id']}/whatif", json=asked).json()
    assert changed["after"]["second"]["logit"] != changed["before"]["second"]["logit"]
    low, high = (
        shared.get(f"/cases/{case['id']}", params={"base_rate": rate}).json()["second"]["probability"]
        for rate in (0.01, 0.99)
    )
    assert low < case["second"]["probability"] < high
    info = shared.get("/info").json()
    assert (info["bundle"]["name"], info["second"]["name"]) == ("small", "contrary")


def test_a_batch_has_the_seconds_columns(shared: Running, server: Running, collection: Path) -> None:
    job = finished(shared, shared.post("/jobs", json={"path": "fake"}).json()["id"])
    rows = shared.get(f"/jobs/{job['id']}/results").json()["rows"]
    assert {row["second"]["name"] for row in rows} == {"contrary"}
    table = list(csv.DictReader(io.StringIO(shared.get(f"/jobs/{job['id']}/results?format=csv").text)))
    lines = [
        json.loads(line) for line in shared.get(f"/jobs/{job['id']}/results?format=jsonl").text.splitlines()
    ]
    for row, line, data in zip(table, lines, rows, strict=True):
        assert line["second"] == data["second"]
        assert (row["second_verdict"], row["agreement"]) == (
            data["second"]["verdict"],
            data["second"]["agreement"],
        )
        assert float(row["second_probability"]) == data["second"]["probability"]
    alone = finished(server, server.post("/jobs", json={"path": "fake"}).json()["id"])
    head = server.get(f"/jobs/{alone['id']}/results?format=csv").text.splitlines()[0]
    assert "second" not in head and "agreement" not in head


def test_an_ensemble_may_stand_on_either_side(
    settings: ServerSettings, ensemble_dir: Path, bundle_dir: Path, naflex_dir: Path, collection: Path
) -> None:
    assert isinstance(settings.weights, Path)
    weights = (settings.weights, naflex_dir)
    file = pictures(collection)[2]
    cases = []
    for first, second in ((bundle_dir, ensemble_dir), (ensemble_dir, bundle_dir)):
        distilled = settings.distilled if first == bundle_dir else None
        of = replace(settings, bundle=first, beside=second, weights=weights, distilled=distilled)
        with running(of) as one:
            with counted(one.state.inspector) as images:
                cases.append(case_of(one, file))
            assert sorted(images.values()) == [1, 1], "each encoder once, though both detectors read one"
    bundle, ensemble = cases
    assert (bundle["second"]["name"], ensemble["second"]["name"]) == ("both", "small")
    assert bundle["probability"] == pytest.approx(ensemble["second"]["probability"], abs=1e-6)
    assert ensemble["probability"] == pytest.approx(bundle["second"]["probability"], abs=1e-6)
    assert ensemble["ensemble"]["members"] and bundle["ensemble"] is None


def test_a_server_without_one_says_null(server: Running, collection: Path) -> None:
    assert case_of(server, pictures(collection)[0])["second"] is None
    assert server.get("/info").json()["second"] is None


def test_settings_reach_workers_whole(settings: ServerSettings, contrary_dir: Path) -> None:
    both = replace(settings, beside=contrary_dir)
    assert ServerSettings.from_json(both.to_json()) == both
    assert "beside it contrary" in "\n".join(greeting(both, "x"))


def test_a_second_detector_that_cannot_be_loaded_stops_the_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "morelli", "serve", "--port", "0", "--beside", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (2, 4)
    assert str(tmp_path / "none") in done.stderr.replace("\n", "") and "Traceback" not in done.stderr
    assert "Morelli is at" not in done.stderr


def test_a_detector_beside_itself_is_refused(settings: ServerSettings, bundle_dir: Path) -> None:
    with running(replace(settings, beside=bundle_dir), ready=False) as one:
        until(lambda: one.state.problem is not None)
        assert "small, is the first one" in str(one.state.problem)
