"""CLIP's own forward against transformers', on the small model with the real architecture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from morelli.encoders import encoder_for_build, load_encoder
from morelli.encoders._kinds import kind_shape
from morelli.errors import UsageError, WeightsError
from tests.encoders.closeness import assert_close

KINDS = ["final", "layers", "means", "tokens:2", "tokens", "attention:2", "attention"]


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(1).normal(size=(5, 3, 64, 64)).astype(np.float32)


@pytest.fixture(scope="module", params=["openvino", "torch"])
def encoder(request, tiny_clip_dir: Path):
    return load_encoder(tiny_clip_dir, device="cpu", runtime=request.param)


@pytest.fixture(scope="module")
def theirs(tiny_clip_dir: Path, batch):
    model = transformers.CLIPVisionModelWithProjection.from_pretrained(
        tiny_clip_dir, attn_implementation="eager"
    )
    with torch.inference_mode():
        return model.eval()(torch.from_numpy(batch), output_hidden_states=True, output_attentions=True)


def test_every_kind_equals_transformers(encoder, theirs, batch):
    ours = encoder.trace(batch, kinds=KINDS)
    expected = {"final": theirs.image_embeds}
    for k in range(1, 5):
        expected |= {
            f"layer:{k}": theirs.hidden_states[k][:, 0],
            f"mean:{k}": theirs.hidden_states[k][:, 1:].mean(1),
        }
    for k in (2, 4):
        expected |= {
            f"tokens:{k}": theirs.hidden_states[k][:, 1:],
            f"attention:{k}": theirs.attentions[k - 1][:, :, 0],
        }
    assert ours.keys() == expected.keys()
    for kind, value in expected.items():
        assert ours[kind].dtype == np.float32
        assert ours[kind].shape == (5, *kind_shape(kind, encoder))
        assert_close(ours[kind], value.numpy(), kind)


@pytest.mark.parametrize(
    "kinds", [["final"], ["layer:2"], ["mean:3"], ["attention:2"], ["layer:4", "attention:4"]]
)
def test_asking_for_less_gives_the_same(encoder, batch, kinds):
    everything = encoder.trace(batch, kinds=KINDS)
    for kind, value in encoder.trace(batch, kinds=kinds).items():
        assert_close(value, everything[kind], tolerance=2e-6)


def test_a_vector_does_not_depend_on_its_batch(encoder):
    rng = np.random.default_rng(2)
    images = rng.normal(size=(40, 3, 64, 64)).astype(np.float32)
    alone = np.concatenate([encoder.encode(image[None]) for image in images])
    assert_close(encoder.encode(images), alone, tolerance=2e-6)
    assert_close(encoder.encode(images[:7]), alone[:7], tolerance=2e-6)


def test_an_empty_batch_gives_empty_arrays(encoder):
    empty = encoder.trace(np.empty((0, 3, 64, 64), np.float32), kinds=["final", "tokens"])
    assert empty["final"].shape == (0, 32)
    assert empty["tokens:4"].shape == (0, 16, 64)


def test_read_only_and_strided_batches_are_taken_as_they_are(encoder, batch):
    frozen = batch.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(encoder.encode(frozen), encoder.encode(batch))
    np.testing.assert_array_equal(encoder.encode(frozen[::2]), encoder.encode(batch[::2].copy()))


def test_a_batch_of_another_shape_is_refused(encoder):
    with pytest.raises(UsageError, match=r"\(b, 3, 64, 64\)"):
        encoder.encode(np.zeros((2, 3, 32, 32), np.float32))


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_gelu_instead_of_quick_gelu(runtime, tmp_path, batch):
    config = transformers.CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        image_size=64, patch_size=16, projection_dim=8, hidden_act="gelu",
    )  # fmt: skip
    torch.manual_seed(3)
    model = transformers.CLIPVisionModelWithProjection(config).eval()
    model.save_pretrained(tmp_path)
    with torch.inference_mode():
        expected = model(torch.from_numpy(batch)).image_embeds.numpy()
    encoder = load_encoder(tmp_path, runtime=runtime)
    assert encoder.text is None
    assert_close(encoder.encode(batch), expected)


def test_bfloat16_is_another_build_close_by(encoder, tiny_clip_dir, batch):
    coarse = load_encoder(tiny_clip_dir, dtype="bfloat16", runtime=encoder.runtime.split()[0])
    assert coarse.build.dtype == "bfloat16"
    assert coarse.build.fingerprint != encoder.build.fingerprint
    a, b = coarse.encode(batch), encoder.encode(batch)
    assert a.dtype == np.float32
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosines.min() > 0.999
    assert np.abs(a - b).max() > 0  # it really ran in bfloat16


def test_the_text_tower_equals_transformers(encoder, tiny_clip_dir):
    texts = ["a cat", "the thin tin", "a much longer text " * 30]
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_clip_dir)
    model = transformers.CLIPTextModelWithProjection.from_pretrained(tiny_clip_dir).eval()
    with torch.inference_mode():
        tokens = tokenizer(texts, padding=True, truncation=True, max_length=77, return_tensors="pt")
        expected = model(**tokens).text_embeds.numpy()
    found = encoder.require_text().encode(texts)
    assert_close(found, expected)
    assert encoder.text.encode([]).shape == (0, 32)
    with pytest.raises(UsageError, match="list of texts"):
        encoder.text.encode("a cat")


def test_gradients_reach_the_pixels_through_the_same_functions(tiny_clip_dir, batch):
    from morelli.encoders import _vit

    vit = load_encoder(tiny_clip_dir, runtime="torch").tower.vit
    pixels = torch.from_numpy(batch[:1].copy()).requires_grad_()
    z = _vit.embed(vit, pixels)
    for block in vit.blocks:
        z = _vit.block_forward(block, z)
    _vit.project(vit, z[:, 0]).sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.abs().sum() > 0


def test_the_build_of_a_folder_is_found_again(encoder, tiny_clip_dir):
    again = encoder_for_build(encoder.build, weights=tiny_clip_dir)
    assert again.build == encoder.build
    with pytest.raises(WeightsError, match="weights="):
        encoder_for_build(encoder.build)


def test_other_weights_than_the_build_names_are_refused(encoder, tmp_path):
    from tests.small_models import save_tiny_clip

    other = save_tiny_clip(tmp_path / "tiny-clip", seed=1)
    with pytest.raises(WeightsError, match="extract the features again"):
        encoder_for_build(encoder.build, weights=other)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"dtype": "float16"}, "float32 or bfloat16"),
        ({"device": "toaster"}, "auto, cpu or cuda"),
        ({"transform": "clip-32-bicubic-crop-v1"}, "takes 64"),
    ],
)
def test_impossible_requests_say_what_is_possible(tiny_clip_dir, arguments, match):
    with pytest.raises(UsageError, match=match):
        load_encoder(tiny_clip_dir, **arguments)


def test_a_damaged_folder_says_what_is_missing(tiny_clip_dir, tmp_path):
    from safetensors.torch import load_file, save_file

    with pytest.raises(WeightsError, match="holds none of"):
        (tmp_path / "config.json").write_text((tiny_clip_dir / "config.json").read_text())
        load_encoder(tmp_path)
    state = load_file(tiny_clip_dir / "model.safetensors")
    state.pop("vision_model.encoder.layers.2.mlp.fc1.weight")
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"layers\.2\.mlp\.fc1\.weight"):
        load_encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_encoder(tmp_path)


def test_torch_weights_load_without_running_code(tiny_clip_dir, tmp_path, encoder, batch):
    import pickle

    from safetensors.torch import load_file

    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text((tiny_clip_dir / name).read_text())
    torch.save(load_file(tiny_clip_dir / "model.safetensors"), tmp_path / "pytorch_model.bin")
    loaded = load_encoder(tmp_path, runtime=encoder.runtime.split()[0])
    np.testing.assert_array_equal(loaded.encode(batch), encoder.encode(batch))
    assert loaded.build.weights != encoder.build.weights

    class Hostile:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Hostile()}))
    with pytest.raises(WeightsError, match="cannot be read"):
        load_encoder(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_a_tower_saved_alone_gives_the_vectors_of_the_whole(tmp_path, tiny_clip_dir, photos, runtime):
    """transformers' CLIPVisionModel saves its tensors without the tower's name, and no projection."""
    from transformers import CLIPModel

    CLIPModel.from_pretrained(tiny_clip_dir).vision_model.save_pretrained(tmp_path / "alone")
    config = json.loads((tiny_clip_dir / "config.json").read_text())["vision_config"]
    config |= {"model_type": "clip_vision_model", "architectures": ["CLIPVisionModel"]}
    (tmp_path / "alone" / "config.json").write_text(json.dumps(config))
    shutil.copy(tiny_clip_dir / "preprocessor_config.json", tmp_path / "alone")
    alone, whole = (
        load_encoder(folder, device="cpu", runtime=runtime) for folder in (tmp_path / "alone", tiny_clip_dir)
    )
    batch = np.stack([whole.transform(image) for _, image in photos[:2]])
    kinds = ("layer:1", "layer:4", "mean:3")
    expected = whole.trace(batch, kinds=kinds)
    for kind, value in alone.trace(batch, kinds=kinds).items():
        np.testing.assert_allclose(value, expected[kind], atol=1e-5)


def test_a_folder_whose_files_disagree_on_the_size_is_refused(tmp_path, tiny_clip_dir):
    shutil.copytree(tiny_clip_dir, tmp_path / "m")
    file = tmp_path / "m" / "preprocessor_config.json"
    file.write_text(
        json.dumps(
            json.loads(file.read_text())
            | {"size": {"shortest_edge": 96}, "crop_size": {"height": 96, "width": 96}}
        )
    )
    with pytest.raises(WeightsError, match=r"a tower of 64 × 64 pixels.*prepared at 96 × 96"):
        load_encoder(tmp_path / "m", device="cpu")
