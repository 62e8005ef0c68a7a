"""Sweeps: extracted once, scored from the table, clean before perturbed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from morelli.errors import UsageError
from morelli.evaluation import extract_perturbed, robustness_curves
from morelli.evaluation._refits import Candidate
from morelli.evaluation._robustness import perturbation_ids, sweep
from morelli.features import FeatureTable
from tests.planted_sets import Photos, crops

AXES = {"jpeg": ("jpeg:90", "jpeg:30"), "blur": ("blur:2",), "delivery": ("social:whatsapp",)}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, tiny_clip_dir: Path, photos: Photos) -> FeatureTable:
    """Real encoder code on 32 crops; "generated" ones are blurred, which blurring all of them hides."""
    from morelli.encoders import load_encoder

    folder = tmp_path_factory.mktemp("sweep")
    lines = ["path,label,generator,lineage,source,family"]
    for number, image in enumerate(crops(photos, 32, (120, 160), seed=9)):
        fake = number % 2
        picture = image.resize((40, 40)).resize(image.size) if fake else image
        picture.save(folder / f"{number}.png")
        group = number // 2 % 4
        family = "gan" if group < 2 else "diffusion"
        origin = f"fake,g{group},g{group},,{family}" if fake else f"real,,,s{group},"
        lines.append(f"{number}.png,{origin}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    encoder = load_encoder(str(tiny_clip_dir), device="cpu")
    seen: list[str] = []
    table = extract_perturbed(
        folder / "manifest.csv",
        folder / "sweep.lance",
        encoder=encoder,
        perturbations=AXES,
        progress=lambda spec, number, total: seen.append(spec),
    )
    assert seen == perturbation_ids(AXES)
    assert len(table) == 32 * 5
    again = extract_perturbed(
        folder / "manifest.csv", folder / "sweep.lance", encoder=encoder, perturbations=AXES
    )
    assert again.version == table.version  # nothing was encoded twice
    return table


def test_clean_images_come_first_and_once() -> None:
    assert perturbation_ids(AXES)[0] == ""
    assert perturbation_ids(["jpeg:90", "", "jpeg:90"]) == ["", "jpeg:90"]


def test_sweep_scores_every_image_under_every_perturbation(table: FeatureTable) -> None:
    predictions = sweep(table, [Candidate("probe", LogisticRegression(max_iter=2000))])
    assert len(predictions) == 32 * 5
    assert predictions.names("perturbation") == perturbation_ids(AXES)
    hashes = {
        spec: sorted(predictions.select(perturbation=spec).table.column("sha256").to_pylist())
        for spec in predictions.names("perturbation")
    }
    assert len({tuple(values) for values in hashes.values()}) == 1
    assert len(set(hashes[""])) == 32
    assert predictions.run["families"] == {"g0": "gan", "g1": "gan", "g2": "diffusion", "g3": "diffusion"}


def test_fitted_on_clean_rows_of_other_groups_only(table: FeatureTable) -> None:
    from morelli.evaluation._folds import fold_splits

    predictions = sweep(table, [Candidate("probe", LogisticRegression(max_iter=2000))], seed=3)
    clean = table.load(where="perturbation = ''")
    blurred = table.load(where="perturbation = 'blur:2'")
    order = {sha: row for row, sha in enumerate(blurred.column("sha256"))}
    scored = predictions.select(perturbation="blur:2")
    logit = dict(zip(scored.table.column("sha256").to_pylist(), scored.logits, strict=True))
    for split in fold_splits(clean, seed=3):
        model = LogisticRegression(max_iter=2000).fit(
            clean.matrix("final")[split.train], clean.labels[split.train]
        )
        for row in split.test:
            sha = clean.column("sha256")[row]
            expected = model.decision_function(blurred.matrix("final")[[order[sha]]])[0]
            assert logit[sha] == pytest.approx(expected, abs=1e-6)


def test_curves_agree_with_scikit_learn(table: FeatureTable) -> None:
    predictions = sweep(table, [Candidate("probe", LogisticRegression(max_iter=2000))])
    points = robustness_curves(predictions, rounds=50)
    assert len(points) == 5 * 3
    by = {(point.perturbation, point.family): point for point in points}
    part = predictions.select(perturbation="jpeg:30")
    generators = part.table.column("generator").to_pylist()
    gan = np.asarray([name in {"g0", "g1"} or name is None for name in generators])
    point = by["jpeg:30", "gan"]
    assert (point.axis, point.strength, point.n) == ("jpeg", 30.0, 8)
    assert point.auc.value == pytest.approx(roc_auc_score(part.labels[gan], part.logits[gan]), abs=1e-12)
    weight = np.where(part.labels == 1, 1 / 8, 1 / 16)[gan]
    expected = average_precision_score(part.labels[gan], part.logits[gan], sample_weight=weight)
    assert point.ap == pytest.approx(expected, abs=1e-12)
    assert point.auc.low <= point.auc.value <= point.auc.high
    assert point.recall == pytest.approx(np.mean(part.logits[gan & (part.labels == 1)] > 0))
    assert set(point.fpr_by_source) == {"s0", "s1", "s2", "s3"}
    assert by["", "all"].fpr_fixed <= 0.05


def test_missing_perturbation_is_named(table: FeatureTable) -> None:
    with pytest.raises(UsageError, match="webp:50"):
        sweep(table, [Candidate("probe", LogisticRegression())], perturbations=["webp:50"])


def test_an_image_that_one_delivery_lacks_is_left_out_of_all(table: FeatureTable, tmp_path: Path) -> None:
    from morelli.evaluation._splits import Split

    rows = table.load()
    sha, spec = rows.column("sha256"), rows.column("perturbation")
    lost = sha[np.flatnonzero(spec == "")[5]]
    part = FeatureTable.create(tmp_path / "part.lance", table.build, table.spec.kinds)
    part.append(rows.take(~((sha == lost) & (spec == "blur:2"))))
    split = Split("own", np.arange(16), np.arange(4, 32))
    probe = Candidate("probe", LogisticRegression(max_iter=2000))
    for splits, count in ((None, 31), ([split], 27)):
        found = sweep(part, [probe], splits=splits)
        assert found.run["left_out"] == {"blur:2": 1}
        assert len(found) == count * 5
        assert lost not in found.table.column("sha256").to_pylist()
    assert "left_out" not in sweep(table, [probe]).run
    part = FeatureTable.create(tmp_path / "none.lance", table.build, table.spec.kinds)
    part.append(rows.take((spec == "blur:2") == (sha == lost)))
    with pytest.raises(UsageError, match="blur:2 lack some"):
        sweep(part, [probe])


def test_a_set_of_axes_is_chosen_by_name() -> None:
    from morelli.evaluation._robustness import STANDARD, UNIVFD, perturbation_ids

    assert perturbation_ids("univfd") == perturbation_ids(UNIVFD) != perturbation_ids("standard")
    assert perturbation_ids("standard") == perturbation_ids(STANDARD)
    assert perturbation_ids("jpeg:90,blur:1") == ["", "jpeg:90", "blur:1"]
