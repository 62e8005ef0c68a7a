"""The class token as a sum over patches, blocks and MLPs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from morelli.encoders import Encoder, load_encoder
from morelli.encoders import _vit_arrays as vit_arrays
from morelli.encoders.direct_paths import direct_parts, readable
from morelli.errors import UsageError

HEADS = ("headraw:1.2", "headraw:3.1", "headraw:3.2", "layer:2", "final")


@pytest.fixture(scope="module")
def encoder(tiny_clip_dir: Path) -> Encoder:
    return load_encoder(tiny_clip_dir)


@pytest.fixture(scope="module")
def pixels(encoder: Encoder) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, 64, 64)).astype(np.float32)


@pytest.mark.parametrize(
    "kinds", [("final",), ("layer:2",), ("layer:2", "layer:3", "final"), ("headraw:2.1",), HEADS]
)
def test_parts_sum_to_any_function_of_the_class_tokens(
    encoder: Encoder, pixels: np.ndarray, kinds: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(1)
    found = encoder.trace(pixels[None], kinds=kinds)
    weights = {kind: rng.normal(size=(3, found[kind].shape[1])) for kind in kinds}
    parts = direct_parts(encoder, pixels, weights)
    wanted = sum(weights[kind] @ found[kind][0].astype(float) for kind in kinds)
    np.testing.assert_allclose(parts.total, wanted, atol=1e-4)
    assert parts.patches.shape == (3, encoder.layers, encoder.patches)
    # A block behind the last one that is read adds nothing.
    if kinds in (("layer:2",), ("headraw:2.1",)):
        assert not parts.patches[:, 2:].any() and not parts.mlps[:, 2:].any()
    # A block's own heads mix before its MLP adds anything.
    assert parts.mlps[:, 1].any() == (kinds != ("headraw:2.1",))


def test_a_patch_part_is_what_its_value_adds(encoder: Encoder, pixels: np.ndarray) -> None:
    """Take one patch's value out of the first block's mixture: the token behind it loses just that part."""
    vit = encoder.vision
    assert vit is not None
    w = np.random.default_rng(2).normal(size=(1, encoder.width))
    parts = direct_parts(encoder, pixels, {"layer:1": w})
    block, z = vit.blocks[0], vit_arrays.embed(vit, pixels[None])
    q, k, v = vit_arrays.queries_keys_values(block, vit_arrays.norm_forward(block.norm1, z))
    attention = vit_arrays.attention_weights(q[:, :, :1], k)
    for patch in (0, 5):
        without = v.copy()
        without[:, :, patch + 1] = 0
        both = [vit_arrays.apply(block.out, vit_arrays.merged(attention @ one))[0, 0] for one in (v, without)]
        assert parts.patches[0, 0, patch] == pytest.approx(float(w[0] @ (both[0] - both[1])), abs=1e-5)


def test_a_heads_function_is_what_its_attention_took(encoder: Encoder, pixels: np.ndarray) -> None:
    """Only that head's mixture counts in its own block; earlier blocks by way of nothing but the sum."""
    w = np.random.default_rng(3).normal(size=(1, encoder.width // encoder.heads))
    vit = encoder.vision
    assert vit is not None
    block, z = vit.blocks[0], vit_arrays.embed(vit, pixels[None])
    q, k, v = vit_arrays.queries_keys_values(block, vit_arrays.norm_forward(block.norm1, z))
    attention = vit_arrays.attention_weights(q[:, :, :1], k)
    parts = direct_parts(encoder, pixels, {"headraw:1.2": w})
    np.testing.assert_allclose(parts.patches[0, 0], attention[0, 1, 0, 1:] * (v[0, 1, 1:] @ w[0]), atol=1e-6)
    assert not parts.mlps.any() and not parts.start.any()


def test_what_cannot_be_taken_apart_is_refused(encoder: Encoder, pixels: np.ndarray) -> None:
    assert readable(("layer:7", "final", "headraw:7.1")) and not readable(("final", "tokens:3"))
    for weights, says in (
        ({"tokens:2": np.zeros((1, 4))}, "tokens:2"),
        ({"final": np.zeros((1, 3))}, r"\(m, "),
        ({"layer:2": np.zeros((2, encoder.width)), "layer:3": np.zeros((1, encoder.width))}, r"\(2, "),
        ({}, "at least one"),
    ):
        with pytest.raises(UsageError, match=says):
            direct_parts(encoder, pixels, weights)
