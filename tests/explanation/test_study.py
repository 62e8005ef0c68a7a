"""The transfer study: planted harm is found and paid back, noise is not; its files and its command."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from morelli.cli._app import app
from morelli.detectors import Bundle
from morelli.errors import UsageError
from morelli.explanation.study import study_bundle, transfer_study
from morelli.features import Features, FeatureTable
from morelli.metrics import two_sample_auc
from morelli.reports import study_json, write_study
from tests.explanation.planted_study import FAST, planted


@pytest.fixture(scope="module")
def study():
    return transfer_study(planted(generators=12), FAST)


def test_planted_harm_is_removed_and_pays(study):
    names = [row.name for row in study.rows]
    assert names == [
        "final", "layer:1", "layer:2", "block", "heads", "heads removed", "random heads", "residual",
        "components", "random components", "directions", "block and directions", "heads and directions",
        "heads removed and directions",
    ]  # fmt: skip
    for name in ("components", "heads", "heads removed", "directions", "heads and directions", "block"):
        row = study.row(name)
        assert row.gain.value > 0.1 and row.gain.low > 0, (name, str(row.gain))
    assert study.row("layer:1").ood < 0.6 < study.row("layer:2").ood
    assert study.row("random components").ood < study.row("components").ood - 0.03
    assert study.winner.contender and study.winner.name != "final"
    assert study.row("random heads").ood < study.row("heads removed").ood - 0.03
    assert study.row("heads removed").kept[1] == 2 and not study.row("random heads").contender
    kept = study.row("heads").kept
    assert kept is not None and kept[2] <= 4 and study.row("heads").total == 6
    assert study.row("components").kept[1] < 24


def test_families_are_crossed_in_both_directions(study):
    row = study.row("heads")
    assert row.families.generators == ("gan", "diffusion")
    assert np.isnan(row.families.mean[0, 0])
    assert min(row.families.mean[0, 1], row.families.mean[1, 0]) > 0.7


def test_files_say_what_the_study_says(study, tmp_path):
    paths = write_study(study, tmp_path / "out")
    assert [p.name for p in paths] == ["study.json", "study.md", "study.png"]
    found = json.loads(paths[0].read_text())
    assert found["winner"] == study.winner.name
    by_name = {row["name"]: row for row in found["rows"]}
    assert by_name["components"]["ood_auc"] == pytest.approx(study.row("components").ood)
    assert by_name["final"]["matrix"]["auc"][0][0] is None
    assert by_name["final"]["matrix"]["auc"][0][1] == pytest.approx(
        study.row("final").matrix.mean[0, 1], abs=1e-5
    )
    text = paths[1].read_text()
    assert f"**{study.winner.title}**" in text and "gan → diffusion" in text and "IsoScore" in text
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_nothing_is_claimed_on_noise():
    features = planted(3)
    rng = np.random.default_rng(5)
    vectors = {kind: rng.normal(size=v.shape) for kind, v in features.vectors.items() if "layer" not in kind}
    noise = Features(vectors, features.meta, features.build)
    found = transfer_study(noise, FAST)
    for name in ("components", "heads", "heads removed", "directions", "heads and directions"):
        assert found.row(name).ood < 0.56, name
        assert found.row(name).pooled.ood < 0.56, name
    verdict = study_json(found)["verdict"]
    highest = max((row for row in found.rows if row.contender), key=lambda row: row.ood)
    assert verdict.startswith("Nothing beats the final embedding")
    if highest.name != "final":
        assert f"{highest.ood:.3f}, and is not called the winner" in verdict
    assert study_json(found)["winner"] == "final"


def test_only_the_variants_that_are_asked_for_run():
    features = planted(generators=6)
    found = transfer_study(features, replace(FAST, variants=("random heads", "heads removed")))
    assert [row.name for row in found.rows] == ["final", "heads removed", "random heads"]
    with pytest.raises(UsageError, match="no variant nonsense"):
        transfer_study(features, replace(FAST, variants=("nonsense",)))
    with pytest.raises(UsageError, match="ask for both"):
        transfer_study(features, replace(FAST, variants=("random components",)))


def test_too_few_generators_are_refused():
    features = planted(generators=3)
    with pytest.raises(UsageError, match="four generators"):
        transfer_study(features, FAST)
    with pytest.raises(UsageError, match="final"):
        transfer_study(
            Features({"layer:1": features.vectors["layer:1"]}, features.meta, features.build), FAST
        )


@pytest.mark.parametrize(
    "winner",
    [
        "block", "block and directions", "components", "directions", "heads", "heads and directions",
        "heads removed", "heads removed and directions",
    ],
)  # fmt: skip
def test_a_winner_becomes_a_bundle_that_reads_what_was_chosen(study, tmp_path, winner):
    features = planted(generators=12)
    if winner.startswith("heads removed"):
        # Real embeddings hold more than heads; without, nothing would be left in the columns of the removed.
        rest = 0.2 * np.random.default_rng(1).normal(size=features.vectors["final"].shape)
        vectors = {**features.vectors, "final": features.vectors["final"] + rest}
        features = Features(vectors, features.meta, features.build)
    won = replace(study, rows=tuple(r for r in study.rows if r.name in ("final", winner)))
    assert won.winner.name == winner
    made = study_bundle(won, features)
    made.save(tmp_path / "bundle")
    again = Bundle.load(tmp_path / "bundle")
    logits = again.logits(features)
    np.testing.assert_allclose(logits, made.logits(features), atol=1e-5)
    assert two_sample_auc(logits[features.labels == 1], logits[features.labels == 0]) > 0.9
    if winner.startswith("heads removed"):
        assert set(again.kinds) == {"final", "head:1.3", "head:1.4", "head:1.5", "head:1.6"}
    elif winner.startswith("heads"):
        assert {"head:1.1", "head:1.2"} & set(again.kinds) and len(again.kinds) <= 5
    elif winner.startswith("block"):
        assert "layer:2" in again.kinds


def test_the_command_writes_the_study(tmp_path):
    features = planted(generators=6)
    FeatureTable.create(
        tmp_path / "f.lance", features.build, {k: v.shape[1:] for k, v in features.vectors.items()}, "float32"
    ).append(features)
    options = ["-o", str(tmp_path / "out"), "--no-controls", "--holdouts", "3"]
    run = CliRunner().invoke(app, ["study", "transfer", str(tmp_path / "f.lance"), *options])
    assert run.exit_code == 0, run.output
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"study.json", "study.md", "study.png", "bundle"}
    assert json.loads((tmp_path / "out" / "study.json").read_text())["generators"] == [
        f"g{i}" for i in range(6)
    ]
    assert "final embedding" in run.output
    refused = CliRunner().invoke(
        app, ["study", "transfer", str(tmp_path / "f.lance"), "-o", str(tmp_path / "x"), "--families", "gan"]
    )
    assert refused.exit_code != 0
