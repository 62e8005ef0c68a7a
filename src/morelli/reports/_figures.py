"""The report's drawings as inline SVG: no script, no request, colours from the page for both themes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from math import floor, isfinite, log10
from typing import Any

from markupsafe import Markup

from morelli.palette import AUC, rgb

W, H = 372, 262
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 38
SERIES = 8  # line styles that the page's style sheet knows


def lowest(estimates: Iterable[Mapping[str, float | None] | None], usual: float = 0.4) -> float:
    """Where the axis of a table of bars begins: `usual`, or the tenth below its least value or end, 0–1.

    >>> lowest([{"value": 0.9, "low": 0.8}]), lowest([{"value": 0.41, "low": 0.28}, None])
    (0.4, 0.2)
    """
    ends = [e.get(name) for e in estimates if e for name in ("value", "low")]
    least = min((end for end in ends if end is not None and isfinite(end)), default=usual)
    return usual if least >= usual else max(0.0, floor(10 * least + 1e-9) / 10)


def interval_bar(
    estimate: Mapping[str, float | None],
    reference: Mapping[str, float | None] | None = None,
    *,
    low: float = 0.4,
    high: float = 1.0,
    width: int = 210,
    tone: str = "est",
) -> Markup:
    """A value with its interval on an axis from `low` to `high`; a grey mark where the reference lies.

    What lies beyond an end is drawn at it, so `low` is to be what `lowest` says of the whole table.
    """
    value = estimate.get("value")
    if value is None:
        return Markup("")

    def x(v: float) -> float:
        return 4 + (width - 8) * (min(max(v, low), high) - low) / (high - low)

    parts = [f'<svg class="bar" viewBox="0 0 {width} 18" width="{width}" height="18" role="img">']
    parts.append(f"<title>{escape(_estimate_text(estimate, reference))}</title>")
    parts.append(f'<line class="axis" x1="4" x2="{width - 4}" y1="9" y2="9"/>')
    if low < 0.5 < high and tone != "rea":
        parts.append(f'<line class="tick" x1="{x(0.5):.1f}" x2="{x(0.5):.1f}" y1="4" y2="14"/>')
    if reference and reference.get("value") is not None:
        centre = float(reference["value"] or 0)
        a, b = reference.get("low"), reference.get("high")
        if a is not None and b is not None:
            left, span = x(a), max(1.0, x(b) - x(a))
            parts.append(f'<rect class="ref" x="{left:.1f}" width="{span:.1f}" y="2" height="14"/>')
        parts.append(f'<line class="refline" x1="{x(centre):.1f}" x2="{x(centre):.1f}" y1="1" y2="17"/>')
    a, b = estimate.get("low"), estimate.get("high")
    if a is not None and b is not None:
        parts.append(f'<line class="{tone} range" x1="{x(a):.1f}" x2="{x(b):.1f}" y1="9" y2="9"/>')
    parts.append(f'<circle class="{tone} dot" cx="{x(value):.1f}" cy="9" r="4"/></svg>')
    return Markup("".join(parts))


def _estimate_text(estimate: Mapping[str, float | None], reference: Mapping[str, float | None] | None) -> str:
    text = number(estimate)
    if reference and reference.get("value") is not None:
        text += f"; file facts alone {number(reference)}"
    return text


def number(estimate: Mapping[str, float | None] | None) -> str:
    """A value with its interval as text: ``0.881 (0.85–0.91)``."""
    if not estimate or estimate.get("value") is None:
        return "–"
    text = f"{estimate['value']:.3f}"
    low, high = estimate.get("low"), estimate.get("high")
    if low is not None and high is not None:
        # A dash between negative numbers cannot be read.
        text += f" ({low:.2f}{' to ' if low < 0 else '–'}{high:.2f})"
    return text.replace("-", "−")


def spread(estimate: Mapping[str, float | None] | None) -> Markup:
    """The same for a table's cell, the interval smaller and paler."""
    value, _, ends = number(estimate).partition(" ")
    return Markup("{} <small>{}</small>").format(value, ends) if ends else Markup(value)


