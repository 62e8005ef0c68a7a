"""The analyses of one table as files: JSON and plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from morelli.artefacts import plain_json

if TYPE_CHECKING:
    from morelli.evaluation import Analyses
    from morelli.features import Features


def write_analyses(analyses: Analyses, features: Features, folder: str | Path) -> list[Path]:
    """Write analyses.json and the plots into `folder`, which is made if need be; return what was written."""
    from morelli.reports.plots._curves import bank_figure, layers_figure, sink_figure
    from morelli.reports.plots._spaces import maps_figure
    from morelli.reports.plots._style import save_figure

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "analyses.json"]
    written[0].write_text(
        json.dumps(plain_json(analyses.to_json()), indent=1, ensure_ascii=False), encoding="utf-8"
    )
    figures = {
        "layers": layers_figure(analyses),
        "bank": bank_figure(analyses),
        "maps-by-label": maps_figure(analyses.maps, features),
        "maps-by-generator": maps_figure(analyses.maps, features, colour="generator"),
    }
    figures |= {
        f"sink-{name.replace(' ', '-').replace('/', '-')}": sink_figure(analyses, name)
        for name in analyses.sinks
    }
    for name, figure in figures.items():
        written.append(save_figure(figure, folder / f"{name}.png"))
    return written
