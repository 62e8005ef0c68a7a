"""A summary as text: Markdown tables for people, flat rows for CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from morelli.metrics import Estimate

if TYPE_CHECKING:
    from morelli.evaluation import Result, Summary

HEADLINE = (
    ("AUC", "auc"),
    ("AP", "average_precision"),
    ("TPR at 1 % FPR", "tpr_at_0.01_fpr"),
    ("TPR at 5 % FPR", "tpr_at_0.05_fpr"),
    ("balanced accuracy", "balanced_accuracy"),
    ("macro AUC", "macro_auc"),
    ("ECE", "ece_mass"),
    ("Brier", "brier"),
)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; `|` inside a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(c).replace("|", "\\|") for c in line) + " |" for line in lines)


def summary_markdown(summary: Summary) -> str:
    """Every result, each table with the number of images, intervals and the metadata-only AUC."""
    level = f"{summary.options.level:.0%}"
    parts = [f"Intervals are {level}, by resampling lineages and real sources."]
    for protocol in dict.fromkeys(r.protocol for r in summary.results):
        results = [r for r in summary.results if r.protocol == protocol]
        parts.append(f"## {protocol}")
        header = [
            "detector",
            "delivery",
            "images (real + generated)",
            *(t for t, _ in HEADLINE),
            "file facts alone, AUC",
        ]
        parts.append(table(header, [_headline(r) for r in results]))
        for result in results:
            parts += _details(result)
    if summary.comparisons:
        parts.append("## Paired comparisons")
        header = ["protocol", "first", "second", "images", "AUC difference", "p", "p (Holm)", "McNemar p"]
        rows = [
            [
                c.protocol,
                c.first,
                c.second,
                str(c.n_images),
                str(c.differences["auc"]),
                f"{c.p_values['auc']:.3g}",
                f"{c.adjusted['auc']:.3g}",
                f"{c.mcnemar.p_value:.3g}",
            ]
            for c in summary.comparisons
            if "auc" in c.differences
        ]
        parts.append(table(header, rows))
    return "\n\n".join(parts) + "\n"


def _headline(r: Result) -> list[str]:
    missing = Estimate(float("nan"))
    counts = f"{r.n_images} ({r.n_real} + {r.n_fake})"
    values = [str(r.metrics.get(name, missing)) for _, name in HEADLINE]
    facts = str(r.metadata_only) if r.metadata_only is not None else "unknown"
    return [r.detector, r.perturbation or "as is", counts, *values, facts]


def _details(r: Result) -> list[str]:
    parts = []
    facts = str(r.metadata_only) if r.metadata_only is not None else "unknown"
    if r.generators:
        rows = [[g.name, str(g.n), str(g.auc), str(g.average_precision), str(g.recall)] for g in r.generators]
        parts.append(f"### {r.detector} by generator")
        parts.append(f"{r.n_real} real images on the other side; file facts alone reach AUC {facts}.")
        parts.append(table(["generator", "images", "AUC", "AP at equal shares", "found at p > 0.5"], rows))
        if r.worst_generator:
            parts.append(f"Worst generator: {r.worst_generator}.")
    if len(r.sources) > 1:
        parts.append(f"### {r.detector} on real images by source")
        rows = [[s.name, str(s.n), str(s.fpr)] for s in r.sources]
        parts.append(table(["source", "images", "called generated at p > 0.5"], rows))
    if r.folds:
        parts.append(f"### {r.detector} by fold")
        parts.append(f"File facts alone reach AUC {facts} over all folds.")
        names = ("auc", "average_precision", "balanced_accuracy", "tpr_at_0.05_fpr")
        rows = [
            [
                f.name,
                f"{f.n_real} + {f.n_fake}",
                *(str(f.metrics.get(n, Estimate(float("nan")))) for n in names),
            ]
            for f in r.folds
        ]
        parts.append(table(["fold", "images (real + generated)", *names], rows))
    if r.univfd is not None:
        parts.append(f"### {r.detector}, UnivFD's table")
        rows = [
            [
                row.name,
                f"{row.n_real} + {row.n_fake}",
                *(
                    f"{100 * v:.2f}"
                    for v in (
                        row.average_precision,
                        row.accuracy,
                        row.real_accuracy,
                        row.fake_accuracy,
                        row.tuned_accuracy,
                        row.oracle_accuracy,
                    )
                ),
            ]
            for row in r.univfd.rows
        ]
        rows.append(["mean", "", *(f"{100 * v:.2f}" for v in r.univfd.mean.values())])
        header = ["set", "images", "AP", "acc", "acc real", "acc fake", "acc tuned", "acc oracle"]
        parts.append(table(header, rows))
    parts += [f"- {note}" for note in r.notes]
    return parts


def summary_rows(summary: Summary) -> list[dict[str, Any]]:
    """One row per estimate: the result's metrics, then its generators, sources and folds."""
    rows = []
    for r in summary.results:
        facts = r.metadata_only.value if r.metadata_only is not None else None
        for scope, name, n, metric, estimate in _estimates(r):
            rows.append(
                {
                    "protocol": r.protocol,
                    "detector": r.detector,
                    "perturbation": r.perturbation,
                    "scope": scope,
                    "name": name,
                    "images": n,
                    "metric": metric,
                    **estimate.to_json(),
                    "metadata_only_auc": facts,
                }
            )
    return rows


def _estimates(r: Result) -> Iterator[tuple[str, str, int, str, Estimate]]:
    """Scope, name, number of images, metric and value of everything that a result holds."""
    for metric, estimate in r.metrics.items():
        yield "all", "", r.n_images, metric, estimate
    for g in r.generators:
        yield "generator", g.name, g.n, "auc", g.auc
        yield "generator", g.name, g.n, "average_precision", g.average_precision
        yield "generator", g.name, g.n, "recall", g.recall
    for s in r.sources:
        yield "source", s.name, s.n, "fpr", s.fpr
    for f in r.folds:
        for metric, estimate in f.metrics.items():
            yield "fold", f.name, f.n_real + f.n_fake, metric, estimate
        for g in f.generators:
            yield f"fold {f.name}", g.name, g.n, "auc", g.auc
