"""Search over detectors, nested: what each candidate is worth, and what choosing among them is worth.

    python scripts/detector_search.py MANIFEST... --work FOLDER [--page PAGE.md]
    python scripts/detector_search.py MANIFEST... --work FOLDER --control shuffled
    python scripts/detector_search.py MANIFEST... --work FOLDER --control file-facts

MANIFEST and FOLDER are those of `default_bundle.py`, whose feature tables are used and completed.

Lineages and real sources are dealt into folds as wholes. For each outer fold every candidate is fitted
without it and each of the other folds in turn; the candidate that does best on those is chosen, fitted on all
of them and scored on the outer fold, which had no say in anything. The figures of that row are nested; those
of a single candidate are not, since somebody looked at them.

The criterion was fixed beforehand: the mean AUC of old and new generators, on the standard delivery and on
files as they came.

Controls go through the whole search; PAGE.md, of a search before, gets what their nested choice scores.
`shuffled`: whole lineages and sources have each other's labels.
`file-facts`: the features are the file's format, size and shape instead of what the encoder saw.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from default_bundle import (
    CLASS_TOKENS,
    EXPERT_OF,
    FPR,
    KINDS,
    LEAST_KIND,
    PROBE,
    REDELIVERED,
    SHOT,
    SMALL,
    STANDARD,
    TRAINED,
    WORDS,
    YEARS,
    below,
    image_folds,
    is_late,
    kind_of,
    load_views,
)
from numpy.typing import NDArray

from morelli.detectors import ExpertProbe
from morelli.detectors._expert_probe import expert_codes, fit_shifts, joined
from morelli.detectors._fit import view_weights
from morelli.detectors._weights import balanced_weights
from morelli.evaluation import MeasureOptions, Predictions, measure
from morelli.features import Features
from morelli.images import decode, iter_source
from morelli.metrics import roc_auc

N_FOLDS = 6
FACTS = ("facts",)
Array = NDArray[Any]


@dataclass(frozen=True)
class Candidate:
    """One detector: what it reads, what trains it with what weight, where experts begin, its penalty."""

    name: str
    kinds: tuple[str, ...] = CLASS_TOKENS
    trained: Sequence[str] | Mapping[str, float] = field(default_factory=lambda: TRAINED)
    years: tuple[int, ...] = YEARS
    C: float = PROBE.C


FOUR = (STANDARD, SMALL, REDELIVERED, SHOT)
CANDIDATES = (
    Candidate("final embedding, one head, one delivery", ("final",), (STANDARD,), (), 2e-3),
    Candidate("blocks 7–12 and final, one head, one delivery", trained=(STANDARD,), years=(), C=2e-3),
    Candidate("the same, four deliveries", trained=FOUR, years=(), C=2e-3),
    Candidate("two experts (until 2022, 2023 and later), one delivery", trained=(STANDARD,), C=2e-3),
    Candidate("two experts, and small copies", trained=(STANDARD, SMALL), C=2e-3),
    Candidate("and random re-deliveries", trained=(STANDARD, SMALL, REDELIVERED), C=2e-3),
    Candidate("and screenshots", trained=FOUR, C=2e-3),
    Candidate("and more re-deliveries, weighed", C=2e-3),
    Candidate("the same, more regularised", C=2 * PROBE.C),
    Candidate("with the heads' outputs of blocks 5–12: the bundle", kinds=KINDS),
    Candidate("the same, much more regularised", kinds=KINDS, C=PROBE.C / 4),
    Candidate("class tokens alone, less regularised", C=8e-3),
    Candidate("class tokens of blocks 9–12 alone", kinds=CLASS_TOKENS[2:], C=2 * PROBE.C),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Score every candidate, choose inside the folds, print and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True, help="folder of the feature tables")
    parser.add_argument("--page", type=Path, help="page to write")
    parser.add_argument("--predictions", type=Path, help="held-out scores of the nested choice to write")
    parser.add_argument("--control", choices=("shuffled", "file-facts"))
    options = parser.parse_args(arguments)

    started = time.monotonic()
    views = of_deliveries(load_views(options.manifest, options.work), [*TRAINED, *WORDS])
    candidates: Sequence[Candidate] = CANDIDATES
    if options.control == "shuffled":
        views = shuffled(views, seed=0)
    elif options.control == "file-facts":
        views = replace(views, vectors={"facts": file_facts(options.manifest, views)})
        candidates = [replace(one, kinds=FACTS) for one in CANDIDATES]
    text = search(views, candidates, options.manifest, options.predictions)
    text += f"\n\nThe search took {(time.monotonic() - started) / 60:.0f} minutes.\n"
    print(text)
    if options.page is not None and options.control is None:
        options.page.write_text(text, encoding="utf-8")
    elif options.page is not None:
        add_control(options.page, options.control, text)


CONTROLS = {
    "shuffled": "Labels and years of whole lineages and sources dealt out at random",
    "file-facts": "Format, size, shape and bytes a pixel of the file instead of what the encoder saw",
}


def add_control(page: Path, control: str, text: str) -> None:
    """Put the figures of a control's nested choice at the end of the page, in place of older ones."""
    head = f"## Control: {CONTROLS[control]}"
    table = text.split("## The nested choice\n\n", 1)[1].split("\n\n## ", 1)[0]
    before, _, after = page.read_text(encoding="utf-8").partition(f"\n{head}\n")
    _, cut, rest = after.partition("\n## ")
    written = f"{before.rstrip()}\n\n{head}\n\n{table}\n{cut}{rest}"
    page.write_text(written, encoding="utf-8")


