"""MetaCLIP 2, SigLIP 2 NaFlex, DINOv3 ConvNeXt and AIMv2 against transformers' own classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from morelli.encoders import encoder_card, encoder_cards, load_encoder
from morelli.encoders._kinds import kind_shape
from morelli.errors import UsageError
from morelli.images import as_seen
from morelli.images.transforms import transform_from_id
from tests.encoders.closeness import assert_close
from tests.encoders.conftest import _save_word_tokenizer
from tests.encoders.strong_models import save_models, save_with_apples_names


@pytest.fixture(scope="module")
def strong(tmp_path_factory):
    """Folder and model by name."""
    return save_models(tmp_path_factory.mktemp("strong"))


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_metaclip2_is_read_by_the_clip_tower(strong, pixels, runtime):
    folder, model = strong["metaclip2"]
    encoder = load_encoder(folder, runtime=runtime)
    vision = transformers.MetaClip2VisionModelWithProjection.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()
    with torch.inference_mode():
        out = vision(torch.from_numpy(pixels), output_hidden_states=True, output_attentions=True)
        final = model.get_image_features(pixel_values=torch.from_numpy(pixels))
    ours = encoder.trace(pixels, kinds=["final", "layer:2", "attention:3", "head:3.1"])
    final = getattr(final, "pooler_output", final)
    assert_close(ours["final"], final.numpy())
    assert_close(ours["layer:2"], out.hidden_states[2][:, 0].numpy())
    assert_close(ours["attention:3"], out.attentions[2][:, :, 0].numpy())
    assert encoder.card.family == "clip"
    assert encoder.build.transform == "clip-56-bicubic-crop-v1"


def test_metaclip2_has_its_own_text_tower(strong):
    folder, model = strong["metaclip2"]
    _save_word_tokenizer(folder)
    encoder = load_encoder(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(["a photo of a cat", "cup"], padding=True, return_tensors="pt")
    tokens = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        expected = model.get_text_features(**tokens)
    expected = getattr(expected, "pooler_output", expected)
    assert_close(encoder.require_text().encode(["a photo of a cat", "cup"]), expected.numpy())


def _images():
    rng = np.random.default_rng(4)
    sizes = [(90, 60), (56, 56), (30, 200), (400, 11), (640, 480), (3, 5)]
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in sizes]


def test_the_naflex_transform_equals_the_pillow_processor(strong):
    folder, _ = strong["siglip2-naflex"]
    theirs = transformers.Siglip2ImageProcessorPil.from_pretrained(folder)
    ours = load_encoder(folder).transform
    assert ours.id == "naflex-14-20-bilinear-half-v1"
    assert transform_from_id(ours.id) == ours
    for image in _images():
        expected = theirs(image, return_tensors="np")
        rows = ours(image)
        np.testing.assert_allclose(
            rows[:, 2:], expected["pixel_values"][0], atol=1e-6, err_msg=str(image.size)
        )
        assert ((rows[:, 0] >= 0) == expected["pixel_attention_mask"][0].astype(bool)).all()
        assert tuple(rows[:, :2].max(axis=0) + 1) == tuple(expected["spatial_shapes"][0])


def test_naflex_equals_transformers(strong):
    folder, model = strong["siglip2-naflex"]
    processor = transformers.Siglip2ImageProcessorPil.from_pretrained(folder)
    encoder = load_encoder(folder)
    inputs = processor(_images(), return_tensors="pt")
    with torch.inference_mode():
        out = model.vision_model(**inputs, output_hidden_states=True)
    batch = np.stack([encoder.transform(image) for image in _images()])
    ours = encoder.trace(batch, kinds=["final", "mean:2"])
    assert_close(ours["final"], out.pooler_output.numpy())
    for row, mask in enumerate(inputs["pixel_attention_mask"].bool()):
        assert_close(ours["mean:2"][row], out.hidden_states[2][row][mask].mean(0).numpy())
    assert ours["mean:2"].shape == (6, *kind_shape("mean:2", encoder))
    # An image's vector does not depend on its neighbours in the batch.
    assert_close(encoder.encode(batch[2:3]), ours["final"][2:3])
    assert encoder.encode(batch[:0]).shape == (0, 32)


def test_naflex_refuses_what_has_no_fixed_place(strong):
    encoder = load_encoder(strong["siglip2-naflex"][0])
    batch = np.stack([encoder.transform(image) for image in _images()[:1]])
    with pytest.raises(UsageError, match="final and mean:k"):
        encoder.trace(batch, kinds=["tokens:2"])
    with pytest.raises(UsageError, match=r"\(b, 20, 590\)"):
        encoder.encode(np.zeros((1, 3, 56, 56), np.float32))


def test_what_naflex_sees_has_the_aspect_of_the_image():
    transform = transform_from_id("naflex-16-256-bilinear-half-v1")
    seen = as_seen(transform(Image.new("RGB", (800, 300), (10, 200, 30))), transform)
    assert seen.size == (400, 160)
    assert seen.getpixel((390, 5)) == (10, 200, 30)


def test_naflex_keeps_within_its_patches_for_strips_of_any_length():
    transform = transform_from_id("naflex-16-256-bilinear-half-v1")
    for size in ((100_000, 1), (1, 100_000), (4096, 16), (1, 1)):
        rows, columns = transform.grid(*size)
        assert 1 <= rows * columns <= 256


def test_convnext_equals_transformers(strong):
    folder, model = strong["dinov3-convnext"]
    encoder = load_encoder(folder)
    pixels = np.random.default_rng(1).normal(size=(3, 3, 64, 64)).astype(np.float32)
    with torch.inference_mode():
        out = model(torch.from_numpy(pixels), output_hidden_states=True)
        stages, x = [], torch.from_numpy(pixels)
        for stage in model.model.stages:
            x = stage(x)
            stages.append(x.mean(dim=(2, 3)))
    kinds = ["final", "mean:1", "mean:2", "mean:3", "mean:4"]
    ours = encoder.trace(pixels, kinds=kinds)
    assert_close(ours["final"], out.pooler_output.numpy())
    for number, expected in enumerate(stages, start=1):
        assert_close(ours[f"mean:{number}"], expected.numpy())
    assert [ours[kind].shape[1:] for kind in kinds] == [kind_shape(kind, encoder) for kind in kinds]
    assert encoder.build.transform == "clip-64-bilinear-square-imagenet-v1"
    assert (encoder.layers, encoder.heads, encoder.patches) == (4, 0, 4)
    with pytest.raises(UsageError, match="neither a class token nor heads"):
        encoder.trace(pixels, kinds=["layer:2"])


@pytest.mark.parametrize("naming", ["transformers", "apple"])
def test_aimv2_without_a_head_pools_by_the_mean(strong, pixels, tmp_path, naming):
    folder, model = strong["aimv2"]
    if naming == "apple":
        folder = save_with_apples_names(tmp_path / "apple", model)
    encoder = load_encoder(folder)
    with torch.inference_mode():
        out = model(torch.from_numpy(pixels), output_hidden_states=True)
    ours = encoder.trace(pixels, kinds=["final", "mean:2", "tokens:3"])
    assert_close(ours["final"], out.last_hidden_state.mean(1).numpy())
    assert_close(ours["mean:2"], out.hidden_states[2].mean(1).numpy())
    assert_close(ours["tokens:3"], out.hidden_states[3].numpy())
    assert encoder.card.family == "aimv2"
    assert encoder.build.transform == "clip-56-bicubic-crop-v1"
    with pytest.raises(UsageError, match="no class token"):
        encoder.trace(pixels, kinds=["layer:2"])


def test_aimv2_lit_is_pooled_by_its_head(strong, pixels):
    folder, model = strong["aimv2-lit"]
    encoder = load_encoder(folder)
    with torch.inference_mode():
        out = model.vision_model(torch.from_numpy(pixels))
    assert_close(encoder.encode(pixels), out.pooler_output.numpy())
    assert encoder.text is None


def test_the_dinov3_transform_is_near_the_published_order_of_steps(photos):
    """transformers' processor for DINOv3 needs torchvision; its steps are written out here with torch.

    It resizes after rescaling, in float; ours resizes bytes, which rounds to half a grey level.
    """
    ours = transform_from_id("clip-64-bilinear-square-imagenet-v1")
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    for _, image in photos[:3]:
        pixels = torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1)[None] / 255
        theirs = torch.nn.functional.interpolate(pixels, (64, 64), mode="bilinear", antialias=True)
        theirs = ((theirs[0].permute(1, 2, 0) - mean) / std).permute(2, 0, 1).numpy()
        assert np.abs(ours(image) - theirs).max() <= 1.01 / 255 / 0.224


NAMES = {
    "pe-core-b16": "pe_core",
    "pe-core-l14-336": "pe_core",
    "metaclip2-b16": "clip",
    "metaclip2-l14": "clip",
    "metaclip2-h14": "clip",
    "siglip2-b16": "siglip",
    "siglip2-b16-naflex": "siglip2",
    "siglip2-so400m-naflex": "siglip2",
    "dinov3-b16": "dinov3",
    "dinov3-convnext-b": "dinov3_convnext",
    "dinov3-convnext-l": "dinov3_convnext",
    "eva02-l14-448": "eva02",
    "eva02-clip-b16": "eva02",
    "eva02-clip-l14-336": "eva02",
    "aimv2-l14": "aimv2",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_registry_lists_the_strong_encoders(name):
    card = encoder_card(name)
    assert card.family == NAMES[name]
    assert card.hub_id and card.licence and len(card.training_cutoff) == 7
    transform = transform_from_id(card.transform)
    assert transform.size == card.image_size
    assert card.layers and card.dim and card.width


def test_names_of_the_registry_are_unique():
    ids = [card.hub_id for card in encoder_cards() if card.hub_id]
    assert len(ids) == len(set(ids))
