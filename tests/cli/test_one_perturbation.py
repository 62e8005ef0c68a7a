"""Commands that read a table refuse to count an image once for each of its perturbations."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import morelli


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory, collection: Path, tiny_clip_dir: Path) -> Path:
    """The collection's features as it is, and after JPEG."""
    out = tmp_path_factory.mktemp("twice") / "F.lance"
    for more in ((), ("--perturb", "jpeg:70")):
        how = ("--label-from", "folders", "--encoder", tiny_clip_dir, "--kinds", "final", "-q")
        run = morelli("extract", collection, "-o", out, *how, *more)
        assert run.code == 0, run.err
    return out


COMMANDS = {
    "atlas build": ("--no-maps",),
    "evaluate run": ("--detector", "probe"),
    "evaluate analyses": (),
    "study transfer": (),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_image_counts_once(command: str, twice: Path, tmp_path: Path) -> None:
    run = morelli(*command.split(), twice, "-o", tmp_path / "out.atlas", *COMMANDS[command])
    assert run.code == 2
    assert "(clean, jpeg:70); choose one with --perturbation" in run.err
    assert not (tmp_path / "out.atlas").exists()


def test_a_generator_is_explained_under_one_perturbation(
    twice: Path, collection: Path, tiny_clip_dir: Path, tmp_path: Path
) -> None:
    bank = tmp_path / "edits"
    how = ("--encoder", tiny_clip_dir, "--limit", "4", "-q")
    run = morelli("concepts", "build", collection / "real", "-o", bank, *how)
    assert run.code == 0, run.err
    asked = ("explain", "generator", "generator-of-chelsea", twice, "--concepts", bank)
    run = morelli(*asked)
    assert run.code == 2
    assert "(clean, jpeg:70); choose one with --perturbation" in run.err
    run = morelli(*asked, "--perturbation", "jpeg:70", "--permutations", "100")
    assert run.code == 0, run.err


def test_the_earlier_name_of_the_option_still_works(twice: Path, tmp_path: Path) -> None:
    run = morelli("atlas", "build", twice, "-o", tmp_path / "a.atlas", "--no-maps", "--delivery", "blur:2")
    assert run.code == 2
    assert "no images of the perturbation blur:2; it has clean, jpeg:70" in run.err
