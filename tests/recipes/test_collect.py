"""Parts of collections in their published formats: quotas, spread, resuming, and what is read of a shard."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from morelli.errors import SourceError, UsageError
from morelli.recipes._collect import collect
from morelli.recipes._shards import shards_of
from morelli.recipes.plans import Collection, plan
from tests.recipes.data_hub import COMMIT, DataHub, serve
from tests.recipes.miniatures import (
    write_community_forensics,
    write_drct,
    write_genimage,
    write_openfake,
    write_webdataset,
)


def part_of(name: str, **changes: object) -> Collection:
    """The only collection of a shipped recipe, with other numbers."""
    return replace(plan(name).collections[0], **changes)


def take(collection: Collection, data: Path, out: Path, seed: int = 0) -> list[dict[str, str]]:
    collect(collection, shards_of(collection, data, fetch=False), out, seed=seed)
    with (out / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def openfake(tmp_path_factory, photos):
    return write_openfake(tmp_path_factory.mktemp("openfake"), photos)


def test_openfake_gives_years_and_respects_every_quota(openfake, tmp_path):
    part = part_of("openfake", real=20, fake=20, per_generator=2, per_shard=16)
    rows = take(part, openfake, tmp_path)
    assert Counter(row["label"] for row in rows) == {"real": 20, "fake": 20}
    generators = Counter(row["generator"] for row in rows if row["label"] == "fake")
    assert max(generators.values()) <= 2
    eras = {row["generator"][:3]: row["era"] for row in rows if row["label"] == "fake"}
    assert eras == {"old": "2022", "new": "2024"}
    shards = Counter(row["original_path"].split(",")[0] for row in rows)
    assert len(shards) >= 3
    assert max(shards.values()) <= 16
    for row in rows:
        data = (tmp_path / row["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
    assert {row["split"] for row in rows} == {"train"}


def test_a_run_that_was_ended_takes_the_same_part(openfake, tmp_path):
    part = part_of("openfake", real=24, fake=24, per_shard=14)
    whole = take(part, openfake, tmp_path / "whole")

    class EndedError(Exception):
        pass

    def end(done: int, wanted: int) -> None:
        if done == 33:
            raise EndedError

    shards = shards_of(part, openfake, fetch=False)
    with pytest.raises(EndedError):
        collect(part, shards, tmp_path / "broken", seed=0, on_progress=end)
    assert not (tmp_path / "broken" / "manifest.csv").exists()
    with (tmp_path / "broken" / "shards.jsonl").open("a") as journal:
        journal.write('{"shard": "cut in the mid')
    assert take(part, openfake, tmp_path / "broken") == whole
    assert take(part, openfake, tmp_path / "other", seed=1) != whole
    left = [path.name for path in (tmp_path / "broken").iterdir() if path.name.startswith(".shard")]
    assert not left


def test_community_forensics_by_its_columns(tmp_path, photos):
    folder = write_community_forensics(tmp_path / "cf", photos)
    rows = take(part_of("community-forensics", real=10, fake=12, per_generator=3), folder, tmp_path / "out")
    assert Counter(row["label"] for row in rows) == {"real": 10, "fake": 12}
    assert {row["generator"] for row in rows if row["label"] == "fake"} == {
        f"user/model-{i}" for i in range(4)
    }
    assert {row["source"] for row in rows if row["label"] == "real"} <= {"laion", "coco", "pexels", "raise"}


def test_of_a_tar_only_the_beginning_is_read(tmp_path, photos):
    folder = write_webdataset(tmp_path / "tars", photos)
    part = Collection("tars", "page", "terms", real=20, fake=20, files="part-*.tar", per_shard=4)
    rows = take(part, folder, tmp_path / "out")
    assert Counter(row["original_path"].split("::")[0] for row in rows) == {"part-0.tar": 4, "part-1.tar": 4}
    # Sixteen samples of the twenty-four may be drawn from.
    assert max(int(Path(row["original_path"].split("::")[1]).stem[:4]) for row in rows) < 8
    assert {row["generator"] for row in rows if row["label"] == "fake"} <= {"gen-0", "gen-1", "gen-2"}


@pytest.mark.parametrize(
    ("name", "write", "eras"),
    [
        ("genimage", write_genimage, {"Midjourney": "2022", "ADM": "2021", "BigGAN": "2018"}),
        (
            "drct",
            write_drct,
            {
                "ldm-text2im-large-256": "2021-2022",
                "stable-diffusion-v1-4": "2022",
                "sdxl-turbo": "2023",
            },
        ),
    ],
)
def test_a_published_tree_on_this_machine(tmp_path, photos, name, write, eras):
    rows = take(part_of(name, real=10, fake=14), write(tmp_path / "set", photos), tmp_path / "out")
    assert Counter(row["label"] for row in rows) == {"real": 10, "fake": 14}
    assert {row["generator"]: row["era"] for row in rows if row["label"] == "fake"} == eras
    assert len({row["source"] for row in rows if row["label"] == "real"}) == 1
    with pytest.raises(UsageError, match="--data"):
        shards_of(part_of(name), None, fetch=True)


def test_a_collection_without_a_class_says_so(tmp_path, photos):
    folder = write_genimage(tmp_path / "set", photos)
    for path in folder.rglob("nature/*"):
        path.unlink()
    with pytest.raises(SourceError, match="gave no real image"):
        take(part_of("genimage", real=5, fake=5), folder, tmp_path / "out")


def test_a_folder_that_has_none_of_the_files_says_so(tmp_path, openfake):
    with pytest.raises(UsageError, match="core/train"):
        shards_of(part_of("openfake"), tmp_path, fetch=False)
    # The files of the repository's last folder alone will do.
    assert len(shards_of(part_of("openfake"), openfake / "core", fetch=False).names) == 4


@pytest.fixture
def hub(openfake, monkeypatch):
    """The miniature as the repository that the recipe names, which the real client talks to."""
    import huggingface_hub.constants as constants

    with serve(DataHub({"ComplexDataLab/OpenFake": openfake})) as running:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield running


def test_the_hub_is_read_by_ranges_and_gives_what_a_copy_gives(hub, openfake, tmp_path, monkeypatch):
    import morelli.recipes._shards as module

    monkeypatch.setattr(module, "_BLOCK", 4096)
    part = part_of("openfake", real=6, fake=6, per_shard=4)
    shards = shards_of(part, None, fetch=True)
    assert shards.origin == f"hub:ComplexDataLab/OpenFake@{COMMIT}"
    collect(part, shards, tmp_path / "hub", seed=0)
    rows = take(part, openfake, tmp_path / "copy")
    assert (tmp_path / "hub" / "manifest.csv").read_text() == (tmp_path / "copy" / "manifest.csv").read_text()
    touched = {row["original_path"].split(",")[0] for row in rows}
    size = sum((openfake / name).stat().st_size for name in touched)
    assert 0 < hub.served < 0.75 * size


def test_the_hub_is_not_asked_without_leave(hub):
    with pytest.raises(UsageError, match="--remote"):
        shards_of(part_of("openfake"), None, fetch=False)
    assert not hub.requests
    with pytest.raises(SourceError, match="no file that fits"):
        shards_of(part_of("openfake", files="data/*.parquet"), None, fetch=True)
    with pytest.raises(SourceError, match="cannot be listed"):
        shards_of(part_of("openfake", repository="some/other"), None, fetch=True)
