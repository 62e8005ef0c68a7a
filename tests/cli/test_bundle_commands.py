"""`morelli fit`, `bank` and `import`: bundles made and changed from the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from morelli.artefacts import locked
from morelli.detectors import Bundle, import_univfd
from morelli.encoders import load_encoder
from morelli.errors import UsageError
from morelli.features import Features, FeatureTable
from tests.cli.conftest import morelli


@pytest.fixture
def copy(tmp_path: Path, bundle: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def test_a_fitted_bundle_remembers_what_made_it(bundle: Path, table: Path) -> None:
    fitted = Bundle.load(bundle)
    features = FeatureTable.open(table)
    assert fitted.build == features.build
    assert fitted.name == bundle.name
    assert set(fitted.kinds) == {"layer:2", "layer:3", "final"}
    assert fitted.training["n_real"] + fitted.training["n_fake"] == len(features)
    assert fitted.metrics["auc"]["value"] > 0.9
    assert (bundle / "MODEL_CARD.md").read_text().strip()


@pytest.mark.parametrize(
    "options", [["--detector", "neighbors", "--k", "3"], ["--fpr", "0.2", "--seed", "5"]]
)
def test_fitting_twice_gives_the_same_detector(tmp_path: Path, table: Path, options: list[str]) -> None:
    features = FeatureTable.open(table).load()
    logits = []
    for name in ("a", "b"):
        run = morelli("fit", table, "-o", tmp_path / name, "--kinds", "final", "--name", "same", *options)
        assert run.code == 0, run.err
        assert "area under the curve" in run.out
        logits.append(Bundle.load(tmp_path / name).logits(features))
    assert np.array_equal(*logits)


def test_a_table_that_cannot_be_fitted_is_answered_with_what_to_do(
    tmp_path: Path, table: Path, photo_dir: Path, tiny_clip_dir: Path
) -> None:
    missing = morelli("fit", table, "-o", tmp_path / "b", "--kinds", "mean:2")
    assert missing.code == 2
    assert "no features of kind mean:2" in missing.err
    unlabelled = tmp_path / "u.lance"
    morelli("extract", photo_dir, "-o", unlabelled, "--encoder", tiny_clip_dir, "--kinds", "final")
    run = morelli("fit", unlabelled, "-o", tmp_path / "b")
    assert run.code == 2
    assert "--label" in run.err
    assert not (tmp_path / "b").exists()


def test_what_is_added_to_the_bank_can_be_removed_again(
    tmp_path: Path, copy: Path, photo_dir: Path, tiny_clip_dir: Path
) -> None:
    before = json.loads(morelli("bank", "info", copy, "--json").out)
    more = tmp_path / "more.lance"
    options = ["--encoder", str(tiny_clip_dir), "--kinds", "final"]
    options += ["--label", "fake", "--generator", "newcomer"]
    assert morelli("extract", photo_dir, "-o", more, *options).code == 0
    count = len(FeatureTable.open(more))

    added = morelli("bank", "add", copy, more)
    assert added.code == 0, added.err
    assert f"{count} images added" in added.out
    assert "0 images added" in morelli("bank", "add", copy, more).out
    after = json.loads(morelli("bank", "info", copy, "--json").out)
    assert after["images"] == before["images"] + count
    assert {"label": "fake", "origin": "newcomer", "images": count} in after["origins"]
    assert "newcomer" in morelli("bank", "info", copy).out

    bank = Bundle.load(copy).bank
    assert bank is not None
    first = bank.ids[-1]
    assert "1 images removed" in morelli("bank", "remove", copy, first[:16]).out
    removed = morelli("bank", "remove", copy, "--generator", "newcomer", "-o", tmp_path / "without")
    assert removed.code == 0, removed.err
    without = json.loads(morelli("bank", "info", tmp_path / "without", "--json").out)
    assert without["origins"] == before["origins"]
    assert without["limit"] == pytest.approx(before["limit"], abs=1e-6)


def test_images_whose_generator_nobody_knows_can_be_removed(
    tmp_path: Path, copy: Path, photo_dir: Path, tiny_clip_dir: Path
) -> None:
    before = json.loads(morelli("bank", "info", copy, "--json").out)
    more = tmp_path / "more.lance"
    options = ["--encoder", str(tiny_clip_dir), "--kinds", "final", "--label", "fake"]
    assert morelli("extract", photo_dir, "-o", more, *options).code == 0
    assert morelli("bank", "add", copy, more).code == 0
    assert "unknown" in morelli("bank", "info", copy).out
    removed = morelli("bank", "remove", copy, "--generator", "unknown")
    assert removed.code == 0, removed.err
    assert f"{len(FeatureTable.open(more))} images removed" in removed.out
    assert json.loads(morelli("bank", "info", copy, "--json").out)["origins"] == before["origins"]


def test_two_additions_at_once_are_both_there(
    tmp_path: Path, copy: Path, photo_dir: Path, tiny_clip_dir: Path
) -> None:
    """Both programs are made to wait for the bundle, so that neither can have read it before the other."""
    photos = sorted(path for path in photo_dir.iterdir() if path.is_file())
    half = len(photos) // 2
    for name, some in (("one", photos[:half]), ("two", photos[half:])):
        (tmp_path / name).mkdir()
        for path in some:
            shutil.copy(path, tmp_path / name)
        options = ["--encoder", tiny_clip_dir, "--kinds", "final", "--label", "fake", "--generator", name]
        run = morelli("extract", tmp_path / name, "-o", tmp_path / f"{name}.lance", *options)
        assert run.code == 0, run.err
    before = json.loads(morelli("bank", "info", copy, "--json").out)["images"]
    with locked(copy):
        programs = [
            subprocess.Popen(
                [sys.executable, "-m", "morelli", "bank", "add", copy, tmp_path / f"{name}.lance"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in ("one", "two")
        ]
        for program in programs:
            assert program.stderr is not None
            assert "waiting for another program that is writing" in program.stderr.readline()
    for program in programs:
        out, err = program.communicate(timeout=300)
        assert program.returncode == 0, err
        assert "images added" in out
    after = json.loads(morelli("bank", "info", copy, "--json").out)
    assert after["images"] == before + len(photos)
    assert {"one", "two"} <= {row["origin"] for row in after["origins"]}
    assert [entry.name for entry in copy.parent.iterdir() if entry.name.startswith(".")] == []


def test_what_a_killed_program_left_is_put_right_and_said(copy: Path, table: Path) -> None:
    copy.rename(copy.with_name(".copy.morelli-0a0a0a0a.old"))
    run = morelli("bank", "add", copy, table)
    assert run.code == 0, run.err
    assert f"note: {copy} was put back" in run.err
    assert "0 images added" in run.out


def test_a_bank_takes_features_of_its_own_build_only(tmp_path: Path, copy: Path, photo_dir: Path) -> None:
    from tests.small_models import save_tiny_clip

    other = save_tiny_clip(tmp_path / "other-clip", seed=3)
    more = tmp_path / "more.lance"
    options = ["--encoder", str(other), "--kinds", "final", "--label", "fake"]
    assert morelli("extract", photo_dir, "-o", more, *options).code == 0
    run = morelli("bank", "add", copy, more)
    assert run.code == 4
    assert "weights" in run.err


def test_unknown_names_in_the_bank_are_refused(copy: Path) -> None:
    assert morelli("bank", "remove", copy).code == 2
    assert morelli("bank", "remove", copy, "--generator", "nobody").code == 2
    assert morelli("bank", "remove", copy, "zzzz").code == 2


def test_a_file_that_is_no_univfd_head_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fc_weights.pth").write_bytes(b"not a checkpoint")
    run = morelli("import", "univfd", tmp_path / "fc_weights.pth", "-o", tmp_path / "out")
    assert run.code == 4
    assert "Traceback" not in run.err
    assert not (tmp_path / "out").exists()


def test_a_univfd_head_becomes_a_bundle(tmp_path: Path) -> None:
    import torch

    weights = torch.arange(768, dtype=torch.float32).reshape(1, 768) / 768
    torch.save({"weight": weights, "bias": torch.tensor([-0.5])}, tmp_path / "fc_weights.pth")
    strange = morelli("import", "univfd", tmp_path / "fc_weights.pth", "-o", tmp_path / "out")
    assert strange.code == 4
    assert "--force" in strange.err
    run = morelli("import", "univfd", tmp_path / "fc_weights.pth", "-o", tmp_path / "out", "--force")
    assert run.code == 0, run.err
    head = Bundle.load(tmp_path / "out").head
    assert head is not None
    assert np.allclose(head.weights, weights.numpy()[0])
    assert head.bias == pytest.approx(-0.5)


def test_a_univfd_head_is_calibrated_on_labelled_features(tmp_path: Path, table: Path) -> None:
    import torch

    weights = torch.zeros((1, 768))
    weights[0, 0] = 3.0
    torch.save({"weight": weights, "bias": torch.tensor([0.0])}, tmp_path / "fc.pth")
    plain = import_univfd(tmp_path / "fc.pth", force=True)
    y = np.arange(200) % 2
    X = np.random.default_rng(0).normal(size=(200, 768)) + y[:, None]
    rows = Features.from_arrays(X, labels=y, build=plain.build)
    made = FeatureTable.create(tmp_path / "L14.lance", plain.build, {"final": 768})
    made.append(rows)
    asked = ("import", "univfd", tmp_path / "fc.pth", "-o", tmp_path / "out", "--force")
    run = morelli(*asked, "--calibrate", tmp_path / "L14.lance", "--fpr", "0.1")
    assert run.code == 0, run.err
    bundle = Bundle.load(tmp_path / "out")
    assert bundle.ai.rate == 0.1 and bundle.ai.guaranteed and bundle.real.rate == 0.05
    assert (bundle.logits(rows)[y == 0] > bundle.ai.logit).mean() <= 0.1
    assert bundle.with_fpr(0.2).ai.logit <= bundle.ai.logit
    other = morelli(*asked, "--calibrate", table)
    assert other.code == 4 and "made otherwise" in other.err
    with pytest.raises(UsageError, match="--calibrate"):
        plain.with_fpr(0.2)


def test_experts_by_year_from_a_manifest(tmp_path: Path, collection: Path, tiny_clip_dir: Path) -> None:
    """Each folder of generated pictures is a lineage with a year of its own; both experts judge."""
    lines, years = ["path,label,generator,lineage,source,era"], ["2019", "2024"]
    for number, folder in enumerate(sorted(one for one in (collection / "fake").iterdir() if one.is_dir())):
        for file in sorted(folder.iterdir()):
            era = years[number % 2]
            lines.append(f"{file},fake,{folder.name},{folder.name},,{era}")
    for number, file in enumerate(sorted(one for one in (collection / "real").rglob("*") if one.is_file())):
        lines.append(f"{file},real,,,camera {number % 4},")
    manifest = tmp_path / "m.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = tmp_path / "F.lance"
    assert morelli("extract", manifest, "-o", table, "--encoder", tiny_clip_dir, "--kinds", "final").code == 0
    asked = ["--detector", "experts", "--folds", "2"]
    run = morelli("fit", table, "-o", tmp_path / "b", *asked)
    assert run.code == 0, run.err
    bundle = Bundle.load(tmp_path / "b")
    assert bundle.head.experts == ("until 2022", "2023 and later")
    listed = tmp_path / "families.json"
    lineages = [one.name for one in sorted((collection / "fake").iterdir()) if one.is_dir()]
    listed.write_text(json.dumps({lineages[0]: "Blurred"}), encoding="utf-8")
    lonely = morelli("fit", table, "-o", tmp_path / "c", *asked, "--families", listed)
    assert lonely.code == 2 and "'Blurred' has images of one group alone" in lonely.err
    listed.write_text("[1]", encoding="utf-8")
    wrong = morelli("fit", table, "-o", tmp_path / "c", *asked, "--families", listed)
    assert wrong.code == 2 and "JSON object" in wrong.err
    odd = morelli("fit", table, "-o", tmp_path / "c", *asked, "--expert-years", "soon")
    assert odd.code == 2
    assert "--expert-years takes years" in odd.err
    nobody = morelli("fit", table, "-o", tmp_path / "c", *asked, "--expert-years", "1990")
    assert nobody.code == 2
    assert "until 1989" in nobody.err
    assert not (tmp_path / "c").exists()


def test_groups_of_single_images_are_said(tmp_path: Path, tiny_clip_dir: Path) -> None:
    rng = np.random.default_rng(5)
    for label, radius in (("real", 3), ("fake", 6)):
        (tmp_path / "flat" / label).mkdir(parents=True)
        for number in range(12):
            noise = Image.fromarray(rng.integers(0, 255, (96, 96, 3), dtype=np.uint8))
            noise.filter(ImageFilter.GaussianBlur(radius)).save(tmp_path / "flat" / label / f"{number}.png")
    options = ["--encoder", tiny_clip_dir, "--kinds", "final", "--layout", "auto"]
    made = morelli("extract", tmp_path / "flat", "-o", tmp_path / "f.lance", *options)
    assert made.code == 0
    assert "layout folders by name: 12 real, 12 generated, all labelled" in made.err
    run = morelli("fit", tmp_path / "f.lance", "-o", tmp_path / "b")
    assert run.code == 0, run.err
    assert "every group of the real and of the generated images is one image" in run.err
    said = " ".join(run.out.split())  # lines are broken where the width of the terminal asks for it
    assert "single images held out" in said and "groups held out" not in said
    assert "12 held-out images cannot promise 5 %" in run.err
    assert "few images to promise" not in run.err  # the two lines before have said it
    # The blurred class is flatter, and so its files are smaller; bytes are no fact of the shape.
    assert "AUC of file facts alone" in run.out


def test_what_files_alone_tell_and_pictures_of_both_classes_are_said(
    tmp_path: Path, collection: Path, tiny_clip_dir: Path
) -> None:
    for label, suffix in (("real", "jpg"), ("fake", "png")):
        for number, path in enumerate(sorted((collection / label).rglob("0[0-2].png"))):
            place = tmp_path / "set" / label / path.parent.name / f"{number}.{suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).save(place, **({"quality": 95} if suffix == "jpg" else {}))
    twin = next((tmp_path / "set" / "real").rglob("*.jpg"))
    Image.open(twin).save(next((tmp_path / "set" / "fake").iterdir()) / "twin.png")
    options = ["--encoder", tiny_clip_dir, "--kinds", "final", "--label-from", "folders"]
    assert morelli("extract", tmp_path / "set", "-o", tmp_path / "f.lance", *options).code == 0
    run = morelli("fit", tmp_path / "f.lance", "-o", tmp_path / "b", "--folds", "3")
    assert run.code == 0, run.err
    assert "AUC of file facts alone    1.000" in run.out
    assert "files alone tell the classes apart with AUC 1.000" in run.err
    assert "pairs of images look alike and have opposite labels" in run.err
    judged = morelli(
        "detect", tmp_path / "set" / "real", "--bundle", tmp_path / "b", "--weights", tiny_clip_dir, "--json"
    )
    rows = json.loads(judged.out)["results"]
    assert all(any("in the bank as a real image" in why for why in row["reasons"]) for row in rows)


def test_groups_of_several_images_need_no_word_but_few_of_them_do(tmp_path: Path, table: Path) -> None:
    run = morelli("fit", table, "-o", tmp_path / "b", "--kinds", "final")
    assert "is one image" not in run.err
    assert "groups held out" in " ".join(run.out.split())
    bundle = Bundle.load(tmp_path / "b")
    assert bundle.ai.guaranteed and bundle.real.guaranteed
    (few,) = [line for line in run.err.splitlines() if "few images" in line]
    assert f"60 real ones allow false alarms up to {bundle.ai.upper:.0%} (asked: 5%)" in few
    assert "Add images of further sources and generators" in few
    # A rate that so many images do bound needs no word.
    enough = morelli(
        "fit", table, "-o", tmp_path / "c", "--kinds", "final", "--fpr", "0.3", "--miss-rate", "0.3"
    )
    assert "ones allow" not in enough.err


def test_few_groups_say_little_about_others(tmp_path: Path, collection: Path, tiny_clip_dir: Path) -> None:
    for label in ("real", "fake"):
        for place in sorted((collection / label).iterdir())[:3]:
            shutil.copytree(place, tmp_path / "set" / label / place.name)
    options = ["--encoder", tiny_clip_dir, "--kinds", "final", "--label-from", "folders", "-q"]
    assert morelli("extract", tmp_path / "set", "-o", tmp_path / "f.lance", *options).code == 0
    run = morelli("fit", tmp_path / "f.lance", "-o", tmp_path / "b", "-q")
    assert run.code == 0, run.err
    assert "3 groups of real ones and 3 groups of generated ones say little about others" in run.err


def test_the_cost_of_bfloat16_is_measured_at_the_fit_and_lets_detect_be_fast(
    tmp_path: Path, table: Path, bundle: Path, collection: Path, tiny_clip_dir: Path
) -> None:
    weights = ("--weights", tiny_clip_dir)
    refused = morelli("detect", collection, "--bundle", bundle, *weights, "--precision", "fast")
    assert refused.code == 2 and "bfloat16" in refused.err
    if (obstacle := load_encoder(tiny_clip_dir).obstacle_to_quick()) is not None:
        pytest.skip(obstacle)
    quick, out = tmp_path / "quick.lance", tmp_path / "b"
    asked = ("--encoder", tiny_clip_dir, "--kinds", "final,layer:2,layer:3", "--dtype", "bfloat16")
    assert morelli("extract", collection, "-o", quick, *asked).code == 0
    fitted = morelli("fit", table, "-o", out, "--kinds", "layer:2,layer:3", "--quick", quick)
    assert fitted.code == 0, fitted.err
    assert list(Bundle.load(out).quick_costs) == ["bfloat16"]
    documents = {}
    for precision in ("exact", "fast", "fastest"):
        run = morelli("detect", collection, "--bundle", out, *weights, "--json", "--precision", precision)
        assert run.code == 0, run.err
        documents[precision] = json.loads(run.out)
    used = [document["precision"] for document in documents.values()]
    assert used == ["float32", "bfloat16, float32 near thresholds", "bfloat16"]
    logits = {name: [row["logit"] for row in one["results"]] for name, one in documents.items()}
    assert logits["exact"] != logits["fastest"]
    assert [row["verdict"] for row in documents["exact"]["results"]] == [
        row["verdict"] for row in documents["fast"]["results"]
    ]
