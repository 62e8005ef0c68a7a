"""A piece of a shard as a small file of the same format, which `iter_source` reads like any other.

Of a Parquet file some row groups are read, of a tar its first samples; everything about columns, labels and
sidecars is then what the room `images` makes of it.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from morelli.errors import SourceError

_CHUNK = 1 << 20
_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def pieces(
    shard: IO[bytes], name: str, scratch: Path, rng: np.random.Generator
) -> Iterator[tuple[Path, str]]:
    """Parts of a shard with their names, each written into `scratch` before it is given.

    The row groups of a Parquet file come in a random order; of other formats the whole comes at once.

    Args:
        shard: open for reading.
        name: the shard's, which says its format and, as in ``train-00000-of-00012``, its split.
        scratch: an empty folder.
        rng: of the order.

    Raises:
        SourceError: the shard cannot be read.
    """
    base = PurePosixPath(name).name
    if base.lower().endswith(".parquet"):
        yield from _row_groups(shard, name, scratch / base, rng)
        return
    path = scratch / base
    with _naming(name, "file"), path.open("wb") as file:
        shutil.copyfileobj(shard, file, _CHUNK)
    yield path, name


def head_of_tar(shard: IO[bytes], name: str, path: Path, samples: int) -> Path:
    """The first samples of a tar, and one more that may be cut; the rest is not read.

    Args:
        shard: open for reading; it need not be seekable.
        name: the shard's.
        path: of the tar to write.
        samples: how many keys, the members' names up to their first dot.

    Raises:
        SourceError: the shard is no readable tar.
    """
    keys: set[str] = set()
    with (
        _naming(name, "tar"),
        tarfile.open(fileobj=shard, mode="r|*") as source,
        tarfile.open(path, "w") as target,
    ):
        for member in source:
            if not member.isfile():
                continue
            folder, slash, base = member.name.rpartition("/")
            key = folder + slash + base.split(".", 1)[0]
            if key not in keys and len(keys) == samples:
                break
            keys.add(key)
            target.addfile(member, source.extractfile(member))
    return path


def is_tar(name: str) -> bool:
    """Whether a shard's name is that of a tar."""
    return name.lower().endswith(_TAR)


def _row_groups(
    shard: IO[bytes], name: str, path: Path, rng: np.random.Generator
) -> Iterator[tuple[Path, str]]:
    import pyarrow.parquet

    with _naming(name, "Parquet file"):
        file = pyarrow.parquet.ParquetFile(shard)
    with file:
        for group in rng.permutation(file.metadata.num_row_groups):
            with _naming(name, "Parquet file"):
                pyarrow.parquet.write_table(file.read_row_group(int(group)), path)
            yield path, f"{name}, row group {group}"
            path.unlink()


@contextmanager
def _naming(name: str, kind: str) -> Iterator[None]:
    """Name the shard where it cannot be read: file systems, formats and the hub's client raise their own."""
    try:
        yield
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise SourceError(
            f"{name} cannot be read as a {kind} ({reason}). "
            "Run the same command again to carry on from the shard before."
        ) from error
