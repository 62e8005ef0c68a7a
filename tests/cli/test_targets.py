"""An output that cannot be written, or that may not be replaced, is refused before any work begins.

The inputs here are such that the work itself would end with another message.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from morelli.errors import UsageError
from tests.cli.conftest import morelli
from tests.images.hostile import encoded

FOLDERS = {
    "audit": ("audit", "absent", "-o"),
    "audit --align": ("audit", "absent", "--align"),
    "extract": ("extract", "absent", "-o"),
    "fit": ("fit", "broken", "-o"),
    "ensemble": ("ensemble", "broken", "broken", "-f", "broken", "-o"),
    "import": ("import", "univfd", "letter.txt", "-o"),
    "concepts": ("concepts", "build", "absent", "-o"),
    "explain": ("explain", "generator", "sdxl", "broken", "--concepts", "default", "-o"),
    "evaluate": ("evaluate", "run", "broken", "--detector", "probe", "-o"),
    "evaluate report": ("evaluate", "report", "letter.txt", "-o"),
    "robustness": ("evaluate", "robustness", "absent", "-o"),
    "study": ("study", "transfer", "broken", "-o"),
    "atlas": ("atlas", "build", "broken", "-o"),
}
FILES = {option: ("detect", "absent", option) for option in ("--sheet", "--csv", "--jsonl", "--parquet")}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a letter in it, a folder of letters, and inputs that nothing can be made of."""
    (tmp_path / "letters").mkdir()
    for place in (tmp_path, tmp_path / "letters"):
        (place / "letter.txt").write_text("Dear all")
    (tmp_path / "broken").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("target", ["letters", "letter.txt", "letter.txt/new"])
@pytest.mark.parametrize("command", FOLDERS)
def test_a_folder_of_results_is_refused_first(desk: Path, command: str, target: str) -> None:
    before = sorted(desk.rglob("*"))
    run = morelli(*FOLDERS[command], target)
    assert run.code == 2
    assert target in run.err and "another" in run.err.replace("name a folder", "another"), run.err
    assert "absent" not in run.err and "broken" not in run.err
    assert sorted(desk.rglob("*")) == before


@pytest.mark.parametrize("target", ["letters", "letter.txt/new.csv"])
@pytest.mark.parametrize("option", FILES)
def test_a_file_of_verdicts_is_refused_first(desk: Path, option: str, target: str) -> None:
    run = morelli(*FILES[option], target)
    assert run.code == 2 and target in run.err and "name a" in run.err
    assert "absent" not in run.err
    run = morelli(*FILES[option], "x" * 300)
    assert run.code == 2 and "name too long" in run.err.lower()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("detect", "absent", "--csv", "new/"), "name of a folder"),
        (("detect", "absent", "--sheet", "new/"), "name of a folder"),
        (("detect", "absent", "--sheet", "new.gif"), "neither .png nor .jpg"),
        (("detect", "absent", "--sheet", "-"), "not stdout"),
        (("detect", "absent", "--csv", "new.xlsx"), "name new.csv"),
        (("detect", "absent", "--csv", "new.tsv"), "name new.csv"),
        (("detect", "absent", "--jsonl", "new.csv"), "name new.jsonl"),
        (("detect", "absent", "--parquet", "new.csv"), "name new.parquet"),
        (("evaluate", "univfd-sets", "letters", "-o", "new/"), "name of a folder"),
        (("evaluate", "univfd-sets", "letters", "-o", "new.parquet"), "end in .csv"),
        (("serve", "--feedback", "new.csv"), "neither .jsonl nor .lance"),
    ],
)
def test_a_file_is_refused_whose_name_promises_something_else(
    desk: Path, command: tuple[str, ...], words: str
) -> None:
    run = morelli(*command)
    assert run.code == 2 and words in run.err and run.err.count("\n") == 1, run.err
    assert not list(desk.glob("new*"))


def test_copies_by_another_recipe_are_refused_before_the_audit(desk: Path) -> None:
    (desk / "real").mkdir()
    (desk / "real" / "a.png").write_bytes(encoded("PNG"))
    assert morelli("audit", "real", "--align", "copies", "-q").code == 0
    run = morelli("audit", "absent", "--align", "copies", "--side", "64")
    assert run.code == 2 and "align-256" in run.err and "absent" not in run.err
    run = morelli("audit", "real", "--align", "real/inner")
    assert run.code == 2 and "lies inside" in run.err


def test_a_page_of_an_atlas_is_refused_before_its_files_are_checked(desk: Path) -> None:
    from morelli.reports import export_atlas

    refused = {"set.docx": "neither", "letters": "neither", "letter.txt/a.html": "is a file"}
    for name, words in (refused | {"new.csv/": "name of a folder"}).items():
        with pytest.raises(UsageError, match=words):
            export_atlas(None, name)  # type: ignore[arg-type]


def test_what_python_can_ask_beforehand(desk: Path) -> None:
    from morelli.atlas import Atlas
    from morelli.audit import AlignRecipe
    from morelli.detectors import Bundle, Ensemble
    from morelli.explanation.concepts import ConceptBank
    from morelli.features import FeatureTable

    asked = (Atlas, AlignRecipe(), Bundle, Ensemble, ConceptBank, FeatureTable)
    for one in asked:
        one.check_target(desk / "new" / "below")
        with pytest.raises(UsageError, match="letters"):
            one.check_target("letters")
    assert not (desk / "new").exists()


