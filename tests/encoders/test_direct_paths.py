"""The class token as a sum over patches, blocks and MLPs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from morelli.encoders import Encoder, load_encoder
from morelli.encoders import _vit_arrays as vit_arrays
from morelli.encoders.direct_paths import direct_parts, readable
from morelli.errors import UsageError


@pytest.fixture(scope="module")
def encoder(tiny_clip_dir: Path) -> Encoder:
    return load_encoder(tiny_clip_dir)


@pytest.fixture(scope="module")
def pixels(encoder: Encoder) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, 64, 64)).astype(np.float32)


@pytest.mark.parametrize("kinds", [("final",), ("layer:2",), ("layer:2", "layer:3", "final")])
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
    if kinds == ("layer:2",):
        assert not parts.patches[:, 2:].any() and not parts.mlps[:, 2:].any()


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


def test_what_is_no_class_token_is_refused(encoder: Encoder, pixels: np.ndarray) -> None:
    assert readable(("layer:7", "final")) and not readable(("final", "tokens:3"))
    for weights, says in (
        ({"tokens:2": np.zeros((1, 4))}, "tokens:2"),
        ({"final": np.zeros((1, 3))}, r"\(m, "),
        ({}, "at least one"),
    ):
        with pytest.raises(UsageError, match=says):
            direct_parts(encoder, pixels, weights)
