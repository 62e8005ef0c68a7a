"""Ensembles: held-out weights, the folder, and what is said where members disagree."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone

from morelli.artefacts import document_digest
from morelli.detectors import Bundle, Ensemble, LinearProbe, Recipe, fit_bundle, fit_ensemble, load_detector
from morelli.detectors._disagreement import measure_disagreement
from morelli.encoders import Build
from morelli.errors import ArtifactError, BuildMismatchError, UsageError
from morelli.features import Features

N = 480


def _features(name: str, X: NDArray[Any], y: NDArray[Any], **columns: Any) -> Features:
    build = Build(encoder=name, weights=name * 4, transform="clip-224-bicubic-crop-v1", dtype="float32")
    groups = [f"g{row // 2 % 24}" for row in range(len(y))]
    known = {
        "sha256": [f"{row:064x}" for row in range(len(y))],
        "generator": [group if label else None for group, label in zip(groups, y, strict=True)],
        "source": [None if label else group for group, label in zip(groups, y, strict=True)],
    }
    return Features.from_arrays(X, y, build, **known | columns)


@pytest.fixture(scope="module")
def tables() -> list[Features]:
    """Two encoders that see different halves of what gives images away, and one that sees nothing."""
    rng = np.random.default_rng(4)
    y = np.arange(N) % 2
    shift = np.zeros((N, 12))
    shift[:, 0] = shift[:, 4] = 1.6 * y
    X = rng.normal(size=(N, 12)) + shift
    return [_features(name, X[:, 4 * k : 4 * k + 4], y) for k, name in enumerate("abc")]


@pytest.fixture(scope="module")
def members(tables: list[Features]) -> list[Bundle]:
    probe = LinearProbe(C=0.1)
    recipes = [Recipe(name=f"on-{table.build.encoder}", estimator=probe, n_draws=6) for table in tables]
    return [fit_bundle(table, recipe).bundle for table, recipe in zip(tables, recipes, strict=True)]


@pytest.fixture(scope="module")
def fitted(members: list[Bundle], tables: list[Features]) -> Any:
    return fit_ensemble(members, tables, name="three")


@pytest.fixture
def folder(tmp_path: Path, fitted: Any) -> Path:
    fitted.ensemble.save(tmp_path / "three")
    return tmp_path / "three"


def test_weights_are_of_those_that_see_something(fitted: Any) -> None:
    weights = np.array(fitted.ensemble.weights)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert weights[:2].min() > 0.35
    assert weights[2] < 0.1
    assert fitted.best_member in {"on-a", "on-b"}
    assert fitted.better_than(fitted.best_member)
    compared = fitted.compared
    assert compared["combination"]["auc"]["value"] > compared["plain mean"]["auc"]["value"]
    assert list(compared) == ["on-a", "on-b", "on-c", "plain mean", "combination"]
    gain = compared["on-a"]["difference"]["auc"]
    assert gain["value"] == pytest.approx(
        compared["combination"]["auc"]["value"] - compared["on-a"]["auc"]["value"], abs=1e-12
    )
    assert gain["low"] < gain["value"] < gain["high"]


def test_no_score_is_of_a_head_or_weights_that_saw_its_group(fitted: Any, tables: list[Features]) -> None:
    """Every column is what a probe says that was fitted without the fold; folds keep groups whole."""
    for group in np.unique(fitted.groups):
        assert len(np.unique(fitted.folds[fitted.groups == group])) == 1
    rows = {key[0]: row for row, key in enumerate(fitted.keys)}
    order = np.array([rows[sha] for sha in tables[1].column("sha256")])
    X, y, folds = tables[1].matrix("final"), tables[1].labels, fitted.folds[order]
    fold = folds == folds[0]
    probe = clone(LinearProbe(C=0.1)).fit(X[~fold], y[~fold])
    assert np.allclose(probe.decision_function(X[fold]), fitted.member_logits[order, 1][fold], atol=1e-6)


def test_features_of_chance_give_no_better_combination(tables: list[Features]) -> None:
    """Nothing can be learnt, and the figures say so: weights and calibration never saw the image."""
    aucs = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        noise = [_features(t.build.encoder, rng.normal(size=(N, 4)), t.labels) for t in tables[:2]]
        try:
            recipes = [Recipe(name=t.build.encoder, calibration="none", n_draws=0) for t in noise]
            bundles = [fit_bundle(t, r).bundle for t, r in zip(noise, recipes, strict=True)]
            made = fit_ensemble(bundles, noise)
        except UsageError as error:
            assert "rank real images above generated ones" in str(error)
            continue
        assert not made.better_than(made.best_member)
        aucs.append(made.compared["combination"]["auc"]["value"])
    assert aucs
    assert max(abs(auc - 0.5) for auc in aucs) < 0.1


def test_equal_weights_are_the_plain_mean(members: list[Bundle], tables: list[Features]) -> None:
    made = fit_ensemble(members, tables, combine="mean")
    factors = np.array(made.ensemble.weights) / np.array(made.ensemble.scales)
    assert factors == pytest.approx([factors[0]] * 3)
    assert sum(made.ensemble.weights) == pytest.approx(1)
    auc = [made.compared[name]["auc"]["value"] for name in ("combination", "plain mean")]
    assert auc[0] == pytest.approx(auc[1], abs=0.005)


def test_the_folder_gives_the_same_verdicts(folder: Path, fitted: Any, tables: list[Features]) -> None:
    joined = fitted.ensemble.join(tables)
    read = load_detector(folder)
    assert isinstance(read, Ensemble)
    assert read.digest is not None
    assert read.build.matches(joined.build)
    assert [one.digest for one in read.members] == [None] * 3
    assert np.array_equal(read.logits(joined), fitted.ensemble.logits(joined))
    assert [v.to_json() for v in read.verdicts(joined)] == [
        v.to_json() for v in fitted.ensemble.verdicts(joined)
    ]
    card = (folder / "MODEL_CARD.md").read_text()
    assert "on-b" in card
    assert "3 forward passes" in card
    read.save(folder)
    assert load_detector(folder).digest == read.digest


def test_a_verdict_joins_what_the_members_say(fitted: Any, tables: list[Features]) -> None:
    ensemble = fitted.ensemble
    joined = ensemble.join(tables)
    verdicts = ensemble.verdicts(joined, 0.2)
    probabilities = ensemble.probabilities(joined, 0.2)
    for k, (member, table) in enumerate(zip(ensemble.members, tables, strict=True)):
        own = [v.ensemble.members[k] for v in verdicts]
        assert np.allclose([one.probability for one in own], member.probabilities(table, 0.2))
        assert {one.name for one in own} == {member.name}
        logits = member.logits(table)
        assert [one.verdict == "ai" for one in own] == (logits > member.ai.logit).tolist()
    for verdict, p in zip(verdicts, probabilities, strict=True):
        assert verdict.probability == pytest.approx(p)
        low, high = verdict.interval
        assert low <= verdict.probability <= high
        assert any("this very file is in the bank" in reason for reason in verdict.reasons)
    right = [(v.verdict == "ai") == (y == 1) for v, y in zip(verdicts, joined.labels, strict=True)
             if v.verdict in ("ai", "real")]  # fmt: skip
    assert np.mean(right) > 0.9


def test_disagreement_is_said_and_may_withhold_the_answer(fitted: Any, tables: list[Features]) -> None:
    """Members that are made to contradict each other on every image."""
    first, second, third = fitted.ensemble.members
    always = replace(first, ai=replace(first.ai, logit=-1e6))
    never = replace(second, ai=replace(second.ai, logit=1e6), real=replace(second.real, logit=1e5))
    torn = replace(fitted.ensemble, members=(always, never, third))
    joined = torn.join(tables)
    trusted = replace(torn, disagreement=replace(torn.disagreement, contradicted=100, answered=100, wrong=1))
    distrusted = replace(torn, disagreement=replace(trusted.disagreement, wrong=60))
    assert distrusted.disagreement.withholds
    assert not trusted.disagreement.withholds
    answers, withheld = trusted.verdicts(joined), distrusted.verdicts(joined)
    plain = replace(fitted.ensemble, disagreement=trusted.disagreement).verdicts(joined)
    assert [v.verdict for v in answers] == [v.verdict for v in plain]
    assert {v.verdict for v in withheld} <= {"inconclusive", "out_of_domain"}
    for one, two in zip(answers, withheld, strict=True):
        assert one.ensemble.contradict
        assert one.ensemble.disagree
        assert "on-a says AI-generated" in one.ensemble.sentence
        assert "on-b says real" in one.ensemble.sentence
        assert one.ensemble.sentence in one.reasons
        assert two.ensemble.withheld == (one.verdict in ("ai", "real"))
        assert two.to_json()["ensemble"]["disagree"] is True
    assert any("60 of 100 were wrong" in two.reasons[0] for two in withheld)


def test_an_unusual_spread_is_one_that_few_held_out_images_exceed(
    fitted: Any, tables: list[Features]
) -> None:
    spreads = [v.ensemble for v in fitted.ensemble.verdicts(fitted.ensemble.join(tables))]
    assert np.mean([one.unusual for one in spreads]) < 0.1
    assert all(one.unusual == (one.spread > fitted.ensemble.disagreement.limit) for one in spreads)
    assert all((one.sentence is not None) == one.disagree for one in spreads)


def test_disagreement_is_counted_by_hand() -> None:
    p = np.linspace(0, 1, 40)[:, None] * [[1, 0]]
    words = np.tile([[1, -1], [1, 1], [0, -1], [-1, 1]], (10, 1))
    combined = np.tile([1, 1, 0, -1], 10)
    found = measure_disagreement(p, words, combined, np.ones(40), 0.05)
    assert (found.contradicted, found.answered, found.wrong) == (20, 20, 10)
    assert (found.others_answered, found.others_wrong) == (10, 0)
    assert found.withholds
    assert found.limit == pytest.approx(p[38, 0])


def test_an_image_is_out_of_domain_where_most_banks_say_so(fitted: Any, tables: list[Features]) -> None:
    ensemble = fitted.ensemble
    joined = ensemble.join(tables).take([0, 1, 2])

    def far(count: int) -> list[str]:
        members = [
            replace(m, bank=replace(m.bank, limit=1e-9 if k < count else 1e9))
            for k, m in enumerate(ensemble.members)
        ]
        return [v.verdict for v in replace(ensemble, members=tuple(members)).verdicts(joined)]

    assert "out_of_domain" not in far(1)
    assert set(far(2)) == {"out_of_domain"}


def test_other_rates_move_what_they_should(fitted: Any, tables: list[Features]) -> None:
    joined = fitted.ensemble.join(tables)
    strict = fitted.ensemble.with_fpr(0.01)
    assert strict.ai.logit > fitted.ensemble.ai.logit
    rare = fitted.ensemble.with_base_rate(0.01)
    assert (rare.probabilities(joined) < fitted.ensemble.probabilities(joined)).all()
    assert [v.verdict for v in rare.verdicts(joined)] == [v.verdict for v in fitted.ensemble.verdicts(joined)]


def test_features_that_are_missing_or_of_others_are_refused(fitted: Any, tables: list[Features]) -> None:
    with pytest.raises(UsageError, match="no table has features by c"):
        fitted.ensemble.join(tables[:2])
    with pytest.raises(UsageError, match="1 of 480 images"):
        fitted.ensemble.join([tables[0], tables[1], tables[2].take(np.arange(N - 1))])
    with pytest.raises(UsageError, match="member on-a of the ensemble three needs features"):
        fitted.ensemble.logits(tables[0])
    with pytest.raises(BuildMismatchError, match="not those of the ensemble"):
        fitted.ensemble.check_build(tables[0].build)


def test_members_must_be_fitted_on_the_same_images(members: list[Bundle], tables: list[Features]) -> None:
    with pytest.raises(UsageError, match="two bundles or more"):
        fit_ensemble(members[:1], tables)
    with pytest.raises(UsageError, match="another name"):
        fit_ensemble([members[0], replace(members[1], name="on-a")], tables)
    with pytest.raises(UsageError, match="on-b was fitted on other images"):
        fit_ensemble(members, [tables[0], tables[1].take(np.arange(N - 2)), tables[2]])
    with pytest.raises(UsageError, match="no tables have features by c"):
        fit_ensemble(members, tables[:2])
    imported = replace(members[1], recipe={"estimator": "UnivFD published head"})
    with pytest.raises(UsageError, match="on-b cannot be a member"):
        fit_ensemble([members[0], imported], tables)


def _signed(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest as somebody would who knows how it is hashed."""
    file = folder / "ensemble.json"
    document = json.loads(file.read_text())
    change(document)
    document.pop("digest")
    document["digest"] = document_digest(document)
    file.write_text(json.dumps(document))


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    *places, last, value = path

    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        for place in places:
            inner = inner[place]
        inner[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("version", 2), "format version 2"),
        (_set("members", 0, "weight", 0.9), "sum 1"),
        (_set("members", 0, "weight", -0.1), "weight"),
        (_set("members", 0, "scale", 0), "scale"),
        (_set("members", 0, "name", "another"), "member-1 is another bundle"),
        (_set("members", 1, "folder", "member-1"), "member-1 is another bundle"),
        (_set("members", 1, "folder", "../three"), "is missing"),
        (_set("disagreement", "wrong", 100_000), "do not fit each other"),
        (_set("disagreement", "limit", 7), "limit"),
        (_set("calibration", "method", "magic"), "magic"),
        (_set("members", []), "2 to 16 members"),
    ],
)
def test_a_manifest_that_was_made_up_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    _signed(folder, change)
    with pytest.raises(ArtifactError, match=said):
        load_detector(folder)


@pytest.mark.parametrize(
    "name",
    ["ensemble.json", "held_out.safetensors", "member-2/bundle.json", "member-3/head.safetensors",
     "member-1/bank.safetensors"],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_file_is_found(folder: Path, name: str, damage: str) -> None:
    file = folder / name
    data = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    with pytest.raises(ArtifactError):
        Ensemble.load(folder)


def test_an_ensemble_is_no_bundle_and_does_not_replace_one(
    folder: Path, tmp_path: Path, fitted: Any, members: list[Bundle]
) -> None:
    with pytest.raises(ArtifactError, match="is an ensemble of detectors, where one bundle is needed"):
        Bundle.load(folder)
    members[0].save(tmp_path / "bundle")
    with pytest.raises(UsageError, match="bundle"):
        fitted.ensemble.save(tmp_path / "bundle")
    assert load_detector(tmp_path / "bundle").name == "on-a"
