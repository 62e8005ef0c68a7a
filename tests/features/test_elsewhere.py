"""A table whose manifest says that its data is somewhere else: it is not opened, and nobody is asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import lance
import pytest

from morelli.errors import ArtifactError
from morelli.features import Features, FeatureTable, open_dataset


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A network store on this machine; the first bytes of every request that reaches it."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    asked.append(connection.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        for name, value in {
            "AWS_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "y",
            "AWS_REGION": "nowhere",
        }.items():
            monkeypatch.setenv(name, value)
        yield asked
        stop.set()
        thread.join()


def table_at(path: Path) -> FeatureTable:
    rows = Features.from_arrays({"final": [[1.0, 0.0], [0.0, 1.0]]}, labels=[0, 1])
    table = FeatureTable.create(path, rows.build, {"final": 2})
    table.append(rows)
    return FeatureTable.open(path)


@pytest.mark.parametrize("place", ["original", "s3://buc"])
def test_a_table_with_its_data_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: list[bytes], place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    table_at(Path("original"))
    lance.dataset("original").shallow_clone("clone.lance", 2)
    for manifest in Path("clone.lance", "_versions").glob("*.manifest"):
        # Of one length, so that the manifest stays whole.
        manifest.write_bytes(manifest.read_bytes().replace(b"original", place.encode()))
    with pytest.raises(ArtifactError, match="its data is in another place") as error:
        FeatureTable.open("clone.lance").load()
    assert place in str(error.value)
    with pytest.raises(ArtifactError, match="in another place"):
        open_dataset("clone.lance")
    assert store == []


def test_a_table_of_its_own_opens(tmp_path: Path) -> None:
    assert len(table_at(tmp_path / "F.lance")) == 2
    assert open_dataset(tmp_path / "F.lance").count_rows() == 2
    with pytest.raises(ArtifactError, match="missing"):
        open_dataset(tmp_path / "none.lance")
