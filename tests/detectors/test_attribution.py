"""Families of generators: named where likely, none for a stranger, kept in the bundle's folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from morelli.detectors import Bundle, LinearProbe, Recipe, fit_bundle
from morelli.detectors._attribution import attribution_figures, fit_attribution
from morelli.errors import ArtifactError, UsageError
from morelli.features import Features

WIDTH = 16
FAMILIES = {"alpha one": "Alpha", "alpha two": "Alpha", "beta": "Beta"}


@pytest.fixture(scope="module")
def makers() -> Features:
    """Two families with a direction each, and strangers, who share with both only that they are generated."""
    rng = np.random.default_rng(11)
    rows, labels, lineage, source = [], [], [], []
    groups = [(0, None, f"camera {g}", None) for g in range(6)]
    groups += [(1, name, f"{name} site {s}", axis) for axis, name in enumerate(FAMILIES) for s in range(3)]
    groups += [(1, f"stranger {g}", f"place {g}", None) for g in range(6)]
    for label, name, place, axis in groups:
        mean = rng.normal(0, 0.3, WIDTH)
        for _ in range(25):
            x = mean + rng.normal(0, 1, WIDTH)
            x[-1] += 5 * label
            if axis is not None:
                x[max(axis - 1, 0)] += 5
            rows.append(x)
            labels.append(label), lineage.append(name), source.append(place)
    return Features.from_arrays(np.asarray(rows, np.float32), labels=labels, lineage=lineage, source=source)


@pytest.fixture(scope="module")
def bundle(makers: Features) -> Bundle:
    recipe = Recipe(estimator=LinearProbe(C=0.1), n_draws=0, n_folds=4, fpr=0.1, families=FAMILIES)
    return fit_bundle(makers, recipe).bundle


def test_families_are_named_and_strangers_are_not(makers: Features, bundle: Bundle) -> None:
    lineage = makers.column("lineage").astype(str)
    verdicts = bundle.verdicts(makers)
    for name, family in FAMILIES.items():
        of = [v for v, own in zip(verdicts, lineage, strict=True) if own == name and v.verdict == "ai"]
        named = [v.family.family for v in of if v.family is not None]
        assert len(named) > 0.7 * len(of)
        assert named.count(family) > 0.95 * len(named)
    strange = [
        v
        for v, own in zip(verdicts, lineage, strict=True)
        if own.startswith("stranger") and v.verdict == "ai"
    ]
    assert len(strange) > 50
    assert sum(v.family is not None for v in strange) < 0.1 * len(strange)
    assert any("no known family" in reason for v in strange for reason in v.reasons)
    assert all(v.family is None for v in verdicts if v.verdict != "ai")


def test_figures_are_held_out_and_count_strangers_as_errors(makers: Features, bundle: Bundle) -> None:
    figures = bundle.attribution.figures
    assert figures["images"] == int((makers.labels == 1).sum())
    assert figures["unknown_images"] == 150
    assert figures["right"] > 0.9 and figures["ece"] < 0.1
    made_up = attribution_figures(("A",), np.array([[0.9], [0.8], [0.2], [0.9]]), np.array([1, 0, 0, 1]), 0.7)
    assert made_up["right"] == pytest.approx(2 / 3) and made_up["unknown_named"] == 0.5
    assert made_up["families"]["A"] == {"images": 2, "found": 2, "named": 3, "right": pytest.approx(2 / 3)}


def test_labels_that_mean_nothing_name_nobody(makers: Features) -> None:
    rows = np.flatnonzero(makers.labels == 1)
    places = makers.column("source")[rows].astype(str)
    drawn = np.random.default_rng(3).permutation(np.unique(places))
    of_place = {place: ("Alpha", "Beta", None)[i % 3] for i, place in enumerate(drawn)}
    names = [of_place[place] for place in places]
    try:
        found = fit_attribution(makers.matrix()[rows], names, places).figures
    except UsageError as error:
        assert "cannot be told from" in str(error)
    else:
        assert found["right"] is None or found["right"] < 0.7 or found["named"] < 0.2


def test_the_folder_keeps_it_and_older_folders_have_none(
    makers: Features, bundle: Bundle, tmp_path: Path
) -> None:
    bundle.save(tmp_path / "with")
    again = Bundle.load(tmp_path / "with")
    assert [v.family for v in again.verdicts(makers)] == [v.family for v in bundle.verdicts(makers)]
    replace(bundle, attribution=None).save(tmp_path / "without")
    without = Bundle.load(tmp_path / "without")
    assert "attribution" not in json.loads((tmp_path / "without" / "bundle.json").read_text())
    plain, told = without.verdicts(makers), again.verdicts(makers)
    assert all(v.family is None for v in plain)
    assert [v.logit for v in plain] == [v.logit for v in told]
    (tmp_path / "with" / "attribution.safetensors").write_bytes(b"broken")
    with pytest.raises(ArtifactError, match="attribution"):
        Bundle.load(tmp_path / "with")


def test_a_family_needs_something_to_hold_out(makers: Features) -> None:
    rows = np.flatnonzero(makers.labels == 1)
    lineage = makers.column("lineage")[rows].astype(str)
    names = ["Beta" if own == "beta" else None for own in lineage]
    with pytest.raises(UsageError, match="one group alone"):
        fit_attribution(makers.matrix()[rows], names, lineage)
    with pytest.raises(UsageError, match="no image has: gamma"):
        fit_bundle(makers, Recipe(estimator=LinearProbe(C=0.1), n_draws=0, families={"gamma": "Gamma"}))
