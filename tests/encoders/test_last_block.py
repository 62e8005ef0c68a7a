"""The last block alone is the tower's own last block: same feature, same attention, from stored inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from morelli.encoders import LastBlock, load_encoder
from morelli.encoders._vit import mlp, project
from morelli.errors import UsageError
from tests.encoders.closeness import assert_close
from tests.torch_reference import torch_vit


@pytest.fixture(scope="module")
def tiny(tiny_clip_dir):
    return load_encoder(tiny_clip_dir)


def _traced(encoder, photos, kinds):
    return encoder.trace(np.stack([encoder.transform(image) for _, image in photos[:3]]), kinds=kinds)


def _run(block, found):
    return [found[kind] for kind in block.inputs]


@pytest.mark.parametrize("kind", ["final", "layer:4", "layer:2"])
def test_gives_the_features_of_the_tower(tiny, photos, kind):
    block = LastBlock(tiny, kind)
    found = _traced(tiny, photos, [kind, f"attention:{block.block}", *block.inputs])
    inputs = _run(block, found)
    assert_close(block(*inputs), found[kind])
    attention = block.attention(*inputs)
    assert_close(attention.weights, found[f"attention:{block.block}"])
    assert_close(block.vector(attention.mixed, attention.residual), found[kind])
    assert block.dim == found[kind].shape[1]


@pytest.mark.encoder
def test_gives_the_features_of_the_real_tower(real_encoder, photos):
    block = LastBlock(real_encoder)
    assert block.inputs == ("layer:11", "tokens:11")
    found = _traced(real_encoder, photos, ["final", "attention:12", *block.inputs])
    inputs = _run(block, found)
    assert_close(block(*inputs), found["final"])
    assert_close(block.attention(*inputs).weights, found["attention:12"])


def test_bfloat16_follows_its_own_tower(tiny_clip_dir, photos):
    encoder = load_encoder(tiny_clip_dir, dtype="bfloat16")
    block = LastBlock(encoder)
    found = _traced(encoder, photos, ["final", *block.inputs])
    assert_close(block(*_run(block, found)), found["final"], tolerance=3e-2)


@pytest.mark.parametrize("kind", ["final", "layer:3"])
def test_gradients_are_those_of_autograd(tiny, photos, kind):
    """By what the heads mixed and by every attention weight, of a few random functions of the feature."""
    block = LastBlock(tiny, kind)
    attention = block.attention(*_run(block, _traced(tiny, photos, block.inputs)))
    cotangents = np.random.default_rng(0).normal(size=(3, 5, block.dim)).astype(np.float32)
    vector, pullback = block.vector_and_pullback(attention.mixed, attention.residual)
    by_mixed = pullback(cotangents)
    by_weights = attention.by_weights(by_mixed)

    vit = torch_vit(tiny)
    one = vit.blocks[block.block - 1]
    weights = torch.from_numpy(attention.weights).requires_grad_()
    mixed = (weights[..., None, :] @ torch.from_numpy(attention.values))[..., 0, :]
    z = torch.from_numpy(attention.residual) + one.out(mixed.flatten(1))
    z = z + mlp(one, one.norm2(z))
    x = project(vit, z) if kind == "final" else z
    assert_close(vector, x.detach().numpy())
    for k in range(5):
        value = (x * torch.from_numpy(cotangents[:, k])).sum()
        found = torch.autograd.grad(value, (mixed, weights), retain_graph=True)
        assert_close(by_mixed[:, k], found[0].numpy(), "by what heads mixed")
        assert_close(by_weights[:, k], found[1].numpy(), "by attention")


def test_a_block_read_alone_is_that_of_the_tower(tiny_clip_dir, family_dirs):
    encoder = load_encoder(tiny_clip_dir)
    alone = encoder.vision_of_block(3)
    assert len(alone.blocks) == 1
    np.testing.assert_array_equal(alone.blocks[0].qkv.weight, encoder.vision.blocks[2].qkv.weight)
    np.testing.assert_array_equal(alone.blocks[0].fc2.weight, encoder.vision.blocks[2].fc2.weight)
    # Once the whole tower is in memory, nothing is read again.
    assert encoder.vision_of_block(3).blocks == (encoder.vision.blocks[2],)
    assert load_encoder(family_dirs["dinov2"]).vision_of_block(1) is None


def test_mixes_are_weighted_values(tiny, photos):
    attention = LastBlock(tiny).attention(
        *_run(LastBlock(tiny), _traced(tiny, photos, ("layer:3", "tokens:3")))
    )
    other = np.random.default_rng(0).random(attention.weights.shape).astype(np.float32)
    for weights, mixed in ((attention.weights, attention.mixed), (other, attention.mix(other))):
        assert_close(mixed, (weights[..., None, :] @ attention.values)[..., 0, :])


def test_refusals_say_the_next_step(tiny, family_dirs):
    with pytest.raises(UsageError, match="first block"):
        LastBlock(tiny, "layer:1")
    with pytest.raises(UsageError, match="final and layer:k"):
        LastBlock(tiny, "mean:3")
    with pytest.raises(UsageError, match=r"takes layer:3 as \(b, 64\)"):
        LastBlock(tiny)(np.zeros((2, 64)), np.zeros((2, 9, 64)))
    with pytest.raises(UsageError, match=r"must be \(2, K, 32\)"):
        LastBlock(tiny).vector_and_pullback(np.zeros((2, 4, 16), "f"), np.zeros((2, 64), "f"))[1](
            np.zeros((2, 3))
        )
    for family in ("siglip", "dinov2", "vit"):
        with pytest.raises(UsageError, match=f"{family}.* Use clip-vit-b16"):
            LastBlock(load_encoder(family_dirs[family]))
