"""Single files written whole, through links and into pipes; and the lock of one writer at a time."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from morelli.artefacts import locked, write_file
from morelli.artefacts._file import replacing_file
from morelli.errors import ArtifactError, UsageError

ROOT = Path(__file__).parents[2]


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "v.csv").write_text("old\n")
    (tmp_path / "v.csv").symlink_to("share/v.csv")
    (tmp_path / "dangling").symlink_to("share/new.csv")
    write_file(tmp_path / "v.csv", "new\n")
    write_file(tmp_path / "dangling", b"new\n")
    assert (tmp_path / "v.csv").is_symlink() and (tmp_path / "dangling").is_symlink()
    assert (tmp_path / "share" / "v.csv").read_text() == "new\n"
    assert (tmp_path / "share" / "new.csv").read_text() == "new\n"
    assert sorted(entry.name for entry in (tmp_path / "share").iterdir()) == ["new.csv", "v.csv"]


def test_a_pipe_feeds_its_reader_and_a_device_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_file(tmp_path / "pipe", "through\n")
    reader.join()
    assert got == [b"through\n"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    write_file("/dev/null", "nowhere")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    script = "from morelli.artefacts import write_file; write_file('/dev/stdout', 'shown\\n')"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "shown\n"
    with (tmp_path / "out.txt").open("wb") as out:
        subprocess.run([sys.executable, "-c", script], stdout=out, check=True)
    assert (tmp_path / "out.txt").read_text() == "shown\n"


def test_a_pipe_without_a_reader_is_said_and_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr("morelli.artefacts._pipe._QUIET", 0.0)
    said: list[str] = []
    with (
        pytest.raises(UsageError, match="nothing read from it"),
        replacing_file(pipe, wait=0.1, on_message=said.append),
    ):
        pass
    assert len(said) == 1 and "waiting for a program" in said[0]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_rights_are_those_of_the_umask_or_of_the_former_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "a", "1")
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
        (tmp_path / "a").chmod(0o604)
        write_file(tmp_path / "a", "2")
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_a_block_that_fails_leaves_the_former_file(tmp_path: Path) -> None:
    write_file(tmp_path / "a", "old")
    with pytest.raises(RuntimeError), replacing_file(tmp_path / "a") as file:
        file.write(b"half")
        raise RuntimeError
    assert (tmp_path / "a").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
    with pytest.raises(UsageError, match="is a folder"):
        write_file(tmp_path, "x")
    write_file(tmp_path / ("n" * 255), "x")
    assert (tmp_path / ("n" * 255)).read_text() == "x"


COUNTING = """
import sys
from pathlib import Path
from morelli.artefacts import locked, write_file
place = Path(sys.argv[1])
for _ in range(50):
    with locked(place):
        write_file(place, str(int(place.read_text()) + 1))
"""


def test_no_change_of_several_processes_is_lost(tmp_path: Path) -> None:
    write_file(tmp_path / "count", "0")
    (tmp_path / "link").symlink_to("count")
    names = ["count", "link", "count"]
    writers = [subprocess.Popen([sys.executable, "-c", COUNTING, str(tmp_path / name)]) for name in names]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "150"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["count", "link"]


def test_no_change_of_several_threads_is_lost(tmp_path: Path) -> None:
    write_file(tmp_path / "count", "0")

    def add() -> None:
        for _ in range(20):
            with locked(tmp_path / "count"), locked(tmp_path / "count"):
                write_file(tmp_path / "count", str(int((tmp_path / "count").read_text()) + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "count").read_text() == "80"


HOLDING = """
import sys, time
from morelli.artefacts import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_writer_is_told_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    thing = tmp_path / "thing"
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(thing)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ArtifactError, match="another program is writing") as caught:
            write_file(thing, "x", wait=0)
        assert str(thing) in str(caught.value)
        assert not thing.exists()
        lines: list[str] = []

        def say(line: str) -> None:
            lines.append(line)
            holder.send_signal(signal.SIGKILL)

        (tmp_path / ".thing.morelli-00000000.part").write_text("half")
        write_file(thing, "x", on_message=say)
        assert lines[0] == f"waiting for another program that is writing {thing}"
        assert any("removed" in line for line in lines[1:])
    assert list(tmp_path.iterdir()) == [thing]


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="takes no new file"), locked(tmp_path / "missing" / "thing"):
        raise AssertionError
