"""Write a report folder from predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from morelli.artefacts import dump_json, write_file
from morelli.artefacts.text import csv_table, markdown_page
from morelli.errors import MorelliError
from morelli.evaluation import Executed, MeasureOptions, Predictions, Summary, summarize
from morelli.reports._document import document, measured_rows
from morelli.reports._figures import scatter
from morelli.reports._folders import replacing_report, report_folder
from morelli.reports._html import page
from morelli.reports._provenance import provenance
from morelli.reports._summary_tables import summary_markdown, summary_rows, table
from morelli.reports._thumbnails import find_images, png

if TYPE_CHECKING:
    from morelli.features import Features
    from morelli.images import ImageItem

Maps = Literal["tsne", "umap", "pca", "none"]
PAGE, DATA, TEXT, PREDICTIONS = "report.html", "report.json", "report.md", "predictions.parquet"
TABLES = ("estimates.csv", "transfer.csv", "worst_cases.csv", "robustness.csv")
TITLES = {"tsne": "t-SNE", "umap": "UMAP", "pca": "The first two principal components"}
FEWEST, MOST = 10, 24  # images behind a spectrum; spectra shown


@dataclass(frozen=True)
class Report:
    """A written report: its folder, the summary, and the hash of the predictions beside it."""

    folder: Path
    summary: Summary
    document: Mapping[str, Any]
    predictions_sha256: str

    @property
    def page(self) -> Path:
        """The HTML file."""
        return self.folder / PAGE


def write_report(
    made: Executed | Predictions,
    folder: str | Path,
    *,
    options: MeasureOptions | None = None,
    name: str = "",
    command: str = "",
    images: Callable[[], Sequence[ImageItem]] | None = None,
    audit: Mapping[str, Any] | None = None,
    maps: Maps = "none",
    spectra: bool = False,
    thumbnails: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Measure predictions and write ``report.html``, ``report.json``, ``report.md``, CSV files and the table.

    Args:
        made: what `execute` gave, or a predictions table alone.
        folder: to write, whole or not at all; an older report there is replaced, files of others stay.
        options: of the metrics and their intervals.
        name: title of the report.
        command: how it was made, for the provenance.
        images: lists the images behind the predictions, for pictures of the worst cases and spectra.
        audit: the JSON of an audit of these images (``audit.json``).
        maps: how to draw the feature space, where features are at hand.
        spectra: draw mean high-pass spectra of `images`.
        thumbnails: put small pictures of the worst cases into the page.
        progress: called with what is being done.

    Raises UsageError when `folder` holds something else than a report.
    """
    on_progress = progress or (lambda _: None)
    predictions, run, features = (
        (made.predictions, made.run, made.features) if isinstance(made, Executed) else (made, None, None)
    )
    folder = report_folder(folder)
    on_progress("measuring")
    summary = summarize(measured_rows(predictions), options)
    with replacing_report(folder) as fresh:
        digest = predictions.write(fresh / PREDICTIONS)
        facts = provenance(
            run=run, record=predictions.run, predictions_sha256=digest, command=command, folder=folder
        )
        content = document(predictions, summary, provenance=facts, name=name)
        worst_images = [w for kind in content["worst"].values() for w in kind]
        listed = None
        found: dict[str, str] = {}
        if thumbnails:
            on_progress("pictures")
            listed = list(images()) if images is not None else None
            places = [Path(i.path).resolve().parent for i in run.inputs] if run is not None else []
            found = find_images(worst_images, listed, places)
        pictures = list(
            _pictures(features, listed, images, maps=maps, spectra=spectra, on_progress=on_progress)
        )
        write_file(fresh / DATA, dump_json(content, indent=1), lock=False)
        write_file(fresh / TEXT, markdown_page(markdown(content, summary)), lock=False)
        for file, rows in tables(content, summary).items():
            write_file(fresh / file, _csv(rows), lock=False)
        write_file(fresh / PAGE, page(content, thumbnails=found, pictures=pictures, audit=audit), lock=False)
    return Report(folder, summary, content, digest)


