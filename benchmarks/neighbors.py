"""Claim: exact neighbours without faiss cost no more than its flat index, though they are ranked in float64.

    python benchmarks/neighbors.py [--bank 100000] [--dim 512] [--queries 1024] [--k 9] [--rounds 7]

Peer: `faiss.IndexFlatIP` over the same unit vectors, searched with unit float32 queries. Ours:
`NearestNeighborDetector.kneighbors`, which also normalises, keeps the classes apart and ranks in
float64. Both run in turn, several rounds; the ratio is the median of the rounds' ratios. Needs
`morelli[faiss]`.
"""

from __future__ import annotations

import argparse
import platform
import time

import faiss
import numpy as np

from morelli.detectors import NearestNeighborDetector


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bank", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=1024)
    parser.add_argument("--k", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ann", action="store_true", help="also build HNSW and IVF and print their recall")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    # Clustered like embeddings, not an even ball: neighbours then have neighbours' similarities.
    centres = rng.normal(size=(200, args.dim))
    bank = centres[rng.integers(200, size=args.bank)] + rng.normal(size=(args.bank, args.dim))
    bank = bank.astype(np.float32)
    queries = centres[rng.integers(200, size=args.queries)] + rng.normal(size=(args.queries, args.dim))
    queries = queries.astype(np.float32)
    labels = rng.integers(2, size=args.bank)

    flat = faiss.IndexFlatIP(args.dim)
    flat.add(_unit(bank))
    unit = _unit(queries)
    ours = NearestNeighborDetector(args.k).fit(bank, labels)
    flat.search(unit[:64], args.k)
    ours.kneighbors(queries[:64])

    machine = platform.processor() or platform.machine()
    print(f"{machine}, faiss {faiss.__version__}, threads {faiss.omp_get_max_threads()}")
    print(f"bank {args.bank} x {args.dim}, {args.queries} queries a batch, k = {args.k}")
    ratios, speeds = [], []
    for turn in range(args.rounds):
        pair = {}
        for name in ("ours", "peer") if turn % 2 else ("peer", "ours"):
            start = time.perf_counter()
            if name == "ours":
                near = ours.kneighbors(queries)
            else:
                _, found = flat.search(unit, args.k)
            pair[name] = args.queries / (time.perf_counter() - start)
        ratios.append(pair["ours"] / pair["peer"])
        speeds.append(pair)
    where, _, _ = near.union(args.k)
    mine = float(np.median([pair["ours"] for pair in speeds]))
    peer = float(np.median([pair["peer"] for pair in speeds]))
    same = float(np.mean([len(set(a) & set(b)) / args.k for a, b in zip(where, found, strict=True)]))
    print(f"faiss flat {peer:,.0f} queries/s   ours {mine:,.0f} queries/s   ratio {np.median(ratios):.3f}")
    print(f"same neighbours as faiss in float32: {100 * same:.2f} %")
    if args.ann:
        for kind in ("hnsw", "ivf"):
            start = time.perf_counter()
            quick = NearestNeighborDetector(args.k, index=kind).fit(bank, labels)
            quick.kneighbors(queries[:1])
            built = time.perf_counter() - start
            start = time.perf_counter()
            guess, _, _ = quick.kneighbors(queries).union(args.k)
            speed = args.queries / (time.perf_counter() - start)
            hits = np.mean([len(set(a) & set(b)) / args.k for a, b in zip(where, guess, strict=True)])
            print(f"{kind}: {speed:,.0f} queries/s, recall {100 * hits:.1f} %, built in {built:.0f} s")


def _unit(X: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(X / np.linalg.norm(X, axis=1, keepdims=True), dtype=np.float32)


if __name__ == "__main__":
    main()
