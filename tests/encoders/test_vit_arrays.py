"""Blocks in numpy: torch's numbers forwards, autograd's and finite differences' backwards."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from morelli.encoders import LastBlock, _vit, attention_pass, encode_kept, load_encoder
from morelli.encoders import _vit_arrays as vit_arrays
from morelli.encoders._vit_weights import Norm
from morelli.errors import UsageError
from tests.encoders.closeness import assert_close
from tests.torch_reference import torch_vit


@pytest.fixture(scope="module")
def tiny(tiny_clip_dir):
    return load_encoder(tiny_clip_dir)


@pytest.fixture(scope="module", params=["quick_gelu", "gelu"])
def weights(request, tiny):
    """The small tower, with either activation."""
    found = tiny.vision
    blocks = tuple(dataclasses.replace(block, activation=request.param) for block in found.blocks)
    return dataclasses.replace(found, blocks=blocks)


def test_a_forward_pass_is_torchs(weights, tiny, photos):
    pixels = np.stack([tiny.transform(image) for _, image in photos[:3]])
    theirs = _vit.vit_from_weights(weights, dtype=torch.float32, device=torch.device("cpu"))
    z, expected = vit_arrays.embed(weights, pixels), _vit.embed(theirs, torch.from_numpy(pixels))
    for ours, block in zip(weights.blocks, theirs.blocks, strict=True):
        assert_close(
            vit_arrays.block_forward(ours, z, class_only=True), _vit.block_forward(block, expected)[:, :1]
        )
        z, expected = vit_arrays.block_forward(ours, z), _vit.block_forward(block, expected)
        assert_close(z, expected.numpy())
    assert_close(vit_arrays.project(weights, z[:, 0]), _vit.project(theirs, expected[:, 0]).numpy())
    bare = dataclasses.replace(weights, projection=None)
    assert_close(vit_arrays.project(bare, z[:, 0]), theirs.post_norm(expected[:, 0]).numpy())


def test_slopes_are_finite_differences(weights):
    """Far out too, where a plain exponential would overflow."""
    x = np.linspace(-12, 12, 1001)
    block, step = weights.blocks[0], 1e-5
    expected = (vit_arrays.activate(block, x + step) - vit_arrays.activate(block, x - step)) / (2 * step)
    np.testing.assert_allclose(vit_arrays.activation_slope(block, x), expected, atol=1e-7)
    far = np.array([-1e4, 1e4], np.float32)
    np.testing.assert_array_equal(vit_arrays.activate(block, far), [0, 1e4])
    np.testing.assert_array_equal(vit_arrays.activation_slope(block, far), [0, 1])


def test_the_gradient_of_a_layer_norm_is_finite_differences():
    rng = np.random.default_rng(0)
    norm = Norm(rng.normal(size=12), rng.normal(size=12), 1e-5)
    z, gradient = 3 + 2 * rng.normal(size=(4, 12)), rng.normal(size=(4, 7, 12))
    found = vit_arrays.norm_gradient(norm, z[:, None], gradient)
    step = 1e-5
    for i in range(12):
        ahead, behind = (vit_arrays.norm_forward(norm, z + sign * step * np.eye(12)[i]) for sign in (1, -1))
        expected = (gradient * ((ahead - behind) / (2 * step))[:, None]).sum(-1)
        np.testing.assert_allclose(found[..., i], expected, rtol=1e-6, atol=1e-8)


def test_gradients_by_every_attention_are_those_of_autograd(tiny, photos):
    pixels = np.stack([tiny.transform(image) for _, image in photos[:1]])
    found = attention_pass(tiny, pixels[0])
    assert_close(found.final, tiny.encode(pixels)[0])
    cotangents = np.random.default_rng(0).normal(size=(3, tiny.dim)).astype(np.float32)
    vit = torch_vit(tiny)
    z = _vit.embed(vit, torch.from_numpy(pixels)).requires_grad_()
    attentions = []
    for block in vit.blocks:
        q, k, v = _vit.queries_keys_values(block, block.norm1(z))
        attentions.append(_vit.attention_weights(q, k))
        z = z + _vit.attend(block, attentions[-1] @ v)
        z = z + _vit.mlp(block, block.norm2(z))
    final = _vit.project(vit, z[:, 0])[0]
    expected = [
        torch.autograd.grad((final * torch.from_numpy(one)).sum(), attentions, retain_graph=True)
        for one in cotangents
    ]
    ours = list(found.backwards(cotangents))
    assert len(ours) == len(attentions)
    for number, (attention, gradient) in enumerate(reversed(ours)):
        assert_close(attention, attentions[number][0].detach().numpy())
        for k in range(3):
            assert_close(gradient[k], expected[k][number][0].numpy(), f"block {number}")
    with pytest.raises(UsageError, match=r"must be \(K, 32\)"):
        next(found.backwards(np.zeros(32)))


def test_all_of_it_is_float32(tiny, photos):
    """A float64 constant on the way would double the cost unseen."""
    pixels = np.stack([tiny.transform(image) for _, image in photos[:2]])
    block = LastBlock(tiny)
    found = tiny.trace(pixels, kinds=block.inputs)
    attention = block.attention(*(found[kind] for kind in block.inputs))
    vector, pullback = block.vector_and_pullback(attention.mixed, attention.residual)
    by_mixed = pullback(np.ones((2, 3, tiny.dim)))
    kept = encode_kept(tiny, pixels, np.ones((2, tiny.patches), bool))
    traced = attention_pass(tiny, pixels[0])
    arrays = [vector, by_mixed, attention.by_weights(by_mixed), attention.values, kept, traced.final]
    arrays += [part for pair in traced.backwards(np.ones((1, tiny.dim))) for part in pair]
    assert {part.dtype for part in arrays} == {np.dtype(np.float32)}
