"""A bundle says the same after a round trip, notices every change to its files, and explains its verdicts."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from morelli.artefacts._json import document_digest
from morelli.detectors import (
    Bundle,
    LinearProbe,
    NearestNeighborDetector,
    Recipe,
    cross_fit,
    fit_bundle,
    training_hash,
)
from morelli.detectors._fit import FittedBundle
from morelli.detectors._model_card import model_card
from morelli.errors import ArtifactError, BuildMismatchError, UsageError
from morelli.features import Features
from tests.detectors.conftest import make_features

RECIPE = Recipe(name="story", kinds=("final", "layer:3"), n_draws=20, n_folds=4, licence="CC0", seed=7)


@pytest.fixture(scope="module")
def fitted(story: Features) -> FittedBundle:
    return fit_bundle(story, RECIPE, metrics={"metadata_only_auc": 0.5}, command="morelli fit story.lance")


@pytest.fixture(scope="module")
def by_neighbors(story: Features) -> FittedBundle:
    recipe = dataclasses.replace(RECIPE, name="knn", estimator=NearestNeighborDetector(3))
    return fit_bundle(story, recipe)


@pytest.fixture
def saved(fitted: FittedBundle, tmp_path: Path) -> Path:
    fitted.bundle.save(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.parametrize("which", ["fitted", "by_neighbors"])
def test_a_bundle_says_the_same_after_a_round_trip(
    which: str, story: Features, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bundle = request.getfixturevalue(which).bundle
    bundle.save(tmp_path / "b")
    again = Bundle.load(tmp_path / "b")
    new = make_features(n_per_group=3, seed=0)
    new = dataclasses.replace(new, build=story.build)
    np.testing.assert_array_equal(again.logits(new), bundle.logits(new))
    np.testing.assert_array_equal(again.intervals(new), bundle.intervals(new))
    assert again.verdicts(new) == bundle.verdicts(new)
    assert again.kinds == ("final", "layer:3")
    again.save(tmp_path / "c")
    for name in ("head.safetensors", "bank.safetensors", "bank.json", "bundle.json", "MODEL_CARD.md"):
        if (tmp_path / "b" / name).exists():
            assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()


def test_the_head_learnt_the_story_and_its_figures_are_held_out(fitted: FittedBundle) -> None:
    assert len(fitted.rows) == len(fitted.logits) == 144
    assert roc_auc_score(fitted.labels, fitted.logits) == pytest.approx(fitted.bundle.metrics["auc"]["value"])
    assert fitted.bundle.metrics["auc"]["value"] > 0.75
    for group in np.unique(fitted.groups):
        assert len(np.unique(fitted.folds[fitted.groups == group])) == 1
    figures = fitted.bundle.metrics
    assert all(f["low"] <= f["high"] for f in figures.values() if isinstance(f, dict))
    real, fake = (fitted.logits[fitted.labels == label] for label in (0, 1))
    assert (real > fitted.bundle.ai.logit).mean() <= 0.05
    assert (fake <= fitted.bundle.real.logit).mean() <= 0.05
    assert figures["tpr_at_ai_threshold"]["value"] == (fake > fitted.bundle.ai.logit).mean()


def test_the_manifest_names_what_it_was_made_of(saved: Path, story: Features) -> None:
    manifest = json.loads((saved / "bundle.json").read_text())
    assert manifest["build"] == story.build.to_json()
    assert manifest["kinds"] == ["final", "layer:3"]
    assert manifest["training"]["n_real"] == manifest["training"]["n_fake"] == 72
    assert manifest["training"]["generators"]["gan0"] == 12
    assert manifest["training"]["sources"]["camera1"] == 12
    assert manifest["training"]["seed"] == 7
    assert manifest["training"]["hash"] == training_hash(story.column("sha256"), story.labels)
    assert manifest["recipe"]["estimator"] == "LinearProbe"
    assert manifest["recipe"]["parameters"]["C"] == "cv"
    assert manifest["command"] == "morelli fit story.lance"
    card = (saved / "MODEL_CARD.md").read_text()
    for phrase in (
        "a signal, not proof",
        "Intended use",
        "Limits",
        "gan0 12",
        "camera1 12",
        "metadata_only_auc",
    ):
        assert phrase in card
    assert "95 % upper bound" in card
    assert "0.1 %" in card
    assert "| figure | value | 90 % interval |" in card
    for figure in manifest["metrics"].values():
        if isinstance(figure, dict):
            figure.pop("level", None)
    assert "| figure | value | 95 % interval |" in model_card(manifest), "as it was before it was kept"


def test_the_training_hash_is_of_images_and_labels_not_of_their_order() -> None:
    assert training_hash(["a", "b"], [0, 1]) == training_hash(["b", "a", "a"], [1, 0, 0])
    assert training_hash(["a", "b"], [0, 1]) != training_hash(["a", "b"], [1, 0])


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    "name", ["head.safetensors", "bank.safetensors", "held_out.safetensors", "bank.json"]
)
def test_a_changed_file_is_named(saved: Path, name: str) -> None:
    flip_a_bit(saved / name)
    with pytest.raises(ArtifactError, match=f"{name} was changed"):
        Bundle.load(saved)
    (saved / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        Bundle.load(saved)


def rewrite(saved: Path, change: Any, *, sign: bool) -> None:
    manifest = json.loads((saved / "bundle.json").read_text())
    change(manifest)
    if sign:
        manifest["digest"] = document_digest(manifest)
    (saved / "bundle.json").write_text(json.dumps(manifest))


def test_a_changed_manifest_is_noticed(saved: Path) -> None:
    rewrite(saved, lambda m: m["thresholds"]["ai"].update(logit=-9.0), sign=False)
    with pytest.raises(ArtifactError, match="digest"):
        Bundle.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(version=99), "version 99"),
        (lambda m: m.update(format="zip"), "not the manifest"),
        (lambda m: m["build"].update(dtype="bfloat16"), "fingerprint"),
        (lambda m: m["detector"].update(type="oracle"), "unknown type of detector"),
        (lambda m: m["calibration"].update(method="magic"), "magic"),
        (lambda m: m["thresholds"]["ai"].pop("logit"), "threshold"),
        (lambda m: m.pop("training"), "training"),
        (lambda m: m.update(base_rate=0), "base_rate"),
        (lambda m: m["files"].update({"../evil.json": {"sha256": "0"}}), "outside the bundle"),
        (lambda m: m["files"].update({"run.py": m["files"]["bank.json"]}), "run.py"),
        (lambda m: m["files"]["head.safetensors"]["tensors"]["weights"].update(shape=[3]), "declared as"),
        (lambda m: m["files"]["head.safetensors"]["tensors"].pop("draws"), "not those that"),
        (lambda m: m["files"].pop("head.safetensors"), "head.safetensors is not part"),
        (lambda m: m["bank"].update(sizes=[1, 2]), "do not fit"),
    ],
)
def test_a_signed_but_wrong_manifest_is_refused(saved: Path, change: Any, message: str) -> None:
    rewrite(saved, change, sign=True)
    with pytest.raises(ArtifactError, match=message):
        Bundle.load(saved)


def replace_tensor(saved: Path, file: str, name: str, value: np.ndarray) -> None:
    import hashlib

    tensors = load_file(saved / file)
    tensors[name] = value
    save_file(tensors, saved / file)

    def change(manifest: dict[str, Any]) -> None:
        facts = manifest["files"][file]
        facts["sha256"] = hashlib.sha256((saved / file).read_bytes()).hexdigest()
        facts["bytes"] = (saved / file).stat().st_size
        facts["tensors"][name] = {"shape": list(value.shape), "dtype": str(value.dtype)}

    rewrite(saved, change, sign=True)


@pytest.mark.parametrize(
    ("file", "name", "value", "message"),
    [
        ("head.safetensors", "weights", np.full(32, np.nan), "not finite"),
        ("head.safetensors", "weights", np.zeros(5), "do not fit"),
        ("head.safetensors", "weights", np.zeros((2, 16)), "1 axes"),
        ("head.safetensors", "weights", np.zeros(32, dtype=np.int64), "int64"),
        ("bank.safetensors", "labels", np.zeros(144, dtype=np.int8), "labels must be"),
        ("bank.safetensors", "labels", np.zeros(3, dtype=np.int8), "entries"),
        ("held_out.safetensors", "logits", np.zeros(3), "one length"),
    ],
)
def test_wrong_tensors_are_refused_even_when_signed(
    saved: Path, file: str, name: str, value: np.ndarray, message: str
) -> None:
    replace_tensor(saved, file, name, value)
    with pytest.raises(ArtifactError, match=message):
        Bundle.load(saved)


def test_a_folder_that_is_no_bundle(tmp_path: Path, fitted: FittedBundle) -> None:
    with pytest.raises(ArtifactError, match=r"no bundle\.json|has no bundle"):
        Bundle.load(tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="is no bundle"):
        fitted.bundle.save(tmp_path / "notes")
    assert (tmp_path / "notes" / "mine.txt").read_text() == "precious"


def test_a_save_that_fails_leaves_the_old_bundle(saved: Path, fitted: FittedBundle) -> None:
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    endless = dataclasses.replace(fitted.bundle, metrics={"not": math.nan})
    with pytest.raises(ValueError, match="JSON compliant"):
        endless.save(saved)
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    assert [entry.name for entry in saved.parent.iterdir()] == ["bundle"]
    fitted.bundle.with_base_rate(0.1).save(saved)
    assert Bundle.load(saved).base_rate == 0.1


def test_a_change_by_another_is_not_overwritten(saved: Path, story: Features) -> None:
    mine, other = Bundle.load(saved), Bundle.load(saved)
    extra = dataclasses.replace(make_features(n_per_group=2, seed=9), build=story.build)
    other.with_bank_added(extra).save(saved)
    mine = mine.with_base_rate(0.2)
    with pytest.raises(ArtifactError, match="changed since it was read"):
        mine.save(saved)
    mine.save(saved.with_name("elsewhere"))
    bank = Bundle.load(saved).bank
    assert bank is not None
    assert len(bank) == 144 + 24
    again = Bundle.load(saved).with_base_rate(0.2)
    again.save(saved)
    again.with_base_rate(0.3).save(saved)
    assert Bundle.load(saved).base_rate == 0.3
    mine.save(saved, overwrite=True)
    assert Bundle.load(saved).base_rate == 0.2


def test_files_of_the_user_stay_in_the_folder(saved: Path) -> None:
    (saved / "notes.txt").write_text("mine")
    (saved / ".git" / "objects").mkdir(parents=True)
    (saved / ".git" / "objects" / "1").write_bytes(b"blob")
    saved.chmod(0o700)
    Bundle.load(saved).with_base_rate(0.2).save(saved)
    assert Bundle.load(saved).base_rate == 0.2
    assert (saved / "notes.txt").read_text() == "mine"
    assert (saved / ".git" / "objects" / "1").read_bytes() == b"blob"
    assert saved.stat().st_mode & 0o777 == 0o700


def test_features_of_another_build_are_refused_with_the_way_out(
    story: Features, fitted: FittedBundle
) -> None:
    other = dataclasses.replace(
        story, build=dataclasses.replace(story.build, dtype="bfloat16", transform="t")
    )
    with pytest.raises(BuildMismatchError) as caught:
        fitted.bundle.logits(other)
    text = str(caught.value)
    assert "dtype bfloat16 instead of float32" in text
    assert "transform t instead of external" in text
    assert "weights" not in text.split("Extract", maxsplit=1)[0]
    assert "morelli extract SOURCE" in text
    assert "--kinds final,layer:3" in text


def test_missing_and_misshapen_kinds_are_refused(story: Features, fitted: FittedBundle) -> None:
    some = dataclasses.replace(story, vectors={"final": story.vectors["final"]})
    with pytest.raises(UsageError, match="layer:3"):
        fitted.bundle.logits(some)
    short = {**story.vectors, "layer:3": story.vectors["layer:3"][:, :4]}
    with pytest.raises(UsageError, match="28 values in all"):
        fitted.bundle.logits(dataclasses.replace(story, vectors=short))


def test_verdicts_follow_the_thresholds_and_bring_evidence(story: Features, fitted: FittedBundle) -> None:
    bundle = fitted.bundle
    verdicts = bundle.verdicts(story)
    assert {"ai", "real", "inconclusive"} <= {v.verdict for v in verdicts}
    for i, v in enumerate(verdicts):
        if v.verdict == "ai":
            assert v.logit > bundle.ai.logit
        if v.verdict == "real":
            assert v.logit <= bundle.real.logit
        assert v.interval[0] <= v.probability <= v.interval[1]
        assert v.neighbors[0].similarity == pytest.approx(1, abs=1e-4), "the image itself is in the bank"
        assert v.neighbors[0].uri == f"images/{i}.png"
        assert {n.label for n in v.neighbors} == {0, 1}
        assert len(v.reasons) == 3
        assert v.reasons[2].startswith(
            f"this very file is in the bank as {('a real', 'a generated')[story.labels[i]]} image"
        )
        json.dumps(v.to_json(), allow_nan=False)
    ids = [f"{k:064x}" for k in range(len(story))]
    others = Features(story.vectors, story.meta.set_column(0, "sha256", [ids]), story.build)
    assert [len(v.reasons) for v in bundle.verdicts(others)] == [2] * len(story)
    said = {v.verdict: v.reasons[0] for v in verdicts}
    assert "keeps false alarms at 5 %" in said["ai"]
    assert "lies below the threshold" in said["real"]


def test_heads_must_agree_where_the_thresholds_promise_nothing(story: Features, fitted: FittedBundle) -> None:
    """With enough held-out images the thresholds decide alone; else the interval must leave even odds out."""
    sure = fitted.bundle
    unsure = dataclasses.replace(
        sure,
        ai=dataclasses.replace(sure.ai, guaranteed=False),
        real=dataclasses.replace(sure.real, guaranteed=False),
    )
    before, after = sure.verdicts(story), unsure.verdicts(story)
    even = sure.intervals(story, base_rate=0.5)
    changed = 0
    for old, new, (low, high) in zip(before, after, even, strict=True):
        if old.verdict in ("ai", "real") and low <= 0.5 <= high:
            assert new.verdict == "inconclusive"
            assert "disagree" in new.reasons[0]
            changed += 1
        else:
            assert new.verdict == old.verdict
    assert changed


def test_an_image_unlike_the_bank_is_out_of_domain(story: Features, fitted: FittedBundle) -> None:
    rng = np.random.default_rng(5)
    bank = fitted.bundle.bank
    assert bank is not None
    directions = rng.normal(size=(4000, 24)).astype(np.float32)
    cosine = (bank.prepare(Features.from_arrays({"final": directions}))) @ bank.vectors.T.astype(np.float32)
    far = directions[np.argmin(cosine.max(axis=1))] * 50
    strange = dataclasses.replace(
        Features.from_arrays({"final": far[None], "layer:3": np.zeros((1, 8))}), build=story.build
    )
    strict = dataclasses.replace(fitted.bundle, bank=bank.with_limit(0.5))
    (verdict,) = strict.verdicts(strange)
    assert verdict.verdict == "out_of_domain"
    assert verdict.domain_distance > strict.bank.limit
    assert "far from everything the bank knows" in verdict.reasons[0]


def test_the_domain_limit_is_the_quantile_of_distances_to_other_groups(fitted: FittedBundle) -> None:
    bank = fitted.bundle.bank
    V, groups = bank.vectors.astype(np.float64), np.array(bank.groups)
    distances = []
    for i in range(len(bank)):
        others = np.sort(V[groups != groups[i]] @ V[i])[::-1]
        distances.append(1 - others[bank.k - 1])
    assert bank.limit == pytest.approx(np.quantile(distances, bank.quantile), abs=1e-5)
    assert bank.vectors.dtype == np.float16


def test_the_base_rate_moves_probabilities_but_not_verdicts(story: Features, fitted: FittedBundle) -> None:
    rare = fitted.bundle.with_base_rate(0.01)
    before, after = fitted.bundle.verdicts(story), rare.verdicts(story)
    assert [v.verdict for v in before] == [v.verdict for v in after]
    assert all(b.probability > a.probability for b, a in zip(before, after, strict=True))
    np.testing.assert_allclose(fitted.bundle.probabilities(story, 0.01), rare.probabilities(story))


def test_another_false_positive_rate_from_the_bundles_own_scores(
    story: Features, fitted: FittedBundle
) -> None:
    strict = fitted.bundle.with_fpr(0.02)
    assert strict.ai.logit >= fitted.bundle.ai.logit
    assert (fitted.logits[fitted.labels == 0] > strict.ai.logit).mean() <= 0.02
    assert strict.with_fpr(0.05).ai == fitted.bundle.ai


def test_the_bank_grows_and_shrinks_without_refitting(story: Features, fitted: FittedBundle) -> None:
    extra = dataclasses.replace(make_features(n_per_group=2, seed=9), build=story.build)
    grown = fitted.bundle.with_bank_added(extra).with_bank_added(story)
    assert len(grown.bank) == 144 + 24, "images already there are left out"
    verdict = grown.verdicts(extra)[0]
    assert verdict.neighbors[0].id == extra.column("sha256")[0]
    shrunk = grown.with_bank_removed([str(sha)[:20] for sha in extra.column("sha256")])
    assert shrunk.bank.ids == fitted.bundle.bank.ids
    assert shrunk.bank.limit == pytest.approx(fitted.bundle.bank.limit)
    np.testing.assert_array_equal(shrunk.logits(story), fitted.bundle.logits(story))
    with pytest.raises(UsageError, match="of 0 ids"):
        grown.with_bank_removed(["zz"])


def test_a_neighbour_bundle_scores_like_its_detector(story: Features, by_neighbors: FittedBundle) -> None:
    bundle = by_neighbors.bundle
    assert bundle.head is None
    bank = bundle.bank
    detector = NearestNeighborDetector(3).fit(bank.vectors.astype(np.float32), bank.labels)
    np.testing.assert_allclose(
        bundle.logits(story), detector.decision_function(bank.prepare(story)), atol=1e-12
    )
    spread = bundle.intervals(story)
    assert (spread[:, 1] > spread[:, 0]).mean() > 0.9
    whole = dataclasses.replace(
        bundle, bank=dataclasses.replace(bank, draws=np.ones((len(bank), 4), np.uint8))
    )
    drawn = whole.bank.draw_scores(bank.prepare(story), 3, "mean_similarity")
    np.testing.assert_allclose(drawn, np.repeat(bundle.logits(story)[:, None], 4, axis=1), atol=1e-12)
    votes = whole.bank.draw_scores(bank.prepare(story), 3, "majority")
    np.testing.assert_allclose(votes[:, 0], whole.bank.scores(bank.prepare(story), 3, "majority"), atol=1e-12)


def test_any_affine_chain_makes_a_bundle(story: Features) -> None:
    chain = make_pipeline(VarianceThreshold(), StandardScaler(), PCA(10), LogisticRegression(C=0.1))
    made = fit_bundle(story, dataclasses.replace(RECIPE, estimator=chain, n_draws=4, bank_kinds=()))
    again = chain.fit(
        story.matrix(RECIPE.kinds), story.labels, logisticregression__sample_weight=np.ones(144)
    )
    np.testing.assert_allclose(
        made.bundle.logits(story), again.decision_function(story.matrix(RECIPE.kinds)), atol=1e-6
    )
    (verdict, *_) = made.bundle.verdicts(story)
    assert math.isnan(verdict.domain_distance)
    assert verdict.neighbors == ()


def test_views_train_but_only_the_scored_rows_are_measured(story: Features) -> None:
    rng = np.random.default_rng(3)
    noisy = {kind: v + 0.3 * rng.normal(size=v.shape).astype(np.float32) for kind, v in story.vectors.items()}
    meta = story.meta.set_column(
        story.meta.schema.get_field_index("perturbation"), "perturbation", [["jpeg:60"] * len(story)]
    )
    both = Features.concat([story, Features(noisy, meta, story.build)])
    made = fit_bundle(both, dataclasses.replace(RECIPE, scored=("",)))
    assert made.rows.tolist() == list(range(144))
    assert len(made.bundle.bank) == 144
    assert made.bundle.training["n_real"] == 72
    assert made.bundle.training["n_rows"] == 288
    assert made.bundle.training["perturbations"] == ["", "jpeg:60"]
    with pytest.raises(UsageError, match="webp"):
        fit_bundle(both, dataclasses.replace(RECIPE, scored=("webp",)))


def test_fitting_is_repeatable_and_the_seed_matters(story: Features) -> None:
    recipe = dataclasses.replace(RECIPE, estimator=LinearProbe(C=0.01), n_draws=5)
    one, two = fit_bundle(story, recipe).bundle, fit_bundle(story, recipe).bundle
    np.testing.assert_array_equal(one.intervals(story), two.intervals(story))
    other = fit_bundle(story, dataclasses.replace(recipe, seed=8)).bundle
    assert not np.array_equal(one.intervals(story), other.intervals(story))


def test_one_c_for_every_fold_when_told(story: Features) -> None:
    made = fit_bundle(story, dataclasses.replace(RECIPE, nested=False, n_draws=0, bank_kinds=()))
    C = made.bundle.training["C"]
    X, groups = story.matrix(RECIPE.kinds), story.groups()
    assert LinearProbe().fit(X, story.labels, groups=groups).C_ == C
    by_hand = cross_fit(LinearProbe(C=C), X, story.labels, groups, 4, 7)
    np.testing.assert_allclose(made.logits, by_hand.logits, atol=1e-9)


def test_unit_length_is_part_of_the_bundle(story: Features, tmp_path: Path) -> None:
    made = fit_bundle(story, dataclasses.replace(RECIPE, unit=True, n_draws=0)).bundle
    longer = dataclasses.replace(story, vectors={k: 7 * v for k, v in story.vectors.items()})
    np.testing.assert_allclose(made.logits(longer), made.logits(story), atol=1e-5)
    made.save(tmp_path / "u")
    np.testing.assert_array_equal(Bundle.load(tmp_path / "u").logits(story), made.logits(story))
