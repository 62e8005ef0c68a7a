"""A transfer study as JSON, Markdown and a plot; matplotlib is loaded only when it draws."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.artefacts import dump_json, write_file
from morelli.artefacts.text import markdown_page
from morelli.palette import INK, SERIES
from morelli.reports._folders import replacing_report
from morelli.reports.plots._style import output_metadata

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.explanation.study import StudyRow, TransferStudy

# A gain is no class of images, so its colours are those of series.
BASE, GAIN, LOSS = INK, SERIES[0], SERIES[4]


def study_json(study: TransferStudy) -> dict[str, Any]:
    """Everything in the study as plain JSON values; cells that were not computed are null."""
    return {
        "format": "morelli-transfer-study",
        "version": 2,
        "options": {k: _plain(v) for k, v in vars(study.options).items()},
        "n_real": study.n_real,
        "n_fake": study.n_fake,
        "generators": list(study.rows[0].matrix.generators),
        "folds": [list(fold) for fold in study.folds],
        "winner": study.winner.name,
        "verdict": _verdict(study, study.winner).replace("**", ""),
        "rows": [_row(row) for row in study.rows],
        "isotropy": {name: value.to_json() for name, value in study.isotropy.items()},
        "heads": _heads(study),
        "notes": list(study.notes),
        "sentences": study_sentences(study),
    }


def _row(row: StudyRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "title": row.title,
        "ood_auc": row.ood,
        "interval": list(row.interval),
        "gain": None if row.gain is None else vars(row.gain),
        "pooled": {
            "ood_auc": row.pooled.ood,
            "interval": list(row.pooled_interval),
            "gain": None if row.pooled_gain is None else vars(row.pooled_gain),
            "auc": [round(float(v), 5) for v in row.pooled.cells.mean(axis=0)],
        },
        "kept": None if row.kept is None else dict(zip(("least", "median", "most"), row.kept, strict=True)),
        "total": row.total or None,
        "contender": row.contender,
        "matrix": row.matrix.to_json(),
        "families": None if row.families is None else row.families.to_json(),
    }


def _heads(study: TransferStudy) -> dict[str, Any] | None:
    heads = study.heads
    if heads is None:
        return None
    return {
        "names": list(heads.names),
        "auc": [[round(float(v), 5) for v in line] for line in heads.map],
        "score": [round(float(v), 5) for v in heads.score],
        "order": list(heads.order),
        "kept": list(heads.kept),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else value


def study_sentences(study: TransferStudy) -> list[str]:
    """How it was done, the result, and what it does not show: sentences a person can quote."""
    first, winner, options = study.rows[0], study.winner, study.options
    halves = (
        "by collection, so that the tested half shows sources that no training half did"
        if options.reals == "source"
        else "image by image, so that both halves show the same collections, which flatters every row"
    )
    held = f"held out in {options.holdouts} folds" if options.holdouts else "each held out by itself"
    out = [
        f"{study.n_fake:,} generated images by {len(first.matrix.generators)} generators and "
        f"{study.n_real:,} real ones; real images are halved {halves}.",
        "One generator trains: a discriminant is fitted on one generator and half of the real images and "
        "scored on another generator and the other half, mean AUC over all pairs. All others train: it is "
        "fitted on all generators that are not held out, together. Intervals are 90 %, over generators.",
        f"Whatever a row chooses, it chooses without the generators that it is scored on ({held}).",
        _verdict(study, winner),
        "Trained on all known generators together, the plain final embedding reaches "
        f"{first.pooled.ood:.3f}: a gain of a choice that looked at those generators belongs beside this "
        "figure, since whatever they tell a choice they can tell a detector that is trained on them.",
    ]
    better = [r for r in study.rows if r.contender and r.pooled_gain is not None and r.pooled_gain.low > 0]
    if better:
        best = max(better, key=lambda r: r.pooled.ood)
        out.append(
            f"Trained so, the best that may compete is {best.title}: {best.pooled.ood:.3f}, "
            f"{best.pooled_gain}."
        )
    else:
        out.append("Trained so, no row that may compete beats it with an interval above zero.")
    return out


def study_markdown(study: TransferStudy) -> str:
    """The study's tables for people."""
    winner, first = study.winner, study.rows[0]
    lines = ["# Transfer study", "", *(f"- {sentence}" for sentence in study_sentences(study)), ""]
    lines += [
        "| detector | one generator trains | against the final embedding | all others train | "
        "against the final embedding | kept |" + _family_head(first),
        "|---|---|---|---|---|---|" + "---|---|" * (first.families is not None),
    ]
    lines += [_line(row, bold=row is winner) for row in study.rows]
    lines += [
        "",
        "Rows of single blocks and of random removal do not compete: taking the best of them after the "
        "fact would look at the generators that are scored.",
        "",
        "## How evenly the space is filled",
        "",
        "| space | mean cosine | partition ratio | IsoScore | first component | first ten |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {i.mean_cosine:.3f} | {i.partition_ratio:.3f} | {i.isoscore:.3f} | {i.top1_share:.1%} | "
        f"{i.top10_share:.1%} |"
        for name, i in study.isotropy.items()
    ]
    lines += ["", "Measured on all images, with components and heads chosen on all: it scores nothing.", ""]
    for row in dict.fromkeys((first, winner)):
        lines += [f"## {row.title[:1].upper()}{row.title[1:]}: trained on rows, tested on columns", ""]
        lines += [*_matrix_lines(row), ""]
    lines += [f"- {note}" for note in study.notes]
    return "\n".join(lines).rstrip() + "\n"


