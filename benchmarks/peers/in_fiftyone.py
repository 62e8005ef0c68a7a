"""Runs in FiftyOne's own environment: `make FOLDER` writes the dataset, `serve FOLDER PORT [clean]` shows it.

With `clean` the tags of earlier runs are taken away first.

The App is launched as its documentation has it for a script, with the panels for samples and embeddings side
by side; fields that are filtered are indexed, and the map is computed with its spatial index.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

NAME = "board"


def make(folder: Path) -> None:
    import fiftyone as fo
    import fiftyone.brain as fob
    import numpy as np

    rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    arrays = np.load(folder / "rows.npz")
    if fo.dataset_exists(NAME):
        fo.delete_dataset(NAME)
    dataset = fo.Dataset(NAME, persistent=True)
    fields = ("generator", "source", "score", "verdict", "outcome")
    dataset.add_samples(
        [
            fo.Sample(
                filepath=path, label=fo.Classification(label=label), **dict(zip(fields, more, strict=True))
            )
            for path, label, *more in zip(
                rows["path"], rows["label"], *(rows[name] for name in fields), strict=True
            )
        ],
        progress=False,
    )
    for name in ("label.label", "generator", "score", "outcome"):
        dataset.create_index(name)
    fob.compute_visualization(dataset, points=arrays["points"], brain_key="map", create_index=True)
    fob.compute_similarity(dataset, embeddings=arrays["vector"], brain_key="alike", backend="sklearn")


def serve(port: int, *, clean: bool) -> None:
    import fiftyone as fo

    dataset = fo.load_dataset(NAME)
    if clean and NAME in dataset.distinct("tags"):
        dataset.untag_samples(NAME)

    # Without component ids and active children the App draws both panels empty.
    samples = fo.Panel(type="Samples", pinned=True, component_id="samples")
    embeddings = fo.Panel(type="Embeddings", component_id="map")
    spaces = fo.Space(
        orientation="horizontal",
        sizes=[0.64, 0.36],
        children=[
            fo.Space(children=[samples], active_child="samples"),
            fo.Space(children=[embeddings], active_child="map"),
        ],
    )
    session = fo.launch_app(dataset, spaces=spaces, port=port, address="127.0.0.1", remote=True, auto=False)
    print("ready", flush=True)
    session.wait(-1)


if __name__ == "__main__":
    os.environ["FIFTYONE_DO_NOT_TRACK"] = "true"
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        serve(int(sys.argv[3]), clean="clean" in sys.argv[4:])
