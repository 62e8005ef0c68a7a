"""The analyses of one table as files: JSON and plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from morelli.artefacts import plain_json, write_file
from morelli.reports._folders import replacing_report

if TYPE_CHECKING:
    from morelli.evaluation import Analyses
    from morelli.features import Features


def write_analyses(analyses: Analyses, features: Features, folder: str | Path) -> list[Path]:
    """Write analyses.json and the plots as `folder`, whole or not at all; return what was written."""
    from morelli.reports.plots._curves import bank_figure, layers_figure, sink_figure
    from morelli.reports.plots._spaces import maps_figure
    from morelli.reports.plots._style import save_figure

    folder = Path(folder)
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
    with replacing_report(folder, "folder of analyses") as fresh:
        text = json.dumps(plain_json(analyses.to_json()), indent=1, ensure_ascii=False)
        write_file(fresh / "analyses.json", text, lock=False)
        for name, figure in figures.items():
            save_figure(figure, fresh / f"{name}.png")
    return [folder / "analyses.json", *(folder / f"{name}.png" for name in figures)]
