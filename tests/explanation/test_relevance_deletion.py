"""Deletion tests: what is removed, what is left, and what their summary may claim."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from morelli.atlas.distiller import DistilledMap
from morelli.encoders import LastBlock, load_encoder
from morelli.errors import UsageError
from morelli.explanation.relevance import relevance_maps
from morelli.explanation.relevance._deletion import (
    centre_maps,
    deletion_curve,
    random_maps,
    token_deletion_curve,
)
from morelli.explanation.relevance._deletion_effects import deletion_effects


@pytest.fixture(scope="module")
def tiny(tiny_clip_dir):
    return load_encoder(tiny_clip_dir)


@pytest.fixture(scope="module")
def batch(tiny, photos):
    return np.stack([tiny.transform(image) for _, image in photos[:6]])


@pytest.fixture(scope="module")
def direction(tiny):
    return np.random.default_rng(5).normal(size=tiny.dim).astype(np.float32)


@pytest.mark.parametrize("fill", ["drop", "blur", "mean"])
def test_ends_of_the_curves(tiny, batch, direction, fill):
    """Nothing removed is the picture; deletion and insertion are one another's complement."""
    maps = np.random.default_rng(0).random((6, 16))

    def score(x):
        return x @ direction

    plain = score(tiny.encode(batch))
    kwargs = {"fill": fill, "fractions": [0.0, 0.25, 1.0], "batch": 4}
    gone = deletion_curve(tiny, batch, maps, score, **kwargs)
    shown = deletion_curve(tiny, batch, maps, score, insertion=True, **kwargs)
    np.testing.assert_allclose(gone[:, 0], plain, atol=1e-4)
    np.testing.assert_allclose(shown[:, 2], plain, atol=1e-4)
    np.testing.assert_allclose(gone[:, 2], shown[:, 0], atol=1e-4)
    rest = deletion_curve(tiny, batch, -maps, score, insertion=True, fill=fill, fractions=[0.75])
    np.testing.assert_allclose(gone[:, 1], rest[:, 0], atol=1e-4)


def test_filled_patches_do_not_show_what_was_there(tiny, batch, direction):
    """Changing the picture under a patch of mean colour changes nothing but the mean."""
    maps = np.zeros((1, 16))
    maps[0, 5] = 1

    def score(x):
        return x @ direction

    one = batch[:1].copy()
    other = one.copy()
    # Patch 5 of a 4 × 4 grid of 16-pixel patches, turned upside down: the mean stays.
    other[:, :, 16:32, 16:32] = other[:, :, 31:15:-1, 16:32]
    assert abs(score(tiny.encode(one)) - score(tiny.encode(other))) > 1e-4
    for fill in ("mean", "drop"):
        a, b = (
            deletion_curve(tiny, picture, maps, score, fill=fill, fractions=[1 / 16])
            for picture in (one, other)
        )
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_hidden_tokens_are_as_good_as_absent_from_the_block(tiny, batch, direction):
    block = LastBlock(tiny)
    found = tiny.trace(batch, kinds=["final", *block.inputs])
    class_token, tokens = (found[kind] for kind in block.inputs)
    maps = np.random.default_rng(1).random((6, 16))

    def score(x):
        return x @ direction

    curve = token_deletion_curve(block, class_token, tokens, maps, score, fractions=[0.0, 0.5, 1.0], batch=4)
    np.testing.assert_allclose(curve[:, 0], score(found["final"]), atol=1e-4)
    # Half gone: what a block makes of the other half, whose attention it shares out again.
    for i in range(2):
        rest = np.argsort(-maps[i])[8:]
        attention = block.attention(class_token[i : i + 1], tokens[i : i + 1])
        seen = np.r_[0, rest + 1]
        shares = softmax(np.log(attention.weights)[..., seen], axis=-1)
        mixed = (shares[..., None, :] @ attention.values[:, :, seen])[..., 0, :]
        expected = score(block.vector(mixed, attention.residual))
        np.testing.assert_allclose(curve[i, 1], expected[0], atol=1e-4)


