"""The parts of embeddings whose blocks run in transformers: they sum, and each is what was really written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers
from typer.testing import CliRunner

from morelli.cli._app import app
from morelli.encoders import _transformers_parts, load_encoder
from morelli.encoders._kinds import kind_shape
from morelli.errors import UsageError
from morelli.explanation import Heads, ablate_heads, describe_heads
from morelli.explanation.concepts import ConceptBank
from morelli.features import FeatureTable
from tests.encoders.closeness import assert_close

FAMILIES = ["siglip", "dinov2", "dinov2-registers", "dinov2-gated", "dinov3", "dinov3-gated", "vit"]
PLAIN = ["siglip", "dinov2", "dinov2-registers", "dinov3", "vit"]
BLOCKS, HEADS, SIZE = 3, 4, 8
LAYERS = 2 * BLOCKS + 1


@pytest.fixture
def encoder(family_dirs, family):
    return load_encoder(family_dirs[family])


@pytest.fixture
def batch(encoder, photos):
    return np.stack([encoder.transform(image) for _, image in photos[:4]])


def _relative_error(parts, whole):
    total = np.sum(list(parts.values()), axis=0, dtype=np.float64)
    return (np.linalg.norm(total - whole, axis=1) / np.linalg.norm(whole, axis=1)).max()


def _model(folder, family):
    loader = transformers.SiglipVisionModel if family == "siglip" else transformers.AutoModel
    return loader.from_pretrained(folder, attn_implementation="eager").eval()


def _anatomy(model, family, number):
    """Block `number` of a model: its attention, its output matrix, the norm before it, MLP, layer scale."""
    if family == "siglip":
        block = model.encoder.layers[number - 1]
        return block.self_attn, block.self_attn.out_proj, block.layer_norm1, block.mlp.fc2, 1.0
    blocks = {"vit": lambda: model.layers, "dinov3": lambda: model.model.layer}
    block = blocks.get(family, lambda: model.encoder.layer)()[number - 1]
    norm = block.layernorm_before if family == "vit" else block.norm1
    last = block.mlp.down_proj if family == "dinov3" else block.mlp.fc2
    scale = 1.0 if family == "vit" else block.layer_scale1.lambda1
    return block.attention, block.attention.o_proj, norm, last, scale


def _folded(model, family, stream, part, share):
    """What a part (b, n, D) of the last block's stream gives, with this share of all constants, by hand."""
    norm = next(getattr(model, n) for n in ("post_layernorm", "layernorm", "norm") if hasattr(model, n))
    mean = stream.mean(-1, keepdim=True)
    deviation = (stream.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    normed = (part - share * mean) / deviation * norm.weight + share * norm.bias
    if family == "siglip":
        attention, y = model.head.attention, norm(stream)
        probe = model.head.probe.repeat(len(y), 1, 1)
        weights = attention(probe, y, y, need_weights=True, average_attn_weights=False)[1][:, :, 0]
        values, value_bias = attention.in_proj_weight[64:].view(HEADS, SIZE, 32), attention.in_proj_bias[64:]
        pooled = [values[g] @ (weights[i, g] @ normed[i]) for i in range(len(y)) for g in range(HEADS)]
        mixed = torch.stack(pooled).view(len(y), 32) + share * value_bias
        return mixed @ attention.out_proj.weight.T + share * attention.out_proj.bias
    if family == "vit":
        pre = model.pooler.dense(norm(stream[:, 0]))
        return (normed[:, 0] @ model.pooler.dense.weight.T + share * model.pooler.dense.bias) * (
            pre.tanh() / pre
        )
    return normed[:, 0]


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_sum_to_the_embedding(encoder, batch):
    found = encoder.trace(batch, kinds=["final", "parts"])
    whole = found.pop("final")
    assert len(found) == BLOCKS * HEADS + BLOCKS + 1 + (encoder.card.family == "siglip")
    assert _relative_error(found, whole) <= 1e-5
    assert_close(encoder.encode(batch), whole)
    # The parts are not trivially the embedding itself.
    sizes = {kind: np.linalg.norm(value) for kind, value in found.items()}
    assert max(sizes.values()) < 0.6 * sum(sizes.values())
    assert min(sizes.values()) > 0


@pytest.mark.parametrize("family", PLAIN)
def test_each_head_is_what_transformers_computes_for_it(encoder, family, family_dirs, batch):
    """Values mixed by transformers' own attention, its own output matrix, and the rest by hand."""
    model = _model(family_dirs[family], family)
    with torch.inference_mode():
        out = model(torch.from_numpy(batch), output_hidden_states=True, output_attentions=True)
        attention, matrix, norm, _, scale = _anatomy(model, family, 2)
        values = attention.v_proj(norm(out.hidden_states[1])).unflatten(-1, (HEADS, SIZE))
        mixed = torch.einsum("bhqn,bnhc->bqhc", out.attentions[1], values)
        columns = matrix.weight.view(32, HEADS, SIZE)
        for h in range(HEADS):
            wrote = scale * (mixed[:, :, h] @ columns[:, h].T + matrix.bias / HEADS)
            expected = _folded(model, family, out.hidden_states[3], wrote, 1 / (LAYERS * HEADS))
            kinds = [f"head:2.{h + 1}"] if family == "siglip" else [f"head:2.{h + 1}", f"headraw:2.{h + 1}"]
            ours = encoder.trace(batch, kinds=kinds)
            assert_close(ours[kinds[0]], expected.numpy(), kinds[0])
            if family != "siglip":
                assert_close(ours[kinds[1]], mixed[:, 0, h].numpy(), kinds[1])


@pytest.mark.parametrize("family", PLAIN)
def test_a_head_set_to_zero_moves_the_stream_by_what_its_contribution_says(
    encoder, family, family_dirs, batch, tmp_path
):
    """Of the last block, whose MLP is silenced, since it would read what the head wrote."""
    model = _model(family_dirs[family], family)
    _, matrix, _, mlp, scale = _anatomy(model, family, 3)
    with torch.inference_mode():
        mlp.weight.zero_()
        mlp.bias.zero_()
        before = model(torch.from_numpy(batch), output_hidden_states=True).hidden_states[3]
        for name in ("config.json", "preprocessor_config.json"):
            (tmp_path / name).write_text((family_dirs[family] / name).read_text())
        model.save_pretrained(tmp_path)
        contribution = load_encoder(tmp_path).trace(batch, kinds=["head:3.2"])["head:3.2"]
        matrix.weight[:, SIZE : 2 * SIZE] = 0
        after = model(torch.from_numpy(batch), output_hidden_states=True).hidden_states[3]
        wrote = before - after + scale * matrix.bias / HEADS
        assert_close(
            contribution, _folded(model, family, before, wrote, 1 / (LAYERS * HEADS)).numpy(), tolerance=5e-5
        )
        # The head does something.
        assert (before - after).abs().max() > 0.05


@pytest.mark.parametrize("family", ["siglip", "dinov3", "vit"])
def test_a_part_depends_neither_on_the_batch_nor_on_what_else_is_asked_for(encoder, family, batch):
    others = ["means", "tokens", "final"] if family == "siglip" else ["layers", "attention", "headraws"]
    everything = encoder.trace(batch, kinds=["parts", *others])
    kinds = ["head:1.1", "head:3.2", "mlp:3", "embedding", *(["poolmlp"] if family == "siglip" else [])]
    for kind in kinds:
        alone = encoder.trace(batch[1:2], kinds=[kind])
        assert list(alone) == [kind]
        assert alone[kind].shape == (1, *kind_shape(kind, encoder))
        assert_close(alone[kind], everything[kind][1:2], kind)
    assert encoder.trace(batch[:0], kinds=["head:1.1"])["head:1.1"].shape == (0, encoder.dim)


@pytest.mark.parametrize("family", ["siglip"])
def test_patches_of_few_images_are_kept_at_once(encoder, batch, monkeypatch):
    whole = encoder.trace(batch, kinds=["parts", "mean:2"])
    monkeypatch.setitem(_transformers_parts._KEPT_BYTES, "cpu", 1)
    for kind, value in encoder.trace(batch, kinds=["parts", "mean:2"]).items():
        assert_close(value, whole[kind], kind)


@pytest.mark.parametrize("family", ["siglip", "dinov2"])
def test_threads_do_not_meet(encoder, batch):
    kinds = [["heads"], ["final"], ["mlps", "embedding"], ["head:2.3"]] * 6
    rows = [batch[i % 4 : i % 4 + 1] for i in range(len(kinds))]
    expected = [encoder.trace(row, kinds=wanted) for row, wanted in zip(rows, kinds, strict=True)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row, wanted: encoder.trace(row, kinds=wanted), rows, kinds))
    for ours, theirs in zip(found, expected, strict=True):
        assert list(ours) == list(theirs)
        for kind, value in theirs.items():
            assert_close(ours[kind], value, kind)


