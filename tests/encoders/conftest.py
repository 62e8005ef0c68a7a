"""Small models of every family, saved as the hub would give them, and caches of their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.encoders.local_hub import LocalHub, serve
from tests.encoders.quantised_wheel import Quantised, build_wheel


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights cache that nothing is in, for us and for the hub's library."""
    monkeypatch.setenv("MORELLI_CACHE", str(tmp_path / "cache"))
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to reach something outside fails the test."""
    import socket

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def pixels() -> NDArray[np.float32]:
    """Five images' worth of normalised pixels, (5, 3, 56, 56)."""
    return np.random.default_rng(7).normal(size=(5, 3, 56, 56)).astype(np.float32)


def _enliven(model: object, seed: int) -> None:
    """Larger matrices, so that images differ and every tensor matters."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # type: ignore[attr-defined]
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim >= 2 and "embedding" not in name:
                parameter.mul_(3.0).add_(0.01 * noise)
            else:
                parameter.add_(0.1 * noise)


@pytest.fixture(scope="session")
def family_dirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folder in hub format by family (siglip, dinov2, dinov3, vit, deit, variants); 56 pixels, 3 blocks."""
    import torch
    import transformers as t

    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 56,
        "patch_size": 14,
    }
    dino = {key: value for key, value in shape.items() if key != "intermediate_size"}
    torch.manual_seed(0)
    models = {
        "siglip": t.SiglipModel(
            t.SiglipConfig(
                vision_config=shape,
                text_config={
                    "vocab_size": 40,
                    "hidden_size": 32,
                    "intermediate_size": 64,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 4,
                    "max_position_embeddings": 16,
                    "projection_size": 32,
                    "pad_token_id": 0,
                    "bos_token_id": 1,
                    "eos_token_id": 2,
                },
            )
        ),
        # Trained at another size than it is used at, as the published DINOv2 is.
        "dinov2": t.Dinov2Model(t.Dinov2Config(**{**dino, "image_size": 70})),
        "dinov2-registers": t.Dinov2WithRegistersModel(
            t.Dinov2WithRegistersConfig(**dino, num_register_tokens=2)
        ),
        "dinov3": t.DINOv3ViTModel(t.DINOv3ViTConfig(**shape, num_register_tokens=4)),
        "vit": t.ViTModel(t.ViTConfig(**shape)),
        # The largest published ones have gated MLPs.
        "dinov2-gated": t.Dinov2Model(t.Dinov2Config(**dino, use_swiglu_ffn=True)),
        "dinov3-gated": t.DINOv3ViTModel(t.DINOv3ViTConfig(**shape, use_gated_mlp=True)),
        "deit": t.DeiTModel(t.DeiTConfig(**shape)),
    }
    square = {"do_resize": True, "do_normalize": True, "size": {"height": 56, "width": 56}, "resample": 2}
    short = {
        "do_resize": True,
        "do_normalize": True,
        "do_center_crop": True,
        "size": {"shortest_edge": 64},
        "crop_size": {"height": 56, "width": 56},
        "resample": 3,
    }
    folders = {}
    for seed, (name, model) in enumerate(models.items()):
        _enliven(model, seed)
        folder = tmp_path_factory.mktemp(name)
        model.eval().save_pretrained(folder)
        half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        imagenet = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
        processor = {**short, **imagenet} if name.startswith("dinov2") else {**square, **half}
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
        folders[name] = folder
    _save_word_tokenizer(folders["siglip"])
    return folders


def _save_word_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<bos>", "<eos>", "<unk>", "a", "photo", "of", "cat", "cup", "person", "dog"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 2)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        model_max_length=16,
    ).save_pretrained(folder)


@pytest.fixture
def hub(
    tiny_clip_dir: Path, tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalHub]:
    """A hub on this machine with the small CLIP as `someone/tiny`, which the real client talks to."""
    import huggingface_hub.constants as constants

    folder = shutil.copytree(tiny_clip_dir, tmp_path / "upstream")
    with serve(LocalHub({"someone/tiny": folder})) as running:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield running


@pytest.fixture(scope="session")
def quantised(tiny_clip_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Quantised:
    """The small CLIP's image tower as a quantised ONNX file inside a wheel."""
    return build_wheel(tiny_clip_dir, tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def package_index(quantised: Quantised, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Quantised:
    """pip sees one folder with that wheel and no network."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(quantised.folder))
    return quantised
