"""Drawings of differences and of named directions as inline SVG, around a line at zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from markupsafe import Markup


def difference_bar(gain: Mapping[str, float] | None, *, reach: float, width: int = 130) -> Markup:
    """A paired difference with its interval, zero in the middle of an axis of ±`reach`."""
    if gain is None:
        return Markup("")

    def x(v: float) -> float:
        return width / 2 + (width / 2 - 5) * min(max(v / reach, -1), 1)

    tone = "est" if gain["low"] > 0 else "gen" if gain["high"] < 0 else "unsure"
    text = f"{gain['value']:+.3f}, from {gain['low']:+.3f} to {gain['high']:+.3f}"
    return Markup(
        f'<svg class="bar" viewBox="0 0 {width} 18" width="{width}" height="18" role="img">'
        f"<title>{text}</title>"
        f'<line class="axis" x1="5" x2="{width - 5}" y1="9" y2="9"/>'
        f'<line class="tick" x1="{width / 2}" x2="{width / 2}" y1="2" y2="16"/>'
        f'<line class="{tone} range" x1="{x(gain["low"]):.1f}" x2="{x(gain["high"]):.1f}" y1="9" y2="9"/>'
        f'<circle class="{tone} dot" cx="{x(gain["value"]):.1f}" cy="9" r="4"/></svg>'
    )


def reach_of(gains: Sequence[Mapping[str, float] | None]) -> float:
    """The largest end of the intervals, at least 0.05."""
    return max([0.05, *(abs(v) for g in gains if g for v in (g["low"], g["high"]))])


def findings_chart(explanation: Mapping[str, Any], *, most: int = 12) -> Markup:
    """Cosines of concepts with a generator's residual, with their intervals; filled where named."""
    findings = explanation["findings"][:most]
    named = set(explanation["named"])
    reach: float = max([0.1, *(abs(v) for f in findings for v in f["interval"])])
    room, plot, row, top = 190, 250, 21, 8
    width, height = room + plot + 96, top + row * len(findings) + 34

    def x(v: float) -> float:
        return room + plot * (v + reach) / (2 * reach)

    out = [
        f'<svg class="chart concepts" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="concepts along the residual">'
    ]
    bottom = top + row * len(findings)
    for tick in (-reach, -reach / 2, 0.0, reach / 2, reach):
        out.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top}" y2="{bottom}"/>')
        out.append(
            f'<text class="t" x="{x(tick):.1f}" y="{bottom + 14}" text-anchor="middle">{tick:.2f}</text>'
        )
    out.append(f'<line class="tick" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{top}" y2="{bottom}"/>')
    out.append(
        f'<text class="t" x="{room + plot / 2}" y="{bottom + 29}" text-anchor="middle">cosine with the '
        "residual</text>"
    )
    for k, f in enumerate(findings):
        y = top + row * (k + 0.5)
        tone = "gen" if f["name"] in named and f["p_family"] < explanation["alpha"] else "unsure"
        low, high = f["interval"]
        title = (
            f"{f['name']} (away from {f['opposite']}): cosine {f['cosine']:.3f}, "
            f"corrected p {f['p_family']:.2g}"
        )
        out.append(
            f'<g><title>{escape(title)}</title><text class="c" x="{room - 8}" y="{y + 4:.1f}" '
            f'text-anchor="end">{escape(_short(f["name"]))}</text>'
            f'<line class="{tone} range" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<circle class="{tone} dot" cx="{x(f["cosine"]):.1f}" cy="{y:.1f}" r="4"/>'
            f'<text class="c m" x="{room + plot + 10}" y="{y + 4:.1f}">{f["effect"]:+.1f} sd</text></g>'
        )
    return Markup("".join([*out, "</svg>"]).replace(">-", ">−"))


def parts_chart(explanation: Mapping[str, Any]) -> Markup:
    """What the concepts explain together, as steps; dashed: the same of shuffled labels."""
    parts = explanation["parts"]
    chance = explanation["explained_by_chance"]
    most: float = max([0.05, chance, *(p["explained"] for p in parts)]) * 1.12
    room, plot, row, top = 160, 230, 21, 18
    width, height = room + plot + 52, top + row * max(len(parts), 1) + 14

    def x(v: float) -> float:
        return room + plot * v / most

    out = [
        f'<svg class="chart concepts" viewBox="0 0 {width} {height}" role="img" aria-label="share explained">'
    ]
    before = 0.0
    for k, part in enumerate(parts):
        y = top + row * k
        share = part["explained"]
        out.append(
            f'<text class="c" x="{room - 8}" y="{y + 14}" text-anchor="end">'
            f"{escape(_short(part['name'], 24))}</text>"
            f'<rect class="share" x="{x(before):.1f}" y="{y + 3}" height="{row - 7}" '
            f'width="{max(1.0, x(share) - x(before)):.1f}"/>'
            f'<text class="c m" x="{x(share) + 5:.1f}" y="{y + 14}">{100 * share:.0f} %</text>'
        )
        before = share
    out.append(
        f'<line class="by-chance" x1="{x(chance):.1f}" x2="{x(chance):.1f}" y1="{top - 4}" '
        f'y2="{height - 10}"/><text class="t" x="{x(chance):.1f}" y="{top - 7}" text-anchor="middle">'
        "by chance</text>"
    )
    return Markup("".join([*out, "</svg>"]))


def _short(name: str, most: int = 29) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
