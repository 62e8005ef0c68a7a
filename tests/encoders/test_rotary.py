"""PE-Core and EVA-02 from timm's format: each kind against the same models written a second time."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from morelli.encoders import load_encoder
from morelli.encoders._kinds import kind_shape
from morelli.errors import UsageError, WeightsError
from tests.encoders.closeness import assert_close
from tests.encoders.rotary_reference import save_rotary

KINDS = ("pe", "fused", "split", "clip")


@pytest.fixture(scope="module")
def rotary(tmp_path_factory):
    """Folder and reference model by kind."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    return {kind: (folders[kind], save_rotary(folders[kind], kind, seed=3)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_equals_the_reference(rotary, kind, pixels):
    folder, model = rotary[kind]
    encoder = load_encoder(folder)
    with torch.inference_mode():
        final, streams, rows = model(torch.from_numpy(pixels))
    expected = {"final": final}
    for k in (1, 2, 3):
        expected[f"layer:{k}"] = streams[k - 1][:, 0]
        expected[f"mean:{k}"] = streams[k - 1][:, 1:].mean(1)
        expected[f"tokens:{k}"] = streams[k - 1][:, 1:]
        expected[f"attention:{k}"] = rows[k - 1]
    ours = encoder.trace(pixels, kinds=list(expected))
    for name, value in expected.items():
        assert ours[name].shape == (5, *kind_shape(name, encoder)), name
        assert_close(ours[name], value.numpy(), name)
    assert_close(encoder.trace(pixels, kinds=["layer:2"])["layer:2"], streams[1][:, 0].numpy())
    assert encoder.card.family == ("pe_core" if kind == "pe" else "eva02")
    assert encoder.dim == (24 if kind in ("pe", "clip") else 128)


def test_transforms_come_from_the_folder(rotary):
    found = {kind: load_encoder(rotary[kind][0]).build.transform for kind in KINDS}
    assert found == {
        "pe": "clip-56-bicubic-crop-half-v1",
        "fused": "clip-56-bicubic-crop64-v1",
        "split": "clip-56-bicubic-square-v1",
        "clip": "clip-56-bicubic-crop-v1",
    }


def test_weights_of_masked_pre_training_alone_use_their_one_norm(rotary, tmp_path, pixels):
    folder, model = rotary["fused"]
    state = load_file(folder / "model.safetensors")
    state = {name: value for name, value in state.items() if not name.startswith("head.")}
    state = {name.replace("fc_norm.", "norm."): value for name, value in state.items()}
    save_file(state | {"mask_token": torch.zeros(1, 1, 128)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with torch.inference_mode():
        assert_close(load_encoder(tmp_path).encode(pixels), model(torch.from_numpy(pixels))[0].numpy())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state.pop("blocks.1.norm2.bias"), "lacks the tensor blocks.1.norm2.bias"),
        (lambda state: state.update({"reg_token": torch.zeros(1, 4, 128)}), "not known here"),
        (lambda state: state.update({"blocks.0.attn.proj.weight": torch.zeros(128, 64)}), "do not fit"),
        (lambda state: state.update({"pos_embed": torch.zeros(1, 16, 128)}), "not those of"),
    ],
)
def test_tensors_of_another_architecture_are_refused(rotary, tmp_path, change, says):
    folder, _ = rotary["pe"]
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(WeightsError, match=says):
        load_encoder(tmp_path)


def test_other_architectures_of_the_format_are_named(rotary, tmp_path):
    folder, _ = rotary["pe"]
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps(config | {"architecture": "vit_pe_lang_large_patch14_448"})
    )
    with pytest.raises(WeightsError, match="vit_pe_lang_large_patch14_448, which is not known"):
        load_encoder(tmp_path)


def test_parts_are_refused_with_what_exists(rotary, pixels):
    with pytest.raises(UsageError, match="layer:k"):
        load_encoder(rotary["pe"][0]).trace(pixels, kinds=["head:3.1"])


def test_bfloat16_is_near(rotary, pixels):
    folder, model = rotary["pe"]
    with torch.inference_mode():
        expected = model(torch.from_numpy(pixels))[0].numpy()
    assert_close(load_encoder(folder, dtype="bfloat16").encode(pixels), expected, tolerance=0.05)
