"""Leaving patches out of the tower."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from morelli.encoders import encode_kept, load_encoder
from morelli.errors import UsageError
from tests.encoders.closeness import assert_close


@pytest.fixture(scope="module")
def tiny(tiny_clip_dir):
    return load_encoder(tiny_clip_dir)


@pytest.fixture(scope="module")
def batch(tiny, photos):
    return np.stack([tiny.transform(image) for _, image in photos[:4]])


def test_with_all_patches_it_is_the_tower(tiny, batch):
    everything = np.ones((4, tiny.patches), dtype=bool)
    found = tiny.trace(batch, kinds=["final", "layer:2"])
    assert_close(encode_kept(tiny, batch, everything), found["final"])
    assert_close(encode_kept(tiny, batch, everything, kind="layer:2"), found["layer:2"])


def test_equals_transformers_with_the_others_masked_out(tiny, tiny_clip_dir, batch):
    """A token that nobody attends to might as well not be there."""
    model = transformers.CLIPVisionModelWithProjection.from_pretrained(
        tiny_clip_dir, attn_implementation="eager"
    ).eval()
    rng = np.random.default_rng(0)
    kept = rng.random((4, tiny.patches)) < np.array([[0.2], [0.5], [0.5], [0.9]])
    ours = encode_kept(tiny, batch, kept)
    with torch.inference_mode():
        for i, pixels in enumerate(torch.from_numpy(batch)):
            stream = model.vision_model.pre_layrnorm(model.vision_model.embeddings(pixels[None]))
            seen = torch.from_numpy(np.r_[True, kept[i]])
            mask = torch.where(seen, 0.0, -torch.inf)[None, None, None].expand(1, 1, len(seen), -1)
            for layer in model.vision_model.encoder.layers:
                out = layer(stream, mask)
                stream = out if isinstance(out, torch.Tensor) else out[0]
            expected = model.visual_projection(model.vision_model.post_layernorm(stream[:, 0]))
            assert_close(ours[i], expected[0].numpy())


def test_nothing_kept_is_the_class_token_alone(tiny, batch):
    none = encode_kept(tiny, batch, np.zeros((4, tiny.patches), dtype=bool))
    assert_close(none, np.repeat(none[:1], 4, axis=0))
    assert np.isfinite(none).all()


def test_wrong_requests(tiny, batch, family_dirs):
    with pytest.raises(UsageError, match="Kept patches must be"):
        encode_kept(tiny, batch, np.ones((4, 9), dtype=bool))
    with pytest.raises(UsageError, match="final and layer:k"):
        encode_kept(tiny, batch, np.ones((4, 16), dtype=bool), kind="mean:2")
    dino = load_encoder(family_dirs["dinov2"])
    with pytest.raises(UsageError, match="Leaving patches out exists for CLIP"):
        encode_kept(dino, batch, np.ones((4, 16), dtype=bool))
