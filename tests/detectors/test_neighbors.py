"""The nearest-neighbour detector equals a float64 brute force, and its bank can change."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone

from morelli.detectors import NearestNeighborDetector
from morelli.detectors._cosine_index import CosineIndex
from morelli.errors import UsageError


def brute(queries: NDArray[np.float32], bank: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosines (n, m) in float64, one sum per pair."""
    q, b = queries.astype(np.float64), bank.astype(np.float64)
    dots = np.einsum("qd,nd->qn", q, b)
    size = np.sqrt((q**2).sum(1))[:, None] * np.sqrt((b**2).sum(1))[None, :]
    return np.divide(dots, size, out=np.zeros_like(dots), where=size > 0)


def nearest(cosine: NDArray[np.float64], positions: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The k best of `positions`, equal cosines in bank order."""
    order = np.argsort(-np.round(cosine[:, positions], 13), axis=1, kind="stable")
    return positions[order[:, :k]]


def with_ties(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Small whole numbers collide often; rows repeat, some scaled; one bank row and one query are zero."""
    rng = np.random.default_rng(seed)
    bank = np.round(rng.normal(size=(400, 6))).astype(np.float32)
    bank[100:160] = bank[:60]
    bank[160:200] = 2 * bank[20:60]
    bank[7] = 0
    queries = np.concatenate([np.round(rng.normal(size=(60, 6))), bank[:20], np.zeros((1, 6))]).astype(
        np.float32
    )
    return bank, rng.integers(0, 2, 400), queries


def embeddings(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Nearly parallel vectors, as class tokens are: float32 alone cannot rank them."""
    rng = np.random.default_rng(seed)
    bank = (rng.normal(size=(500, 96)) * 1e-3 + rng.normal(size=96) * 5).astype(np.float32)
    bank[250:300] = bank[:50]
    queries = (bank[rng.integers(0, 500, 40)] + rng.normal(size=(40, 96)) * 1e-3).astype(np.float32)
    return bank, rng.integers(0, 2, 500), queries


@pytest.mark.parametrize("k", range(1, 10))
@pytest.mark.parametrize("data", [with_ties, embeddings])
def test_neighbours_equal_brute_force(data, k: int) -> None:
    bank, labels, queries = data(k)
    cosine = brute(queries, bank)
    detector = NearestNeighborDetector(k).fit(bank, labels)
    near = detector.kneighbors(queries)
    for label, where, similarity in (
        (0, near.real, near.real_similarity),
        (1, near.fake, near.fake_similarity),
    ):
        expected = nearest(cosine, np.flatnonzero(labels == label), k)
        np.testing.assert_array_equal(where, expected)
        np.testing.assert_allclose(similarity, np.take_along_axis(cosine, expected, 1), atol=1e-14)
    union, _, fake = near.union(k)
    expected = nearest(cosine, np.arange(len(bank)), k)
    np.testing.assert_array_equal(union, expected)
    np.testing.assert_array_equal(fake, labels[expected] == 1)


@pytest.mark.parametrize("k", range(1, 10))
def test_both_voting_rules_by_their_definition(k: int) -> None:
    bank, labels, queries = embeddings(k)
    cosine = brute(queries, bank)
    top = -np.sort(-cosine[:, labels == 1], axis=1)[:, :k].mean(1)
    top -= -np.sort(-cosine[:, labels == 0], axis=1)[:, :k].mean(1)
    mean = NearestNeighborDetector(k).fit(bank, labels)
    np.testing.assert_allclose(mean.decision_function(queries), top, atol=1e-14)
    votes = labels[nearest(cosine, np.arange(len(bank)), k)].mean(1)
    majority = NearestNeighborDetector(k, voting="majority").fit(bank, labels)
    np.testing.assert_allclose(majority.decision_function(queries), 2 * votes - 1, atol=1e-14)
    if k == 1:
        distinct = np.abs(top) > 1e-13  # a copy in either class is a tie of similarities
        np.testing.assert_array_equal(mean.predict(queries)[distinct], majority.predict(queries)[distinct])


def test_a_tie_is_real() -> None:
    bank = np.array([[1.0, 0.0], [0.0, 1.0]])
    for voting in ("mean_similarity", "majority"):
        detector = NearestNeighborDetector(2, voting=voting).fit(bank, [1, 0])
        assert detector.predict([[1.0, 1.0]]).tolist() == [0]


@pytest.mark.parametrize("index", ["exact", "ivf", "hnsw"])
def test_adding_and_removing_equals_fitting_anew(index: str) -> None:
    bank, labels, queries = embeddings(3)
    rng = np.random.default_rng(1)
    bank = bank - bank.mean(0) + rng.normal(size=bank.shape).astype(np.float32) * 1e-4
    queries = queries - queries.mean(0)
    ids = np.array([f"image{i}" for i in range(len(bank))], dtype=object)
    options = {"ef_search": 2000} if index == "hnsw" else {"n_probe": 1000} if index == "ivf" else {}
    detector = NearestNeighborDetector(3, index=index, **options).fit(bank[:400], labels[:400], ids=ids[:400])
    detector.kneighbors(queries)  # the index exists before it changes
    gone = ids[5:400:6]
    detector.remove(gone).add(bank[400:], labels[400:], ids=ids[400:])
    detector.remove(ids[401:420:4])
    left = np.array(
        [i for i in range(500) if not ((5 <= i < 400 and (i - 5) % 6 == 0) or i in range(401, 420, 4))]
    )
    fresh = NearestNeighborDetector(3).fit(bank[left], labels[left], ids=ids[left])
    assert detector.ids_.tolist() == ids[left].tolist()
    changed, again = detector.kneighbors(queries), fresh.kneighbors(queries)
    agreement = np.mean(changed.real == again.real), np.mean(changed.fake == again.fake)
    assert min(agreement) == 1.0 if index == "exact" else min(agreement) > 0.97
    assert not set(detector.ids_[changed.fake.ravel()]) & set(gone)


def test_the_bank_refuses_what_would_break_it() -> None:
    detector = NearestNeighborDetector().fit(
        [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0, 1, 1], ids=["a", "b", "c"]
    )
    with pytest.raises(UsageError, match="unique"):
        detector.add([[1.0, 0.0]], [0], ids=["a"])
    with pytest.raises(UsageError, match="unknown labels"):
        detector.add([[1.0, 0.0]], [2])
    with pytest.raises(UsageError, match="not in the bank: z"):
        detector.remove(["z"])
    with pytest.raises(UsageError, match="empty one class"):
        detector.remove(["a"])
    assert detector.ids_.tolist() == ["a", "b", "c"]


def test_fewer_members_than_k_are_all_there_is() -> None:
    detector = NearestNeighborDetector(5).fit([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0, 1, 1])
    near = detector.kneighbors([[1.0, 0.2]])
    assert near.real.tolist() == [[0, -1, -1, -1, -1]]
    assert near.fake.tolist() == [[2, 1, -1, -1, -1]]
    assert np.isfinite(detector.decision_function([[1.0, 0.2]])).all()
    assert clone(detector).get_params()["k"] == 5


def test_a_search_of_many_queries_needs_no_memory_for_all_products() -> None:
    rng = np.random.default_rng(2)
    bank, queries = rng.normal(size=(2000, 4)), rng.normal(size=(12_000, 4))
    index = CosineIndex(bank.astype(np.float32))
    tracemalloc.start()
    try:
        where, _ = index.search(queries.astype(np.float32), 3)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 200 * 2**20 < 16 * len(bank) * len(queries)
    some = np.arange(0, 12_000, 97)
    expected = nearest(brute(queries.astype(np.float32)[some], index._X), np.arange(2000), 3)
    np.testing.assert_array_equal(where[some], expected)


def test_blocks_of_any_size_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    bank = rng.normal(size=(3000, 32)).astype(np.float32)
    bank[1500:1600] = bank[:100]
    queries = np.concatenate([rng.normal(size=(50, 32)), bank[:5], np.zeros((1, 32))]).astype(np.float32)
    index = CosineIndex(bank)
    gone = np.arange(3000) % 7 == 0

    def found(products: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        monkeypatch.setattr("morelli.detectors._cosine_index._BLOCK", products)
        # With few products of a query in a block, the largest of blocks are looked at first.
        monkeypatch.setattr("morelli.detectors._cosine_index._WIDTH", 8 if products == 1 else 256)
        return index.search(queries, k)

    for _ in range(2):
        for k in (1, 9, 40):
            for one, all_at_once in zip(found(1, k), found(2**22, k), strict=True):
                np.testing.assert_array_equal(one, all_at_once)
        index.remove(gone)
        index.add(bank[gone])
