"""CLIP run by OpenVINO against the same weights in torch: every kind and precision, any batch and thread."""

from __future__ import annotations

import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from morelli.encoders import Encoder, InferenceWorkers, expand_kinds, load_encoder
from morelli.encoders._openvino_tower import MOST_GRAPHS, OpenVINOTower, _Setting
from morelli.encoders._state import read_once, read_state, tensor_shapes
from morelli.errors import UsageError, WeightsError
from tests.encoders.closeness import assert_close
from tests.small_models import save_tiny_clip

EVERY_KIND = [
    *("final", "layers", "means", "parts", "headraws"),
    *(f"{name}:{k}" for name in ("tokens", "attention") for k in range(1, 5)),
]


def _cosines(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


@pytest.fixture(scope="module")
def ours(tiny_clip_dir: Path) -> Encoder:
    return load_encoder(tiny_clip_dir, device="cpu", runtime="openvino")


@pytest.fixture(scope="module")
def theirs(tiny_clip_dir: Path) -> Encoder:
    return load_encoder(tiny_clip_dir, device="cpu", runtime="torch")


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(1).normal(size=(33, 3, 64, 64)).astype(np.float32)


def test_the_runtime_of_a_clip_on_a_cpu_is_openvino(tiny_clip_dir, family_dirs, ours, theirs):
    chosen = load_encoder(tiny_clip_dir, device="cpu")
    assert chosen.runtime == ours.runtime
    assert ours.runtime.startswith("openvino 20")
    assert theirs.runtime.startswith("torch 2.")
    assert chosen.build == theirs.build
    assert load_encoder(family_dirs["dinov2"], device="cpu").runtime == theirs.runtime


def test_impossible_runtimes_are_refused(tiny_clip_dir, family_dirs):
    with pytest.raises(UsageError, match="auto, openvino or torch"):
        load_encoder(tiny_clip_dir, runtime="onnx")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"not those of the family dinov2\. Use the runtime torch"):
        load_encoder(family_dirs["dinov2"], runtime="openvino")
    with pytest.raises(UsageError, match="not on 'cuda'"):
        load_encoder(tiny_clip_dir, runtime="openvino", device="cuda")
    with pytest.raises(UsageError, match="auto, cpu or cuda"):
        load_encoder(tiny_clip_dir, device="banana")


def test_every_kind_equals_torch(ours, theirs, batch):
    found, expected = (encoder.trace(batch[:5], kinds=EVERY_KIND) for encoder in (ours, theirs))
    assert list(found) == list(expected)
    assert len(found) > 50
    for kind, value in expected.items():
        assert found[kind].dtype == np.float32
        assert_close(found[kind], value, kind)


@pytest.mark.parametrize("kind", expand_kinds(EVERY_KIND, layers=4, heads=4)[::4])
def test_each_kind_alone_equals_torch(ours, theirs, batch, kind):
    (found,), (expected,) = (e.trace(batch[:2], kinds=[kind]).values() for e in (ours, theirs))
    assert_close(found, expected, kind)


def test_bfloat16_really_is_bfloat16_and_stays_close(tiny_clip_dir, ours, batch):
    coarse = load_encoder(tiny_clip_dir, device="cpu", dtype="bfloat16")
    assert coarse.build.dtype == "bfloat16"
    kinds = ["final", "layers", "means", "mlp:2", "head:3.1"]
    exact = ours.trace(batch, kinds=kinds)
    for kind, value in coarse.trace(batch, kinds=kinds).items():
        assert value.dtype == np.float32
        assert _cosines(value, exact[kind]).min() > 0.99, kind
        assert np.abs(value - exact[kind]).max() > 1e-4 * np.abs(exact[kind]).max(), kind


def _in_batches(encoder: Encoder, batch, size: int, kinds):
    parts = [encoder.trace(batch[at : at + size], kinds=kinds) for at in range(0, len(batch), size)]
    return {kind: np.concatenate([part[kind] for part in parts]) for kind in parts[0]}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_vector_depends_on_neither_batch_nor_threads(tiny_clip_dir, batch, dtype, monkeypatch):
    kinds = ["final", "layer:2", "mean:3", "tokens:4"]
    found = []
    for threads in (1, 2):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        encoder = load_encoder(tiny_clip_dir, device="cpu", dtype=dtype)
        found += [_in_batches(encoder, batch, size, kinds) for size in (1, 7, 32)]
        with InferenceWorkers(encoder) as workers:
            assert workers.count == threads
            calls = [workers.trace(list(batch[at : at + 4]), kinds) for at in range(0, len(batch), 4)]
            parts = [call.result() for call in calls]
        found.append({kind: np.concatenate([part[kind] for part in parts]) for kind in kinds})
    for other in found[1:]:
        for kind, value in other.items():
            if dtype == "float32":
                np.testing.assert_array_equal(value, found[0][kind], kind)
            else:
                assert _cosines(value, found[0][kind]).min() > 0.999999, kind


