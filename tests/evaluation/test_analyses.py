"""The paper's analyses on data whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from morelli.audit import mean_spectra
from morelli.errors import UsageError
from morelli.evaluation import Analyses, feature_maps
from morelli.evaluation._ablations import bank_ablation, layer_ablation
from morelli.evaluation._folds import fold_splits
from morelli.evaluation._maps import neighbour_agreement
from morelli.evaluation._sink import sink_analysis
from morelli.features import Features
from morelli.reports.plots._curves import bank_figure, layers_figure, sink_figure
from morelli.reports.plots._spaces import maps_figure, spectra_figure
from morelli.reports.plots._style import figure_png
from tests.planted_sets import Photos, crops


def planted(n: int = 240, seed: int = 0) -> Features:
    """Kind `layer:1` says nothing, `layer:2` separates half of the lineages, `final` all of them."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 2).astype(int)
    group = np.arange(n) // 2 % 8
    told = labels * (group < 4)
    vectors = {
        "layer:1": rng.normal(size=(n, 16)),
        "layer:2": rng.normal(size=(n, 16)) + 4 * told[:, None] * np.eye(16)[0],
        "final": rng.normal(size=(n, 16)) + 4 * labels[:, None] * np.eye(16)[0],
    }
    return Features.from_arrays(
        vectors,
        labels,
        generator=[f"g{k}" if y else None for k, y in zip(group, labels, strict=True)],
        lineage=[f"g{k}" if y else None for k, y in zip(group, labels, strict=True)],
        source=[None if y else f"s{k}" for k, y in zip(group, labels, strict=True)],
    )


def analyses_of(**parts: Any) -> Analyses:
    """Analyses of which only some parts were computed."""
    nothing = dict.fromkeys(("baseline", "layers", "bank", "maps", "sinks"))
    return Analyses(n=240, **{**nothing, **parts})


def test_folds_hold_out_lineages_and_sources() -> None:
    features = planted()
    groups = features.groups()
    tested = np.concatenate([split.test for split in fold_splits(features)])
    assert sorted(tested) == list(range(len(features)))
    for split in fold_splits(features):
        assert not set(groups[split.train]) & set(groups[split.test])


def test_layer_ablation_ranks_what_was_planted() -> None:
    found = layer_ablation(planted(), detector=LogisticRegression())
    auc = {score.kind: score.auc.value for score in found.scores}
    assert list(auc) == ["layer:1", "layer:2", "final"]
    assert auc["layer:1"] < 0.65 < auc["layer:2"] < 0.9 < auc["final"]
    by_kind = {score.kind: score for score in found.scores}
    assert by_kind["layer:2"].generator_worst < 0.6 < by_kind["layer:2"].generator_mean
    rows = found.predictions.select(detector="final")
    assert by_kind["final"].auc.value == pytest.approx(roc_auc_score(rows.labels, rows.logits), abs=1e-12)
    assert len(figure_png(layers_figure(analyses_of(layers=found)))) > 5000


def test_whole_bank_equals_the_detector() -> None:
    from morelli.detectors import NearestNeighborDetector

    features = planted()
    splits = fold_splits(features)
    found = {point.k: point for point in bank_ablation(features, ks=(1, 3), sizes=(None,), splits=splits)}
    for k in (1, 3):
        scores = np.empty(len(features))
        for split in splits:
            detector = NearestNeighborDetector(k=k).fit(
                features.matrix("final")[split.train], features.labels[split.train]
            )
            scores[split.test] = detector.decision_function(features.matrix("final")[split.test])
        assert found[k].auc == pytest.approx(roc_auc_score(features.labels, scores), abs=2e-3)


def test_larger_banks_spread_less() -> None:
    points = bank_ablation(planted(), ks=(1, 5), sizes=(5, 40, None))
    by = {(point.k, point.size): point for point in points}
    assert by[5, 5].spread > by[5, 40].spread > by[5, None].spread == 0
    assert by[5, None].auc > 0.95
    assert len(figure_png(bank_figure(analyses_of(bank=tuple(points))))) > 5000
    with pytest.raises(UsageError, match="1 or more"):
        bank_ablation(planted(), ks=(0,))


