"""`morelli concepts` and `morelli explain generator` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from morelli.explanation.concepts import ConceptBank
from morelli.explanation.concepts._antonyms import ANTONYMS
from morelli.explanation.concepts._edits import EDITS
from tests.cli.conftest import morelli


@pytest.fixture(scope="module")
def edits(tmp_path_factory: pytest.TempPathFactory, collection: Path, tiny_clip_dir: Path) -> Path:
    out = tmp_path_factory.mktemp("concepts") / "edits"
    run = morelli(
        "concepts", "build", collection / "real", "-o", out, "--encoder", tiny_clip_dir, "--kind", "layer:2",
        "--limit", "12",
    )  # fmt: skip
    assert run.code == 0, run.err
    assert f"{len(EDITS)} concepts in layer:2" in run.err
    return out


def test_a_generator_is_explained_from_files_to_a_page(tmp_path: Path, table: Path, edits: Path) -> None:
    name = "generator-of-chelsea"
    out = tmp_path / "page"
    run = morelli(
        "explain", "generator", name, table, "--concepts", edits, "-o", out, "--permutations", "300"
    )
    assert run.code == 0, run.err
    assert name in run.out
    document = json.loads((out / "explanation.json").read_text())
    assert document["first"] == name
    assert len(document["findings"]) == len(EDITS)
    assert 0 <= document["metadata_auc"] <= 1
    assert "## Concepts" in (out / "explanation.md").read_text()
    with Image.open(out / "explanation.png") as drawn:
        assert drawn.format == "PNG"
    same = morelli(
        "explain", "generator", name, table, "--concepts", edits, "--json", "--permutations", "300"
    )
    assert json.loads(same.out) == document

    pair = morelli(
        "explain", "generator", name, table, "--concepts", edits, "--against", "generator-of-coffee",
        "--permutations", "300", "--json",
    )  # fmt: skip
    assert json.loads(pair.out)["second"] == "generator-of-coffee"


def test_wrong_requests_say_what_there_is(tmp_path: Path, table: Path, edits: Path) -> None:
    unknown = morelli("explain", "generator", "dalle", table, "--concepts", edits)
    assert unknown.code == 2
    assert "generator-of-chelsea (10)" in unknown.err
    missing = morelli("explain", "generator", "dalle", table, "--concepts", tmp_path / "none")
    assert missing.code == 4
    assert "morelli concepts build" in missing.err
    for arguments, words in [
        (["-o", tmp_path / "x"], "real photographs"),
        (["-o", tmp_path / "x", "--from", "examples"], "--with"),
        (["-o", tmp_path / "x", "--from", "texts", "--kind", "layer:2"], "final embedding only"),
    ]:
        run = morelli("concepts", "build", *arguments)
        assert run.code == 2
        assert words in run.err


def test_texts_end_to_end_from_an_encoder_folder(tmp_path: Path, tiny_clip_dir: Path) -> None:
    out = tmp_path / "texts"
    run = morelli("concepts", "build", "-o", out, "--from", "texts", "--encoder", tiny_clip_dir)
    assert run.code == 0, run.err
    assert len(ConceptBank.load(out)) == len(ANTONYMS)
    listed = tmp_path / "looks.txt"
    listed.write_text("wet | dry\nfoggy\nsunny\n")
    run = morelli("concepts", "build", listed, "-o", out, "--from", "texts", "--encoder", tiny_clip_dir)
    assert run.code == 0, run.err
    assert ConceptBank.load(out).names == ("wet", "foggy", "sunny")


def test_an_encoder_without_text_tower_offers_the_other_ways(tmp_path: Path, tiny_clip_dir: Path) -> None:
    """The image half of the same checkpoint, as a folder."""
    blind = tmp_path / "blind"
    blind.mkdir()
    for file in tiny_clip_dir.iterdir():
        if file.suffix == ".json" and file.name not in ("vocab.json", "tokenizer_config.json"):
            (blind / file.name).write_bytes(file.read_bytes())
    weights = load_file(tiny_clip_dir / "model.safetensors")
    keep = {k: v for k, v in weights.items() if k.startswith(("vision_model", "visual_projection"))}
    save_file(keep, blind / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((blind / "config.json").read_text())
    vision = {**config["vision_config"], "model_type": "clip_vision_model"}
    vision["architectures"] = ["CLIPVisionModelWithProjection"]
    (blind / "config.json").write_text(json.dumps(vision))
    run = morelli("concepts", "build", "-o", tmp_path / "x", "--from", "texts", "--encoder", blind)
    assert run.code == 4, run.err
    for words in ("no text tower", "--from edits", "--from bank", "--from examples"):
        assert words in run.err


def test_text_banks_and_examples_become_concepts(
    tmp_path: Path, collection: Path, tiny_clip_dir: Path
) -> None:
    rng = np.random.default_rng(0)
    file = tmp_path / "bank.npz"
    np.savez(file, names=np.array(["cat", "dog", "sky"]), emb=rng.normal(size=(3, 32)).astype(np.float32))
    out = tmp_path / "b"
    run = morelli("concepts", "build", file, "-o", out, "--from", "bank", "--encoder", tiny_clip_dir)
    assert run.code == 0, run.err
    assert ConceptBank.load(out).names == ("cat", "dog", "sky")
    np.savez(file, names=np.array(["cat", "dog"]), emb=rng.normal(size=(2, 7)).astype(np.float32))
    run = morelli("concepts", "build", file, "-o", out, "--from", "bank", "--encoder", tiny_clip_dir)
    assert run.code == 4
    assert "7" in run.err

    run = morelli(
        "concepts", "build", "-o", out, "--from", "examples", "--name", "gridded", "--with",
        collection / "fake" / "generator-of-chelsea", "--without", collection / "real" / "chelsea",
        "--encoder", tiny_clip_dir,
    )  # fmt: skip
    assert run.code == 0, run.err
    assert ConceptBank.load(out).concepts[0].n == 20


def test_banks_are_listed_and_looked_into(edits: Path, table: Path) -> None:
    run = morelli("concepts", "list", edits)
    assert run.code == 0
    assert "more saturated" in run.out
    document = json.loads(morelli("concepts", "list", edits, "--json").out)
    assert [row["name"] for row in document["concepts"]] == [one.name for one in EDITS]
    run = morelli("concepts", "inspect", edits, "hazy", "--table", table, "--top", "3")
    assert run.code == 0
    assert "a veil of 35 %" in run.out
    assert run.out.count(".png") == 6
    wrong = morelli("concepts", "inspect", edits, "hazey")
    assert wrong.code == 2
    assert "hazy" in wrong.err


def test_the_word_default_names_the_bank_that_comes_along() -> None:
    run = morelli("concepts", "list", "default", "--json")
    assert run.code == 0, run.err
    document = json.loads(run.out)
    assert document["kind"] == "final"
    assert {c["source"] for c in document["concepts"]} == {"edit"}
    one = morelli("concepts", "inspect", "default", "sharpened")
    assert one.code == 0 and "15 images" in one.out
