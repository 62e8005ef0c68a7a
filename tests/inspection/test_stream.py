"""A whole source through the front door: in order, one line each, broken files among the others."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from morelli.errors import UsageError
from morelli.images import ImageItem, iter_source
from morelli.inspection import Inspector
from morelli.inspection._sentence import verdict_line
from morelli.inspection._stream import detect


@pytest.fixture
def archive(tmp_path: Path, collection: Path) -> Path:
    """Six pictures and a broken one."""
    files = [
        *sorted((collection / "fake").rglob("*.png"))[:3],
        *sorted((collection / "real").rglob("*.png"))[:3],
    ]
    path = tmp_path / "holiday.zip"
    with zipfile.ZipFile(path, "w") as out:
        for number, file in enumerate(files):
            out.write(file, f"{number}.png")
        out.writestr("3-broken.png", files[0].read_bytes()[:200])
    return path


def test_every_image_has_its_line(inspector: Inspector, archive: Path) -> None:
    found = list(inspector.detect(archive))
    assert [one.uri for one in found] == [item.uri for item in iter_source(archive)]
    lines = [str(one) for one in found]
    for one, line in zip(found, lines, strict=True):
        assert line.startswith(one.uri + ": ") and "\n" not in line
        if one.verdict is not None:
            assert line == verdict_line(
                one.uri, one.verdict.verdict, one.verdict.probability, one.verdict.interval
            )
    (broken,) = [one for one in found if one.failure is not None]
    assert broken.uri.endswith("3-broken.png") and broken.failure is not None
    assert str(broken) == f"{broken.uri}: truncated: {broken.failure}"


def test_paths_several_paths_and_listed_images_are_sources(
    inspector: Inspector, archive: Path, file: Path
) -> None:
    whole = [str(one) for one in inspector.detect(str(archive))]
    assert [str(one) for one in inspector.detect([archive, file])][:-1] == whole
    items = list(iter_source(archive))
    for source in (items, iter(items)):
        assert [str(one) for one in inspector.detect(source)] == whole
    direct = detect(items, inspector.bundle, inspector.encoder)
    assert [str(one) for one in direct] == whole
    assert list(inspector.detect([])) == []
    for paths in (iter([str(archive)]), {archive}, (one for one in [items[0], *items[1:]])):
        assert [str(one) for one in inspector.detect(paths)] == whole  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [b"a.png", [Image.new("RGB", (40, 40))], None, ["a.png", 3]])
def test_a_picture_is_no_source_and_the_error_says_what_takes_it(inspector: Inspector, source: Any) -> None:
    with pytest.raises(UsageError, match="`inspect`"):
        list(inspector.detect(source))


def test_a_stream_and_a_single_look_agree(inspector: Inspector, file: Path) -> None:
    (streamed,) = inspector.detect(file)
    found = inspector.inspect(file)
    assert streamed.verdict is not None
    assert streamed.verdict.verdict == found.verdict
    assert streamed.verdict.probability == pytest.approx(found.probability, abs=1e-5)


def test_little_is_read_ahead(inspector: Inspector, file: Path) -> None:
    taken = 0
    data = file.read_bytes()

    def items():  # type: ignore[no-untyped-def]
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield ImageItem(f"{number}.png", lambda: data)

    stream = inspector.detect(items(), batch_size=4)
    assert str(next(stream)).startswith("0.png: ")
    assert taken <= 32