class _Chart:
    """A plot area with axes; x may be logarithmic."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], *, log: bool = False, label: str = ""
    ) -> None:
        self.x_range, self.y_range, self.log = x, y, log
        self.parts = [
            f'<svg class="chart" viewBox="0 0 {W} {H}" role="img" aria-label="{escape(label)}">',
        ]

    def at(self, x: float, y: float) -> tuple[float, float]:
        (a, b), (c, d) = self.x_range, self.y_range
        if self.log:
            x, a, b = log10(max(x, a)), log10(a), log10(b)
        px = LEFT + (W - LEFT - RIGHT) * (x - a) / (b - a)
        py = H - BOTTOM - (H - TOP - BOTTOM) * (y - c) / (d - c)
        return px, py

    def axes(
        self, xs: Sequence[tuple[float, str]], ys: Sequence[tuple[float, str]], x_name: str, y_name: str
    ) -> None:
        for value, text in xs:
            px, _ = self.at(value, self.y_range[0])
            self.parts.append(
                f'<line class="grid" x1="{px:.1f}" x2="{px:.1f}" y1="{TOP}" y2="{H - BOTTOM}"/>'
            )
            self.parts.append(
                f'<text class="t" x="{px:.1f}" y="{H - BOTTOM + 14}" text-anchor="middle">'
                f"{escape(text)}</text>"
            )
        for value, text in ys:
            _, py = self.at(self.x_range[0], value)
            self.parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{W - RIGHT}" y1="{py:.1f}" y2="{py:.1f}"/>'
            )
            self.parts.append(
                f'<text class="t" x="{LEFT - 6}" y="{py + 3.5:.1f}" text-anchor="end">{escape(text)}</text>'
            )
        middle = (LEFT + W - RIGHT) / 2
        self.parts.append(
            f'<text class="n" x="{middle}" y="{H - 6}" text-anchor="middle">{escape(x_name)}</text>'
        )
        self.parts.append(
            f'<text class="n" transform="translate(11,{(TOP + H - BOTTOM) / 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(y_name)}</text>'
        )

    def line(
        self, points: Sequence[tuple[float, float]], css: str, title: str = "", *, dots: bool = False
    ) -> None:
        placed = [self.at(x, y) for x, y in points if isfinite(x) and isfinite(y)]
        if not placed:
            return
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in placed)
        name = f"<title>{escape(title)}</title>" if title else ""
        self.parts.append(f'<polyline class="{css}" points="{path}">{name}</polyline>')
        if dots:
            self.parts += [
                f'<circle class="{css} d" cx="{px:.1f}" cy="{py:.1f}" r="3"/>' for px, py in placed
            ]

    def band(self, x0: float, x1: float, y0: float, y1: float, css: str) -> None:
        (a, b), (c, d) = self.at(x0, y1), self.at(x1, y0)
        self.parts.append(
            f'<rect class="{css}" x="{a:.1f}" y="{b:.1f}" width="{c - a:.1f}" height="{d - b:.1f}"/>'
        )

    def done(self) -> Markup:
        return Markup("".join([*self.parts, "</svg>"]))


TENTHS = tuple((v / 10, f"{v / 10:g}") for v in range(0, 11, 2))


def legend(names: Sequence[str]) -> Markup:
    """The line styles with their names, in the order in which the charts use them."""
    entries = [
        f'<span class="key"><svg viewBox="0 0 34 10" width="34" height="10" aria-hidden="true">'
        f'<line class="s s{k % SERIES}" x1="1" x2="33" y1="5" y2="5"/></svg>{escape(name)}</span>'
        for k, name in enumerate(names)
    ]
    return Markup(f'<p class="legend">{"".join(entries)}</p>')


def roc_chart(curves: Mapping[str, Mapping[str, Sequence[float]] | None]) -> Markup:
    """ROC with a logarithmic false-positive axis, where detectors are used; dotted: chance."""
    known = [c for c in curves.values() if c]
    if not known:
        return Markup("")
    least = min(c["fpr"][0] for c in known)
    chart = _Chart((least, 1.0), (0.0, 1.0), log=True, label="ROC curves")
    powers = [(10.0**e, {0: "1", -1: "0.1"}.get(e, f"{10.0**e:g}")) for e in range(-6, 1)]
    chart.axes(
        [p for p in powers if p[0] >= least * 0.999],
        TENTHS,
        "false-positive rate (logarithmic)",
        "true-positive rate",
    )
    chart.line([(v, v) for v in known[0]["fpr"]], "chance", "chance")
    for k, (name, curve) in enumerate(curves.items()):
        if curve:
            chart.line(list(zip(curve["fpr"], curve["tpr"], strict=True)), f"s s{k % SERIES}", name)
    return chart.done()


def reliability_chart(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> Markup:
    """Share of generated images over stated probability, in bins of equal mass; dotted: perfect."""
    chart = _Chart((0.0, 1.0), (0.0, 1.0), label="reliability curves")
    chart.axes(TENTHS, TENTHS, "stated probability of generated", "share that is generated")
    chart.line([(0, 0), (1, 1)], "chance", "perfect calibration")
    for k, (name, bins) in enumerate(curves.items()):
        points = [(b["mean_probability"], b["share_generated"]) for b in bins]
        chart.line(points, f"s s{k % SERIES}", name, dots=True)
    return chart.done()


def coverage_chart(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> Markup:
    """Error among the answered over the share answered, the surest first."""
    errors = [p["error"] for points in curves.values() for p in points if p["error"] is not None]
    top = max(0.1, min(1.0, 1.15 * max(errors, default=0.5)))
    chart = _Chart((0.0, 1.0), (0.0, top), label="abstention curves")
    step = 0.02 if top <= 0.12 else 0.05 if top <= 0.3 else 0.1
    ys = [(v * step, f"{v * step:g}") for v in range(int(top / step + 1e-9) + 1)]
    chart.axes(TENTHS, ys, "share of images answered, surest first", "error among them")
    for k, (name, points) in enumerate(curves.items()):
        chart.line([(p["coverage"], p["error"]) for p in points], f"s s{k % SERIES}", name)
    return chart.done()


def heat_map(matrix: Mapping[str, Any], *, hover: bool = True) -> Markup:
    """The transfer matrix; a frame marks where training and test generator are the same."""
    trained, tested, cells = matrix["trained"], matrix["tested"], matrix["auc"]
    side = max(11, min(30, 760 // max(len(tested), 1)))
    room, top = 150, 128
    out = heat_head(tested, room=room, top=top, side=side, rows=len(trained), label="transfer matrix")
    for i, name in enumerate(trained):
        y = top + side * i
        out.append(
            f'<text class="c" x="{room - 6}" y="{y + side * 0.68:.1f}" text-anchor="end">'
            f"{escape(_short(name))}</text>"
        )
        for j, other in enumerate(tested):
            value = cells[i][j]
            if value is None or not isfinite(value):
                continue
            title = f"trained on {name}, tested on {other}: AUC {value:.3f}" if hover else ""
            out += heat_cell(room + side * j, y, side, value, title, framed=name == other)
        mean = matrix["as_training"][i]
        x = room + side * len(tested) + 8
        out.append(f'<text class="c m" x="{x}" y="{y + side * 0.68:.1f}">{mean:.2f}</text>')
    out.append(f'<text class="c m" x="{room + side * len(tested) + 8}" y="{top - 8}">mean, others</text>')
    return Markup("".join([*out, "</svg>"]))


def heat_head(columns: Sequence[str], *, room: int, top: int, side: int, rows: int, label: str) -> list[str]:
    """The opening of a heat map and its slanted column names; `room` and `top` are kept free for names."""
    width, height = room + side * len(columns) + 74, top + side * rows + 8
    out = [
        f'<svg class="heat" viewBox="0 0 {width} {height}" style="max-width:{width}px" role="img" '
        f'aria-label="{label}">'
    ]
    for j, name in enumerate(columns):
        x = room + side * (j + 0.62)
        out.append(
            f'<text class="c" transform="translate({x:.1f},{top - 6}) rotate(-55)">'
            f"{escape(_short(name))}</text>"
        )
    return out


def heat_cell(x: float, y: float, side: int, value: float, title: str, *, framed: bool = False) -> list[str]:
    """One cell of an AUC, with its figure where there is room for one."""
    tooltip = f"<title>{escape(title)}</title>" if title else ""
    out = [
        f'<rect class="q{" own" if framed else ""}" style="fill:{heat_colour(value)}" x="{x + 0.5}" '
        f'y="{y + 0.5}" width="{side - 1}" height="{side - 1}">{tooltip}</rect>'
    ]
    if side >= 26:
        tone = "on" if value > 0.77 or value < 0.12 else "off"
        out.append(
            f'<text class="v {tone}" x="{x + side / 2}" y="{y + side * 0.64:.1f}" '
            f'text-anchor="middle">{value:.2f}</text>'
        )
    return out


def heat_colour(value: float) -> str:
    """Colour of an AUC, 0 to 1, as ``#rrggbb``."""
    v = min(max(value, 0.0), 1.0)
    for (a, low), (b, high) in pairwise(AUC):
        if v <= b:
            t = (v - a) / (b - a)
            mixed = (round(p + t * (q - p)) for p, q in zip(rgb(low), rgb(high), strict=True))
            return "#" + "".join(f"{c:02x}" for c in mixed)
    return AUC[-1][1]


