"""Connecting to a Ray cluster, or starting one on this machine for the time of a job."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from morelli import extras
from morelli.encoders._runtime import processor_threads
from morelli.errors import MorelliError, UsageError

LOCAL_STORE = 256 << 20
"""Ray's object store on this machine: listings and descriptions pass through it, no image and no vector."""
MOST_CPUS = 8
"""Cores of one worker: as many passes of the encoder run at once as one process makes use of."""


@dataclass(frozen=True)
class Cluster:
    """Where a job runs.

    Attributes:
        address: of a running Ray cluster, such as ``10.0.0.7:6379`` or ``auto``; None takes the one that this
            program is connected to, then what `RAY_ADDRESS` names, and else starts Ray on this machine.
        actors: the largest number of workers, for a cluster that grows; None: as many as fit now.
        cpus: cores of one worker; None: those of a machine, at most 8. On a GPU each worker has one GPU.
        memory: bytes of main memory to reserve for each worker, so that no machine gets more than it bears;
            None reserves none.
        offline: workers never touch the network for weights.
    """

    address: str | None = None
    actors: int | None = None
    cpus: int | None = None
    memory: int | None = None
    offline: bool = False

    def __post_init__(self) -> None:
        for name in ("actors", "cpus", "memory"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} of a cluster is at least 1, not {value}")


def cluster_of(engine: str | Cluster) -> Cluster:
    """The cluster that ``engine="ray"`` means, or the one that is given.

    Raises:
        UsageError: another word.
    """
    if isinstance(engine, Cluster):
        return engine
    if engine != "ray":
        raise UsageError(f"engine is 'local', 'ray' or a Cluster, not {engine!r}")
    return Cluster()


@dataclass(frozen=True)
class Pool:
    """Workers as they fit into a cluster now."""

    least: int
    most: int
    cpus: int
    gpus: int
    memory: int | None


def require_ray() -> None:
    """Raise unless Ray and its Data library can be imported.

    Raises:
        UsageError: the text names the command that installs them.
    """
    if not extras.installed("ray", "pandas"):
        raise UsageError(extras.missing("The engine ray needs Ray Data", "ray"))


@contextmanager
def connected(cluster: Cluster) -> Iterator[Any]:
    """The module `ray`, connected to `cluster` while the block runs.

    Raises:
        UsageError: Ray is not installed.
        MorelliError: there is no cluster at the address, or Ray cannot start here.
    """
    require_ray()
    # Ray reads both when it is imported. A program that looks at pictures reports nothing to anybody, and
    # what Ray's core writes to stderr by itself says nothing to users.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    if ray.is_initialized():
        yield ray
        return
    address = cluster.address or os.environ.get("RAY_ADDRESS") or None
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    local = {
        "num_cpus": processor_threads(), "include_dashboard": False, "object_store_memory": LOCAL_STORE
    }  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="lance is not fork-safe")  # the child becomes Ray
            # Without "local", Ray would take any cluster that somebody runs on this machine.
            ray.init(address=address, **quiet) if address else ray.init(address="local", **local, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        raise MorelliError(f"{where} cannot be reached or started: {first_line(error)}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def pool_of(ray: Any, cluster: Cluster, *, gpu: bool) -> Pool:
    """How many workers of which size the cluster holds.

    Raises:
        MorelliError: no machine has room for a single worker.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = [int(machine.get("CPU", 0)) for machine in machines if machine.get("CPU", 0) >= 1]
    if gpu:
        with_gpu = [machine for machine in machines if machine.get("GPU", 0) >= 1]
        if not with_gpu:
            raise MorelliError(
                "no machine of the cluster has a free GPU; start one with GPUs, or use the cpu"
            )
        share = min(int(machine.get("CPU", 0) // machine["GPU"]) for machine in with_gpu)
        cpus = cluster.cpus or max(1, min(2 * MOST_CPUS, share))
        fitting = sum(int(min(machine["GPU"], machine.get("CPU", 0) // cpus)) for machine in with_gpu)
    else:
        cpus = cluster.cpus or min([MOST_CPUS, *cores])
        fitting = sum(count // cpus for count in cores)
    if cluster.memory is not None:
        fitting = min(fitting, sum(int(m.get("memory", 0) // cluster.memory) for m in machines))
    if fitting < 1:
        raise MorelliError(
            f"no machine of the cluster has room for a worker of {cpus} cores"
            + (f" and {cluster.memory:,} bytes of memory" if cluster.memory else "")
            + "; give workers less, or start larger machines"
        )
    most = cluster.actors or fitting
    return Pool(min(fitting, most), most, cpus, int(gpu), cluster.memory)


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
