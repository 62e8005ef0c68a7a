"""Patterns on arrays: presence, regions, clusters, figures, significance, the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morelli.atlas.patterns import PatternOptions, find_prototypes, suggest_names
from morelli.atlas.patterns._dimension_names import suggest_dimension_names
from morelli.atlas.patterns._distinct_names import distinct_names
from morelli.atlas.patterns._facts import Fact
from morelli.atlas.patterns._find import FoundPrototypes, match_prototypes
from morelli.atlas.patterns._presence import Presence
from morelli.atlas.patterns._prototypes import Prototypes
from morelli.atlas.patterns._regions import otsu, relevant_regions
from morelli.atlas.patterns._rescore import rescore
from morelli.errors import ArtifactError, UsageError
from morelli.explanation.concepts import ConceptBank

QUICK = PatternOptions(permutations=400, draws=200, repeats=6, components=8)


@dataclass(frozen=True)
class Collection:
    """A synthetic collection in which two kinds of pattern live in dimension 0 of half of the fakes."""

    impacts: Any
    pooled: Any
    maps: Any
    labels: Any
    groups: Any
    kind: Any  # (n,) which pattern an image was given, −1 none

    def find(self, seed: int = 0, **more: Any) -> FoundPrototypes:
        given = {"groups": self.groups, "options": QUICK, "random_state": seed, **more}
        return find_prototypes(self.impacts, self.pooled, self.maps, self.labels, **given)


def collection(n: int = 400, *, planted: bool = True, seed: int = 0, dim: int = 24) -> Collection:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    groups = np.array([f"{label}/{g}" for label, g in zip(labels, rng.integers(0, 12, n), strict=True)])
    impacts = rng.normal(0, 0.3, (n, 3)).astype(np.float32)
    pooled = rng.normal(size=(n, 3, dim)).astype(np.float32)
    maps = (0.2 * rng.random((n, 4, 49))).astype(np.float32)
    kind = np.full(n, -1)
    if planted:
        centres = rng.normal(size=(2, dim)) * 3
        hit = np.flatnonzero((labels == 1) & (rng.random(n) < 0.5))
        kind[hit] = rng.integers(0, 2, len(hit))
        impacts[hit, 0] += 2
        pooled[hit, 0] += centres[kind[hit]].astype(np.float32)
        maps[hit, 0, 8 + 16 * kind[hit]] += 3
    return Collection(impacts, pooled, maps, labels, groups, kind)


@pytest.fixture(scope="module")
def planted() -> tuple[Collection, FoundPrototypes]:
    made = collection()
    return made, made.find()


def test_planted_patterns_are_found_apart_and_rank_first(
    planted: tuple[Collection, FoundPrototypes],
) -> None:
    made, found = planted
    table = found.prototypes.table.to_pylist()
    for row in table[:2]:
        assert row["dimension"] == 0 and row["sign"] == 1
        assert row["purity_fake"] == 1.0 and row["purity_low"] > 0.6 and row["p_value"] <= 0.01
        assert 1.8 < row["mean_impact"] < 2.2 and row["impact_low"] < row["mean_impact"] < row["impact_high"]
        assert row["stability"] >= 0.75
    kinds = [made.kind[found.assignment[:, 0] == j] for j in (0, 1)]
    for kind in kinds:
        counts = np.bincount(kind[kind >= 0], minlength=2)
        assert counts.max() >= 0.95 * len(kind)
    assert {int(np.bincount(kind[kind >= 0]).argmax()) for kind in kinds} == {0, 1}


def test_what_may_be_chance_comes_after_what_is_not_however_large() -> None:
    made = collection()
    some = np.concatenate([np.flatnonzero(made.labels == label)[:30] for label in (0, 1)])
    made.impacts[some, 1] += 6
    found = made.find()
    table = found.prototypes.table.to_pylist()
    chance = [row["p_value"] > 0.05 for row in table]
    assert chance == sorted(chance) and chance[0] is False
    assert table[0]["dimension"] == 0 and table[0]["excess"] < max(row["excess"] for row in table)
    for claims in (False, True):
        strength = [abs(row["excess"]) for row, unsure in zip(table, chance, strict=True) if unsure == claims]
        assert strength == sorted(strength, reverse=True)
    assert [row["id"] for row in table] == list(range(len(table)))
    for row in table:
        assert (found.assignment[:, row["dimension"]] == row["id"]).sum() == row["count"]


def test_exemplars_carry_their_prototype_and_a_box_on_the_planted_patch(
    planted: tuple[Collection, FoundPrototypes],
) -> None:
    made, found = planted
    for j, row in enumerate(found.prototypes.table.to_pylist()[:2]):
        rows = [one["row"] for one in row["exemplars"]]
        assert len(rows) == len(set(rows)) == QUICK.exemplars
        assert (found.assignment[rows, 0] == j).all()
        for one in row["exemplars"]:
            patch = 8 + 16 * made.kind[one["row"]]
            x, y = (patch % 7 + 0.5) / 7, (patch // 7 + 0.5) / 7
            assert one["x0"] <= x <= one["x1"] and one["y0"] <= y <= one["y1"]
            assert (one["x1"] - one["x0"]) * (one["y1"] - one["y0"]) < 0.1


def test_counts_shares_and_coverage_follow_from_the_assignment(
    planted: tuple[Collection, FoundPrototypes],
) -> None:
    made, found = planted
    for j, row in enumerate(found.prototypes.table.to_pylist()):
        members = (found.assignment == j).any(axis=1)
        assert row["count"] == members.sum() and row["coverage"] == pytest.approx(members.mean())
        assert row["purity_fake"] == pytest.approx(made.labels[members].mean())
        assert row["share_fake"] == pytest.approx(members[made.labels == 1].mean())
        assert row["share_real"] == pytest.approx(members[made.labels == 0].mean())
        assert row["mean_impact"] == pytest.approx(made.impacts[members, row["dimension"]].mean(), abs=1e-5)


def test_patterns_are_sparse_and_of_the_sign_of_their_prototype(
    planted: tuple[Collection, FoundPrototypes],
) -> None:
    made, found = planted
    assert (found.assignment >= 0).sum(axis=1).mean() <= QUICK.per_image + 0.02
    row, k = np.nonzero(found.assignment >= 0)
    deviation = made.impacts[row, k] - found.prototypes.presence.typical[k]
    number = found.assignment[row, k]
    assert (np.abs(deviation) >= found.prototypes.presence.threshold).all()
    assert (np.sign(deviation) == found.prototypes.sign[number]).all()
    assert (found.prototypes.dimension[number] == k).all()


def test_other_seeds_find_the_same_prototypes(planted: tuple[Collection, FoundPrototypes]) -> None:
    made, found = planted
    assert (made.find().assignment == found.assignment).all()
    match, jaccard = match_prototypes(found, made.find(seed=7))
    assert (match[:2] >= 0).all() and jaccard[:2].min() > 0.95


def test_nothing_is_significant_where_labels_mean_nothing() -> None:
    smallest = [
        min(
            row["p_value"]
            for row in collection(planted=False, seed=s).find(seed=s).prototypes.table.to_pylist()
        )
        for s in range(4)
    ]
    assert min(smallest) > 0.01 and np.median(smallest) > 0.15


def test_a_pattern_of_one_lineage_is_not_evidence_about_the_class() -> None:
    """Many images of one generator are one observation of what generators do."""
    made = collection(planted=False)
    one = made.groups == "1/3"
    impacts, pooled = made.impacts.copy(), made.pooled.copy()
    impacts[one, 0] += 2
    pooled[one, 0] += 4
    arguments = (impacts, pooled, made.maps, made.labels)
    by_image = find_prototypes(*arguments, options=QUICK).prototypes.table.to_pylist()[0]
    by_group = find_prototypes(*arguments, groups=made.groups, options=QUICK).prototypes.table.to_pylist()[0]
    assert by_image["purity_fake"] == by_group["purity_fake"] == 1.0
    assert by_image["p_value"] < 0.01 and by_group["p_value"] > 0.05
    assert by_group["purity_low"] < by_image["purity_low"]


def test_generators_are_ranked_by_how_much_more_often_they_carry_the_pattern() -> None:
    made = collection(planted=False)
    one = made.groups == "1/3"
    impacts, pooled = made.impacts.copy(), made.pooled.copy()
    impacts[one, 0] += 2
    pooled[one, 0] += 4
    found = find_prototypes(impacts, pooled, made.maps, made.labels, generator=made.groups, options=QUICK)
    first = found.prototypes.table.to_pylist()[0]["generators"][0]
    assert first["name"] == "1/3" and first["lift"] > 3 and first["share"] > 0.9


def test_new_images_get_the_prototypes_they_would_have_got(
    planted: tuple[Collection, FoundPrototypes],
) -> None:
    made, found = planted
    assert (found.prototypes.assign(made.impacts, made.pooled) == found.assignment).all()
    some = np.array([5, 3, 200])
    again = found.prototypes.assign(made.impacts[some], made.pooled[some])
    assert (again == found.assignment[some]).all()
    with pytest.raises(UsageError, match="3 dimensions"):
        found.prototypes.assign(made.impacts[:, :2], made.pooled)


def test_features_read_by_a_function_give_the_same_as_an_array(
    planted: tuple[Collection, FoundPrototypes],
) -> None:
    made, found = planted
    asked: list[int] = []

    def read(rows: Any, dimension: int) -> Any:
        asked.append(len(rows))
        return made.pooled[rows, dimension].astype(np.float16).astype(np.float32)

    half = made.pooled.astype(np.float16)
    one = find_prototypes(made.impacts, read, made.maps, made.labels, groups=made.groups, options=QUICK)
    other = find_prototypes(made.impacts, half, made.maps, made.labels, groups=made.groups, options=QUICK)
    assert asked and (one.assignment == other.assignment).all()
    assert np.mean(one.assignment == found.assignment) > 0.98


def test_a_saved_set_comes_back_and_a_changed_one_is_refused(
    planted: tuple[Collection, FoundPrototypes], tmp_path: Path
) -> None:
    made, found = planted
    folder = found.prototypes.with_columns(name=["as people say"] * len(found.prototypes)).save(
        tmp_path / "p"
    )
    again = Prototypes.load(folder)
    assert again.table.column("name").to_pylist()[0] == "as people say"
    assert again.table.drop_columns(["name"]).equals(found.prototypes.table.drop_columns(["name"]))
    assert again.options == found.prototypes.options
    assert (again.assign(made.impacts, made.pooled) == found.assignment).all()
    tensors = folder / "prototypes.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ArtifactError, match="changed"):
        Prototypes.load(folder)
    with pytest.raises(ArtifactError, match="no such folder"):
        Prototypes.load(tmp_path / "nowhere")


def test_sets_that_kept_no_level_have_intervals_of_95_percent(
    planted: tuple[Collection, FoundPrototypes],
) -> None:
    _, found = planted
    table, tensors = found.prototypes.to_arrow(), found.prototypes.tensors()
    assert set(table.column("interval_level").to_pylist()) == {np.float32(0.9)}
    before = Prototypes.from_arrow(table.drop_columns(["interval_level"]), tensors)
    assert set(before.table.column("interval_level").to_pylist()) == {np.float32(0.95)}


def test_a_prototype_of_other_files_wears_a_warning_and_surprise_knows_it() -> None:
    made = collection()
    carried = made.kind >= 0
    rng = np.random.default_rng(0)
    like_pattern = Fact.of(np.where(carried, "PNG", np.where(rng.random(len(carried)) < 0.1, "PNG", "JPEG")))
    unlike = Fact.of(np.where(rng.random(len(carried)) < 0.5, "PNG", "JPEG"))
    said = made.find(facts={"format": like_pattern}).prototypes.table.to_pylist()[0]
    silent = made.find(facts={"format": unlike}).prototypes.table.to_pylist()[0]
    assert "are PNG" in said["file_confound"] and "generated" in said["file_confound"]
    assert silent["file_confound"] is None
    assert said["surprise"] < 0.6 * silent["surprise"]


def test_collections_without_labels_or_with_few_images_are_described_without_claims() -> None:
    made = collection(60)
    unknown = find_prototypes(made.impacts, made.pooled, made.maps, [None] * 60, options=QUICK)
    for row in unknown.prototypes.table.to_pylist():
        assert np.isnan(row["purity_fake"]) and row["p_value"] == 1.0 and row["count"] >= QUICK.least
    few = find_prototypes(made.impacts[:3], made.pooled[:3], made.maps[:3], [0, 1, 1], options=QUICK)
    assert len(few.prototypes) == 0 and (few.assignment == -1).all()
    with pytest.raises(UsageError, match="groups has 2 values"):
        find_prototypes(made.impacts, made.pooled, made.maps, made.labels, groups=["a", "b"])


def test_near_duplicates_are_shown_once() -> None:
    made = collection()
    copies = np.arange(len(made.labels))
    copies[made.kind == 0] = 0
    found = made.find(copies=copies)
    shown = {len(row["exemplars"]) for row in found.prototypes.table.to_pylist()[:2]}
    assert 12 in shown and min(shown) <= 2


def test_names_come_from_concepts_that_are_close_and_else_from_the_place() -> None:
    made = collection(600)
    found = made.find()
    rng = np.random.default_rng(1)
    directions = np.linalg.qr(rng.normal(size=(40, 6)))[0].T
    embeddings = rng.normal(size=(600, 40)) + 12 * rng.normal(size=40)
    embeddings[made.kind == 0] += 6 * directions[2]
    bank = ConceptBank.of([f"concept {i}" for i in range(6)], directions)
    names = suggest_names(
        found.prototypes, found.assignment, embeddings, made.labels, [bank], permutations=300
    )
    named = [made.kind[found.assignment[:, 0] == j].max() == 0 for j in (0, 1)]
    zero = named.index(True)
    assert (names[zero].name, names[zero].source) == ("concept 2", "given") and names[zero].p <= 0.01
    places = found.prototypes.table.column("description").to_pylist()
    for j in np.flatnonzero(found.prototypes.dimension > 0):
        assert (names[j].source, names[j].name) == ("place", places[j])


def test_a_place_is_told_with_the_source_that_shows_it_most() -> None:
    made = collection()
    source = np.where(made.kind >= 0, "ours", np.where(made.labels == 1, "theirs", "photos")).astype(object)
    found = made.find(generator=source)
    names = suggest_names(
        found.prototypes, found.assignment, np.zeros((400, 1)), made.labels, [], permutations=9
    )
    place = found.prototypes.table.column("description")[0].as_py()
    assert names[0].name == f"{place}, often ours"


def test_a_dimension_that_has_no_maps_gives_no_prototype() -> None:
    made = collection()
    maps = made.maps.copy()
    maps[:, 0] = 0
    found = find_prototypes(made.impacts, made.pooled, maps, made.labels, options=QUICK)
    assert set(found.prototypes.dimension.tolist()) == {1, 2}
    assert (found.assignment[:, 0] == -1).all()


@given(st.integers(2, 7), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_otsu_finds_the_split_of_least_inner_variance(side: int, seed: int) -> None:
    row = np.random.default_rng(seed).gamma(0.5, size=side * side)
    cut = otsu(row[None])[0]
    values = np.sort(row)

    def inner(low: Any, high: Any) -> float:
        return float(low.var() * len(low) + high.var() * len(high))

    best = min(inner(values[:i], values[i:]) for i in range(1, len(values)))
    assert inner(row[row <= cut], row[row > cut]) == pytest.approx(best)


def test_regions_keep_to_the_heaviest_part_of_their_own_map() -> None:
    maps = np.zeros((3, 6, 6), np.float32)
    maps[0, 0, 0], maps[0, 3:5, 4:6] = 1.0, 0.8
    maps[1, 5, 5] = 1.0
    found = relevant_regions(maps.reshape(3, 36))
    np.testing.assert_allclose(found.boxes * 6, [[4, 3, 6, 5], [5, 5, 6, 6], [0, 0, 6, 6]])
    assert found.area.tolist() == pytest.approx([5 / 36, 1 / 36, 0])
    np.testing.assert_allclose(found.centre[1:], [[5.5 / 6, 5.5 / 6], [0.5, 0.5]], atol=1e-6)
    with pytest.raises(UsageError, match="square"):
        relevant_regions(np.zeros((2, 35)))


def test_presence_is_as_sparse_as_asked_and_the_same_for_all_dimensions() -> None:
    rng = np.random.default_rng(0)
    impacts = rng.normal(size=(5000, 4)) * [2.0, 1.0, 0.1, 0.0] + [5, 0, -3, 0]
    presence = Presence.fit(impacts, per_image=0.5, rng=rng)
    signs = presence.signs(impacts)
    assert np.abs(signs).sum(axis=1).mean() == pytest.approx(0.5, abs=0.01)
    assert np.abs(signs).mean(axis=0).round(2)[2:].tolist() == [0, 0]
    assert not Presence.fit(np.zeros((5, 2)), per_image=1, rng=rng).signs(np.zeros((5, 2))).any()


def test_rescoring_equals_scoring_without_the_dimensions() -> None:
    rng = np.random.default_rng(0)
    impacts = rng.normal(size=(3000, 6)).astype(np.float32)
    labels = (impacts[:, 0] + 0.3 * rng.normal(size=3000) > 0).astype(int)
    bias = rng.normal(size=3000)
    found = rescore(impacts, bias, [0, 4], labels=labels)
    kept = impacts[:, [1, 2, 3, 5]].sum(axis=1) + bias
    np.testing.assert_allclose(found.logits, kept, atol=1e-5)
    verdicts = (found.before > 0) != (found.logits > 0)
    assert found.changed.tolist() == np.flatnonzero(verdicts).tolist()
    assert found.auc_before > 0.6 > abs(found.auc_after - 0.5) + 0.5
    assert rescore(impacts, bias, []).changed.size == 0
    with pytest.raises(UsageError, match="0 to 5"):
        rescore(impacts, bias, [6])


def test_names_that_several_share_are_told_apart() -> None:
    names = ["sky", "sky", "Sky", "face", "D1"]
    details = [["often a", "of D1"], ["often b", "of D1"], ["", "of D2"], ["", ""], ["", ""]]
    found = distinct_names(names, details, taken=["d1"])
    assert found == ["sky, often a", "sky, often b", "Sky", "face", "D1 (2)"]
    same = distinct_names(["x"] * 3, [["often a"]] * 3)
    assert len(set(same)) == 3 and same[0] == "x"


def test_a_dimension_is_named_by_what_its_strongest_images_have() -> None:
    rng = np.random.default_rng(0)
    n, d = 400, 16
    labels, loud = np.repeat([0, 1], n // 2), rng.random(n) < 0.1
    impacts = np.stack([np.where(loud, 1 + rng.random(n), 0), -rng.random(n), np.zeros(n)], axis=1)
    # Embeddings have a common mean; without one, scaling rows to length 1 would leave little but noise.
    X = rng.normal(size=(n, d)) + 4 * np.eye(d)[5] + 4 * loud[:, None] * np.eye(d)[2]
    bank = ConceptBank.of(["red", "round", "grainy"], np.eye(d)[:3])
    whose = np.where(labels == 1, "ours", "theirs").astype(object)
    found = suggest_dimension_names(impacts, X, labels, whose, [bank], None, permutations=200)
    assert (found[0].concept, found[0].source) == ("grainy", "given") and found[0].p <= 0.01
    assert found[1].concept is None and found[1].name.startswith("towards real")
    assert found[2].name == "silent"
