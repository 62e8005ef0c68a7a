"""What strangers send: nothing crashes, nothing hangs, memory stays bounded, everything is reported."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morelli.errors import ImageError, UsageError
from morelli.images import Limits, decode, iter_source
from tests.images.hostile import Hostile, encoded, photo, write_hostile_files


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> list[Hostile]:
    return write_hostile_files(tmp_path_factory.mktemp("hostile"))


def outcome(path: Path) -> tuple[set[str], set[str], int]:
    """(reasons, notes, pictures) of one source."""
    reasons, notes, pictures = set(), set(), 0
    for item in iter_source(path):
        assert item.uri.isprintable()
        item.uri.encode("utf-8")
        try:
            decoded = decode(item.read(), name=item.uri)
        except ImageError as error:
            assert item.problem is None or item.problem.reason == error.reason
            assert str(error)
            reasons.add(error.reason)
        else:
            assert decoded.image.mode == "RGB"
            pictures += 1
            notes.update(decoded.facts.notes)
    return reasons, notes, pictures


def test_every_hostile_input_is_reported_with_its_reason(hostile):
    assert sum(h.expected_reason is not None for h in hostile) >= 60
    wrong = {}
    for h in hostile:
        reasons, notes, pictures = outcome(h.path)
        expected = set() if h.expected_reason is None else {h.expected_reason}
        if reasons != expected or (h.note is not None and h.note not in notes):
            wrong[h.path.name] = (h.expected_reason, h.note, reasons, notes)
        if h.expected_reason is None:
            assert pictures >= 1, h.path.name
    assert not wrong


def test_threads_agree_with_one_thread(hostile):
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(outcome, [h.path for h in hostile] * 2))
    assert together[: len(hostile)] == together[len(hostile) :]
    assert together[: len(hostile)] == [outcome(h.path) for h in hostile]


def test_sources_given_together_report_each(hostile):
    paths = [h.path for h in hostile]
    failed = {item.uri for item in iter_source(paths) if fails(item)}
    assert len(failed) >= sum(h.expected_reason is not None for h in hostile)


def fails(item) -> bool:
    try:
        decode(item.read())
    except ImageError:
        return True
    return False


def test_memory_is_bounded(hostile):
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to read a process's peak memory")
    program = """
import os, sys
from morelli.errors import ImageError
from morelli.images import decode, iter_source

def peak():
    # Not ru_maxrss: that begins with the peak of the process that started this one.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

before = peak()
for path in sys.stdin.buffer.read().split(bytes(1)):
    for item in iter_source(os.fsdecode(path)):
        try:
            decode(item.read())
        except ImageError:
            pass
