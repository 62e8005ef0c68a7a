"""The parts of CLIP's embedding: they sum to it, and each is what its head or MLP really wrote."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

from morelli.encoders import expand_kinds, load_encoder
from morelli.encoders._kinds import Kind, kind_shape, parse_kind
from morelli.encoders._vit import trace
from morelli.errors import UsageError
from morelli.features import FeatureTable, extract
from tests.encoders.closeness import assert_close


def _relative_error(parts, whole):
    total = np.sum(list(parts.values()), axis=0, dtype=np.float64)
    return (np.linalg.norm(total - whole, axis=1) / np.linalg.norm(whole, axis=1)).max()


@pytest.fixture(scope="module")
def tiny(tiny_clip_dir):
    return load_encoder(tiny_clip_dir)


@pytest.fixture(scope="module")
def batch(tiny, photos):
    return np.stack([tiny.transform(image) for _, image in photos[:4]])


def test_parts_sum_to_the_embedding(tiny, batch):
    parts = tiny.trace(batch, kinds=["parts"])
    assert len(parts) == tiny.layers * tiny.heads + tiny.layers + 1
    assert _relative_error(parts, tiny.encode(batch)) <= 1e-5
    # The parts are not trivially the embedding itself.
    sizes = {kind: np.linalg.norm(value) for kind, value in parts.items()}
    assert max(sizes.values()) < 0.9 * sum(sizes.values())
    assert min(sizes.values()) > 0


@pytest.mark.encoder
def test_parts_sum_to_the_embedding_of_the_real_encoder(real_encoder, photos):
    batch = np.stack([real_encoder.transform(image) for _, image in photos[:3]])
    found = real_encoder.trace(batch, kinds=["final", "parts"])
    whole = found.pop("final")
    assert len(found) == 144 + 12 + 1
    assert _relative_error(found, whole) <= 1e-4


def test_each_head_is_what_transformers_computes_for_it(tiny, tiny_clip_dir, batch):
    """Values mixed by transformers' own attention row, and its own output matrix."""
    model = transformers.CLIPVisionModelWithProjection.from_pretrained(
        tiny_clip_dir, attn_implementation="eager"
    ).eval()
    with torch.inference_mode():
        out = model(torch.from_numpy(batch), output_hidden_states=True, output_attentions=True)
        vision = model.vision_model
        block = vision.encoder.layers[1]
        y = block.layer_norm1(out.hidden_states[1])
        values = block.self_attn.v_proj(y).view(*y.shape[:2], 4, 16)
        mixed = torch.einsum("bhqn,bnhc->bqhc", out.attentions[1], values)[:, 0]
        stream = vision.encoder(inputs_embeds=out.hidden_states[0]).last_hidden_state[:, 0]
        mean, deviation = (
            stream.mean(-1, keepdim=True),
            (stream.var(-1, unbiased=False) + 1e-5).sqrt()[:, None],
        )
        norm, matrix = vision.post_layernorm, block.self_attn.out_proj.weight.view(64, 4, 16)
        for h in range(4):
            wrote = mixed[:, h] @ matrix[:, h].T + block.self_attn.out_proj.bias / 4
            share = 1 / (9 * 4)
            normed = (wrote - share * mean) / deviation * norm.weight + share * norm.bias
            expected = model.visual_projection(normed).numpy()
            ours = tiny.trace(batch, kinds=[f"head:2.{h + 1}", f"headraw:2.{h + 1}"])
            assert_close(ours[f"head:2.{h + 1}"], expected)
            assert_close(ours[f"headraw:2.{h + 1}"], mixed[:, h].numpy())


def test_a_part_does_not_depend_on_what_else_is_asked_for(tiny, batch):
    everything = tiny.trace(batch, kinds=["parts", "headraws", "layers", "means", "final", "attention"])
    for kind in ("head:4.2", "head:1.1", "mlp:4", "embedding", "headraw:3.4", "layer:2"):
        alone = tiny.trace(batch, kinds=[kind])
        assert list(alone) == [kind]
        assert alone[kind].shape == (4, *kind_shape(kind, tiny))
        assert_close(alone[kind], everything[kind], kind)
    assert_close(everything["final"], tiny.encode(batch))


def test_a_model_without_projection_decomposes_too(tiny, tiny_clip_dir, batch):
    vit = replace(load_encoder(tiny_clip_dir, runtime="torch").tower.vit, projection=None)
    kinds = [parse_kind(kind, layers=4) for kind in expand_kinds(["final", "parts"], layers=4, heads=4)]
    with torch.inference_mode():
        found = trace(vit, torch.from_numpy(batch), kinds)
    whole = found.pop(Kind("final")).numpy()
    assert whole.shape == (4, tiny.width)
    assert _relative_error({kind: part.numpy() for kind, part in found.items()}, whole) <= 1e-5


def test_clip_has_no_pooling_head(tiny, batch):
    with pytest.raises(UsageError, match="no such head"):
        tiny.trace(batch, kinds=["poolmlp"])


def test_groups_of_heads():
    assert expand_kinds(["heads"], layers=2, heads=2) == ["head:1.1", "head:1.2", "head:2.1", "head:2.2"]
    assert expand_kinds("headraw:2-3", layers=3, heads=1) == ["headraw:2.1", "headraw:3.1"]
    parts = expand_kinds(["parts"], layers=12, heads=12)
    assert len(parts) == 144 + 12 + 1
    assert expand_kinds(["parts"], layers=12, heads=12, pooling_head=True) == [*parts, "poolmlp"]
    assert expand_kinds(["poolmlp"], layers=12) == ["poolmlp"]
    assert expand_kinds(["head:12.3", "mlp:2", "embedding"], layers=12) == ["head:12.3", "mlp:2", "embedding"]
    for wrong in ("head:12.13", "head:0.1", "head:1.0", "head:13.1", "mlp:13", "head:1-2.3"):
        with pytest.raises(UsageError, match=wrong):
            expand_kinds([wrong], layers=12, heads=12)
    with pytest.raises(UsageError, match="one by one"):
        expand_kinds(["heads"], layers=12)


def test_heads_stream_into_a_table(tiny, photo_dir, tmp_path):
    out = tmp_path / "heads.lance"
    extract(photo_dir, out, encoder=tiny, kinds=["final", "parts", "headraw:4.1"])
    table = FeatureTable.open(out)
    assert len(table.kinds) == 1 + 16 + 4 + 1 + 1
    features = table.load()
    parts = {
        kind: v for kind, v in features.vectors.items() if kind.startswith(("head:", "mlp:", "embedding"))
    }
    assert _relative_error(parts, features.vectors["final"]) <= 1e-5
    assert features.vectors["headraw:4.1"].shape[1] == 16
