"""UnivFD's protocol against a hand-worked example, and its folder layout."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from morelli.detectors import LinearProbe
from morelli.errors import SourceError
from morelli.evaluation import Candidate, Predictions, summarize, univfd_items, univfd_sets
from morelli.evaluation._univfd_protocol import univfd, univfd_table
from morelli.features import Features, extract
from morelli.images import decode
from morelli.reports._summary_tables import summary_markdown


@pytest.fixture(scope="module")
def layout(photos, tmp_path_factory):
    """Real files in the published layout: class folders, a dotted name, shared reals, other formats."""
    root = tmp_path_factory.mktemp("univfd")
    names = iter(range(10**6))

    def put(folder, count, suffix=".png", name="{}"):
        (root / folder).mkdir(parents=True)
        for _ in range(count):
            i = next(names)
            image = photos[i % len(photos)][1].convert("RGB").resize((40 + i % 7, 40))
            image.save(root / folder / (name.format(i) + suffix))

    put("progan/car/0_real", 3)
    put("progan/car/1_fake", 2)
    put("progan/dog/0_real", 1, ".jpg")
    put("progan/dog/1_fake", 2, name="a.dotted.{}")
    put("biggan/0_real", 2)
    put("biggan/1_fake", 3)
    put("laion/0_real", 5)
    put("imagenet/0_real", 2)
    put("ldm_200/1_fake", 2)
    put("guided/1_fake", 1)
    (root / "biggan" / "1_fake" / "notes.txt").write_text("not an image")
    return root


def test_layout_is_read_as_published(layout):
    sets = {s.name: (len(s.reals), len(s.fakes)) for s in univfd_sets(layout)}
    assert sets == {"biggan": (2, 3), "guided": (2, 1), "ldm_200": (5, 2), "progan": (4, 4)}


def test_sample_counts_fall_to_the_second_number(layout):
    sets = {s.name: (len(s.reals), len(s.fakes)) for s in univfd_sets(layout, sample=(4, 2))}
    # progan has 4 of each and keeps them; the others have a class with fewer than 4 and fall to 2.
    assert sets == {"biggan": (2, 2), "guided": (2, 1), "ldm_200": (2, 2), "progan": (4, 4)}
    assert univfd_sets(layout, sample=(3, 1)) == univfd_sets(layout, sample=(3, 1))


def test_items_name_the_sets_and_share_reals(layout):
    items = list(univfd_items(univfd_sets(layout), layout))
    assert len(items) == len({i.uri for i in items}) == 23
    reals = [i for i in items if i.uri.startswith("laion")]
    assert {i.metadata["set"] for i in reals} == {"ldm_200"}
    assert all(decode(i.read()).image.size[1] == 40 for i in items)


def test_missing_layouts_are_named(layout, tmp_path):
    with pytest.raises(SourceError, match="no folder"):
        univfd_sets(layout / "nowhere")
    with pytest.raises(SourceError, match="holds no set"):
        univfd_sets(tmp_path)
    (tmp_path / "dalle" / "1_fake").mkdir(parents=True)
    (tmp_path / "dalle" / "1_fake" / "x.png").write_bytes(b"")
    with pytest.raises(SourceError, match="laion"):
        univfd_sets(tmp_path)


class _GivenScore(BaseEstimator):
    """Reads the probability out of the feature itself, so that the example can be worked by hand."""

    def fit(self, X, y):
        self.n_seen_ = len(X)
        return self

    def decision_function(self, X):
        return np.log(X[:, 0] / (1 - X[:, 0])).astype(float)


def test_table_equals_a_hand_worked_example():
    train = Features.from_arrays([[0.1], [0.2], [0.8], [0.9]], labels=[0, 0, 1, 1])
    held_in = Features.from_arrays([[0.6], [0.7], [0.65], [0.9]], labels=[0, 0, 1, 1], sha256=list("abcd"))
    test = Features.from_arrays(
        [[0.2], [0.66], [0.3], [0.7], [0.9], [0.6], [0.64]],
        labels=[0, 0, 0, 1, 1, 1, 1],
        set=["biggan,ldm_200", "biggan", "ldm_200", "biggan", "biggan", "ldm_200", "ldm_200"],
        sha256=list("tuvwxyz"),
    )
    predictions = univfd(train, test, [Candidate("given", _GivenScore())], held_in=held_in)
    table = univfd_table(predictions)
    assert table.tuned_threshold == pytest.approx(0.65, abs=1e-6)
    biggan, ldm = table.rows
    assert (biggan.name, biggan.n_real, biggan.n_fake) == ("biggan", 2, 2)
    # biggan: reals 0.2, 0.66; fakes 0.7, 0.9. Ranked perfectly; 0.66 is wrong at 0.5 and at 0.65.
    assert (biggan.average_precision, biggan.accuracy) == (1.0, 0.75)
    assert (biggan.real_accuracy, biggan.fake_accuracy, biggan.tuned_accuracy) == (0.5, 1.0, 0.75)
    assert (biggan.oracle_threshold, biggan.oracle_accuracy) == (pytest.approx(0.68), 1.0)
    # ldm_200: reals 0.2, 0.3; fakes 0.6, 0.64. Right at 0.5; both fakes are lost at 0.65.
    assert (ldm.average_precision, ldm.accuracy, ldm.tuned_accuracy) == (1.0, 1.0, 0.5)
    assert (ldm.oracle_threshold, ldm.oracle_accuracy) == (0.5, 1.0)
    assert table.mean == {
        "average_precision": 1.0,
        "accuracy": 0.875,
        "real_accuracy": 0.75,
        "fake_accuracy": 1.0,
        "tuned_accuracy": 0.625,
        "oracle_accuracy": 1.0,
    }
    assert table.families["GAN"]["accuracy"] == 0.75
    assert table.families["diffusion"]["accuracy"] == 1.0
    assert table.to_json()["rows"][0]["n_real"] == 2


def test_average_precision_of_a_set_with_an_error_in_the_middle():
    # Descending: fake, real, fake, so AP = (1/1 + 2/3) / 2.
    predictions = Predictions.from_columns(
        label=[1, 0, 1], probability=[0.9, 0.8, 0.7], uri=list("abc"), protocol="univfd", fold="san"
    )
    table = univfd_table(predictions)
    assert table.rows[0].average_precision == pytest.approx(5 / 6)
    assert np.isnan(table.tuned_threshold)


def test_files_to_table_with_a_small_encoder(layout, tiny_clip_dir, tmp_path):
    from morelli.encoders import load_encoder

    items = list(univfd_items(univfd_sets(layout), layout))
    path = tmp_path / "features.lance"
    extract(items, path, encoder=load_encoder(str(tiny_clip_dir)), kinds=["final"])
    from morelli.features import FeatureTable

    features = FeatureTable.open(path).load()
    rows = np.array(["progan" in str(v) for v in features.column("set")])
    predictions = univfd(
        features.take(rows), features.take(~rows), [Candidate("probe", LinearProbe(C=0.1))], held_in=0.5
    )
    table = univfd_table(predictions)
    assert [(r.name, r.n_real, r.n_fake) for r in table.rows] == [
        ("biggan", 2, 3),
        ("guided", 2, 1),
        ("ldm_200", 5, 2),
    ]
    assert len(predictions.select(part="held_in")) >= 2
    result = summarize(predictions, metadata=False, fold_rounds=20).results[0]
    assert result.univfd == table
    assert "UnivFD's table" in summary_markdown(summarize(predictions, metadata=False, fold_rounds=20))
