"""One extraction on a running cluster in a process of its own, to be killed: MODEL SOURCE OUT ADDRESS."""

from __future__ import annotations

import sys

from morelli.encoders import load_encoder
from morelli.encoders.cluster import Cluster
from morelli.features import extract
from morelli.features._distributed import _coordinator

if __name__ == "__main__":
    model, source, out, address = sys.argv[1:]
    _coordinator.COMMIT_SECONDS = 0.0  # every shard, so that a kill meets a half-filled table
    extract(
        source,
        out,
        encoder=load_encoder(model, device="cpu"),
        kinds=["final", "layer:2"],
        flush_rows=8,
        engine=Cluster(address, cpus=1),
    )
    print("end", flush=True)
