"""Names with characters that cannot be seen: shown as escapes, and still found by what is shown."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from morelli.artefacts.text import written_names
from morelli.atlas._pixels import Pictures
from morelli.images import iter_source
from morelli.reports._thumbnails import find_images
from tests.images.hostile import encoded

NAMES = [b"plain.png", b"a\x1b[31m.png", b"line\nbreak.png", "b\u202egnp.png".encode(), "c\x85.png".encode()]
NAMES += [b"not-utf8-\xff.png", b"back\\x1b.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_found_by_its_shown_name(name: bytes, tmp_path: Path) -> None:
    data = encoded("PNG")
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    try:
        path.write_bytes(data)
    except OSError:
        pytest.skip("this file system takes no such name")
    (item,) = iter_source(tmp_path)
    assert item.uri.isprintable()
    digest = hashlib.sha256(data).hexdigest()
    assert Pictures().path(item.uri) == path
    assert Pictures().read(item.uri, digest) == data
    moved = item.uri.replace(str(tmp_path), "/elsewhere")
    assert Pictures((tmp_path,)).path(moved) == path
    assert set(find_images([{"uri": item.uri, "sha256": digest}], None, [])) == {digest}


def test_a_name_that_holds_a_backslash_comes_first(tmp_path: Path) -> None:
    (tmp_path / "a\\x62.png").write_bytes(b"one")
    (tmp_path / "ab.png").write_bytes(b"two")
    assert Pictures().path(str(tmp_path / "a\\x62.png")) == tmp_path / "a\\x62.png"
    assert written_names("\\U00110000") == ["\\U00110000"]
    assert Pictures().path("nul\\x00.png") is None