def heat_key() -> Markup:
    """The colour scale of the heat map."""
    steps = [k / 20 for k in range(4, 21)]
    rects = "".join(
        f'<rect x="{14 * k}" y="0" width="14" height="12" style="fill:{heat_colour(v)}"/>'
        for k, v in enumerate(steps)
    )
    words = "".join(
        f'<text class="t" x="{14 * k + 7}" y="25" text-anchor="middle">{v:g}</text>'
        for k, v in enumerate(steps)
        if k % 4 == 0
    )
    return Markup(f'<svg class="heatkey" viewBox="-8 0 256 28" width="256" height="28">{rects}{words}</svg>')


def scatter(points: Sequence[tuple[float, float, int, str]], width: int = 720, height: int = 520) -> Markup:
    """Points (x, y, label, name): real ones as discs, generated ones as diamonds."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    left, top = min(xs), max(ys)
    spans = max(max(xs) - min(xs), 1e-9), max(max(ys) - min(ys), 1e-9)
    out = [f'<svg class="map" viewBox="0 0 {width} {height}" role="img" aria-label="feature map">']
    # Drawn mixed by a fixed rule, so that neither class lies on top of the other.
    for k in sorted(range(len(points)), key=lambda k: (k * 7919) % 10007):
        x, y, label, name = points[k]
        px = 12 + (width - 24) * (x - left) / spans[0]
        py = 12 + (height - 24) * (top - y) / spans[1]
        title = f"<title>{escape(name)}</title>"
        if label:
            out.append(
                f'<path class="pf" d="M{px:.1f} {py - 3.6:.1f}l3.6 3.6-3.6 3.6-3.6-3.6z">{title}</path>'
            )
        else:
            out.append(f'<circle class="pr" cx="{px:.1f}" cy="{py:.1f}" r="2.6">{title}</circle>')
    return Markup("".join([*out, "</svg>"]))


def robustness_chart(series: Mapping[str, Sequence[tuple[str, Mapping[str, float | None]]]]) -> Markup:
    """AUC over the strengths of one perturbation, mildest first; the first place is the clean image."""
    places = max((points for points in series.values()), key=len)
    chart = _Chart((0.0, float(max(len(places) - 1, 1))), (0.3, 1.0), label="robustness curves")
    ys = [(v / 10, f"{v / 10:g}") for v in range(3, 11)]
    chart.axes([(float(k), name) for k, (name, _) in enumerate(places)], ys, "", "AUC")
    chart.line([(0, 0.5), (max(len(places) - 1, 1), 0.5)], "chance", "chance")
    for k, (name, points) in enumerate(series.items()):
        line = [(float(i), e["value"] or float("nan")) for i, (_, e) in enumerate(points)]
        chart.line(line, f"s s{k % SERIES}", name, dots=True)
    return chart.done()


def _short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
