"""Drawings of attention heads as inline SVG: every head's own probe, and heads against generators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from morelli.reports._figures import heat_cell, heat_head


def place(kind: str) -> tuple[int, int]:
    """Block and head of a kind such as ``head:12.3``."""
    block, head = kind.split(":")[1].split(".")
    return int(block), int(head)


def head_grid(heads: dict[str, Any], side: int = 34) -> Markup:
    """Blocks from top to bottom, heads from left to right: AUC of each head's probes, kept ones framed."""
    cells = {place(name): k for k, name in enumerate(heads["names"])}
    blocks, columns = sorted({b for b, _ in cells}), sorted({h for _, h in cells})
    kept = set(heads["kept"])
    room, top = 64, 26
    width, height = room + side * len(columns) + 4, top + side * len(blocks) + 4
    out = [
        f'<svg class="heat" viewBox="0 0 {width} {height}" style="max-width:{width}px" role="img" '
        'aria-label="mean AUC of single heads">'
    ]
    for j, head in enumerate(columns):
        out.append(
            f'<text class="c" x="{room + side * (j + 0.5)}" y="{top - 8}" text-anchor="middle">{head}</text>'
        )
    for i, block in enumerate(blocks):
        y = top + side * i
        out.append(
            f'<text class="c" x="{room - 8}" y="{y + side * 0.62:.1f}" text-anchor="end">block {block}</text>'
        )
        for j, head in enumerate(columns):
            k = cells.get((block, head))
            if k is not None:
                title = f"block {block}, head {head}: AUC {heads['score'][k]:.3f}"
                out += heat_cell(room + side * j, y, side, heads["score"][k], title, framed=k in kept)
    return Markup("".join([*out, "</svg>"]))


def head_map(heads: dict[str, Any], generators: Sequence[str], *, most: int = 32, side: int = 30) -> Markup:
    """The best heads by generator: AUC on a generator of the probes that other generators trained."""
    order = heads["order"][:most]
    kept = set(heads["kept"])
    room, top = 122, 128
    out = heat_head(generators, room=room, top=top, side=side, rows=len(order), label="heads by generators")
    out.append(f'<text class="c m" x="{room + side * len(generators) + 8}" y="{top - 8}">mean</text>')
    for i, k in enumerate(order):
        block, head = place(heads["names"][k])
        y = top + side * i
        mark = "● " if k in kept else ""
        out.append(
            f'<text class="c" x="{room - 6}" y="{y + side * 0.64:.1f}" text-anchor="end">'
            f"{mark}block {block}, head {head}</text>"
        )
        for j, name in enumerate(generators):
            value = heads["auc"][k][j]
            title = f"block {block}, head {head} on {name}: AUC {value:.3f}"
            out += heat_cell(room + side * j, y, side, value, title)
        x = room + side * len(generators) + 8
        out.append(f'<text class="c m" x="{x}" y="{y + side * 0.64:.1f}">{heads["score"][k]:.2f}</text>')
    return Markup("".join([*out, "</svg>"]))
