from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from morelli.cli._app import app
from morelli.errors import ImageError
from morelli.images import decode
from tests.provenance.made import BLOCK, jpeg_xmp, picture, png, saved, typed
from tests.provenance.signing import chain, created, sign

runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(png(parameters=BLOCK + "Version: v1.10.1"))
    (tmp_path / "b.jpg").write_bytes(sign(saved(picture(), "JPEG"), "JPEG", created()))
    (tmp_path / "c.jpg").write_bytes(saved(picture(), "JPEG"))
    return tmp_path


def test_the_table_names_claim_tool_and_worth(folder: Path) -> None:
    result = runner.invoke(app, ["provenance", str(folder)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    for words in (
        "AUTOMATIC1111 web UI v1.10.1",
        "Some Model 3",
        "signed, unknown",
        "not signed",
        "says nothing",
    ):
        assert words in result.output
    assert "3 files: 2 generated, 1 no claim" in result.output
    assert "proves nothing" in result.output


def test_a_folder_without_images_is_said_to_be_one(tmp_path: Path) -> None:
    for options in ([], ["--quiet"], ["--json"]):
        result = runner.invoke(app, ["provenance", str(tmp_path), *options])
        assert result.exit_code == 4
        assert f"No image found in {tmp_path}" in result.stderr


def test_json_holds_every_finding(folder: Path) -> None:
    anchors = folder / "anchors.pem"
    anchors.write_text(chain().root)
    result = runner.invoke(app, ["provenance", str(folder), "--trust", str(anchors), "--json", "--pixels"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    files = {Path(one["uri"]).name: one for one in document["files"]}
    assert files["b.jpg"]["findings"][0]["strength"] == "signed_trusted"
    assert files["a.png"]["findings"][0]["details"]["seed"] == "123456"
    assert files["c.jpg"]["findings"] == []
    assert files["c.jpg"]["watermarks"] == {"invisible-watermark": "not available"}
    assert document["summary"]["claims"]["generated"] == 2


def test_a_collection_keeps_its_labels_beside_what_the_files_say(folder: Path) -> None:
    table = folder / "set.csv"
    table.write_text("where,truth\na.png,synthetic\nc.jpg,real\n")
    options = ["--json", "--image-column", "where", "--label-column", "truth"]
    result = runner.invoke(app, ["provenance", str(table), *options])
    assert result.exit_code == 0, result.output
    first, second = json.loads(result.stdout)["files"]
    assert (first["label"], first["claims"]) == ("fake", "generated")
    assert (second["label"], second["claims"]) == ("real", "none")
    tree = folder / "Midjourney" / "imagenet_midjourney" / "val" / "ai"
    tree.mkdir(parents=True)
    (folder / "b.jpg").rename(tree / "b.jpg")
    result = runner.invoke(app, ["provenance", str(folder / "Midjourney"), "--layout", "auto", "--json"])
    (only,) = json.loads(result.stdout)["files"]
    assert (only["label"], only["generator"], only["claims"]) == ("fake", "Midjourney", "generated")
    told = runner.invoke(app, ["provenance", str(folder / "Midjourney"), "--layout", "auto"])
    assert "layout GenImage: 0 real, 1 generated" in told.stderr


def test_a_bad_file_ends_nothing(folder: Path) -> None:
    (folder / "d.jpg").write_bytes(b"no image at all")
    (folder / "e.jpg").write_bytes((folder / "b.jpg").read_bytes()[:3000])
    result = runner.invoke(app, ["provenance", str(folder), "--json"])
    assert result.exit_code == 3
    files = {Path(one["uri"]).name: one for one in json.loads(result.stdout)["files"]}
    assert files["d.jpg"]["error"]["reason"] == "not_an_image"
    assert files["e.jpg"]["claims"] == "none"
    assert len(files) == 5


def test_a_bad_trust_list_is_wrong_usage(folder: Path) -> None:
    bad = folder / "bad.pem"
    bad.write_text("nothing")
    result = runner.invoke(app, ["provenance", str(folder / "a.png"), "--trust", str(bad)])
    assert result.exit_code == 2
    assert "holds no certificate" in result.output


def test_texts_of_files_cannot_steer_the_terminal(tmp_path: Path) -> None:
    hostile = jpeg_xmp(typed("trainedAlgorithmicMedia") + ' Iptc4xmpExt:AISystemUsed="[bold]x[/] &#x85;"')
    (tmp_path / "a.jpg").write_bytes(hostile)
    result = runner.invoke(app, ["provenance", str(tmp_path / "a.jpg")], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "[bold]x[/]" in result.output
    assert "\x85" not in result.output


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(100), "unsupported_format"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(40), "unsupported_format"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "not_an_image"),
        (b"404: Not Found", "not_an_image"),
    ],
)
def test_what_is_no_image_has_the_reason_that_it_has_elsewhere(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    run = runner.invoke(app, ["provenance", str(path)])
    assert run.exit_code == 4
    with pytest.raises(ImageError) as raised:
        decode(content)
    assert raised.value.reason == reason
    assert f"{reason}: {raised.value}" in run.stderr
