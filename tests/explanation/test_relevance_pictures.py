"""Maps as pictures, and the maps that equation 4 is compared with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch.nn.functional import interpolate

from morelli.atlas.distiller import DistilledMap
from morelli.encoders import LastBlock, load_encoder
from morelli.errors import UsageError
from morelli.explanation.relevance import overlay, rollout_maps, upsample
from morelli.explanation.relevance._comparisons import attention_map
from tests.torch_reference import torch_values


@pytest.fixture(scope="module")
def tiny(tiny_clip_dir):
    return load_encoder(tiny_clip_dir)


@pytest.mark.parametrize("size", [224, 50, (64, 96), 7])
def test_upsampling_is_torchs_bilinear(size):
    maps = np.random.default_rng(0).random((3, 2, 14 * 14)).astype(np.float32)
    ours = upsample(maps, size)
    size = (size, size) if isinstance(size, int) else size
    expected = interpolate(
        torch.from_numpy(maps.reshape(3, 2, 14, 14)), size, mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(ours, expected.numpy(), atol=1e-5)


def test_upsampling_refuses_what_is_no_square():
    with pytest.raises(UsageError, match="shape"):
        upsample(np.zeros(15), 30)


def test_overlay_colours_the_side_that_a_patch_speaks_for():
    grey = Image.new("RGB", (120, 100), (128, 128, 128))
    relevance = np.zeros((4, 4))
    relevance[0, 0], relevance[3, 3] = 1.0, -1.0
    picture = np.asarray(overlay(grey, relevance)).astype(int)
    assert picture.shape == (100, 100, 3)
    generated, real = picture[5, 5], picture[-5, -5]
    assert generated[0] > 128 > generated[2]
    assert real[2] > real[0]
    # Where nothing is relevant the picture is untouched.
    np.testing.assert_array_equal(picture[50, 50], [128, 128, 128])
    np.testing.assert_array_equal(picture[5, -5], [128, 128, 128])
    mirrored = np.asarray(overlay(grey, relevance, sign=-1))
    np.testing.assert_array_equal(mirrored[5, 5], real)
    # A scale shared by several maps: half the relevance is half the colour.
    half = np.asarray(overlay(grey, relevance / 2, scale=1.0)).astype(int)[5, 5]
    full = np.asarray(overlay(grey, relevance, scale=1.0)).astype(int)[5, 5]
    np.testing.assert_allclose(half - 128, (full - 128) / 2, atol=1)
    blank = np.asarray(overlay(grey, np.zeros(16), size=32))
    assert (blank == 128).all()
    assert blank.shape == (32, 32, 3)


def test_attention_map_is_the_towers_attention(tiny, photos):
    block = LastBlock(tiny)
    batch = np.stack([tiny.transform(image) for _, image in photos[:3]])
    found = tiny.trace(batch, kinds=["attention:4", *block.inputs])
    ours = attention_map(block, *(found[kind] for kind in block.inputs))
    np.testing.assert_allclose(ours, found["attention:4"].mean(axis=1)[:, 1:], atol=1e-6)


def test_rollout_is_chefers_product_over_all_blocks(tiny, tiny_clip_dir, photos):
    """Matrices multiplied out with transformers' own attentions and gradients."""
    model = transformers.CLIPVisionModelWithProjection.from_pretrained(
        tiny_clip_dir, attn_implementation="eager"
    ).eval()
    rng = np.random.default_rng(0)
    distilled = DistilledMap(
        kind="final",
        unit=True,
        A=rng.normal(size=(tiny.dim, 3)),
        b=np.zeros(3),
        activation="identity",
        w=rng.normal(size=3),
        bias=0.0,
        build=tiny.build,
    )
    values, weights = torch_values(distilled), distilled.w.astype(np.float32)
    batch = np.stack([tiny.transform(image) for _, image in photos[:2]])
    ours = rollout_maps(tiny, batch, distilled.values_and_gradients, weights)
    assert ours.shape == (2, 4, 16)
    for i, pixels in enumerate(torch.from_numpy(batch)):
        out = model(pixels[None], output_attentions=True)
        z = values(out.image_embeds)[0]
        for k, target in enumerate([*z, z @ torch.from_numpy(weights)]):
            gradients = torch.autograd.grad(target, out.attentions, retain_graph=True)
            rolled = torch.eye(17)
            for attention, gradient in zip(out.attentions, gradients, strict=True):
                rolled = rolled + (gradient * attention)[0].clamp(min=0).mean(0) @ rolled
            expected = rolled[0, 1:].detach().numpy()
            np.testing.assert_allclose(ours[i, k], expected, atol=1e-4 * expected.max())
    with pytest.raises(UsageError, match="as many weights"):
        rollout_maps(tiny, batch[:1], distilled.values_and_gradients, weights[:2])