def of_deliveries(views: Features, specs: Sequence[str]) -> Features:
    """The views of these deliveries."""
    return views.take(np.flatnonzero(np.isin(views.column("perturbation").astype(str), specs)))


def search(
    views: Features, candidates: Sequence[Candidate], manifests: Sequence[Path], keep: Path | None = None
) -> str:
    """The page: every candidate's held-out figures, then those of the nested choice; `keep`: its scores."""
    folds = image_folds(views, N_FOLDS)
    outer = np.full((len(candidates), len(views.labels)), np.nan)
    alike = np.full_like(outer, np.nan)
    criteria = np.empty((len(candidates), N_FOLDS))
    for c, candidate in enumerate(candidates):
        print(f"{candidate.name}, C {candidate.C:g}", file=sys.stderr, flush=True)
        outer[c], inner = nested_logits(views, candidate, folds)
        for fold in range(N_FOLDS):
            criteria[c, fold] = criterion(views, inner[fold], folds != fold)
            # Folds may choose candidates whose logits differ in scale; what a fold left out tells the scale.
            here = folds == fold
            alike[c, here] = (outer[c, here] - np.nanmean(inner[fold])) / np.nanstd(inner[fold])
    chosen = criteria.argmax(axis=0)
    nested = np.choose(chosen[folds], alike)
    times = Counter(chosen.tolist())

    head = " | ".join(f"{words}: all | 2023+ | until 2022" for words in WORDS.values())
    lines = [
        "# The search over detectors",
        "",
        "This page is written by `python scripts/detector_search.py`. AUC / share found at "
        f"{100 * FPR:.0f} % false alarms of all real",
        f"images, held out: lineages and real sources as wholes, in {N_FOLDS} folds. The last column but one "
        "is the kind of real",
        f"images (of at least {LEAST_KIND}) that is flagged most there, on the standard delivery; "
        "the last says in",
        f"how many of the {N_FOLDS} outer folds the candidate was the best on the others.",
        "",
        f"| candidate | C | {head} | worst real kind | chosen |",
        "|---" * (3 * len(WORDS) + 4) + "|",
    ]
    for c, candidate in enumerate(candidates):
        cells = figures(views, outer[c])
        lines.append(f"| {candidate.name} | {candidate.C:g} | {cells} | {times[c]} of {N_FOLDS} |")
    lines.append(f"| **nested choice** | | {figures(views, nested)} | |")
    lines += ["", "## The nested choice", "", *interval_lines(views, nested, manifests)]
    if keep is not None:
        predictions(views, nested, STANDARD).write(keep)
    lines += ["", "## A planted delivery shortcut", "", *shortcut_lines(views, nested)]
    return "\n".join(lines)


