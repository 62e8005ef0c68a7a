"""The pipeline in Ray Data: one task lists, a pool of actors works, an iterator gives what they return.

Everything travels in Ray's own serialisation between the processes of one job; none of it is kept.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray import cloudpickle
from ray.data.block import BlockMetadata

from morelli._version import __version__
from morelli.encoders._cluster._connect import Pool
from morelli.encoders._cluster._shards import Shard
from morelli.errors import MorelliError


def outcomes_of(
    shards: Callable[[], Iterable[Shard]], make: Callable[[Any, int], Any], pool: Pool
) -> Iterator[Any]:
    """What the workers return for every shard, in the shards' order."""
    context = ray.data.DataContext.get_current().copy()
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it reports every start and end
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    context.execution_options.verbose_progress = False
    # Every row is a block of its own, so that a shard goes on as soon as it is listed.
    context.target_max_block_size = 1
    here = str(Path.cwd())
    with ray.data.DataContext.current(context):
        listed = ray.data.read_datasource(
            ShardSource(partial(_rows, shards, here)),
            override_num_blocks=1,
            num_cpus=0,  # it would wait for a core, and the workers have them all
            label_selector={"ray.io/node-id": ray.get_runtime_context().get_node_id()},
        )
        done = listed.map_batches(
            RemoteWorker,
            fn_constructor_args=(make, pool.cpus, here, __version__),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=pool.least, max_size=pool.most),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
            memory=pool.memory,
        )
    for row in done.iter_rows():
        yield cloudpickle.loads(row["outcome"])


class ShardSource(ray.data.Datasource):  # type: ignore[misc]  # Ray is an extra that mypy does not see
    """Shards as rows, from one task that runs as far ahead as there is room for."""

    def __init__(self, rows: Callable[[], Iterator[pa.Table]]) -> None:
        super().__init__()
        self._rows = rows

    def get_name(self) -> str:
        """Shown in Ray's dashboard."""
        return "Shards"

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown: nothing is listed yet."""
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
        """The one task."""
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ray.data.ReadTask(self._rows, unknown)]


def _rows(shards: Callable[[], Iterable[Shard]], folder: str) -> Iterator[pa.Table]:
    _work_in(folder)
    for shard in shards():
        yield pa.table({"shard": pa.array([cloudpickle.dumps(shard)], pa.large_binary())})


class RemoteWorker:
    """An actor: makes its work once, and answers shards.

    Args:
        make: gets the module `ray` and the number of cores, and returns the function of a shard.
        cpus: cores of the worker.
        folder: where relative paths of the source begin.
        version: of Morelli at the coordinator.
    """

    def __init__(self, make: Callable[[Any, int], Any], cpus: int, folder: str, version: str) -> None:
        _work_in(folder)
        self._work: Callable[[Shard], Any]
        if version == __version__:
            self._work = make(ray, cpus)
        else:
            text = (
                f"a worker has Morelli {__version__}, the coordinator {version}; install the same everywhere"
            )
            self._work = lambda shard: MorelliError(text)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One row in, one row out."""
        shard = cloudpickle.loads(batch.column("shard")[0].as_py())
        outcome = cloudpickle.dumps(self._work(shard))
        return pa.table({"outcome": pa.array([outcome], pa.large_binary())})


def _work_in(folder: str) -> None:
    """Let relative paths mean what they mean to the coordinator, where this machine has that folder."""
    if Path(folder).is_dir():
        os.chdir(folder)
