"""One made collection in the forms that each app reads: an atlas, and a Parquet file of the same rows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from app_parts.made_atlas import K, Pictures, crops, jpeg, make_atlas

DISTINCT, SIDE, THUMBNAIL, NEIGHBOURS = 4000, 256, 128, 16


def make_pictures(folder: Path, n: int) -> Pictures:
    """`n` JPEG files of 256 pixels a side, hard links to 4,000 distinct ones, and their thumbnails."""
    rng = np.random.default_rng(1)
    of_row = np.arange(n) % min(DISTINCT, n)
    uris, thumbnails = [], []
    for number, picture in enumerate(crops(len(set(of_row.tolist())), SIDE, rng)):
        thumbnails.append(jpeg(picture.resize((THUMBNAIL, THUMBNAIL)), 82))
        for row in range(number, n, DISTINCT):
            path = folder / f"{row // 1000:03}" / f"{row:07}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            if row == number:
                first = path
                path.write_bytes(jpeg(picture, 90))
            else:
                os.link(first, path)
    uris = [str(folder / f"{row // 1000:03}" / f"{row:07}.jpg") for row in range(n)]
    return Pictures(thumbnails, of_row, uris)


def make_collection(folder: Path, n: int) -> None:
    """Pictures, `board.atlas`, and `rows.parquet` with what the atlas knows of each row.

    Positions, scores, verdicts and outcomes of the Parquet file are read out of the atlas. `vector` has the
    embedding, `neighbors` the 16 nearest rows by its cosine.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sklearn.neighbors import NearestNeighbors

    from morelli.atlas import Atlas

    make_atlas(folder / "board.atlas", n, make_pictures(folder / "pictures", n))
    atlas = Atlas.open(folder / "board.atlas")
    columns = atlas.collection
    records = columns.records(range(n), ["uri", "label", "generator", "source"])
    verdicts = np.array(["real", "no answer", "generated"], object)[columns.verdicts]
    labels = np.where(np.asarray(columns.labels) == 1, "generated", "real")
    outcomes = np.where(verdicts == "no answer", "no answer", np.where(verdicts == labels, "right", "wrong"))
    vectors = np.asarray(columns.values, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances, ids = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(vectors).kneighbors(vectors)
    table = pa.table(
        {
            "path": records.column("uri"),
            "label": labels,
            "generator": records.column("generator"),
            "source": records.column("source"),
            "score": np.asarray(columns.probabilities, np.float64),
            "verdict": pa.array(verdicts, pa.string()),
            "outcome": pa.array(outcomes, pa.string()),
            "x": np.asarray(columns.xy[:, 0], np.float64),
            "y": np.asarray(columns.xy[:, 1], np.float64),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), K),
            "neighbors": pa.array(
                [
                    {"ids": i, "distances": d}
                    for i, d in zip(ids.tolist(), (distances**2 / 2).tolist(), strict=True)
                ]
            ),
        }
    )
    pq.write_table(table, folder / "rows.parquet")
    counts = {name: int((outcomes == name).sum()) for name in ("right", "wrong", "no answer")}
    (folder / "made.json").write_text(
        json.dumps({"images": n, "distinct": min(DISTINCT, n), **counts}), encoding="utf-8"
    )
