"""Encoders that run through transformers: each kind against the model's own outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from morelli.encoders import load_encoder
from morelli.encoders._kinds import kind_shape
from morelli.errors import UsageError, WeightsError
from tests.encoders.closeness import assert_close

FAMILIES = ["siglip", "dinov2", "dinov2-registers", "dinov3", "vit"]


def _reference(folder, family, pixels):
    loader = transformers.SiglipVisionModel if family == "siglip" else transformers.AutoModel
    model = loader.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        return model(torch.from_numpy(pixels), output_hidden_states=True, output_attentions=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_kind_equals_transformers(family_dirs, family, pixels):
    encoder = load_encoder(family_dirs[family])
    out = _reference(family_dirs[family], family, pixels)
    skip = {"siglip": 0, "dinov2": 1, "dinov2-registers": 3, "dinov3": 5, "vit": 1}[family]
    expected = {"final": out.pooler_output}
    for k in (1, 2, 3):
        expected[f"mean:{k}"] = out.hidden_states[k][:, skip:].mean(1)
        expected[f"tokens:{k}"] = out.hidden_states[k][:, skip:]
        if family != "siglip":
            expected[f"layer:{k}"] = out.hidden_states[k][:, 0]
            row = out.attentions[k - 1][:, :, 0]
            expected[f"attention:{k}"] = torch.cat([row[..., :1], row[..., skip:]], -1)
    ours = encoder.trace(pixels, kinds=list(expected))
    for kind, value in expected.items():
        assert ours[kind].shape == (5, *kind_shape(kind, encoder)), kind
        assert_close(ours[kind], value.numpy(), kind)
    # Without attention the fast path runs; it must agree.
    assert_close(encoder.encode(pixels), ours["final"])


def test_last_block_is_the_stream_before_the_last_norm(family_dirs, pixels):
    encoder = load_encoder(family_dirs["dinov2"])
    ours = encoder.trace(pixels, kinds=["final", "layer:3"])
    norm = encoder.tower.model.layernorm
    with torch.inference_mode():
        assert_close(norm(torch.from_numpy(ours["layer:3"])).numpy(), ours["final"])


@pytest.mark.parametrize("kind", ["layer:2", "attention"])
def test_siglip_has_no_class_token(family_dirs, pixels, kind):
    encoder = load_encoder(family_dirs["siglip"])
    assert not encoder.card.class_token
    with pytest.raises(UsageError, match="mean:k"):
        encoder.trace(pixels, kinds=[kind])


def test_the_siglip_text_tower_pads_to_its_full_context(family_dirs):
    folder = family_dirs["siglip"]
    encoder = load_encoder(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.SiglipTextModel.from_pretrained(folder).eval()
    tokens = tokenizer(["a photo of a cat", "cup"], padding="max_length", max_length=16, return_tensors="pt")
    with torch.inference_mode():
        expected = model(input_ids=tokens["input_ids"]).pooler_output.numpy()
    found = encoder.require_text().encode(["A photo of a CAT", "cup"])
    assert_close(found, expected)
    assert_close(encoder.text.encode(["cup"])[0], found[1])


def test_the_transform_comes_from_the_folder(family_dirs):
    assert load_encoder(family_dirs["siglip"]).build.transform == "clip-56-bilinear-square-half-v1"
    assert load_encoder(family_dirs["dinov2"]).build.transform == "clip-56-bicubic-crop64-imagenet-v1"


def test_transforms_equal_the_pillow_processors(family_dirs, photos):
    siglip = transformers.SiglipImageProcessorPil.from_pretrained(family_dirs["siglip"])
    dino = transformers.BitImageProcessorPil.from_pretrained(family_dirs["dinov2"])
    for name, theirs in (("siglip", siglip), ("dinov2", dino)):
        ours = load_encoder(family_dirs[name]).transform
        for photo, image in photos:
            expected = theirs(image, return_tensors="np")["pixel_values"][0]
            np.testing.assert_allclose(ours(image), expected, atol=1e-6, err_msg=f"{name} {photo}")


def test_models_without_text_or_of_unknown_kind_say_so(family_dirs, tmp_path):
    encoder = load_encoder(family_dirs["vit"])
    assert encoder.text is None
    with pytest.raises(WeightsError, match="text bank"):
        encoder.require_text()
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1])
    transformers.ResNetModel(config).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="no plain vision transformer"):
        load_encoder(tmp_path)


def test_missing_tensors_are_never_filled_with_noise(family_dirs, tmp_path):
    from safetensors.torch import load_file, save_file

    source = family_dirs["vit"]
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text((source / name).read_text())
    state = load_file(source / "model.safetensors")
    dropped = next(name for name in state if "layernorm" in name)
    save_file(
        {name: value for name, value in state.items() if name != dropped}, tmp_path / "model.safetensors"
    )
    with pytest.raises(WeightsError, match="lacks tensors"):
        load_encoder(tmp_path)


def test_a_folder_that_wants_to_run_its_own_code_is_refused(family_dirs, tmp_path):
    import json

    config = json.loads((family_dirs["vit"] / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "model.safetensors").write_bytes((family_dirs["vit"] / "model.safetensors").read_bytes())
    with pytest.raises(WeightsError):
        load_encoder(tmp_path)
    assert not (tmp_path / "ran").exists()
