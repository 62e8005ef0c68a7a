"""A foreign detector joins as a function or as a command."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from morelli.errors import UsageError
from morelli.evaluation import Predictions, summarize
from morelli.evaluation._external import predict_external
from morelli.images import iter_source

SCORER = """
import sys
from PIL import Image
for line in sys.stdin:
    with Image.open(line.rstrip("\\n")) as image:
        print(line.rstrip("\\n"), image.width / (image.width + image.height))
"""


@pytest.fixture(scope="module")
def labelled(photo_dir):
    return [
        *iter_source(photo_dir / "more", label=1, generator="more"),
        *iter_source(photo_dir, label=0, recursive=False),
    ]


def _by_shape(paths):
    from PIL import Image

    shapes = []
    for path in paths:
        with Image.open(path) as image:
            shapes.append(image.width / (image.width + image.height))
    return shapes


def test_function_and_command_give_the_same_table(labelled, tmp_path):
    script = tmp_path / "score.py"
    script.write_text(SCORER)
    called = predict_external(_by_shape, labelled, name="shape")
    run = predict_external([sys.executable, str(script)], labelled, name="shape", batch=3)
    assert called.table.equals(run.table)
    assert called.write(tmp_path / "a.parquet") == run.write(tmp_path / "b.parquet")
    assert called.table.column("seconds").null_count == len(called)
    assert summarize(called, metadata=False).results[0].protocol == "external"
    timed = predict_external(f"{sys.executable} {script}", labelled, timed=True)
    assert timed.table.column("seconds").null_count == 0
    assert Predictions.read(tmp_path / "a.parquet").labels.tolist() == [i.label for i in labelled]


def test_members_of_archives_get_a_path(photo_dir, tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(photo_dir.iterdir()):
            if path.is_file():
                packed.write(path, path.name)
    seen = []

    def score(paths):
        seen.extend(paths)
        assert all(Path(p).is_file() for p in paths)
        return _by_shape(paths)

    inside = predict_external(score, iter_source(archive, label=1))
    outside = predict_external(_by_shape, iter_source(photo_dir, label=1, recursive=False))
    np.testing.assert_array_equal(inside.probabilities, outside.probabilities)
    assert not any(Path(p).exists() for p in seen)  # copies are gone afterwards


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        (lambda paths: [0.5], "one each"),
        (lambda paths: [2.0] * len(paths), "scores='logit'"),
        (lambda paths: [float("nan")] * len(paths), "finite"),
        ("no-such-program-anywhere", "no program"),
        ([sys.executable, "-c", "raise SystemExit('model file is missing')"], "model file is missing"),
        ([sys.executable, "-c", "print('hello')"], "no number"),
        ("", "empty"),
    ],
)
def test_failures_are_explained(labelled, detector, message):
    with pytest.raises(UsageError, match=message):
        predict_external(detector, labelled)


def test_unlabelled_images_are_refused(photo_dir):
    with pytest.raises(UsageError, match="no label"):
        predict_external(_by_shape, iter_source(photo_dir))