@pytest.mark.encoder
def test_relevant_tokens_carry_any_direction_of_the_real_encoder(real_encoder, photos):
    """No detector: without the fifth that its map marks, a direction's value falls, and not by chance."""
    block = LastBlock(real_encoder)
    batch = np.stack([real_encoder.transform(image) for _, image in photos[:6]])
    found = real_encoder.trace(batch, kinds=["final", *block.inputs])
    inputs = [found[kind] for kind in block.inputs]
    rng = np.random.default_rng(0)
    distilled = DistilledMap(
        kind="final",
        unit=True,
        A=rng.normal(size=(real_encoder.dim, 8)),
        b=np.zeros(8),
        activation="identity",
        w=np.ones(8),
        bias=0.0,
        build=real_encoder.build,
    )
    before = distilled.values(found["final"])

    def moved(maps):
        """Mean fall of each direction (8,), in its standard deviations over the photographs."""
        falls = [
            before[:, k]
            - token_deletion_curve(
                block,
                *inputs,
                maps[:, k],
                lambda x, k=k: distilled.values(x)[:, k],
                fractions=[0.2],
            )[:, 0]
            for k in range(8)
        ]
        return np.mean(falls, axis=1) / before.std(axis=0)

    random = moved(np.stack([random_maps(6, 196, rng) for _ in range(8)], axis=1))
    centre = moved(np.stack([centre_maps(6, 196, rng) for _ in range(8)], axis=1))
    paper = moved(relevance_maps(block, *inputs, distilled.values_and_gradients).maps)
    assert paper.mean() > 5 * np.abs(random).mean()
    assert paper.mean() > centre.mean() + 0.2
    # Heads that pull against each other cancel in `net`, so that it holds for every single direction.
    net = moved(relevance_maps(block, *inputs, distilled.values_and_gradients, rule="net").maps)
    assert net.min() > np.abs(random).max()
    assert net.mean() > paper.mean()


def test_centre_maps_fall_off_from_the_middle():
    maps = centre_maps(2, 36)
    assert maps.shape == (2, 36)
    square = maps[0].reshape(6, 6)
    assert square[2, 2] == square.max() == square[3, 3]
    assert square[0, 0] == square.min()
    jittered = centre_maps(2, 36, np.random.default_rng(0))
    assert np.argsort(jittered[0]).tolist() != np.argsort(jittered[1]).tolist()


def _moves(rng, groups, y, effect, spread):
    """Moves of images whose groups differ by `spread`."""
    of_group = {name: rng.normal(0, spread) for name in np.unique(groups)}
    return effect + np.array([of_group[name] for name in groups]) + rng.normal(0, 0.5, len(y))


def test_effects_count_groups_and_not_images():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 120)
    groups = np.array([f"{label}-{i % 8}" for i, label in enumerate(y)])
    found = deletion_effects(
        {
            "map": _moves(rng, groups, y, 3.0, 1.0),
            "weak": _moves(rng, groups, y, 1.2, 0.1),
            "random": _moves(rng, groups, y, 1.0, 0.1),
        },
        y,
        groups,
        rng=np.random.default_rng(1),
    )
    assert [effect.name for effect in found] == ["map", "weak", "random"]
    strong, weak, base = found
    assert strong.moved == pytest.approx((strong.generated + strong.real) / 2)
    assert strong.ratio == pytest.approx(strong.moved / base.moved)
    assert strong.interval[0] < strong.moved < strong.interval[1]
    # 240 images of 16 groups: the interval is that of 16 values, not of 240.
    assert strong.interval[1] - strong.interval[0] > 4 * 0.5 / np.sqrt(240) * 1.5
    assert strong.margin_interval[1] > 0 > weak.margin_interval[1]
    assert base.ratio == 1
    assert base.margin == pytest.approx(-base.moved)


def test_classes_count_half_each():
    y = np.array([1] * 30 + [0] * 3)
    effect = deletion_effects(
        {"map": np.where(y == 1, 2.0, 0.0), "random": np.full(33, -0.1)},
        y,
        np.arange(33),
        rng=np.random.default_rng(0),
    )[0]
    assert effect.moved == pytest.approx(1.0)
    # A baseline that moves the score the other way has no ratio, but a margin.
    assert np.isnan(effect.ratio)
    assert effect.to_json()["ratio"] is None
    assert effect.margin == pytest.approx(1.2)


def test_wrong_requests(tiny, batch):
    with pytest.raises(UsageError, match="one map each"):
        deletion_curve(tiny, batch, np.zeros((6, 3, 16)), lambda x: x[:, 0])
    with pytest.raises(UsageError, match="shares of the patches"):
        deletion_curve(tiny, batch, np.zeros((6, 16)), lambda x: x[:, 0], fractions=[20])
    with pytest.raises(UsageError, match="fill is one of"):
        deletion_curve(tiny, batch, np.zeros((6, 16)), lambda x: x[:, 0], fill="black")
    with pytest.raises(UsageError, match="no map 'random'"):
        deletion_effects({"map": [1, 2]}, [0, 1], ["a", "b"], rng=np.random.default_rng(0))