def test_processes_share_the_cores(tiny_clip_dir, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    encoder = load_encoder(tiny_clip_dir, device="cpu")
    for processes, count in ((1, 4), (2, 2), (9, 1)):
        with InferenceWorkers(encoder, processes=processes) as workers:
            assert workers.count == count


def test_callers_in_many_threads_get_their_own_answers(ours, batch):
    expected = ours.encode(batch)
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(ours.encode, batch[at : at + 1]) for at in range(len(batch))]
        found = np.concatenate([call.result() for call in calls])
    np.testing.assert_array_equal(found, expected)


def test_an_answer_is_not_overwritten_by_the_next(ours, batch):
    first = ours.encode(batch[:3])
    before = first.copy()
    second = ours.encode(batch[3:6])
    np.testing.assert_array_equal(first, before)
    assert np.abs(first - second).max() > 0


def test_graphs_in_memory_are_few(tiny_clip_dir, batch):
    encoder = load_encoder(tiny_clip_dir, device="cpu", runtime="openvino")
    expected = encoder.encode(batch[:2])
    for k in range(1, 5):
        encoder.trace(batch[:2], kinds=[f"layer:{k}"])
    assert isinstance(encoder.tower, OpenVINOTower)
    assert len(encoder.tower._graphs) == MOST_GRAPHS
    np.testing.assert_array_equal(encoder.encode(batch[:2]), expected)


def test_a_pass_holds_as_few_images_as_keep_its_threads_busy(monkeypatch):
    alone, shared = _Setting(("final",), 1, 6), _Setting(("final",), 3, 6)
    assert [one.rows(dtype) for dtype in ("float32", "int8") for one in (alone, shared)] == [6, 2, 12, 4]
    monkeypatch.setattr("morelli.encoders._runtime._processor_flags", lambda: {"avx512_bf16"})
    assert alone.rows("bfloat16") == 12
    monkeypatch.setattr("morelli.encoders._runtime._processor_flags", lambda: {"amx_bf16"})
    assert (alone.rows("bfloat16"), alone.rows("float32")) == (48, 6)


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_a_ready_encoder_compiles_nothing_more(tiny_clip_dir, batch, dtype):
    encoder = load_encoder(tiny_clip_dir, device="cpu", runtime="openvino")
    tower = encoder.tower
    if dtype is not None:
        if (obstacle := encoder.obstacle_to_quick(dtype)) is not None:
            pytest.skip(obstacle)
        encoder = encoder.quick(lambda found: np.zeros(len(found["layer:1"]), bool), ("layer:1",), dtype)
        tower = encoder.tower.quick
    encoder.get_ready(("final",))
    (graph,) = tower._graphs.values()
    encoder.encode(batch[:2])
    assert list(tower._graphs.values()) == [graph]
    with pytest.raises(UsageError):
        encoder.get_ready(("layer:77",))


def _resident(path: Path) -> list[int]:
    """Bytes in memory of each mapping of a file by this process, where Linux tells them."""
    found, here = [], False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            here = line.endswith(str(path))
        elif here and line.startswith("Rss:"):
            found.append(1024 * int(line.split()[1]))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells it")
def test_weights_that_were_read_take_no_memory_and_are_read_again(tmp_path):
    values = torch.arange(2**20, dtype=torch.float32)
    save_file({"a": values, "b": values + 1}, path := tmp_path / "model.safetensors")
    state = read_state([path], prefixes=("",))
    assert state["a"].sum() + state["b"].sum() > 0
    assert sum(_resident(path)) >= 2**23
    with read_once(state):
        until = time.monotonic() + 60
        while sum(_resident(path)):
            assert time.monotonic() < until, "nothing is given back meanwhile"
        assert state["a"].sum() > 0
    assert sum(_resident(path)) == 0
    np.testing.assert_array_equal(state["b"], values.numpy() + 1)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells it")
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_graph_that_has_run_keeps_no_weights_but_its_own(tmp_path, batch, dtype):
    folder = save_tiny_clip(tmp_path / "tiny-clip")
    encoder = load_encoder(folder, device="cpu", runtime="openvino", dtype=dtype)
    first = encoder.encode(batch[:3])
    assert _resident(folder / "model.safetensors") == [0]
    np.testing.assert_array_equal(encoder.encode(batch[:3]), first)
    assert_close(encoder.encode(batch)[:3], first, tolerance=1e-2)