def nested_logits(views: Features, candidate: Candidate, folds: Array) -> tuple[Array, Array]:
    """Held-out logits (n,) for each outer fold, and inner ones (folds, n) of heads that saw neither fold.

    One head for each fold and for each pair of folds: the pair's head scores either fold where the other
    one is the outer fold.
    """
    y, groups = np.asarray(views.labels), views.groups().astype(str)
    spec = views.column("perturbation").astype(str)
    if candidate.years:
        lineages = views.column("lineage")
        there = set(lineages[y == 1].tolist())  # shuffled labels leave no lineage as it was
        codes, _ = expert_codes(
            y,
            views.column("era").tolist(),
            candidate.years,
            lineages=lineages,
            expert_of={name: expert for name, expert in EXPERT_OF.items() if name in there},
        )
    else:
        codes = y.astype(np.int64)
    _, image = np.unique(views.column("sha256").astype(str), return_inverse=True)
    share = view_weights(views, image, candidate.trained)
    scored = np.isin(spec, list(WORDS))
    use = np.flatnonzero((share > 0) | scored)
    used = views if len(use) == len(y) else views.take(use)  # of all views a copy would not fit
    X = used.matrix(candidate.kinds)

    left_out = [(fold, fold) for fold in range(N_FOLDS)] + list(combinations(range(N_FOLDS), 2))
    masks = np.stack([~np.isin(folds, pair) for pair in left_out], axis=1).astype(np.float64)
    probe = ExpertProbe(candidate.years or YEARS, C=candidate.C, tol=1e-2)
    weights, biases = probe.fit_heads(X, codes[use], groups[use], masks[use], share[use])
    each = np.full((N_FOLDS, len(y), weights.shape[1]), np.nan)  # scores of row i where fold f is outer
    for head, (a, b) in enumerate(left_out):
        for outer, inner in ((a, b), (b, a)):
            rows = np.flatnonzero(folds[use] == inner)
            each[outer, use[rows]] = X[rows].astype(np.float64) @ weights[head].T + biases[head]
    logits, inner_logits = np.full(len(y), np.nan), np.full((N_FOLDS, len(y)), np.nan)
    even = balanced_weights(y[scored])
    weight = np.zeros(len(y))
    weight[scored] = even
    for fold in range(N_FOLDS):
        here, rest = folds == fold, scored & (folds != fold)
        z = each[fold]
        shifts = np.zeros(z.shape[1])
        if len(shifts) > 1:
            shifts = fit_shifts(z[rest], y[rest], weight[rest])
        logits[here] = joined(z[here], shifts)
        inner_logits[fold, rest] = joined(z[rest], shifts)
    return logits, inner_logits


def criterion(views: Features, logits: Array, rows: Array) -> float:
    """Mean AUC of both deliveries and of old and new generators, on these rows."""
    y, late, spec = views.labels, is_late(views), views.column("perturbation").astype(str)
    return float(
        np.mean(
            [
                roc_auc(y[keep], logits[keep])
                for delivery in WORDS
                for year in (late, ~late)
                for keep in [rows & (spec == delivery) & ((y == 0) | year)]
            ]
        )
    )


def figures(views: Features, logits: Array) -> str:
    """The cells of one row."""
    cells = []
    for delivery in WORDS:
        rows = np.flatnonzero(views.column("perturbation").astype(str) == delivery)
        part = views.take(rows)
        z, y, late = logits[rows], part.labels, is_late(part)
        threshold = float(np.quantile(z[y == 0], 1 - FPR, method="higher"))
        for keep in (np.ones(len(z), bool), (y == 0) | late, (y == 0) | ~late):
            found = float((z[keep & (y == 1)] > threshold).mean())
            cells.append(f"{roc_auc(y[keep], z[keep]):.3f} / {found:.2f}")
        if delivery == STANDARD:
            rates = kind_rates(part, z > threshold)
            worst = max(rates, key=lambda kind: rates[kind][0], default=None)
    last = "" if worst is None else f"{worst} {100 * rates[worst][0]:.0f} %"
    return f"{' | '.join(cells)} | {last}"


def predictions(views: Features, logits: Array, delivery: str) -> Predictions:
    """The held-out scores of one delivery as a predictions table."""
    rows = np.flatnonzero(views.column("perturbation").astype(str) == delivery)
    part = views.take(rows)
    return Predictions.from_columns(
        sha256=part.column("sha256"),
        label=part.labels,
        generator=part.column("generator"),
        lineage=part.column("lineage"),
        source=part.column("source"),
        era=part.column("era"),
        logit=logits[rows],
        detector="morelli",
    )


