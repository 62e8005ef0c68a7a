"""Published collections in miniature: label, generator, source and split of every image, or none of them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from morelli.errors import UsageError
from morelli.images import ImageItem, iter_source
from morelli.images.layouts import LAYOUTS, SourceReport
from tests.images.hostile import encoded

R, F = 0, 1


def tree(root: Path, *folders: str) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
        (root / folder / "a.jpg").write_bytes(encoded("JPEG"))
    return root


def told(items: list[ImageItem], root: Path) -> dict[str, tuple[object, ...]]:
    """(label, generator, source, split) by the folder below `root`."""
    return {
        str(Path(item.uri).parent.relative_to(root)): (
            item.label,
            item.generator,
            item.metadata.get("source"),
            item.metadata.get("split"),
        )
        for item in items
    }


TREES = {
    "genimage": {
        "Midjourney/imagenet_midjourney/train/ai": (F, "Midjourney", None, "train"),
        "Midjourney/imagenet_midjourney/val/nature": (R, None, "imagenet", "validation"),
        "sd_v_1_4/imagenet_ai_0419_sdv4/val/ai": (
            F,
            "sd_v_1_4",
            None,
            "validation",
        ),
    },
    "drct": {
        "MSCOCO/train2017": (R, None, "mscoco", "train"),
        "MSCOCO/masks/train2017": (None, None, None, None),
        "DRCT-2M/sdxl-turbo/val2017": (F, "sdxl-turbo", None, "validation"),
        "DR/DRCT-2M/sd-v1-4/full_inpainting/train2017": (F, "sd-v1-4 reconstruction", None, "train"),
    },
    "forensynths": {
        "train/progan/airplane/0_real": (R, None, None, "train"),
        "train/progan/airplane/1_fake": (F, "progan", None, "train"),
        "test/crn/1_fake": (F, "crn", None, "test"),
    },
    "univfd": {
        "ldm_100/1_fake": (F, "ldm_100", None, None),
        "laion/0_real": (R, None, None, None),
        "cyclegan/horse/1_fake": (F, "cyclegan", None, None),
    },
    "aigcdetect": {
        "test/wukong/1_fake": (F, "wukong", None, "test"),
        "test/stylegan2/church/0_real": (R, None, None, "test"),
    },
    "synthbuster": {
        "synthbuster/dalle3": (F, "dalle3", None, None),
        "synthbuster/stable-diffusion-xl": (F, "stable-diffusion-xl", None, None),
        "RAISE-1k": (R, None, "raise", None),
    },
    "diffusionforensics": {
        "images/train/lsun_bedroom/real": (R, None, "lsun_bedroom", "train"),
        "images/test/lsun_bedroom/vqdiffusion": (F, "vqdiffusion", None, "test"),
        "imagenet/val/adm": (F, "adm", None, "validation"),
        "imagenet/train/n01440764": (None, None, None, None),
        "dire/test/celebahq/sdv2": (None, None, None, None),
    },
    "folders": {
        "val/reals/ffhq": (R, None, "ffhq", "validation"),
        "train/ai_generated/firefly": (F, "firefly", None, "train"),
        "notes": (None, None, None, None),
    },
}


@pytest.mark.parametrize("by_name", [True, False], ids=["by name", "auto"])
@pytest.mark.parametrize("name", TREES)
def test_a_published_tree_is_read(name: str, by_name: bool, tmp_path: Path) -> None:
    root = tree(tmp_path / "set", *TREES[name])
    report = SourceReport()
    items = list(iter_source(root, layout=name if by_name else "auto", report=report))
    assert told(items, root) == TREES[name]
    assert report.images == len(items)
    assert report.unlabelled == sum(item.label is None for item in items)
    missing = f"{report.unlabelled} of {len(items)} images without a label"
    assert (missing if report.unlabelled else "all labelled") in report.sentence()
    assert LAYOUTS[name].title in report.sentence()


def test_a_part_of_a_set_is_read_likewise(tmp_path: Path) -> None:
    root = tree(tmp_path / "GenImage", *TREES["genimage"])
    (pack,) = iter_source(root / "sd_v_1_4" / "imagenet_ai_0419_sdv4", layout="genimage")
    assert (pack.label, pack.generator) == (F, "sdv4")
    items = list(iter_source(root / "Midjourney", layout="auto"))
    assert {item.generator for item in items} == {"Midjourney", None}


def test_by_name_nothing_else_is_guessed(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "real", "fake/sdxl", "DRCT-2M/sdxl/val2017")
    labels = [item.label for item in iter_source(root, layout="drct")]
    assert sorted(labels, key=str) == [1, None, None]
    assert [item.label for item in iter_source(root)] == [None] * 3
    with pytest.raises(UsageError, match="genimage"):
        iter_source(root, layout="genimages")


def test_a_label_of_its_own_comes_before_the_layout(tmp_path: Path) -> None:
    tree(tmp_path, "Midjourney/imagenet_mj/val/ai")
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,label\nMidjourney/imagenet_mj/val/ai/a.jpg,real\n")
    (item,) = iter_source(manifest, layout="genimage")
    assert (item.label, item.generator) == (R, None)


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), (shade, 90, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def test_community_forensics_is_read_by_its_columns(tmp_path: Path) -> None:
    rows = {
        "image_name": ["1.png", "2.png", "3.png"],
        "format": ["PNG"] * 3,
        "image_data": [png(1), png(2), png(3)],
        "model_name": ["stabilityai/sd-2", "real_laion", ""],
        "real_source": ["", "laion", "coco"],
        "split": ["train", "train", "eval"],
        "label": [1, 0, 0],
    }
    pq.write_table(pa.table(rows), tmp_path / "0.parquet")
    report = SourceReport()
    items = list(iter_source(tmp_path / "0.parquet", report=report))
    assert [(i.label, i.generator, i.metadata.get("source"), i.metadata["split"]) for i in items] == [
        (F, "stabilityai/sd-2", None, "train"),
        (R, None, "laion", "train"),
        (R, None, "coco", "eval"),
    ]
    assert [i.uri.split("::")[1] for i in items] == ["1/1.png", "2/2.png", "3/3.png"]
    assert [i.read() for i in items] == rows["image_data"]
    assert report.sentence().startswith("layout Community Forensics: 2 real, 1 generated, 1 generator")


def test_openfake_is_read_by_its_columns_and_the_shard_names_the_split(tmp_path: Path) -> None:
    rows = {
        "image": [{"bytes": png(1), "path": "a.png"}, {"bytes": png(2), "path": None}],
        "prompt": ["a vote", "a protest"],
        "label": ["fake", "real"],
        "model": ["flux.1-dev", "real"],
    }
    path = tmp_path / "test-00003-of-00010.parquet"
    pq.write_table(pa.table(rows), path)
    items = list(iter_source(path))
    assert [(i.label, i.generator, i.metadata.get("source")) for i in items] == [
        (F, "flux.1-dev", None),
        (R, None, None),
    ]
    assert {i.metadata["split"] for i in items} == {"test"}
    assert {i.layout for i in items} == {"OpenFake"}


def test_columns_can_be_named(tmp_path: Path) -> None:
    tree(tmp_path, "x")
    manifest = tmp_path / "m.csv"
    manifest.write_text("id,where,truth,label\n7,x/a.jpg,synthetic,dog\n")
    (item,) = iter_source(manifest, image_column="where", label_column="truth")
    assert (item.label, item.problem, dict(item.metadata)) == (F, None, {"id": "7", "label": "dog"})
    features = {"is_ai": {"_type": "ClassLabel", "names": ["fake", "real"]}}
    schema = pa.schema(
        [("photo", pa.binary()), ("thumb", pa.binary()), ("is_ai", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    table = pa.table({"photo": [png(1)], "thumb": [png(2)], "is_ai": [0]}, schema=schema)
    pq.write_table(table, tmp_path / "p.parquet")
    (item,) = iter_source(tmp_path / "p.parquet", image_column="photo", label_column="is_ai")
    assert (item.label, item.read()) == (F, png(1))
    (item,) = iter_source(tmp_path / "p.parquet", image_column="thumb")
    assert (item.label, item.read()) == (None, png(2))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_column_that_is_not_there_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"m.{suffix}"
    if suffix == "csv":
        path.write_text("path,label\na.jpg,real\n")
    else:
        pq.write_table(pa.table({"path": ["a.jpg"], "label": ["real"]}), path)
    for wrong in ({"image_column": "picture"}, {"label_column": "picture"}):
        with pytest.raises(UsageError, match=r"'picture'.*path, label"):
            list(iter_source(path, **wrong))  # type: ignore[arg-type]
