"""The in-memory type: identities of take, concat and matrix, and what may be split from what."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morelli.encoders import Build
from morelli.errors import BuildMismatchError, UsageError
from morelli.features import Features, near_duplicates

BUILD = Build(encoder="clip-vit-b16", weights="ab", transform="clip-224-bicubic-crop-v1", dtype="float32")


def some_features(n: int = 6, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    return Features.from_arrays(
        {
            "final": rng.normal(size=(n, 4)),
            "layer:2": rng.normal(size=(n, 3)),
            "tokens:2": rng.normal(size=(n, 2, 3)),
        },
        labels=[row % 2 for row in range(n)],
        build=BUILD,
        generator=[f"g{row}" if row % 2 else None for row in range(n)],
        camera=[f"camera {row}" for row in range(n)],
    )


def test_take_of_two_halves_concatenated_is_the_whole() -> None:
    whole = some_features()
    again = Features.concat([whole.take(np.arange(6) < 3), whole.take([3, 4, -1])])
    assert again.meta.equals(whole.meta)
    for kind in whole.kinds:
        np.testing.assert_array_equal(again.vectors[kind], whole.vectors[kind])


def test_matrix_puts_kinds_side_by_side_in_the_order_asked_for() -> None:
    features = some_features()
    matrix = features.matrix(["tokens:2", "final"])
    assert matrix.shape == (6, 10) and matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix[:, 6:], features.vectors["final"])
    np.testing.assert_array_equal(matrix[:, :6].reshape(6, 2, 3), features.vectors["tokens:2"])
    assert np.shares_memory(features.matrix("final"), features.vectors["final"])
    with pytest.raises(UsageError, match=r"layer:9; loaded are final,layer:2"):
        features.matrix(["layer:9"])


def test_columns_of_the_manifest_are_read_by_name() -> None:
    features = some_features()
    assert features.column("camera").tolist() == [f"camera {row}" for row in range(6)]
    assert features.column("generator")[:2].tolist() == [None, "g1"]
    with pytest.raises(UsageError, match=r"no column 'lens'.*camera"):
        features.column("lens")


def test_labels_must_all_be_known() -> None:
    assert some_features().labels.dtype == np.int8
    with pytest.raises(UsageError, match="1 of 2 images have no label"):
        _ = Features.from_arrays(np.eye(2), labels=[0, None]).labels


def test_features_of_two_builds_are_not_put_together() -> None:
    other = Build(encoder="clip-vit-b16", weights="cd", transform=BUILD.transform, dtype="float32")
    with pytest.raises(BuildMismatchError, match=other.fingerprint):
        Features.concat(
            [Features.from_arrays(np.eye(2), build=BUILD), Features.from_arrays(np.eye(2), build=other)]
        )


def test_external_features_mix_with_their_like_only() -> None:
    assert len(Features.concat([Features.from_arrays(np.eye(2)), Features.from_arrays(np.ones((3, 2)))])) == 5
    with pytest.raises(BuildMismatchError):
        Features.concat([Features.from_arrays(np.eye(2)), Features.from_arrays(np.eye(3))])


@pytest.mark.parametrize("uri", [["a.jpg", "é ✓", ""], ["a.jpg", None, "b.jpg"], [], ["x" * 100_000]])
def test_texts_and_nulls_are_those_of_pyarrow(uri: list[str | None]) -> None:
    features = Features.from_arrays(np.ones((len(uri), 2)), uri=uri, lineage=uri)
    assert features.meta.column("lineage").combine_chunks().equals(pa.array(uri, pa.string()))
    assert list(features.column("uri")) == uri
    assert features.meta.column("width").null_count == len(uri)
    features.meta.validate(full=True)


def test_the_columns_of_a_verdict_do_not_wait_for_pandas() -> None:
    """pyarrow imports it, where it is installed, to convert a list."""
    pytest.importorskip("pandas")
    code = (
        "import sys, numpy, morelli.features as f\n"
        "f.Features.from_arrays(numpy.eye(2), uri=['a', 'b'], sha256=['0', '1'])\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_groups_follow_lineage_then_generator_and_source() -> None:
    features = Features.from_arrays(
        np.eye(8),
        labels=[1, 1, 1, 0, 0, 0, None, 1],
        generator=["sd1", "sd2", "sdxl", None, None, None, None, None],
        lineage=["sd", "sd", None, None, None, None, None, None],
        source=[None, None, None, "coco", "coco", None, "coco", "forum"],
    )
    groups = features.groups().tolist()
    assert groups[:5] == ["fake/sd", "fake/sd", "fake/sdxl", "real/coco", "real/coco"]
    assert len(set(groups[5:])) == 3 and all(name.startswith("image/") for name in groups[5:])
    assert len(set(features.groups(real_groups="image")[3:])) == 5


def test_groups_that_share_an_image_are_one_and_order_does_not_matter() -> None:
    a, b = 0x0F0F0F0F0F0F0F0F, 0x123456789ABCDEF0
    features = Features.from_arrays(
        np.eye(6),
        labels=[1, 1, 0, 0, 1, 1],
        lineage=["gan", "adm", None, None, "sd", "flux"],
        source=[None, None, "coco", "lsun", None, None],
        sha256=["aa", "bb", "cc", "dd", "ee", "bb"],
        phash=[a, b, a ^ 0b1111, b ^ 0b11111, b ^ (0b11111 << 20), None],
    )
    assert features.groups().tolist() == [
        "fake/gan",
        "fake/adm",
        "fake/gan",
        "real/lsun",
        "fake/sd",
        "fake/adm",
    ]
    order = np.random.default_rng(0).permutation(6)
    assert features.take(order).groups().tolist() == features.groups()[order].tolist()
    alone = features.groups(near_duplicate_distance=None).tolist()
    assert alone == ["fake/gan", "fake/adm", "real/coco", "real/lsun", "fake/sd", "fake/adm"]


@given(
    words=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30),
    flips=st.lists(st.tuples(st.integers(0, 29), st.sets(st.integers(0, 63), max_size=7)), max_size=30),
    distance=st.integers(0, 6),
)
@settings(deadline=None)
def test_near_duplicates_connect_what_comparing_all_pairs_connects(
    words: list[int], flips: list[tuple[int, set[int]]], distance: int
) -> None:
    for index, bits in flips:
        words.append(words[index % len(words)] ^ sum(1 << bit for bit in bits))
    hashes = np.array(words, dtype=np.uint64)
    found = near_duplicates(hashes, distance)
    counts = np.bitwise_count(hashes)
    telling = (counts >= 8) & (counts <= 56)
    close = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= distance
    close &= telling[:, None] & telling[None, :]
    assert all(close[i, j] and i < j for i, j in found.tolist())
    assert components(len(hashes), found) == components(len(hashes), np.argwhere(close))


def components(n: int, pairs: np.ndarray) -> list[int]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].tolist()


def test_groups_of_a_hundred_thousand_images_take_seconds() -> None:
    rng = np.random.default_rng(0)
    # Half of the bits rarely set, as in real hashes, whose bits are far from independent.
    weights = np.concatenate([np.full(32, 0.5), np.full(32, 0.15)])
    bits = rng.random((100_000, 64)) < weights
    hashes = np.packbits(bits, axis=1).view(np.uint64).ravel()
    hashes[50_000:50_100] = hashes[0]
    hashes[60_000] = hashes[1] ^ np.uint64(0b1111)
    features = Features.from_arrays(
        np.zeros((100_000, 1)), sha256=[f"{n:064x}" for n in range(100_000)], phash=hashes
    )
    started = time.process_time()
    groups = features.groups()
    spent = time.process_time() - started
    assert len({*groups[50_000:50_100], groups[0]}) == 1 and groups[60_000] == groups[1]
    assert spent < 30, f"{spent:.1f} s"


@pytest.mark.parametrize("labels", [[0, 2], ["real", "fake"], [0, float("nan")], [0, "1"]])
def test_labels_that_are_none_are_refused(labels: list[object]) -> None:
    with pytest.raises(UsageError, match=r"0 \(real\), 1 \(fake\) or None"):
        Features.from_arrays(np.eye(2), labels=labels)  # type: ignore[arg-type]


def test_labels_of_any_number_type_are_taken() -> None:
    for labels in ([True, False], np.array([1, 0], np.int64), np.array([1.0, 0.0])):
        assert Features.from_arrays(np.eye(2), labels=labels).labels.tolist() == [1, 0]