def test_other_weights_give_other_vectors(tmp_path, ours, batch):
    """In the same place and of the same size, so that nothing but their content tells them apart."""
    folder = save_tiny_clip(tmp_path / "tiny-clip")
    before = load_encoder(folder, device="cpu").encode(batch[:2])
    np.testing.assert_array_equal(before, ours.encode(batch[:2]))
    save_tiny_clip(folder, seed=1)
    after, expected = (
        load_encoder(folder, device="cpu", runtime=runtime).encode(batch[:2])
        for runtime in ("openvino", "torch")
    )
    assert np.abs(after - before).max() > 0.01
    assert_close(after, expected)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float64])
def test_half_and_double_checkpoints_are_read_as_torch_reads_them(tiny_clip_dir, tmp_path, stored, batch):
    tensors = load_file(tiny_clip_dir / "model.safetensors")
    tensors |= {"vision_model.embeddings.position_ids": torch.arange(17)[None]}
    path = tmp_path / "model.safetensors"
    save_file({k: v.to(stored) if v.is_floating_point() else v for k, v in tensors.items()}, path)
    (tmp_path / "config.json").write_bytes((tiny_clip_dir / "config.json").read_bytes())
    state = read_state([path], prefixes=("vision_model.", "visual_projection."))
    expected = {k: v.to(stored).float().numpy() for k, v in tensors.items() if k.startswith("vis")}
    assert state.keys() == expected.keys() - {"vision_model.embeddings.position_ids"}
    for name, value in state.items():
        np.testing.assert_array_equal(value, expected[name], name)
        assert value.dtype == np.float32
    assert load_encoder(tmp_path, device="cpu").encode(batch[:2]).shape == (2, 32)


def test_torchs_own_format_is_read_too(tiny_clip_dir, tmp_path, ours, batch):
    tensors = load_file(tiny_clip_dir / "model.safetensors")
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_bytes((tiny_clip_dir / "config.json").read_bytes())
    encoder = load_encoder(tmp_path, device="cpu", runtime="openvino")
    np.testing.assert_array_equal(encoder.encode(batch[:2]), ours.encode(batch[:2]))


def test_strange_number_formats_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"vision_model.x": torch.zeros(4).to(torch.float8_e4m3fn)}, path)
    with pytest.raises(WeightsError, match="F8_E4M3"):
        read_state([path], prefixes=("vision_model.",))
    path.write_bytes(path.read_bytes()[:-1])
    for reader in (lambda: read_state([path], prefixes=("",)), lambda: tensor_shapes([path])):
        with pytest.raises(WeightsError, match="cannot be read"):
            reader()


def test_the_weights_are_one_set_of_arrays_for_every_runtime(ours, theirs, family_dirs):
    a, b = ours.vision, theirs.vision
    assert a is not None and b is not None
    assert a is ours.vision
    np.testing.assert_array_equal(a.blocks[2].qkv.weight, b.blocks[2].qkv.weight)
    np.testing.assert_array_equal(a.blocks[2].qkv.weight, theirs.tower.vit.blocks[2].qkv.weight.numpy())
    assert load_encoder(family_dirs["vit"]).vision is None


@pytest.mark.encoder
def test_the_real_encoder_equals_torch(real_encoder, photos):
    assert real_encoder.runtime.startswith("openvino")
    theirs = load_encoder("clip-vit-b16", device="cpu", runtime="torch", offline=True)
    batch = np.stack([theirs.transform(image) for _, image in photos[:3]])
    kinds = ["final", "layer:6", "layer:12", "mean:9", "tokens:11", "attention:12", "mlp:12", "head:12.3"]
    found, expected = (encoder.trace(batch, kinds=kinds) for encoder in (real_encoder, theirs))
    # A few patch tokens carry values hundreds of times the others', which magnify float32's rounding.
    for kind, value in expected.items():
        assert_close(found[kind], value, kind, tolerance=2e-4 if kind.startswith("tokens") else 3e-5)
    assert _cosines(found["final"], expected["final"]).min() > 0.9999999


@pytest.mark.encoder
def test_a_real_vector_depends_on_neither_batch_nor_threads(real_encoder, photos, monkeypatch):
    images = [image.crop((10 * i, 0, 10 * i + 224, 224)) for _, image in photos for i in range(2)]
    batch = np.stack([real_encoder.transform(image) for image in images[:16]])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    single = load_encoder("clip-vit-b16", device="cpu", offline=True)
    expected = single.encode(batch)
    np.testing.assert_array_equal(real_encoder.encode(batch[:7]), expected[:7])
    np.testing.assert_array_equal(real_encoder.encode(batch[-1:]), expected[-1:])
