"""A transfer study, and explanations of generators, as HTML files that need nothing else.

The pages are made from the studies' JSON documents alone, so a page can be drawn again from study.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from morelli.reports import _figures as figures
from morelli.reports._difference_figures import difference_bar, findings_chart, parts_chart, reach_of
from morelli.reports._head_figures import head_grid, head_map, place
from morelli.reports._templates import page_environment

if TYPE_CHECKING:
    from jinja2 import Environment


def study_page(
    study: Mapping[str, Any],
    *,
    explanations: Sequence[Mapping[str, Any]] = (),
    thumbnails: Mapping[str, str] | None = None,
    name: str = "",
    command: str = "",
) -> str:
    """The page of a transfer study (``study.json``).

    explanations: JSON of explained generators, a section each. thumbnails: data URIs by sha256 of their most
    telling images. name: title of the page. command: how the study was made.
    """
    rows = study["rows"]
    by_name = {row["name"]: row for row in rows}
    winner = by_name[study["winner"]]
    shown = [rows[0], *([winner] if winner is not rows[0] else [])]
    families = rows[0]["families"]
    return (
        _environment()
        .get_template("study.html.j2")
        .render(
            name=name,
            command=command,
            study=study,
            first=rows[0],
            winner=winner,
            pooled_best=max((r for r in rows if r["contender"]), key=lambda r: r["pooled"]["ood_auc"]),
            rows=[_row(row) for row in rows],
            reach=reach_of([r["gain"] for r in rows]),
            pooled_reach=reach_of([r["pooled"]["gain"] for r in rows]),
            families=families["train"][:2] if families else None,
            matrices=[(row["title"], figures.heat_map(matrix(row))) for row in shown],
            grid=head_grid(study["heads"]) if study.get("heads") else None,
            by_generator=head_map(study["heads"], study["generators"]) if study.get("heads") else None,
            texts=_texts(study.get("heads")),
            explanations=explanations,
            thumbnails=thumbnails or {},
        )
    )


def explanation_page(explanation: Mapping[str, Any], *, thumbnails: Mapping[str, str] | None = None) -> str:
    """The page of one explained generator (``explanation.json``)."""
    template = _environment().get_template("explanation.html.j2")
    return template.render(explanation=explanation, thumbnails=thumbnails or {})


@cache
def _environment() -> Environment:
    environment = page_environment()
    environment.filters |= {"spread": figures.spread, "gain": _gain, "estimate": _estimate}
    environment.globals |= {
        "bar": figures.interval_bar,
        "lowest": figures.lowest,
        "difference": difference_bar,
        "heat_key": figures.heat_key,
        "findings_chart": findings_chart,
        "parts_chart": parts_chart,
    }
    return environment


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "auc": _estimate(row),
        "pooled_auc": _estimate(row["pooled"]),
        "across": _across(row["families"]),
    }


def _across(families: Mapping[str, Any] | None) -> tuple[float, float] | None:
    return None if families is None else (families["auc"][0][1], families["auc"][1][0])


def _estimate(row: Mapping[str, Any]) -> dict[str, float]:
    low, high = row["interval"]
    return {"value": row["ood_auc"], "low": low, "high": high}


def _gain(gain: Mapping[str, float] | None) -> str:
    if gain is None:
        return ""
    return f"{gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})".replace("-", "−")


def matrix(row: Mapping[str, Any]) -> dict[str, Any]:
    """A study's matrix as `heat_map` takes it, tested generators from easily recognised to hard."""
    cells, names = row["matrix"]["auc"], row["matrix"]["test"]

    def mean(values: Sequence[float | None]) -> float:
        known = [v for v in values if v is not None]
        return sum(known) / max(len(known), 1)

    tested = sorted(range(len(names)), key=lambda j: -mean([line[j] for line in cells]))
    trained = sorted(range(len(names)), key=lambda i: -mean(cells[i]))
    return {
        "trained": [names[i] for i in trained],
        "tested": [names[j] for j in tested],
        "auc": [[cells[i][j] for j in tested] for i in trained],
        "as_training": [mean(cells[i]) for i in trained],
    }


def _texts(heads: Mapping[str, Any] | None) -> list[tuple[str, float, str]]:
    """Descriptions of heads where the study has them: place, AUC and words."""
    if not heads or not heads.get("texts"):
        return []
    return [
        ("block {}, head {}".format(*place(heads["names"][int(k)])), heads["score"][int(k)], text)
        for k, text in heads["texts"].items()
    ]
