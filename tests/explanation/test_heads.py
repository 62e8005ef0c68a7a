"""Heads: planted ones are found, the tested generator has no say, ablation and descriptions are exact."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from morelli.encoders import load_encoder
from morelli.errors import UsageError
from morelli.explanation import Heads, ablate_heads, describe_heads
from morelli.explanation._head_removal import _Problem, removal_order
from morelli.explanation._head_selection import fit_heads, select_heads
from morelli.explanation._head_texts import text_span
from morelli.explanation._heads import generator_map, probe_transfer, row_numbers
from morelli.explanation._transfer import fit_discriminant, transfer_matrix
from morelli.explanation.concepts import ConceptBank
from morelli.metrics import two_sample_auc

SHARED = (2, 7)


def planted(rng, *, generators=8, effect=1.5, own=3.0, dim=40):
    """Ten heads; heads 2 and 7 move alike for every generator, the others by directions of its own."""
    n0, n1, m, c = 96, 24, 10, 6
    n = n0 + generators * n1
    y = np.r_[np.zeros(n0, int), np.ones(generators * n1, int)]
    generator = np.array([""] * n0 + [f"g{i}" for i in range(generators) for _ in range(n1)], dtype=object)
    groups = np.array([f"s{i % 8}" for i in range(n0)] + ["fake"] * (n - n0), dtype=object)
    mixed = rng.normal(size=(n, m, c))
    for i in range(generators):
        rows = np.flatnonzero(generator == f"g{i}")
        for h in range(m):
            shift = rng.normal(size=c)
            mixed[rows, h] += effect * np.eye(c)[0] if h in SHARED else own * shift / np.linalg.norm(shift)
    matrices = rng.normal(size=(m, c, dim))
    vectors = np.einsum("nmc,mcd->nmd", mixed, matrices).astype(np.float32)
    heads = Heads(tuple(f"head:1.{i + 1}" for i in range(m)), vectors)
    raw = Heads(tuple(f"headraw:1.{i + 1}" for i in range(m)), mixed.astype(np.float32), "raw")
    return SimpleNamespace(
        heads=heads, raw=raw, y=y, generator=generator, groups=groups, names=sorted(set(generator) - {""})
    )


@pytest.mark.parametrize("reading", ["heads", "raw"])
def test_the_heads_that_carry_over_are_found(reading):
    data = planted(np.random.default_rng(1))
    heads = getattr(data, reading)
    found = select_heads(heads, data.y, data.generator, data.groups)
    assert set(found.order[:2].tolist()) == set(SHARED)
    assert found.kept.tolist() == found.order[: len(found.kept)].tolist()
    assert len(found.kept) <= 4
    assert found.gain > found.error > 0


def test_nested_selection_carries_over_better_than_all_heads():
    data = planted(np.random.default_rng(2))
    choices = {}
    arguments = (data.y, data.generator, data.groups)
    all_heads = transfer_matrix(data.heads.combined(range(10)), *arguments, splits=1)
    selected = transfer_matrix(
        row_numbers(len(data.y)),
        *arguments,
        splits=1,
        fit=fit_heads(data.heads, *arguments, selections=choices),
    )
    assert len(choices) == 2 * 8
    assert selected.off_diagonal() > all_heads.off_diagonal() + 0.1
    assert all(choice.order[0] in SHARED for choice in choices.values())


def require_no_say(data, before, after):
    """What is chosen for testing g4 is the same of both `Heads`, whose images of g4 differ."""
    kept = []
    for heads in (before, after):
        choices = {}
        recipe = fit_heads(heads, data.y, data.generator, data.groups, selections=choices)
        transfer_matrix(row_numbers(len(data.y)), data.y, data.generator, data.groups, splits=1, fit=recipe)
        kept.append({key: (tuple(c.kept), c.curve.tolist()) for key, c in choices.items()})
    of_it = [key for key in kept[0] if key[0] == "g4"]
    assert len(of_it) == 2
    for key in of_it:
        assert kept[0][key] == kept[1][key]
    assert any(kept[0][key] != kept[1][key] for key in kept[0] if key[0] != "g4")


def test_the_tested_generator_has_no_say_in_the_choice():
    """Other images of it, of whatever kind, change no choice that was made for testing it."""
    data = planted(np.random.default_rng(3), generators=6)
    changed = data.heads.vectors.copy()
    changed[data.generator == "g4"] += 50
    require_no_say(data, data.heads, Heads(data.heads.names, changed))


def test_noise_gains_nothing_nested_though_a_naive_choice_seems_to():
    rng = np.random.default_rng(4)
    data = planted(rng, generators=6)
    noise = Heads(data.heads.names, rng.normal(size=data.heads.vectors.shape).astype(np.float32))
    arguments = (data.y, data.generator, data.groups)
    nested = transfer_matrix(
        row_numbers(len(data.y)), *arguments, splits=2, fit=fit_heads(noise, *arguments, number=1)
    )
    assert abs(nested.off_diagonal() - 0.5) < 0.05
    single = [transfer_matrix(noise.combined([h]), *arguments, splits=2).off_diagonal() for h in range(10)]
    assert max(single) > 0.53


def _embedding(data, rng):
    """An embedding that is the sum of the planted heads and of a rest, and the heads beside it."""
    final = data.heads.vectors.sum(axis=1, dtype=np.float64) + rng.normal(size=data.heads.vectors[:, 0].shape)
    return final, data.heads.beside(final)


def test_the_embedding_without_heads_is_the_rest_and_the_kept():
    rng = np.random.default_rng(10)
    data = planted(rng, generators=4)
    final, heads = _embedding(data, rng)
    np.testing.assert_allclose(heads.combined(range(10)), final, atol=1e-5)
    kept = [0, 2, 3, 7]
    gone = sum(data.heads.vectors[:, h].astype(float) for h in range(10) if h not in kept)
    np.testing.assert_allclose(heads.combined(kept), final - gone, atol=1e-4)
    assert heads.numbers((0, 4, 8, 16)) == [2, 6, 10]
    with pytest.raises(UsageError, match="raw"):
        data.raw.beside(final)


def test_the_predicted_effect_of_a_removal_is_that_of_removing():
    """Against scores that are computed again, for normal scores: one head gone, then another."""
    rng = np.random.default_rng(11)
    data = planted(rng, generators=3)
    final, _ = _embedding(data, rng)
    fakes = [np.flatnonzero(data.generator == g) for g in data.names]
    real = np.flatnonzero(data.y == 0)
    train, test = real[::2], real[1::2]
    parts = data.heads.vectors
    problem = _Problem.of(final, parts, fakes, train, test, ridge=10.0)
    scorers = [fit_discriminant()(final[rows], final[train], None) for rows in fakes]

    def predicted(X):
        values = []
        for i, score in enumerate(scorers):
            for j, rows in enumerate(fakes):
                fake, against = score(X[rows]), score(X[test])
                if i != j:
                    values.append(
                        norm.cdf((fake.mean() - against.mean()) / np.hypot(fake.std(), against.std()))
                    )
        return np.mean(values)

    before = predicted(final)
    for h in range(10):
        assert problem.effects()[h] == pytest.approx(predicted(final - parts[:, h]) - before, abs=1e-5)
    problem.remove(4)
    left = final - parts[:, 4]
    assert problem.effects()[6] == pytest.approx(predicted(left - parts[:, 6]) - predicted(left), abs=1e-5)


def test_the_heads_that_do_harm_are_removed_first_and_that_carries_over():
    rng = np.random.default_rng(12)
    data = planted(rng)
    final, heads = _embedding(data, rng)
    arguments = (data.y, data.generator, data.groups)
    order, score = removal_order(
        heads,
        {g: np.flatnonzero(data.generator == g) for g in data.names},
        [(np.arange(0, 96, 2), np.arange(1, 96, 2))],
    )
    assert set(order[:2].tolist()) == set(SHARED)
    assert sorted(order.tolist()) == list(range(10)) and score[list(SHARED)].min() > 0
    found = select_heads(heads, *arguments)
    assert set(SHARED) <= set(found.kept.tolist()) and len(found.kept) < 10 and found.gain > found.error > 0
    choices = {}
    whole = transfer_matrix(final, *arguments, splits=1)
    nested = [
        transfer_matrix(
            row_numbers(len(data.y)),
            *arguments,
            splits=1,
            fit=fit_heads(heads, *arguments, selections=taken, **options),
        )
        for taken, options in ((choices, {}), ({}, {"ranking": "random", "number": lambda: 4}))
    ]
    assert nested[0].off_diagonal() > whole.off_diagonal() + 0.05
    assert nested[0].off_diagonal() > nested[1].off_diagonal() + 0.05
    assert np.mean([set(SHARED) <= set(choice.kept.tolist()) for choice in choices.values()]) >= 0.75


def test_the_tested_generator_has_no_say_in_the_removal():
    rng = np.random.default_rng(13)
    data = planted(rng, generators=5)
    final = _embedding(data, rng)[0]
    changed = final + 50.0 * (data.generator == "g4")[:, None]
    require_no_say(data, data.heads.beside(final), data.heads.beside(changed))


def test_removal_gains_nothing_on_noise():
    rng = np.random.default_rng(14)
    data = planted(rng, generators=6)
    noise = Heads(data.heads.names, rng.normal(size=data.heads.vectors.shape).astype(np.float32))
    heads = noise.beside(rng.normal(size=noise.vectors[:, 0].shape))
    arguments = (data.y, data.generator, data.groups)
    nested = transfer_matrix(row_numbers(len(data.y)), *arguments, splits=2, fit=fit_heads(heads, *arguments))
    assert abs(nested.off_diagonal() - 0.5) < 0.05
    with pytest.raises(UsageError, match="beside"):
        select_heads(noise, *arguments, ranking="effect")


def test_a_probe_is_the_discriminant_of_its_head_whatever_basis_it_is_computed_in():
    rng = np.random.default_rng(5)
    # 6 values written into 150 components: the shortcut through the row space is taken.
    data = planted(rng, dim=150)
    fakes = {g: np.flatnonzero(data.generator == g) for g in data.names}
    real = np.flatnonzero(data.y == 0)
    found = probe_transfer(data.heads.vectors, fakes, (real[::2], real[1::2]))
    X = data.heads.vectors[:, 3].astype(float)
    values = []
    for train, test in ((real[::2], real[1::2]), (real[1::2], real[::2])):
        score = fit_discriminant()(X[fakes["g1"]], X[train], None)
        values.append(two_sample_auc(score(X[fakes["g5"]]), score(X[test])))
    assert found[3, 1, 5] == pytest.approx(np.mean(values), abs=1e-9)
    assert generator_map(found)[3, 5] == pytest.approx(np.delete(found[3, :, 5], 5).mean())


def test_a_description_names_the_planted_concepts_in_order_of_variance():
    rng = np.random.default_rng(6)
    directions = np.linalg.qr(rng.normal(size=(24, 24)))[0]
    names = [f"concept {i}" for i in range(10)]
    bank = ConceptBank.of(names, directions[:10])
    z = rng.normal(size=(4000, 2)) * [2.0, 1.0]
    head = 5 + z @ directions[[4, 8]]
    terms = text_span(head, bank)
    assert [t.name for t in terms[:2]] == ["concept 4", "concept 8"]
    assert terms[0].share == pytest.approx(0.8, abs=0.03)
    assert terms[1].explained == pytest.approx(1.0, abs=1e-6)
    heads = Heads(("head:3.1", "head:3.2"), np.stack([head, np.zeros_like(head)], axis=1).astype(np.float32))
    first, second = describe_heads(heads, bank, terms=2)
    assert str(first).startswith("Block 3, head 1: concept 4 – not concept 4 (8")
    assert second.terms == () and second.variance == 0
    with pytest.raises(UsageError, match="raw"):
        describe_heads(Heads(("headraw:1.1",), np.zeros((2, 1, 24), np.float32), "raw"), bank)


@pytest.mark.parametrize("unit", [False, True])
def test_ablation_is_what_replacing_the_contribution_does(unit):
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(30, 5, 12)).astype(np.float32)
    final = vectors.sum(axis=1) + rng.normal(size=(30, 12))
    w, b = rng.normal(size=12), 0.3
    heads = Heads(tuple(f"head:1.{i}" for i in range(1, 6)), vectors)
    real = np.arange(30) < 15
    found = ablate_heads(heads, final, w, b, reference=real, unit=unit)

    def logit(X):
        return (X / np.linalg.norm(X, axis=1, keepdims=True) if unit else X) @ w + b

    for h in range(5):
        replaced = final - vectors[:, h] + vectors[real, h].mean(axis=0)
        np.testing.assert_allclose(found.logit + found.shift[:, h], logit(replaced), atol=1e-6)
    replaced = final - vectors.sum(axis=1) + vectors[real].mean(axis=0).sum(axis=0)
    np.testing.assert_allclose(found.logit + found.together, logit(replaced), atol=1e-6)
    y = rng.integers(0, 2, 30)
    assert found.auc_without(y).shape == found.effect.shape == (5,)


def test_heads_of_a_real_architecture_add_up_to_the_logit(tiny_clip_dir, photos):
    encoder = load_encoder(tiny_clip_dir)
    batch = np.stack([encoder.transform(image) for _, image in photos[:4]])
    vectors = encoder.trace(batch, kinds=["final", "parts"])
    features = SimpleNamespace(kinds=tuple(vectors), vectors=vectors)
    heads = Heads.of(features)
    assert heads.names[0] == "head:1.1" and heads.names[-1] == "head:4.4" and len(heads) == 16
    w = np.random.default_rng(8).normal(size=encoder.dim)
    found = ablate_heads(heads, vectors["final"], w, 1.0)
    rest = sum(v for kind, v in vectors.items() if kind.startswith(("mlp", "embedding"))) @ w
    parts = heads.vectors.astype(float) @ w
    np.testing.assert_allclose(1.0 + rest + parts.sum(axis=1), found.logit, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.together, found.shift.sum(axis=1), atol=1e-9)
    with pytest.raises(UsageError, match="--kinds final,headraws"):
        Heads.of(features, "raw")