@pytest.mark.parametrize("family", ["siglip"])
def test_what_siglip_lacks_is_said(encoder, batch):
    with pytest.raises(UsageError, match="no class token"):
        encoder.trace(batch, kinds=["headraw:1.1"])


@pytest.mark.parametrize("family", ["dinov2"])
def test_what_dino_lacks_is_said(encoder, batch):
    with pytest.raises(UsageError, match="no such head"):
        encoder.trace(batch, kinds=["poolmlp"])


@pytest.mark.parametrize("family", ["deit"])
def test_families_without_a_decomposition_say_so(encoder, pixels):
    assert encoder.encode(pixels).shape == (5, 32)
    with pytest.raises(UsageError, match="not decomposed into heads"):
        encoder.trace(pixels, kinds=["head:3.1"])


@pytest.mark.parametrize("family", ["siglip", "dinov2", "dinov3", "vit"])
def test_the_command_extracts_heads_which_are_ablated_and_described(family, family_dirs, photo_dir, tmp_path):
    out = tmp_path / "heads.lance"
    run = CliRunner().invoke(
        app,
        [
            "extract",
            str(photo_dir),
            "-o",
            str(out),
            "--encoder",
            str(family_dirs[family]),
            "--quiet",
            "--kinds",
            "final,parts",
            "--stored",
            "float32",
        ],
    )
    assert run.exit_code == 0, run.output
    features = FeatureTable.open(out).load()
    final = features.vectors["final"]
    parts = {kind: value for kind, value in features.vectors.items() if kind != "final"}
    assert len(parts) == 16 + (family == "siglip")
    assert _relative_error(parts, final) <= 1e-5
    heads = Heads.of(features)
    assert len(heads) == BLOCKS * HEADS
    w = np.random.default_rng(1).normal(size=final.shape[1])
    found = ablate_heads(heads, final, w)
    rest = sum(value for kind, value in parts.items() if not kind.startswith("head:"))
    mean = heads.vectors.mean(axis=0, dtype=np.float64).sum(axis=0)
    np.testing.assert_allclose(
        found.logit + found.together, (rest + mean) @ w, rtol=1e-4, atol=1e-4 * np.abs(found.logit).max()
    )
    bank = ConceptBank.of([f"axis {i}" for i in range(final.shape[1])], np.eye(final.shape[1]))
    (described,) = describe_heads(heads, bank, which=np.array([5]), terms=2)
    assert described.head == "head:2.2" and described.terms[0].share > 0
