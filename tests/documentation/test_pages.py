"""What the pages show is run, in the order of each page: commands, and Python with what stands before it."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documentation.desk import write_manifest
from tests.documentation.pages import LANGUAGES, Block, blocks, written_pages
from tests.documentation.shell import lines_of, run_line

FIRST_HOUR = "docs/first-hour.md"
RUN = [page for page in written_pages() if any(block.language in {"sh", "python"} for block in blocks(page))]
# Pages about collections of others: the desk's pictures under the names that the page uses.
MANIFESTS = {
    "docs/scenario-gan.md": ("cnndetection-paired", "coco", "imagenet", "cyclegan", "gaugan", "biggan"),
    "docs/scenario-faces.md": (
        *("ffhq-jpg", "coco", "imagenet"),
        *("stylegan2-ada-ffhq256", "sdxl", "dalle3"),
    ),
}


def run_block(block: Block, space: dict[str, object], home: Path, done_before: Collection[str] = ()) -> None:
    """Run a block in the current folder; an AssertionError says where it stands and what went wrong."""
    if block.language == "python":
        # As many empty lines before it as on the page, so that a traceback names the page's line.
        code = compile("\n" * block.line + block.text, block.page, "exec")
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, space)
        return
    for line in lines_of(block.text):
        if line in done_before:
            continue
        done = run_line(line, home)
        assert done.code == 0, f"{block.place}: {line}\n{done.err or done.out}"


def run_page(page: str, home: Path, done_before: Collection[str] = ()) -> int:
    """Run a page's blocks; return how many ran. Lines that made this very folder are not run again."""
    space: dict[str, object] = {"__name__": "page"}
    wanted = [one for one in blocks(page) if one.language in {"sh", "python"} and not one.excused]
    for block in wanted:
        run_block(block, space, home, done_before)
    return len(wanted)


@pytest.fixture(scope="module")
def hour(desk: Path, remembered: None) -> Path:
    """The desk after the first hour: its table, bundle, report, explanation and atlas are there."""
    with contextlib.chdir(desk):
        assert run_page(FIRST_HOUR, desk.parent / "home") >= 5
    return desk


# Steps of the other scenario, on other pictures.
AT_LENGTH = {"docs/scenario-gan.md"}


@pytest.mark.encoder
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] if page in AT_LENGTH else []) for page in RUN]
)
def test_what_a_page_shows_runs(
    page: str, hour: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if page == "docs/notebook.md":
        request.getfixturevalue("built_views")
    if page == FIRST_HOUR:
        made = {path.name for path in hour.iterdir()}
        written = {"audit", "F.lance", "my-bundle", "report", "sdxl", "set.atlas"}
        assert written <= made
        assert untracked({name for name in made if name in written or name.startswith(".")}, tmp_path) == []
        return
    own = tmp_path / "work"
    shutil.copytree(hour, own)
    if page in MANIFESTS:
        shutil.rmtree(own / "F.lance")
        files = sorted((own / "mine").rglob("*.jpg"), key=lambda path: (path.parts[-3] == "fake", path))
        write_manifest(own / "set.csv", [file.relative_to(own) for file in files], MANIFESTS[page])
    monkeypatch.chdir(own)
    before = {path.name for path in own.iterdir()}
    first = [] if page in MANIFESTS else [block for block in blocks(FIRST_HOUR) if block.language == "sh"]
    run_page(page, hour.parent / "home", {line for block in first for line in lines_of(block.text)})
    if page == "README.md":
        assert untracked({path.name for path in own.iterdir()} - before, tmp_path / "clone") == []


def untracked(names: Collection[str], clone: Path) -> list[str]:
    """Which of these files and folders git would show as new in a clone of the project."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    clone.mkdir(exist_ok=True)
    subprocess.run(["git", "init", "--quiet", clone], check=True)
    shutil.copy(ROOT / ".gitignore", clone)
    for name in names:
        if Path(name).suffix in {".csv", ".png"}:
            (clone / name).touch()
        else:
            (clone / name).mkdir()
            (clone / name / "file").touch()
    said = subprocess.run(
        ["git", "-C", clone, "status", "--porcelain"], capture_output=True, text=True, check=True
    )
    return [line for line in said.stdout.splitlines() if line != "?? .gitignore"]


def test_what_is_written_elsewhere_would_show_in_a_clone(tmp_path: Path) -> None:
    """The check itself notices a file that is not covered; the project's own folders are not covered."""
    assert untracked({"audit", "verdicts.csv", "results.csv"}, tmp_path) == ["?? results.csv"]
    kept = subprocess.run(
        ["git", "-C", tmp_path, "check-ignore", "src/morelli/audit/x.py", "tests/audit/x.py"], check=False
    )
    assert kept.returncode == 1


@pytest.mark.parametrize("page", written_pages())
def test_every_block_says_what_it_is(page: str) -> None:
    """A block names its language; one that is not run says why."""
    text = Path(page).read_text(encoding="utf-8") if Path(page).is_absolute() else None
    found = blocks(page, text)
    unknown = [block.place for block in found if block.language not in LANGUAGES]
    assert not unknown, f"name the language of the blocks at {unknown}"
    bare = [block.place for block in found if block.excused and len(block.excused) < 10]
    assert not bare, f"say why {bare} are not run"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\nassert 1 + 1 == 3\n```\n", AssertionError),
        ("```python\nimport morelli\n\nmorelli.lode()\n```\n", AttributeError),
        ("```sh\nmorelli detect no-such-picture.jpg\n```\n", AssertionError),
        ("```sh\nmorelli detect photo.jpg --no-such-option\n```\n", AssertionError),
    ],
)
def test_a_wrong_example_on_a_page_is_noticed(text: str, error: type[Exception], tmp_path: Path) -> None:
    (block,) = blocks("planted.md", text)
    with pytest.raises(error):
        run_block(block, {}, tmp_path)
