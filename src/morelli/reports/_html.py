"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from morelli.reports import _figures as figures
from morelli.reports._document import about, robustness_series
from morelli.reports._summary_tables import HEADLINE
from morelli.reports._templates import page_environment

if TYPE_CHECKING:
    from jinja2 import Template

SHOWN_MATRICES = 2
FEW = 10  # images below which a generator stands in the folded part of its table


def page(
    document: Mapping[str, Any],
    *,
    thumbnails: Mapping[str, str],
    pictures: Sequence[Mapping[str, str]],
    audit: Mapping[str, Any] | None,
) -> str:
    """The whole page.

    thumbnails: data URIs by sha256. pictures: plots with the keys title, text and src (a data URI).
    audit: the JSON of an audit of the same images.
    """
    return _template().render(
        doc=document,
        headline=document["headline"],
        verdict=verdict(document["headline"]),
        sections=sections(document["results"]),
        metrics=HEADLINE,
        sweep={
            axis: figures.robustness_chart(series)
            for axis, series in robustness_series(document["robustness"]).items()
        },
        sweep_detectors=list(dict.fromkeys(p["detector"] for p in document["robustness"])),
        few=FEW,
        thumbnails=thumbnails,
        pictures=pictures,
        audit=audit,
        leaks=document["run"].get("leaks", {}),
        notes=document["run"].get("notes", []),
    )


@cache
def _template() -> Template:
    environment = page_environment()
    environment.filters |= {
        "estimate": figures.number,
        "spread": figures.spread,
        "percent": _percent,
        "p": _p_value,
        "short": _short,
    }
    environment.globals |= {"bar": figures.interval_bar, "fig": figures, "about": about}
    return environment.get_template("report.html.j2")


def sections(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One section for each protocol and delivery: its detectors best first, with the charts drawn."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for result in results:
        found.setdefault((result["protocol"], result["perturbation"]), []).append(result)
    made = []
    for (protocol, delivery), own in found.items():
        in_order = {r["detector"]: r for r in own}  # one order of line styles in all charts
        ranked = sorted(own, key=lambda r: -(_value(r, "auc") or 0))
        title, text = about(protocol)
        matrices = [r for r in ranked if r["matrix"]]
        made.append(
            {
                "protocol": protocol,
                "title": title,
                "text": text,
                "delivery": delivery,
                "results": ranked,
                "reference": ranked[0]["metadata_only"],
                "names": list(in_order),
                "roc": figures.roc_chart({n: r["roc"] for n, r in in_order.items()}),
                "reliability": figures.reliability_chart({n: r["reliability"] for n, r in in_order.items()}),
                "coverage": figures.coverage_chart({n: r["coverage"] for n, r in in_order.items()}),
                "matrices": [
                    (r["detector"], figures.heat_map(r["matrix"], hover=k == 0), r["matrix"])
                    for k, r in enumerate(matrices[:SHOWN_MATRICES])
                ],
                "matrices_left": max(0, len(matrices) - SHOWN_MATRICES),
            }
        )
    return made


def verdict(headline: Mapping[str, Any]) -> str:
    """One sentence on the first result, weighed against what file facts alone reach."""
    auc, facts = headline["auc"], headline["metadata_only"]
    value = auc["value"]
    if value is None:
        return "Only one class is present, so nothing can be ranked."
    if not facts or facts["value"] is None:
        return (
            "What file facts alone (format, size) would reach on these images is not known: the table does "
            "not hold them. Read the figure with that in mind."
        )
    delivery = headline["perturbation"] or ""
    if delivery:
        alike = (
            "All images were delivered alike, so neither reached this detector directly; traces of earlier "
            "compression and scaling in the pixels may have."
            if delivery.startswith("align:")
            else "Part of this is still there after the delivery the detector saw."
        )
        return (
            f"In the original files format and size alone tell the classes apart with AUC "
            f"{facts['value']:.3f}. "
            f"The detector saw them as {delivery}. {alike}"
        )
    gap = value - facts["value"]
    apart = (
        auc["low"] is not None
        and facts["high"] is not None
        and (auc["low"] > facts["high"] or auc["high"] < facts["low"])
    )
    base = f"A classifier that sees only format and size reaches {facts['value']:.3f} on the same images"
    if gap > 0 and apart:
        return f"{base}; this detector stands {gap:.3f} above it, beyond both intervals."
    if gap > 0:
        return (
            f"{base}, and the intervals overlap: how much of this figure is the pictures and how much the "
            "files is open."
        )
    return (
        f"{base}, which is no less: this figure is no evidence that the detector sees anything in the "
        "pictures. Evaluate aligned images: extract with --perturb align:288,85, or audit with --align."
    )


def _value(result: Mapping[str, Any], metric: str) -> float | None:
    estimate = result["metrics"].get(metric)
    return None if not estimate else estimate["value"]


def _percent(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def _p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _short(text: str | None, most: int = 16) -> str:
    if not text:
        return "–"
    return text if len(text) <= most else f"{text[:most]}…"