def _pictures(
    features: Features | None,
    listed: Sequence[ImageItem] | None,
    images: Callable[[], Sequence[ImageItem]] | None,
    *,
    maps: Maps,
    spectra: bool,
    on_progress: Callable[[str], None],
) -> Sequence[dict[str, str]]:
    from morelli.audit import mean_spectra
    from morelli.evaluation import feature_maps
    from morelli.reports.plots._spaces import spectra_figure
    from morelli.reports.plots._style import figure_png

    made: list[dict[str, str]] = []
    if features is not None and maps != "none":
        on_progress("feature map")
        kind = "final" if "final" in features.vectors else next(iter(features.vectors))
        (found,) = feature_maps(features, [kind], method=maps, limit=2000)
        columns = {c: features.column(c) for c in ("generator", "source", "uri")}
        points = [
            (float(x), float(y), int(features.labels[row]), _named(columns, int(row)))
            for (x, y), row in zip(found.xy, found.rows, strict=True)
        ]
        text = (
            f"{TITLES[maps]} of {kind}, {len(points):,} images; hover for the name. A map is a picture, not "
            f"a measurement. This is one: of the ten nearest neighbours of other lineages and sources, "
            f"{100 * found.agreement:.0f} % carry an image's label (chance 50 %), on the map "
            f"{100 * found.map_agreement:.0f} %."
        )
        made.append({"title": "Feature space", "text": text, "drawing": scatter(points)})
    if spectra and images is not None:
        on_progress("spectra")
        try:
            found_spectra = mean_spectra(list(listed) if listed else list(images()))
            shown = sorted((x for x in found_spectra if x.n >= FEWEST), key=lambda x: (x.label or 0, -x.n))
            real = [x for x in shown if not x.label][: MOST // 2]
            drawing = spectra_figure([*real, *[x for x in shown if x.label][: MOST - len(real)]])
            text = (
                "What upsampling leaves: points on a grid are its traces. Real sources in blue, "
                "generators in orange; centre crops of 256 pixels, smaller images left out; groups of "
                f"{FEWEST} images and more."
            )
            made.append(
                {"title": "Mean high-pass spectra", "text": text, "src": png(figure_png(drawing, 75))}
            )
        except MorelliError as error:
            on_progress(f"no spectra: {error}")
    return made


def _named(columns: Mapping[str, Any], row: int) -> str:
    """What a point is called: its generator or source, and its file."""
    group = columns["generator"][row] or columns["source"][row] or "unknown"
    return f"{group}: {str(columns['uri'][row]).rpartition('/')[2]}"


def markdown(content: Mapping[str, Any], summary: Summary) -> str:
    """The report's tables, with what they were made from, as Markdown."""
    head, facts = content["headline"], content["provenance"]
    from morelli.reports._figures import number
    from morelli.reports._html import verdict

    lines = [
        f"# {content['name'] or 'Evaluation'}",
        f"**{head['detector']}**, {head['protocol']}: AUC {number(head['auc'])} on {head['n_images']:,} "
        "images "
        f"({head['n_real']:,} real + {head['n_fake']:,} generated). File facts alone: AUC "
        f"{number(head['metadata_only'])}.",
        verdict(head),
        *(f"- {note}" for note in content["run"].get("notes", [])),
        summary_markdown(summary).rstrip(),
    ]
    if content["published"]:
        lines.append("## Published figures of the same protocol (not measured here, percent)")
        rows = [
            [p["detector"], p["metric"].replace("_", " "), f"{p['mean']:.2f}", p["source"], p["note"]]
            for p in content["published"]
        ]
        lines.append(table(["detector", "metric", "mean of 19 sets", "source", "note"], rows))
    if content["robustness"]:
        lines.append("## Robustness, AUC on all generators")
        rows = [
            [
                p["detector"],
                p["perturbation"] or "clean",
                number(p["auc"]),
                f"{p['ap']:.3f}",
                f"{p['fpr']:.3f}",
            ]
            for p in content["robustness"]
            if p["family"] == "all"
        ]
        lines.append(table(["detector", "delivery", "AUC", "AP at equal shares", "false positives"], rows))
    lines.append("## Provenance")
    rows = [
        ["command", f"`{facts['command']}`" if facts["command"] else "–"],
        ["predictions.parquet", f"`{facts['predictions']['sha256']}`"],
        ["build", str(facts["fingerprint"] or "–")],
        ["features", str(facts["features_digest"] or "–")],
        ["seed", str(facts["seed"] if facts["seed"] is not None else "–")],
        *([f"bundle {n}", str(d or "changed in memory")] for n, d in facts["bundles"].items()),
        *([i["role"], f"{i['path']} `{i['digest'] or '–'}`"] for i in facts["inputs"]),
        *([n, v] for n, v in facts["versions"].items()),
    ]
    lines.append(table(["what", "which"], rows))
    return "\n\n".join(lines) + "\n"


def tables(content: Mapping[str, Any], summary: Summary) -> dict[str, list[dict[str, Any]]]:
    """CSV files by name."""
    made = {"estimates.csv": summary_rows(summary)}
    cells = [
        {
            "detector": r["detector"],
            "delivery": r["perturbation"],
            "trained_on": trained,
            "tested_on": tested,
            "auc": r["matrix"]["auc"][i][j],
        }
        for r in content["results"]
        if r["matrix"]
        for i, trained in enumerate(r["matrix"]["trained"])
        for j, tested in enumerate(r["matrix"]["tested"])
    ]
    made["transfer.csv"] = cells
    made["worst_cases.csv"] = [{"case": kind, **w} for kind, some in content["worst"].items() for w in some]
    made["robustness.csv"] = [
        {**{k: v for k, v in p.items() if k not in ("auc", "fpr_by_source")}, **_flat("auc", p["auc"])}
        for p in content["robustness"]
    ]
    return {name: rows for name, rows in made.items() if rows}


def _flat(name: str, estimate: Mapping[str, Any]) -> dict[str, Any]:
    return {name: estimate["value"], f"{name}_low": estimate["low"], f"{name}_high": estimate["high"]}


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    header = list(dict.fromkeys(name for row in rows for name in row))
    return csv_table(header, ([row.get(name) for name in header] for row in rows))