def test_sink_shows_who_lands_on_the_real_side() -> None:
    rng = np.random.default_rng(0)
    axis = np.eye(8)
    base = 10 * axis[7]  # all images share a direction, as in CLIP

    def images(centre: np.ndarray, n: int) -> np.ndarray:
        return base + centre + 0.3 * rng.normal(size=(n, 8))

    train = Features.from_arrays(
        np.concatenate([images(0 * axis[0], 60), images(4 * axis[0], 60)]),
        [0] * 60 + [1] * 60,
        generator=[None] * 60 + ["seen"] * 60,
    )
    test = Features.from_arrays(
        np.concatenate(
            [images(0 * axis[0], 40), images(4 * axis[0], 40), images(0.5 * axis[0] + 4 * axis[1], 40)]
        ),
        [0] * 40 + [1] * 80,
        generator=[None] * 40 + ["alike"] * 40 + ["elsewhere"] * 40,
    )
    detector = LogisticRegression().fit(train.matrix("final"), train.labels)
    found = sink_analysis(train, test, detector.decision_function(test.matrix("final")))
    groups = {group.name: group for group in found.groups}
    assert [group.name for group in found.groups] == ["elsewhere", "alike"]
    assert groups["elsewhere"].real_side == 1 and groups["alike"].real_side == 0
    assert groups["alike"].position == pytest.approx(1, abs=0.1)
    assert groups["elsewhere"].position < 0.4
    assert groups["alike"].nearest_real == 0
    assert found.sink == pytest.approx(0.5, abs=0.02)
    assert len(figure_png(sink_figure(analyses_of(sinks={"family": found}), "family"))) > 5000
    with pytest.raises(UsageError, match="both classes"):
        sink_analysis(train.take(np.arange(60)), test, np.zeros(120))


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_maps_keep_what_separates(method: str) -> None:
    features = planted()
    maps = feature_maps(features, ["layer:1", "final"], method=method, perplexity=15)  # type: ignore[arg-type]
    assert [one.kind for one in maps] == ["layer:1", "final"]
    assert maps[0].agreement == pytest.approx(0.5, abs=0.1)
    assert maps[1].agreement > maps[0].agreement + 0.15
    assert maps[1].map_agreement > maps[0].map_agreement + 0.08
    assert maps[0].xy.shape == (len(features), 2)
    assert len(figure_png(maps_figure(maps, features))) > 5000
    assert len(figure_png(maps_figure(maps, features, colour="generator"))) > 5000


def test_agreement_leaves_out_the_own_group() -> None:
    # Tight clusters of one lineage each: alike within, and nothing shared across.
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 10)
    X = 10 * rng.normal(size=(40, 8))[group] + 0.01 * rng.normal(size=(400, 8))
    y = group % 2
    assert neighbour_agreement(X, y, np.arange(400), k=5) > 0.99
    assert neighbour_agreement(X, y, group, k=5) == pytest.approx(0.5, abs=0.15)


def test_spectra_show_upsampling(tmp_path: Path, photos: Photos) -> None:
    for name in ("real", "fake"):
        (tmp_path / name).mkdir()
    for number, image in enumerate(crops(photos, 16, (160, 190), seed=5)):
        image.save(tmp_path / "real" / f"{number}.png")
        # Pixels doubled and a faint regular pattern, as upsampling without smoothing leaves them.
        small = image.resize((72, 72), Image.Resampling.LANCZOS)
        doubled = small.resize((144, 144), Image.Resampling.NEAREST)
        pattern = np.indices((144, 144)).sum(axis=0) % 4 == 0
        checker = np.clip(np.asarray(doubled, int) + 6 * pattern[..., None], 0, 255).astype(np.uint8)
        Image.fromarray(checker).save(tmp_path / "fake" / f"{number}.png")
    Image.new("RGB", (50, 50)).save(tmp_path / "fake" / "small.png")
    (tmp_path / "fake" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    spectra = {
        spectrum.label: spectrum for spectrum in mean_spectra(tmp_path, side=128, label_from="folders")
    }
    assert (spectra[0].n, spectra[1].n, spectra[1].small, spectra[1].failed) == (16, 16, 1, 1)
    assert spectra[1].magnitude.shape == (128, 128) and spectra[1].radial.shape == (64,)
    real, fake = (spectra[label].magnitude for label in (0, 1))
    assert fake[64 + 32, 64 + 32] > 5 * np.median(fake)  # period 4 along the diagonal
    assert real[64 + 32, 64 + 32] < 2 * np.median(real)
    assert len(figure_png(spectra_figure(list(spectra.values())))) > 5000
