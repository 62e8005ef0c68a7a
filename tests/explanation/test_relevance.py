"""Relevance equals autograd, one dimension after the other, through the whole tower."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers

from morelli.atlas.distiller import DistilledMap
from morelli.encoders import Build, LastBlock, load_encoder
from morelli.encoders._vit import attend, attention_weights, block_forward, embed, mlp, project
from morelli.encoders._vit import queries_keys_values as qkv_of
from morelli.errors import UsageError
from morelli.explanation.relevance import relevance_maps
from tests.torch_reference import torch_values, torch_vit


@pytest.fixture(scope="module")
def tiny(tiny_clip_dir):
    return load_encoder(tiny_clip_dir)


def _map(dim, k=16, seed=0):
    """A distilled map as the atlas fits it: unit length, a matrix, tanh, head weights of both signs."""
    rng = np.random.default_rng(seed)
    return DistilledMap(
        kind="final",
        unit=True,
        # Short enough that tanh does not saturate, where no gradient would be left to compare.
        A=rng.normal(size=(dim, k)) / 2,
        b=rng.normal(size=k) / 4,
        activation="tanh",
        w=rng.normal(size=k),
        bias=0.0,
        build=Build("tiny", "0" * 64, "clip-224", "float32"),
    )


def _distilled(dim, k=16):
    """Its values with their gradients, and the weights of its head."""
    found = _map(dim, k)
    return found.values_and_gradients, found.w.astype(np.float32)


def _inputs(encoder, photos, block, n=3):
    batch = np.stack([encoder.transform(image) for _, image in photos[:n]])
    found = encoder.trace(batch, kinds=block.inputs)
    return batch, found[block.inputs[0]], found[block.inputs[1]]


def _equation_4(z, attention, weights):
    """Rows (K + 1, P) of one image: a backward pass per dimension, then one for the logit."""
    targets = [*z, z @ torch.from_numpy(weights)]
    rows = []
    for target in targets:
        (gradient,) = torch.autograd.grad(target, attention, retain_graph=True)
        rows.append((gradient * attention)[0].clamp(min=0).mean(dim=0)[0, 1:].detach().numpy())
    return np.stack(rows)


def _assert_maps_close(ours, reference, tolerance=1e-4):
    scale = np.abs(reference).max(axis=-1, keepdims=True)
    assert (scale > 0).all()
    assert np.abs((ours - reference) / scale).max() <= tolerance


@pytest.mark.encoder
def test_equals_a_backward_pass_per_dimension_through_the_real_tower(real_encoder, photos):
    block = LastBlock(real_encoder)
    distilled = _map(real_encoder.dim)
    values, weights = torch_values(distilled), distilled.w.astype(np.float32)
    batch, class_token, tokens = _inputs(real_encoder, photos, block, n=2)
    found = relevance_maps(block, class_token, tokens, distilled.values_and_gradients, weights)
    assert found.maps.shape == (2, 17, 196)
    vit = torch_vit(real_encoder)
    last = vit.blocks[-1]
    for i, pixels in enumerate(torch.from_numpy(batch)):
        # Gradients from the pixels on, as a plain implementation would take them.
        stream = embed(vit, pixels[None].requires_grad_())
        for earlier in vit.blocks[:-1]:
            stream = block_forward(earlier, stream)
        q, k, v = qkv_of(last, last.norm1(stream))
        attention = attention_weights(q, k)
        stream = stream + attend(last, attention @ v)
        stream = stream + mlp(last, last.norm2(stream))
        z = values(project(vit, stream[:, 0]))[0]
        _assert_maps_close(found.maps[i], _equation_4(z, attention, weights))
        np.testing.assert_allclose(found.values[i], z.detach().numpy(), atol=1e-5)


def test_equals_transformers_own_gradients(tiny, tiny_clip_dir, photos):
    model = transformers.CLIPVisionModelWithProjection.from_pretrained(
        tiny_clip_dir, attn_implementation="eager"
    ).eval()
    block = LastBlock(tiny)
    distilled = _map(tiny.dim, k=5)
    values, weights = torch_values(distilled), distilled.w.astype(np.float32)
    batch, class_token, tokens = _inputs(tiny, photos, block, n=4)
    found = relevance_maps(block, class_token, tokens, distilled.values_and_gradients, weights, batch=3)
    for i, pixels in enumerate(torch.from_numpy(batch)):
        out = model(pixels[None], output_attentions=True)
        z = values(out.image_embeds)[0]
        _assert_maps_close(found.maps[i], _equation_4(z, out.attentions[-1], weights))


def test_maps_of_an_inner_block(tiny, tiny_clip_dir, photos):
    model = transformers.CLIPVisionModelWithProjection.from_pretrained(
        tiny_clip_dir, attn_implementation="eager"
    ).eval()
    block = LastBlock(tiny, "layer:3")
    distilled = _map(tiny.width, k=4)
    values, weights = torch_values(distilled), distilled.w.astype(np.float32)
    batch, class_token, tokens = _inputs(tiny, photos, block, n=1)
    found = relevance_maps(block, class_token, tokens, distilled.values_and_gradients, weights)
    out = model(torch.from_numpy(batch), output_attentions=True, output_hidden_states=True)
    z = values(out.hidden_states[3][:, 0])[0]
    _assert_maps_close(found.maps[0], _equation_4(z, out.attentions[2], weights))


def test_signs_say_what_is_explained(tiny, photos):
    block = LastBlock(tiny)
    values, weights = _distilled(tiny.dim, k=6)
    _, *inputs = _inputs(tiny, photos, block, n=4)
    up, down, own = (
        relevance_maps(block, *inputs, values, weights, towards=towards) for towards in ("up", "down", "own")
    )
    mirrored = relevance_maps(block, *inputs, lambda x: tuple(-part for part in values(x)), weights)
    np.testing.assert_allclose(down.maps[:, :6], mirrored.maps[:, :6], atol=1e-6)
    positive = np.concatenate([up.values, up.logits[:, None]], axis=1) >= 0
    np.testing.assert_array_equal(own.maps, np.where(positive[..., None], up.maps, down.maps))
    assert not np.allclose(up.maps, down.maps)
    # The bias decides which side an image is on.
    low, high = (
        relevance_maps(block, *inputs, values, weights, bias=bias, towards="own") for bias in (-1e3, 1e3)
    )
    np.testing.assert_allclose(low.logits + 1e3, high.logits - 1e3, atol=1e-3)
    np.testing.assert_array_equal(low.maps[:, -1], down.maps[:, -1])
    np.testing.assert_array_equal(high.maps[:, -1], up.maps[:, -1])


def test_centred_is_the_derivative_by_the_score_before_the_softmax(tiny, photos):
    """By finite differences of the scores, head by head and patch by patch."""
    block = LastBlock(tiny)
    values, weights = _distilled(tiny.dim, k=3)
    _, class_token, tokens = _inputs(tiny, photos, block, n=1)
    found = relevance_maps(block, class_token, tokens, values, weights, rule="centred")
    given = block.attention(class_token, tokens)

    def z(moves):
        """Values (m, 3) with the scores (H, n) moved by each of (m, H, n)."""
        scores = np.log(given.weights) + moves
        shares = (np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)).astype(np.float32)
        mixed = (shares[..., None, :] @ given.values)[..., 0, :]
        return values(block.vector(mixed, given.residual))[0]

    heads, n = given.weights.shape[1:]
    step = 0.02
    moves = step * np.eye(heads * n).reshape(heads * n, heads, n)
    slopes = ((z(moves) - z(-moves)) / (2 * step)).reshape(heads, n, 3)
    reference = slopes.clip(min=0).mean(axis=0).T[:, 1:]
    _assert_maps_close(found.maps[0, :3], reference, tolerance=5e-3)


def test_an_image_is_alone_in_its_batch_and_threads_agree(tiny, photos):
    block = LastBlock(tiny)
    values, weights = _distilled(tiny.dim)
    _, class_token, tokens = _inputs(tiny, photos, block, n=5)
    whole = relevance_maps(block, class_token, tokens.astype(np.float16), values, weights, pooled=True)
    with ThreadPoolExecutor(3) as pool:
        alone = list(
            pool.map(
                lambda i: relevance_maps(
                    block,
                    class_token[i : i + 1],
                    tokens[i : i + 1].astype(np.float16),
                    values,
                    weights,
                    pooled=True,
                ),
                range(5),
            )
        )
    for i, one in enumerate(alone):
        np.testing.assert_allclose(one.maps[0], whole.maps[i], atol=1e-6)
        np.testing.assert_allclose(one.pooled[0], whole.pooled[i], atol=1e-4)
    none = relevance_maps(block, class_token[:0], tokens[:0], values, weights, pooled=True)
    assert none.maps.shape == (0, 17, 16)
    assert none.pooled.shape == (0, 16, 64)


def test_pooled_tokens_are_those_of_the_relevant_patches(tiny, photos):
    block = LastBlock(tiny)
    values, weights = _distilled(tiny.dim, k=4)
    _, class_token, tokens = _inputs(tiny, photos, block, n=2)
    found = relevance_maps(block, class_token, tokens, values, pooled=True)
    assert found.maps.shape == (2, 4, 16)
    assert found.logits is None
    share = found.maps / found.maps.sum(-1, keepdims=True)
    np.testing.assert_allclose(found.pooled, share @ tokens, atol=1e-5)
    # Where nothing is relevant, the plain mean stands in.
    flat = relevance_maps(
        block,
        class_token,
        tokens,
        lambda x: (0 * x[:, :2], np.zeros((2, 2, tiny.dim))),
        weights[:2],
        pooled=True,
    )
    np.testing.assert_allclose(flat.pooled[:, 0], tokens.mean(1), atol=1e-5)


def test_wrong_requests(tiny, photos):
    block = LastBlock(tiny)
    values, weights = _distilled(tiny.dim, k=4)
    _, class_token, tokens = _inputs(tiny, photos, block, n=1)
    with pytest.raises(UsageError, match="4 distilled values need as many weights"):
        relevance_maps(block, class_token, tokens, values, weights[:3])
    with pytest.raises(UsageError, match="and their gradients must be"):
        relevance_maps(block, class_token, tokens, lambda x: (values(x)[0], x))
    with pytest.raises(UsageError, match="of the same images"):
        relevance_maps(block, class_token, tokens[0], values)
    with pytest.raises(UsageError, match="rule is one of"):
        relevance_maps(block, class_token, tokens, values, rule="raw")