def interval_lines(views: Features, logits: Array, manifests: Sequence[Path]) -> list[str]:
    """AUC and share found of the nested choice with intervals that draw whole lineages and sources."""
    lines = [
        "| images of | delivery | images | AUC | found at 5 % false alarms |",
        "|---|---|---|---|---|",
    ]
    every = np.ones(len(views.labels), bool)
    first = below(views, *manifests[:2])
    titles = {"all collections": every} | ({"collections 1 and 2": first} if not first.all() else {})
    for title, of in titles.items():
        for delivery, words in WORDS.items():
            keep = np.flatnonzero(of)
            rows = predictions(views.take(keep), logits[keep], delivery)
            found = measure(rows, MeasureOptions(rounds=1000), each_group=False).metrics
            lines.append(
                f"| {title} | {words} | {len(rows):,} | {found['auc']} | {found['tpr_at_0.05_fpr']} |"
            )
    return lines


def shortcut_lines(views: Features, logits: Array) -> list[str]:
    """AUC where both classes are delivered alike, and where each has a delivery of its own.

    A detector that had learnt the delivery would gain in one of the mixed rows what it loses in the other.
    """
    spec, y = views.column("perturbation").astype(str), views.labels
    names = {STANDARD: "standard", SMALL: "small copies", SHOT: "screenshots"}
    lines = ["| generated | real | AUC |", "|---|---|---|"]
    for fake, of_fake in names.items():
        for real, of_real in names.items():
            keep = ((y == 1) & (spec == fake)) | ((y == 0) & (spec == real))
            keep &= ~np.isnan(logits)
            auc = roc_auc(y[keep], logits[keep])
            lines.append(f"| {of_fake} | {of_real} | {auc:.3f} |")
    return lines


def file_facts(manifests: Sequence[Path], views: Features) -> Array:
    """What a file's head says (n, 8): format, size, shape and bytes a pixel, as each view would have it."""
    facts = {}
    for item in (one for manifest in manifests for one in iter_source(manifest)):
        decoded = decode(item.read())
        facts[decoded.facts.sha256] = decoded.facts
    rows = []
    for sha, spec in zip(views.column("sha256"), views.column("perturbation").astype(str), strict=True):
        one = facts[str(sha)]
        width, height = one.width, one.height
        raw = spec == ""
        if not raw:
            scale = min(1.0, 640 / max(width, height))
            width, height = round(scale * width), round(scale * height)
        rows.append(
            [
                np.log(width),
                np.log(height),
                np.log(width / height),
                float(width == height),
                float(raw and one.format == "PNG"),
                float(raw and one.format == "WEBP"),
                float(raw and one.format == "JPEG"),
                np.log(one.bytes / (one.width * one.height)) if raw else 0.0,
            ]
        )
    return np.array(rows, dtype=np.float32)


def kind_rates(features: Features, flagged: Array) -> dict[str, tuple[float, int]]:
    """Share flagged and number of images of each kind of real images that is large enough."""
    kinds, real = kind_of(features), features.labels == 0
    names, counts = np.unique(kinds[real], return_counts=True)
    return {
        str(name): (float(flagged[real & (kinds == name)].mean()), int(count))
        for name, count in zip(names, counts, strict=True)
        if count >= LEAST_KIND
    }


def shuffled(views: Features, seed: int) -> Features:
    """The views with whole lineages and sources given each other's labels and years at random."""
    groups = views.groups().astype(str)
    names, first = np.unique(groups, return_index=True)
    drawn = np.random.default_rng(seed).permutation(len(names))
    source = {name: first[drawn[i]] for i, name in enumerate(names)}
    rows = np.array([source[name] for name in groups])
    label, era = views.column("label")[rows], views.column("era")[rows]
    return Features.from_arrays(
        views.vectors,
        labels=label,
        lineage=groups,
        source=groups,
        era=era,
        sha256=views.column("sha256"),
        perturbation=views.column("perturbation"),
        metadata=views.column("metadata"),
        uri=views.column("uri"),
    )


if __name__ == "__main__":
    main()