@pytest.mark.skipif(shutil.which("setpriv") is None or os.geteuid() != 0, reason="needs root and setpriv")
def test_a_folder_of_somebody_else_is_refused_first() -> None:
    """The program runs as a user who may read the folder and not write into it."""
    root = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory() as box:
        Path(box).chmod(0o755)
        reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
        user = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", *reads)
        for command in (FOLDERS["extract"], FOLDERS["audit --align"], FILES["--sheet"]):
            run = subprocess.run(
                [*user, sys.executable, "-m", "morelli", *command, f"{box}/new"],
                capture_output=True,
                text=True,
                check=False,
                cwd=box,
                env=os.environ | {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
            )
            assert run.returncode == 2 and "takes no new files from you" in run.stderr, run.stderr


def test_what_this_program_wrote_among_the_pictures_is_not_judged(
    bundle: Path, tiny_clip_dir: Path, table: Path, desk: Path
) -> None:
    """Sheets and tables of verdicts, a bundle and a feature table, whatever they are called and read with."""
    (desk / "own").mkdir()
    for name in ("a.png", "b.jpg"):
        (desk / "own" / name).write_bytes(encoded("PNG" if name.endswith("png") else "JPEG"))
    shutil.copytree(bundle, desk / "own" / "detector")
    shutil.copytree(table, desk / "own" / "features")
    outputs = ("--csv", "own/v.csv", "--jsonl", "own/v.jsonl", "--parquet", "own/v.parquet")
    judge = ("--bundle", bundle, "--weights", tiny_clip_dir)
    for sheet in ("verdicts.png", "verdicts.jpg", "verdicts"):
        run = morelli("detect", "own", *judge, "--sheet", f"own/{sheet}", *outputs)
        assert run.code == 0, run.err
        rows = [json.loads(line)["uri"] for line in (desk / "own" / "v.jsonl").read_text().splitlines()]
        assert rows == ["own/a.png", "own/b.jpg"]
    with Image.open("own/verdicts.jpg") as drawn:
        assert drawn.format == "JPEG"
    every = sorted(str(path) for path in Path("own").iterdir())
    for sources in (("own",), ("own/**/*",), ("own/*",), every):
        run = morelli("detect", *sources, *judge, "--sheet", "own/verdicts.png", "--jsonl", "-")
        assert [json.loads(line)["uri"] for line in run.out.splitlines()] == ["own/a.png", "own/b.jpg"]
        assert run.code == 0 and "8 of Morelli's own outputs (own/detector, own/features, …)" in run.err
    for command in ("audit", "provenance", "extract"):
        more = ("-o", f"{command}-made", *(("--encoder", tiny_clip_dir) if command == "extract" else ()))
        run = morelli(command, "own", *(() if command == "provenance" else more))
        assert run.code == 0 and "8 of Morelli's own outputs" in run.err, run.err
    asked = ("own/v.csv", "own/b.jpg", "--image-column", "uri", "--root", ".")
    run = morelli("detect", *asked, *judge, "--jsonl", "-", "-q")
    assert [json.loads(line)["uri"] for line in run.out.splitlines()] == ["own/a.png", "own/b.jpg"]
    alone = morelli("detect", "own/verdicts.jpg", *judge, "--jsonl", "-", "-q")
    assert json.loads(alone.out)["uri"] == "own/verdicts.jpg"
    shutil.rmtree("own/features")
    for path in ("own/a.png", "own/b.jpg"):
        Path(path).unlink()
    run = morelli("detect", "own", *judge)
    assert run.code == 4 and "7 of Morelli's own outputs" in run.err


@pytest.mark.parametrize(
    ("sources", "option", "target"),
    [
        (("list.csv",), "--csv", "list.csv"),
        (("list.csv",), "--jsonl", "./own/../list.csv"),
        (("own/a.png",), "--sheet", "own/a.png"),
        (("own",), "--sheet", "own/a.png"),
        (("own/*.png",), "--sheet", "own/a.png"),
        (("**/*.png",), "--sheet", "own/a.png"),
        (("own/**/[ab].png",), "--sheet", "own/a.png"),
        (("own/b.jpg", "set.zip"), "--parquet", "set.zip"),
    ],
)
def test_an_output_does_not_take_the_place_of_what_is_read(
    desk: Path, sources: tuple[str, ...], option: str, target: str
) -> None:
    (desk / "own").mkdir()
    (desk / "own" / "a.png").write_bytes(encoded("PNG"))
    (desk / "own" / "b.jpg").write_bytes(encoded("JPEG"))
    (desk / "list.csv").write_text("path\nown/a.png\n")
    (desk / "set.zip").write_bytes(b"PK\5\6" + bytes(18))
    before = {path: path.read_bytes() for path in desk.rglob("*") if path.is_file()}
    run = morelli("detect", *sources, option, target)
    assert run.code == 2 and "among what is read" in run.err, run.err
    assert {path: path.read_bytes() for path in desk.rglob("*") if path.is_file()} == before


def test_a_feature_table_given_as_an_atlas_is_named(table: Path) -> None:
    run = morelli("atlas", "info", table)
    assert run.code == 4 and "is a feature table and no atlas" in run.err
