"""The report as one plain JSON document: everything the page shows, and what it was computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from morelli.artefacts import plain_json
from morelli.evaluation import CurvePoint, Predictions, Result, Summary, protocols, robustness_curves
from morelli.reports._curves import matrix, roc, worst
from morelli.reports._published import PUBLISHED, comparable

FORMAT, VERSION = "morelli-report", 1

ABOUT: Mapping[str, tuple[str, str]] = {
    protocols.LINEAGE: (
        "Leave one lineage out",
        "Each image is scored once, by a detector that has seen neither its generator's lineage nor its "
        "source of real images. This is what to expect on a generator that nobody has collected yet.",
    ),
    protocols.SOURCE: (
        "By real source",
        "Each source of real images is scored by a detector that has never seen that camera or data set.",
    ),
    protocols.TRANSFER: (
        "Train on one, test on all",
        "One detector for each generator, fitted on half of its images and half of the real ones, tested on "
        "everything else. Figures are means over the trained generators.",
    ),
    protocols.FAMILY: (
        "Leave one family out",
        "Fitted without a whole family (GAN, diffusion, …), tested on it. Figures are means over families.",
    ),
    protocols.ERA: (
        "From past to next year",
        "Fitted on generators up to one year, tested on the next. Figures are means over the steps.",
    ),
    protocols.FIXED: ("As it is", "A finished bundle, scored without fitting anything."),
    protocols.UNIVFD: (
        "UnivFD's protocol",
        "Trained on one generator, tested on every set. Average precision, accuracy at 0.5 with real and "
        "generated apart, at a threshold tuned on held-in data, and at the oracle threshold of each set; "
        "means are unweighted.",
    ),
    "external": ("Another tool's detector", "Scored as it came; whether it saw these images is not known."),
    protocols.ROBUSTNESS: ("Delivered worse", "The same images after compression, scaling, blur and noise."),
}


def robustness_rows(predictions: Predictions) -> Predictions | None:
    """The rows of a robustness sweep; None where the table has none."""
    rows = predictions.select(protocol=protocols.ROBUSTNESS)
    return rows if len(rows) else None


def measured_rows(predictions: Predictions) -> Predictions:
    """All other rows, and of a table that holds nothing but a sweep its clean images."""
    codes, names = predictions.codes("protocol")
    if protocols.ROBUSTNESS not in names:
        return predictions
    others = predictions.rows(codes != names.index(protocols.ROBUSTNESS))
    if len(others):
        return others
    return predictions.select(perturbation=protocols.CLEAN)


def document(
    predictions: Predictions, summary: Summary, *, provenance: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """The document; see `morelli.reports` for its parts."""
    tested = predictions.select(part="test")
    results = []
    for result in summary.results:
        rows = tested.select(
            protocol=result.protocol,
            detector=result.detector,
            perturbation=result.perturbation or protocols.CLEAN,
        )
        if not len(rows):  # a table of another tool has no delivery at all
            rows = tested.select(protocol=result.protocol, detector=result.detector)
        values = plain_json(result)
        # The matrix takes hundreds of curves that nobody could read.
        values["roc"] = None if result.protocol == protocols.TRANSFER else roc(rows, result.protocol)
        values["matrix"] = plain_json(matrix(result))
        results.append(values)
    lead = leading(summary.results)
    rows = tested.select(protocol=lead.protocol, detector=lead.detector)
    sweep = robustness_rows(tested)
    curves = robustness_curves(sweep, families=predictions.run.get("families", {})) if sweep else []
    trained = predictions.run.get("trained_on")
    sets = [row.name for r in summary.results if r.univfd for row in r.univfd.rows]
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "headline": {
            "protocol": lead.protocol,
            "detector": lead.detector,
            "perturbation": lead.perturbation,
            "auc": plain_json(lead.metrics["auc"]),
            "metadata_only": plain_json(lead.metadata_only),
            "n_images": lead.n_images,
            "n_real": lead.n_real,
            "n_fake": lead.n_fake,
            "n_lineages": lead.n_lineages,
            "n_sources": lead.n_sources,
        },
        "results": results,
        "comparisons": [plain_json(c) for c in summary.comparisons],
        "worst": plain_json(worst(rows)),
        "robustness": [plain_json(p) for p in curves],
        "published": [asdict(p) for p in PUBLISHED] if sets and comparable(trained, sets) else [],
        "run": plain_json(predictions.run),
        "options": plain_json(summary.options),
        "provenance": plain_json(provenance),
    }


def leading(results: Sequence[Result]) -> Result:
    """The result that stands first: the highest AUC under the strictest protocol that was run."""
    order = [
        protocols.LINEAGE,
        protocols.SOURCE,
        protocols.ERA,
        protocols.FAMILY,
        protocols.UNIVFD,
        protocols.FIXED,
        "external",
        protocols.TRANSFER,
    ]
    present = [r.protocol for r in results]
    first = min(present, key=lambda p: order.index(p) if p in order else len(order))
    own = [r for r in results if r.protocol == first]
    return max(own, key=lambda r: r.metrics["auc"].value if "auc" in r.metrics else 0.0)


def about(protocol: str) -> tuple[str, str]:
    """Title and explanation of a protocol."""
    return ABOUT.get(protocol, (protocol, ""))


def pooled(protocol: str) -> bool:
    """Whether the protocol's scores are one set."""
    return protocol in protocols.POOLED


def robustness_series(
    points: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, list[tuple[str, Mapping[str, Any]]]]]:
    """AUC on all generators by perturbation axis, then by detector, mildest first, clean in front."""
    everything = [p for p in points if p["family"] == protocols.ALL]
    axes = list(dict.fromkeys(p["axis"] for p in everything if p["axis"]))
    result: dict[str, dict[str, list[tuple[str, Mapping[str, Any]]]]] = {}
    for axis in axes:
        series: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        for detector in dict.fromkeys(p["detector"] for p in everything):
            own = [p for p in everything if p["detector"] == detector]
            clean = [("clean", p["auc"]) for p in own if not p["perturbation"]]
            line = [p for p in own if p["axis"] == axis]
            mild_first = axis in ("jpeg", "webp", "downup", "centercrop", "crop", "resize")
            line.sort(key=lambda p: -(p["strength"] or 0) if mild_first else (p["strength"] or 0))
            named = [
                (
                    f"{p['strength']:g}"
                    if p["strength"] is not None
                    else p["perturbation"].partition(":")[2],
                    p["auc"],
                )
                for p in line
            ]
            series[detector] = clean + [(text or axis, auc) for text, auc in named]
        result[axis] = series
    return result


__all__ = ["CurvePoint", "about", "document", "leading", "measured_rows", "pooled", "robustness_series"]