def _highest(study: TransferStudy) -> StudyRow:
    """The row with the highest mean among those that may compete, whatever its interval."""
    return max((r for r in study.rows if r.contender), key=lambda r: r.ood, default=study.rows[0])


def _verdict(study: TransferStudy, winner: StudyRow) -> str:
    if winner.gain is None:
        highest = _highest(study)
        if highest is winner:
            return (
                "**Nothing beats the final embedding**: no row that may compete has a higher mean than its "
                f"{winner.ood:.3f}."
            )
        return (
            f"**Nothing beats the final embedding** with an interval above zero. {highest.title[:1].upper()}"
            f"{highest.title[1:]} has the highest mean, {highest.ood:.3f}, and is not called the winner: its "
            f"gain of {highest.gain} may be chance."
        )
    return (
        f"Best where one generator trains: **{winner.title}**, {winner.ood:.3f}, {winner.gain} over the "
        "final embedding."
    )


def _family_head(row: StudyRow) -> str:
    if row.families is None:
        return ""
    a, b = row.families.generators[:2]
    return f" {a} → {b} | {b} → {a} |"


def _line(row: StudyRow, *, bold: bool) -> str:
    title = f"**{row.title}**" if bold else row.title
    kept = "" if row.kept is None else f"{row.kept[1]} ({row.kept[0]}–{row.kept[2]}) of {row.total}"
    cells = [title, f"{row.ood:.3f} [{row.interval[0]:.3f}, {row.interval[1]:.3f}]"]
    cells += ["" if row.gain is None else str(row.gain)]
    cells += [f"{row.pooled.ood:.3f} [{row.pooled_interval[0]:.3f}, {row.pooled_interval[1]:.3f}]"]
    cells += ["" if row.pooled_gain is None else str(row.pooled_gain), kept]
    if row.families is not None:
        mean = row.families.mean
        cells += [f"{mean[0, 1]:.3f}", f"{mean[1, 0]:.3f}"]
    return "| " + " | ".join(cells) + " |"


def _matrix_lines(row: StudyRow) -> list[str]:
    matrix = row.matrix
    head = ["| |" + "|".join(matrix.generators) + "|", "|---|" + "---|" * len(matrix.generators)]
    return head + [
        f"|{name}|" + "|".join("" if np.isnan(v) else f"{v:.2f}" for v in line) + "|"
        for name, line in zip(matrix.generators, matrix.mean, strict=True)
    ]


def plot_study(study: TransferStudy, path: str | Path) -> Path:
    """Left: AUC on unseen generators with intervals; right: paired differences from the baseline."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = study.rows[::-1]
    figure = Figure(figsize=(10, 0.32 * len(rows) + 1.4), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    for y, row in enumerate(rows):
        filled = row.contender
        left.plot(row.interval, [y, y], color=BASE, linewidth=1.5)
        left.plot(row.ood, y, "o", color=BASE if filled else "white", markeredgecolor=BASE, markersize=6)
        if row.gain is not None:
            colour = GAIN if row.gain.value > 0 else LOSS
            right.plot((row.gain.low, row.gain.high), [y, y], color=colour, linewidth=1.5)
            face = colour if filled else "white"
            right.plot(row.gain.value, y, "o", color=face, markeredgecolor=colour, markersize=6)
    left.axvline(study.rows[0].ood, color=INK, linewidth=0.7, linestyle=":")
    left.set_yticks(range(len(rows)), [row.title for row in rows], fontsize=8)
    left.set_xlabel("mean AUC on unseen generators (90 % interval)", fontsize=8)
    right.axvline(0, color=INK, linewidth=0.8)
    right.set_xlabel("difference from the final embedding, paired", fontsize=8)
    right.set_title("hollow: does not compete", loc="right", fontsize=7.5)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
    path = Path(path)
    figure.savefig(path, metadata=output_metadata(path.suffix))
    return path


def write_study(
    study: TransferStudy,
    folder: str | Path,
    *,
    page: str | None = None,
    explanations: Sequence[Mapping[str, Any]] = (),
    bundle: Bundle | None = None,
) -> list[Path]:
    """Write study.json, study.md and study.png as `folder`, whole or not at all; an older study is replaced.

    Args:
        study: what was found.
        folder: where to.
        page: the text of study.html, see `study_page`.
        explanations: of generators, for explanations.json.
        bundle: of the winner, for the folder `bundle`.

    Raises:
        UsageError: `folder` holds something else than a study.
    """
    folder = Path(folder)
    with replacing_report(folder, "study") as fresh:
        write_file(fresh / "study.json", dump_json(study_json(study), indent=1), lock=False)
        write_file(fresh / "study.md", markdown_page(study_markdown(study)), lock=False)
        plot_study(study, fresh / "study.png")
        if page is not None:
            write_file(fresh / "study.html", page, lock=False)
        if explanations:
            text = json.dumps(explanations, indent=1, ensure_ascii=False)
            write_file(fresh / "explanations.json", text + "\n", lock=False)
        if bundle is not None:
            bundle.save(fresh / "bundle")
    return [folder / name for name in ("study.json", "study.md", "study.png")]
