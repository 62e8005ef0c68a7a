"""Files made to do harm, and texts in them, as the commands that read them meet them."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from morelli.artefacts import check_results, document_digest, replacing_results
from morelli.artefacts.text import markdown_page
from morelli.atlas import AtlasRecord
from morelli.atlas._edits import Edits
from morelli.detectors import Bundle, default_bundle_path, import_univfd
from morelli.errors import ArtifactError, MorelliError, UsageError
from morelli.features import Features
from tests.artefacts.kinds import KINDS, OLD

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (DEEP, "nested deeper"),
        ("[]", "must be an object"),
        ('{"prototypes": {"1": {"name": 3}}}', "prototypes.1.name must be text"),
        ('{"prototypes": {"1": {"merged_into": 1e400}}}', "not finite"),
        ('{"prototypes": {"one": {}}}', "not 'one'"),
        ('{"selections": {"a": []}}', "selections.a must be an object"),
        ('{"dimensions": null}', "dimensions must be an object"),
    ],
)
def test_hostile_edits_of_an_atlas_are_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "edits.json").write_text(text)
    with pytest.raises(ArtifactError, match=words) as error:
        Edits(tmp_path).read()
    assert "edits.json" in str(error.value)


@pytest.mark.parametrize("value", [None, True, -1, 1e308, 10**200, "x", [], {"a": {}}])
def test_a_signed_record_of_an_atlas_with_any_wrong_type_is_one_line(tmp_path: Path, value: object) -> None:
    KINDS["atlas record"].write(tmp_path, OLD)
    file = tmp_path / "atlas.json"
    whole = json.loads(file.read_text())
    refused = 0
    for key in whole:
        if key != "digest":
            document = {**whole, key: value}
            document["digest"] = document_digest(document)
            file.write_text(json.dumps(document))
            try:
                AtlasRecord.read(tmp_path)
            except MorelliError:
                refused += 1
    assert refused > 10


def test_an_atlas_record_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    KINDS["atlas record"].write(tmp_path, OLD)
    document = json.loads((tmp_path / "atlas.json").read_text())
    document["files"] = {"../../etc/passwd": "0" * 64}
    document["digest"] = document_digest(document)
    (tmp_path / "atlas.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="outside the atlas"):
        AtlasRecord.read(tmp_path)


def test_a_bank_takes_no_rows_that_are_not_finite() -> None:
    bundle = Bundle.load(default_bundle_path())
    sizes = dict(zip(bundle.bank.kinds, bundle.bank.sizes, strict=True))
    rng = np.random.default_rng(0)
    vectors = {kind: rng.normal(size=(4, size)).astype(np.float32) for kind, size in sizes.items()}
    next(iter(vectors.values()))[2, 1] = np.nan
    with pytest.raises(UsageError, match="1 images have features with NaN"):
        bundle.with_bank_added(Features.from_arrays(vectors, labels=[0, 1, 0, 1], build=bundle.build))


def test_threshold_rates_are_shares(tmp_path: Path) -> None:
    KINDS["bundle"].write(tmp_path / "b", OLD)
    file = tmp_path / "b" / "bundle.json"
    document = json.loads(file.read_text())
    document["thresholds"]["ai"]["rate"] = 1e300
    document["digest"] = document_digest(document)
    file.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=r"thresholds.ai.rate must be a number from 0 to 1"):
        Bundle.load(tmp_path / "b")


def legacy_file(tree: object) -> bytes:
    """An older file of torch: pickles in a row, and the storages' numbers behind them."""
    file = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {}, tree, []):
        pickle.dump(part, file, protocol=2)
    return file.getvalue()


def test_shared_dictionaries_do_not_keep_the_reader_busy(tmp_path: Path) -> None:
    tree: dict[str, object] = {}
    for _ in range(60):  # 2 to the power of 60 leaves in a file of a few KiB
        tree = {"a": tree, "b": tree}
    (tmp_path / "head.pth").write_bytes(legacy_file(tree))
    with pytest.raises(ArtifactError, match="entries, or nests"):
        import_univfd(tmp_path / "head.pth")
    itself: dict[str, object] = {}
    itself["a"] = itself
    (tmp_path / "head.pth").write_bytes(legacy_file(itself))
    with pytest.raises(ArtifactError, match="nests them"):
        import_univfd(tmp_path / "head.pth")


def test_tensors_of_stride_0_are_weighed_before_they_are_made(tmp_path: Path) -> None:
    import torch

    base = torch.zeros(1)
    state = {f"t{k}": base.expand(4_000_000) for k in range(60)}
    torch.save(state, tmp_path / "head.pth")
    assert (tmp_path / "head.pth").stat().st_size < 1 << 20
    with pytest.raises(ArtifactError, match="MiB"):
        import_univfd(tmp_path / "head.pth")


def test_names_steer_neither_terminal_nor_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from morelli.cli._console import console
    from morelli.cli._errors import report

    report("a\x1b[2J\x07\u202eb.png is gone")
    console().print("x\x1b[31my", markup=False)
    shown = capsys.readouterr()
    assert "\x1b" not in shown.err + shown.out
    assert "\\x1b[2J\\x07\\u202eb.png is gone" in shown.err
    assert "x\\x1b[31my" in shown.out
    page = markdown_page("# <script>x</script> ![i](http://a/b.png) \x1b[2J\n![plot](p.png)", ["p.png"])
    assert "<" not in page
    assert "\x1b" not in page
    assert "](http" not in page
    assert "![plot](p.png)" in page


def test_a_model_card_shows_names_as_text(tmp_path: Path) -> None:
    from dataclasses import replace

    KINDS["bundle"].write(tmp_path / "b", OLD)
    bundle = replace(
        Bundle.load(tmp_path / "b"), name="<img src=http://a/b>\x1b[2J", notes=("![x](http://a)",)
    )
    bundle.save(tmp_path / "named")
    card = (tmp_path / "named" / "MODEL_CARD.md").read_text()
    assert "<img" not in card
    assert "\x1b" not in card
    assert "![x](" not in card
    assert Bundle.load(tmp_path / "named").name == bundle.name


def test_results_replace_results_and_keep_what_is_the_users(tmp_path: Path) -> None:
    def write(*names: str) -> None:
        with replacing_results(tmp_path / "r", what="report", known_by=["a.md"]) as fresh:
            for name in names:
                (fresh / name).write_text(name)

    write("a.md", "worst.csv")
    (tmp_path / "r" / "notes.txt").write_text("mine")
    write("a.md")
    assert sorted(file.name for file in (tmp_path / "r").iterdir()) == ["SHA256SUMS", "a.md", "notes.txt"]
    assert check_results(tmp_path / "r") == ("a.md",)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.jpg").write_bytes(b"")
    with (
        pytest.raises(UsageError, match="something else than a report"),
        replacing_results(tmp_path / "other", what="report", known_by=["a.md"]),
    ):
        pass
    assert [file.name for file in (tmp_path / "other").iterdir()] == ["photo.jpg"]


@pytest.mark.skipif(os.name != "posix", reason="the umask is of POSIX")
def test_rights_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        Edits(tmp_path).change("dimensions", 1, {"name": "edges"})
        Edits(tmp_path).add_feedback([{"path": "a.png", "sha256": "a"}])
        KINDS["predictions"].write(tmp_path / "p.parquet", OLD)
    finally:
        os.umask(before)
    for name in ("edits.json", "feedback.csv", "p.parquet"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o640, name