print((peak() - before) // 1024)
"""
    paths = b"\0".join(os.fsencode(h.path) for h in hostile)
    done = subprocess.run([sys.executable, "-c", program], input=paths, capture_output=True, check=True)
    # MiB. The bombs would take between 0.1 GB and 4 TB.
    assert 0 < int(done.stdout) < 100, done.stdout


def test_the_whole_folder_is_one_source(hostile):
    folder = hostile[0].path.parent
    found: dict[str, str | None] = {}
    for item in iter_source(folder):
        try:
            decode(item.read())
            found[item.uri] = None
        except ImageError as error:
            found[item.uri] = error.reason
    expected = {
        str(h.path): h.expected_reason
        for h in hostile
        if h.path.suffix in {".jpg", ".png", ".tif", ".webp", ".gif", ".bmp"}
        and h.path.name != "never-was.jpg"
    }
    plain = {path: reason for path, reason in expected.items() if path.isprintable()}
    assert len(plain) > 70
    assert {path: found.get(path, "not listed") for path in plain} == plain


def test_what_may_not_be_read_is_reported():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "locked").mkdir()
        (folder / "locked.jpg").write_bytes(encoded("JPEG"))
        (folder / "open.jpg").write_bytes(encoded("JPEG"))
        (folder / "locked").chmod(0)
        (folder / "locked.jpg").chmod(0)
        user = os.geteuid()
        if user == 0:  # root may read everything, so somebody else reads
            os.seteuid(65534)
        try:
            assert outcome(folder) == ({"unreadable"}, set(), 1)
        finally:
            os.seteuid(user)
            (folder / "locked").chmod(0o700)


def test_names_that_no_line_can_hold_are_escaped(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9\n.jpg")).write_bytes(encoded("JPEG"))
    (item,) = iter_source(tmp_path)
    assert item.uri.endswith("caf\\xe9\\n.jpg")
    assert decode(item.read()).facts.format == "JPEG"


def test_a_very_deep_folder_is_walked(tmp_path):
    here = tmp_path
    for _ in range(400):
        here /= "d"
        here.mkdir()
    (here / "a.jpg").write_bytes(encoded("JPEG"))
    (item,) = iter_source(tmp_path)
    assert item.read()


def test_links_that_multiply_folders_list_each_once(tmp_path):
    # Each level links twice to the next: 2^40 paths lead to one picture.
    for level in range(40):
        (tmp_path / f"{level}").mkdir()
    for level in range(39):
        for name in ("a", "b"):
            (tmp_path / f"{level}" / name).symlink_to(tmp_path / f"{level + 1}", target_is_directory=True)
    (tmp_path / "39" / "x.jpg").write_bytes(encoded("JPEG"))
    items = list(iter_source(tmp_path / "0"))
    assert [item.problem for item in items] == [None]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(Limits(max_bytes=100), "too_many_bytes"), (Limits(max_pixels=96 * 64 // 2 - 1), "too_many_pixels")],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "GIF", "BMP"])
def test_limits_hold_for_every_format(format, limits, reason):
    data = encoded(format)
    with pytest.raises(ImageError) as error:
        decode(data, limits)
    assert error.value.reason == reason
    assert decode(data, Limits(max_pixels=96 * 64, max_bytes=len(data))).image.size == (96, 64)


def test_time_is_limited():
    with pytest.raises(ImageError) as error:
        decode(encoded("AVIF", photo((400, 300))), Limits(max_seconds=0))
    assert error.value.reason == "too_slow"


def seeds() -> Iterator[bytes]:
    for format in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "GIF", "BMP"):
        yield encoded(format, photo((24, 16)))
    frames = [photo((24, 16)).rotate(k * 90) for k in range(3)]
    for format in ("GIF", "PNG", "WEBP"):
        yield encoded(format, frames[0], save_all=True, append_images=frames[1:])
    yield encoded("JPEG", photo((24, 16), "CMYK"))


SEEDS = list(seeds())


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(range(len(SEEDS))),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=0, max_size=4)), min_size=1, max_size=6),
    st.booleans(),
)
def test_any_damage_is_an_image_error_or_a_picture(seed, edits, cut):
    data = bytearray(SEEDS[seed])
    for place, replacement in edits:
        at = place % len(data)
        data[at : at + max(1, len(replacement))] = replacement
        if not data:
            break
    if cut:
        data = data[: edits[0][0] % (len(data) + 1)]
    try:
        decoded = decode(bytes(data), Limits(max_pixels=1_000_000))
    except ImageError as error:
        assert error.reason in {
            "empty",
            "not_an_image",
            "unsupported_format",
            "truncated",
            "damaged",
            "too_many_pixels",
            "too_slow",
        }
    else:
        assert decoded.image.mode == "RGB"
        assert decoded.image.size == (decoded.facts.width, decoded.facts.height)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "GIF", "BMP"])
def test_no_file_cut_anywhere_gives_half_a_picture(format):
    data = encoded(format)
    whole = decode(data).image.tobytes()
    for length in range(0, len(data) - 1, max(1, len(data) // 60)):
        try:
            decoded = decode(data[:length])
        except ImageError as error:
            assert error.reason in {"empty", "truncated", "not_an_image", "damaged"}
        else:
            assert decoded.image.tobytes() == whole


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"name,label\nx.jpg,real\n", "no column 'path'"),
        ("a.csv", b"path,label\nx.jpg,real\ny.jpg,maybe\n", r"row 2: label 'maybe'"),
        ("a.csv", b"path,label\nx.jpg,real,extra\n", "row 1: 3 values for 2 columns"),
        ("a.csv", b"path,label\n,real\n", "row 1: column 'path' is empty"),
        ("a.csv", b"path,label\nx\x00.jpg,real\n", "NUL"),
        ("a.csv", b"path\ncaf\xe9.jpg\n", "not UTF-8"),
        ("a.csv", b'path\n"never closed\n', "not a readable CSV"),
        ("a.csv", b"path\n" + b"x" * 200_000, "not a readable CSV"),
        ("a.parquet", b"PAR1 and no more", "not a readable Parquet"),
    ],
)
def test_a_broken_manifest_says_what_to_do(tmp_path, name, text, message):
    (tmp_path / name).write_bytes(text)
    with pytest.raises(UsageError, match=message):
        list(iter_source(tmp_path / name))
