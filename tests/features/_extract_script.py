"""One extraction in a process of its own, to be killed: MODEL SOURCE OUT KINDS FLUSH_ROWS [BATCH]."""

from __future__ import annotations

import sys

import lance  # noqa: F401 - imported before the start, so that kills meet the extraction itself

from morelli.encoders import load_encoder
from morelli.features import extract

if __name__ == "__main__":
    model, source, out, kinds, flush_rows, batch_size = sys.argv[1:]
    encoder = load_encoder(model, device="cpu")
    print("start", flush=True)
    extract(
        source,
        out,
        encoder=encoder,
        kinds=kinds.split(","),
        flush_rows=int(flush_rows),
        batch_size=int(batch_size),
    )
    print("end", flush=True)
