"""The greedy search over 512 components, in closed form, against refitting every candidate.

    python benchmarks/component_search.py [--rows 1400] [--components 512] [--generators 12] [--steps 511]

Prints the time of the whole backward search with leave-one-generator-out as its criterion (every
generator trains, every other one validates, both halves of the reals), then the time that the plain
refit takes for one step, extrapolated to the same search, and their ratio. Both score by the same
surrogate, and the refit's choice of the first component is checked against the closed form's.
"""

from __future__ import annotations

import argparse
import os
import platform
import time

import numpy as np
from threadpoolctl import threadpool_limits

from morelli.explanation.components._problem import TaskData, refit
from morelli.explanation.components._search import SearchOptions, steps
from morelli.explanation.components._sweep import Sweep, surrogate_auc


def data_of(rows: int, d: int, generators: int, rng: np.random.Generator) -> tuple[TaskData, list[str]]:
    """Correlated features: half reals, half fakes of the given number of generators."""
    names = [f"g{k:02d}" for k in range(generators)]
    n0 = rows // 2
    generator = np.array([""] * n0 + [names[k % generators] for k in range(rows - n0)], dtype=object)
    mixing = rng.normal(size=(d, d)) / np.sqrt(d)
    X = rng.normal(size=(rows, d)) @ mixing
    for name in names:
        X[generator == name] += 0.2 * rng.normal(size=d)
    y = (generator != "").astype(np.intp)
    return TaskData.build(X, y, generator, np.arange(rows), names, ridge=10.0, rng=rng), names


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for flag, default in (
        ("rows", 1400),
        ("components", 512),
        ("generators", 12),
        ("steps", 511),
        ("refits", 4),
    ):
        parser.add_argument(f"--{flag}", type=int, default=default)
    args = parser.parse_args()
    data, names = data_of(args.rows, args.components, args.generators, np.random.default_rng(0))

    wall, cpu = time.perf_counter(), time.process_time()
    order = []
    for component, _ in steps(data, names, SearchOptions("backward"), np.random.default_rng(0)):
        order.append(component)
        if len(order) == args.steps:
            break
    ours, ours_cpu = time.perf_counter() - wall, time.process_time() - cpu

    problem = data.problem(names)
    sweep = Sweep(problem, "backward")
    closed = sweep.scores()[: args.refits]
    wall, cpu = time.perf_counter(), time.process_time()
    plain = []
    for candidate in range(args.refits):
        kept = np.setdiff1d(np.arange(args.components), [candidate])
        w = refit(problem, kept)
        variance = np.stack([((w @ z.T) ** 2).sum(axis=1) for z in problem.factors], axis=1)
        value = surrogate_auc(w @ problem.shift.T, variance[:, problem.fake] + variance[:, problem.real])
        plain.append((value * problem.weight).sum() / problem.weight.sum())
    refit_cpu = (time.process_time() - cpu) / args.refits
    np.testing.assert_allclose(closed, plain, atol=1e-8)
    # A refit on m components costs about (m/d)³ of one on d; a step with m left has m candidates.
    left = args.components - np.arange(args.steps)
    total = refit_cpu * float((left * (left / args.components) ** 3).sum())
    when, load = time.strftime("%Y-%m-%d"), os.getloadavg()[0]
    hours = total / 3600
    print(f"{platform.machine()}, {os.cpu_count()} cores, {when}, load {load:.1f}")
    print(f"closed form: {len(order)} of {args.components} components: {ours:.1f} s, {ours_cpu:.1f} s CPU")
    print(f"plain refit: {refit_cpu * 1e3:.0f} ms CPU a candidate; the same search: {hours:.1f} h CPU")
    print(f"ratio (CPU): {total / ours_cpu:.0f}; first scores equal to 1e-8")


if __name__ == "__main__":
    with threadpool_limits(limits=1, user_api="blas"):  # as `ComponentMask.fit` does
        main()
