"""What extraction puts into a table, and that running it again changes nothing."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lance
import numpy as np
import pytest

from morelli.encoders import Encoder, load_encoder
from morelli.errors import BuildMismatchError, UsageError
from morelli.features import FeatureTable, extract
from morelli.images import decode, iter_source, perturbation, phash
from tests.provenance.made import png


def test_rows_are_what_decode_transform_encode_give(
    crops: Path, tiny_encoder: Encoder, tmp_path: Path
) -> None:
    kinds = ["final", "layer:2", "mean:3", "tokens:4", "attention:4"]
    report = extract(crops, tmp_path / "F.lance", encoder=tiny_encoder, kinds=kinds, workers=3)
    features = FeatureTable.open(tmp_path / "F.lance").load()
    assert (report.done, report.skipped, report.duplicates, len(features)) == (300, 0, 2, 300)
    chosen = [0, 1, 150, 299]
    paths = [Path(uri) for uri in features.column("uri")[chosen]]
    images = [decode(path.read_bytes()) for path in paths]
    pixels = np.stack([tiny_encoder.transform(image.image) for image in images])
    for kind, array in tiny_encoder.trace(pixels, kinds=kinds).items():
        np.testing.assert_allclose(features.vectors[kind][chosen], array, rtol=1e-4, atol=1e-5)
    assert features.column("sha256")[chosen].tolist() == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    ]
    assert features.column("phash")[chosen].tolist() == [phash(image.image) for image in images]
    assert features.column("format")[chosen].tolist() == ["PNG", "JPEG", "PNG", "JPEG"]
    assert features.column("jpeg_quality")[chosen].tolist() == [None, 90, None, 90]
    assert features.column("bytes")[chosen].tolist() == [path.stat().st_size for path in paths]
    assert set(features.column("width")) == {160}


def test_rows_stand_in_the_order_of_the_source(crops: Path, tiny_encoder: Encoder, tmp_path: Path) -> None:
    extract(crops, tmp_path / "F.lance", encoder=tiny_encoder, workers=4, batch_size=7, flush_rows=20)
    uris = FeatureTable.open(tmp_path / "F.lance").metadata(["uri"]).column("uri").to_pylist()
    failing = {"00010-text.png", "00100-cut.jpg", "99999-empty.png"}
    again = {"00150-again.png", "99999-again.jpg"}
    expected = [item.uri for item in iter_source(crops) if Path(item.uri).name not in failing | again]
    assert uris == expected


def test_bad_images_are_listed_and_stop_nothing(crops: Path, tiny_encoder: Encoder, tmp_path: Path) -> None:
    report = extract(crops, tmp_path / "F.lance", encoder=tiny_encoder)
    reasons = {Path(failure.uri).name: failure.reason for failure in report.failed}
    assert reasons == {
        "00010-text.png": "not_an_image",
        "00100-cut.jpg": "truncated",
        "99999-empty.png": "empty",
    }
    assert tuple(FeatureTable.open(tmp_path / "F.lance").failures()) == report.failed


def test_a_second_run_and_moved_files_add_nothing(
    make_crops: Callable[..., Path], tiny_encoder: Encoder, tmp_path: Path
) -> None:
    source, out = make_crops(tmp_path / "a", 20), tmp_path / "F.lance"
    extract(source, out, encoder=tiny_encoder)
    before = lance.dataset(out).to_table()
    source.rename(tmp_path / "elsewhere")
    make_crops(tmp_path / "elsewhere", 3, seed=5)
    calls: list[tuple[int, int | None, int, int]] = []
    report = extract(
        tmp_path / "elsewhere",
        out,
        encoder=tiny_encoder,
        total=20,
        progress=lambda *counts: calls.append(counts),
    )
    assert (report.done, report.skipped, report.failed) == (3, 17, ())
    assert calls[-1] == (3, 20, 17, 0) and len(calls) == 21
    after = lance.dataset(out).to_table()
    assert after.slice(0, 20).equals(before) and len(after) == 23


def test_the_manifest_s_columns_come_along(manifest: Path, tiny_encoder: Encoder, tmp_path: Path) -> None:
    extract(manifest, tmp_path / "F.lance", encoder=tiny_encoder)
    features = FeatureTable.open(tmp_path / "F.lance").load(columns=None)
    assert features.labels.tolist() == [0, 1] * 6
    assert features.column("generator")[:4].tolist() == [None, "gan-1", None, "gan-3"]
    assert features.column("camera").tolist() == [f"camera-{number}" for number in range(12)]
    assert features.column("era")[:2].tolist() == [None, "2017-2022"]
    groups = features.groups(near_duplicate_distance=None)
    assert groups[:4].tolist() == ["real/source-0", "fake/lineage-1", "real/source-2", "fake/lineage-3"]


@pytest.mark.parametrize("kind", ["zip", "items", "list"])
def test_other_sources(
    kind: str, make_crops: Callable[..., Path], tiny_encoder: Encoder, tmp_path: Path
) -> None:
    folder = make_crops(tmp_path / "images", 10)
    files = sorted(folder.iterdir())
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for path in files:
                archive.write(path, f"inner/{path.name}")
        source = tmp_path / "set.zip"
    elif kind == "items":
        source = iter_source(folder, label=1, generator="gan")
    else:
        source = files
    report = extract(source, tmp_path / "F.lance", encoder=tiny_encoder, workers=4)
    table = FeatureTable.open(tmp_path / "F.lance")
    assert (report.done, len(table)) == (10, 10)
    if kind == "zip":
        assert "set.zip::inner/" in table.metadata(["uri"]).column("uri")[0].as_py()
    if kind == "items":
        assert table.load().labels.tolist() == [1] * 10


def test_perturbed_images_are_rows_of_their_own_and_do_not_depend_on_order(
    make_crops: Callable[..., Path], tiny_encoder: Encoder, tmp_path: Path
) -> None:
    files = sorted(make_crops(tmp_path / "images", 9).iterdir())
    out = tmp_path / "F.lance"
    extract(files, out, encoder=tiny_encoder)
    extract(files, out, encoder=tiny_encoder, perturbation="noise:8")
    extract(files[::-1], tmp_path / "G.lance", encoder=tiny_encoder, perturbation="noise:8", batch_size=2)
    table = FeatureTable.open(out)
    name = perturbation("noise:8").id
    noisy = table.load(where=f"perturbation = '{name}'")
    clean = table.load(where="perturbation = ''")
    assert (len(noisy), len(clean)) == (9, 9)
    assert np.abs(noisy.matrix() - clean.matrix()).max() > 1e-3
    reverse = FeatureTable.open(tmp_path / "G.lance").load()
    np.testing.assert_allclose(reverse.matrix()[::-1], noisy.matrix(), rtol=1e-4, atol=1e-5)
    groups = table.load().groups(near_duplicate_distance=None)
    assert groups[:9].tolist() == groups[9:].tolist()


def test_another_build_or_other_kinds_are_refused_before_any_work(
    make_crops: Callable[..., Path], tiny_encoder: Encoder, tiny_clip_dir: Path, tmp_path: Path
) -> None:
    source, out = make_crops(tmp_path / "images", 4), tmp_path / "F.lance"
    extract(source, out, encoder=tiny_encoder, kinds=["final"])
    other = load_encoder(tiny_clip_dir, device="cpu", dtype="bfloat16")
    with pytest.raises(BuildMismatchError, match=r"dtype: float32 in the table, bfloat16 now"):
        extract(source, out, encoder=other)
    with pytest.raises(BuildMismatchError, match=r"kinds: final \(32\) in the table, layer:2 \(64\) now"):
        extract(source, out, encoder=tiny_encoder, kinds=["layer:2"])
    with pytest.raises(BuildMismatchError, match="stored precision: float32 in the table, float16 now"):
        extract(source, out, encoder=tiny_encoder, dtype="float16")
    with pytest.raises(UsageError, match="not a feature table"):
        extract(source, source, encoder=tiny_encoder)
    assert not (source / "_morelli").exists()


def test_an_interrupt_keeps_what_is_encoded(
    make_crops: Callable[..., Path], tiny_encoder: Encoder, tmp_path: Path
) -> None:
    source, out = make_crops(tmp_path / "images", 40), tmp_path / "F.lance"

    def interrupt(done: int, total: int | None, skipped: int, failed: int) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(source, out, encoder=tiny_encoder, batch_size=4, progress=interrupt)
    kept = len(FeatureTable.open(out))
    assert 20 <= kept < 40 and kept % 4 == 0
    assert extract(source, out, encoder=tiny_encoder, batch_size=4).skipped == kept
    extract(source, tmp_path / "G.lance", encoder=tiny_encoder, batch_size=4)
    assert lance.dataset(out).to_table().equals(lance.dataset(tmp_path / "G.lance").to_table())


def test_ctrl_c_behind_an_append_does_not_append_twice(
    make_crops: Callable[..., Path], tiny_encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python raises the interrupt when the library has returned: the rows are there already."""
    source, out = make_crops(tmp_path / "images", 20), tmp_path / "F.lance"
    write = lance.write_dataset

    def interrupted(rows: object, *args: object, **options: object) -> object:
        written = write(rows, *args, **options)
        if options.get("mode") == "append":
            monkeypatch.undo()
            signal.raise_signal(signal.SIGINT)
        return written

    monkeypatch.setattr(lance, "write_dataset", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(source, out, encoder=tiny_encoder, batch_size=4, flush_rows=8)
    kept = len(FeatureTable.open(out))
    assert kept in {8, 12, 16, 20}
    assert len(FeatureTable.open(out).identities()) == kept
    assert extract(source, out, encoder=tiny_encoder, batch_size=4).skipped == kept
    assert len(FeatureTable.open(out)) == 20


def scaled_copy(model: Path, folder: Path, factor: float) -> Encoder:
    """The small CLIP with its projection multiplied."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, folder)
    state = load_file(folder / "model.safetensors")
    state["visual_projection.weight"] = state["visual_projection.weight"] * factor
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return load_encoder(folder, device="cpu")


def test_values_beyond_float16_and_infinite_ones_never_enter_a_table(
    make_crops: Callable[..., Path], tiny_clip_dir: Path, tmp_path: Path
) -> None:
    source = make_crops(tmp_path / "images", 4)
    large = scaled_copy(tiny_clip_dir, tmp_path / "large", 1e6)
    with pytest.raises(UsageError, match="float16 holds up to 65504; extract to a table of float32"):
        extract(source, tmp_path / "half.lance", encoder=large, dtype="float16")
    assert len(FeatureTable.open(tmp_path / "half.lance")) == 0
    infinite = scaled_copy(tiny_clip_dir, tmp_path / "infinite", 1e38)
    report = extract(source, tmp_path / "F.lance", encoder=infinite)
    assert report.done == 0 and [f.reason for f in report.failed] == ["not_finite"] * 4


PEAK = """
import sys
from pathlib import Path
from morelli.encoders import load_encoder
from morelli.features import extract
encoder = load_encoder(sys.argv[1], device="cpu")
report = extract(sys.argv[2], sys.argv[3], encoder=encoder, kinds=["final", "layers"])
status = Path("/proc/self/status").read_text()
peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
print(report.done + report.duplicates, peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_peak_memory_is_the_same_for_ten_times_the_images(
    make_crops: Callable[..., Path], tiny_clip_dir: Path, tmp_path: Path
) -> None:
    peaks = {}
    for count in (300, 3000):
        source = make_crops(tmp_path / f"{count}", count)
        done, peak = subprocess.run(
            [sys.executable, "-c", PEAK, str(tiny_clip_dir), str(source), str(tmp_path / f"{count}.lance")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert int(done) == count
        peaks[count] = int(peak) / 1024
    print(f"peak memory in MiB: {peaks}")
    assert peaks[3000] < peaks[300] * 1.08 + 8


def test_what_a_file_says_of_itself_is_kept(tiny_encoder: Encoder, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    parameters = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 96x64, Model: sdxl"
    (folder / "a.png").write_bytes(png(parameters=parameters))
    (folder / "b.png").write_bytes(png(Comment="parameters"))
    extract(folder, tmp_path / "F.lance", encoder=tiny_encoder, kinds=["final"])
    features = FeatureTable.open(tmp_path / "F.lance").load()
    assert features.column("provenance_claims").tolist() == ["generated", None]
    assert features.column("provenance_strength").tolist() == ["statement", None]
    assert features.column("provenance_tool")[0]


def test_labels_that_come_too_late_are_counted(crops: Path, tiny_encoder: Encoder, tmp_path: Path) -> None:
    """Who forgets to give labels and extracts again has the old rows, and must hear of it."""
    paths = sorted(path for path in crops.glob("*.*") if path.stat().st_size > 500)[:6]
    items = [item for path in paths for item in iter_source(path)]
    out = tmp_path / "F.lance"

    def again(**said: object) -> int:
        report = extract([replace(item, **said) for item in items], out, encoder=tiny_encoder)  # type: ignore[arg-type]
        assert report.done + report.skipped == len(items) and not report.conflicts
        return report.kept_unlabelled

    assert again() == 0  # new rows
    assert again() == 0  # the same again
    assert again(label=1, generator="sdxl") == len(items)
    assert FeatureTable.open(out).metadata(["label"]).column("label").null_count == len(items)
    other = tmp_path / "G.lance"
    extract([replace(item, label=1, generator="sdxl") for item in items], other, encoder=tiny_encoder)
    for generator, kept_unlabelled in (("sdxl", 0), (None, 0), ("flux", len(items))):
        given = [replace(item, label=1, generator=generator) for item in items]
        assert extract(given, other, encoder=tiny_encoder).kept_unlabelled == kept_unlabelled
