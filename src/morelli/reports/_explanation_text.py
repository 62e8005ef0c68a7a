"""An explanation in words: sentences to quote, JSON with them, and a Markdown page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from morelli.explanation import GeneratorExplanation


def explanation_sentences(explanation: GeneratorExplanation, most: int = 5) -> list[str]:
    """Sentences a person can quote, each with its numbers: findings, what they explain together, warnings.

    At most `most` findings are spelt out.
    """
    e = explanation
    named = e.named
    out = _findings(e, most)
    if not named:
        best = e.findings[0]
        out.append(
            f"Nothing in this bank of {len(e.findings)} concepts sets {e.first} apart from {e.second} beyond "
            f"chance: the nearest, {best.name!r}, has a corrected p of {_p(best.p_family)}."
        )
    elif len(named) > most:
        out.append(f"{len(named) - most} more concepts differ at the same level.")
    if e.parts:
        words = ", ".join(part.name for part in e.parts)
        out.append(
            f"Together {words} explain {e.explained:.0%} of the residual; of residuals of shuffled labels "
            f"the same procedure explains {e.explained_by_chance:.0%}."
        )
    return out + _warnings(e)


def _warnings(explanation: GeneratorExplanation) -> list[str]:
    """What could have caused the residual besides what the concepts say."""
    e = explanation
    out = []
    if e.noise > 0.3:
        out.append(
            f"Caution: {e.noise:.0%} of the residual's squared length is what {e.n_first} and {e.n_second} "
            "images give by sampling alone; more images would sharpen it."
        )
    if e.metadata_auc is not None and e.files_confound:
        out.append(
            f"Caution: file facts alone (format, size) tell the two sets apart with an area under the curve "
            f"of {e.metadata_auc:.2f}, so the residual may show how files were stored rather than made."
        )
    elif e.metadata_auc is not None:
        out.append(f"File facts alone tell the two sets apart with an area of {e.metadata_auc:.2f}.")
    out += [f"Caution: {difference}." for difference in e.confounds]
    if e.delivery:
        out.append(
            f"Every image went through {e.delivery} before it was encoded, which levels the files; what an "
            "earlier compression or resizing left in the pixels remains."
        )
    elif e.confounds or e.files_confound:
        out.append("Extract both sets alike (morelli extract --perturb align:288,85) and explain again.")
    shared = [f for f in e.named if f.sources_beyond is not None and f.sources_beyond > 0]
    if shared:
        words = ", ".join(f"{f.name} ({f.sources_beyond:.0%})" for f in shared[:4])
        out.append(
            f"Caution: some sources of real images stand out from the other reals at least as much "
            f"as {e.first} does: {words}. There the difference may be one of collections."
        )
    return out + list(e.notes)


def _findings(e: GeneratorExplanation, most: int) -> list[str]:
    out = []
    for f in e.named[:most]:
        low, high = f.interval
        text = (
            f"{e.first} leans towards {f.name!r} (away from {f.opposite!r}) compared with {e.second}: cosine "
            f"{f.cosine:.2f} [{low:.2f}, {high:.2f}] with the residual, {f.effect:+.2f} standard deviations, "
            f"p = {_p(f.p_family)} corrected for {len(e.findings)} concepts"
        )
        if f.sources_beyond is not None:
            text += f"; {f.sources_beyond:.0%} of the real sources differ as much among themselves"
        out.append(f"{text}.")
    return out


def _p(value: float) -> str:
    return f"{value:.2g}"


def explanation_json(explanation: GeneratorExplanation) -> dict[str, Any]:
    """The explanation as plain JSON values, its sentences included."""
    return {**explanation.to_json(), "sentences": explanation_sentences(explanation)}


def explanation_markdown(explanation: GeneratorExplanation, most: int = 20) -> str:
    """The page; tables are cut at `most` rows."""
    e = explanation
    lines = [f"# {e.first} against {e.second}", ""]
    lines += [f"- {sentence}" for sentence in explanation_sentences(e)]
    lines += [
        "",
        f"{e.n_first:,} and {e.n_second:,} images, feature kind `{e.kind}`; length of the residual "
        f"{e.length:.3f} between unit means, of whose square {e.noise:.0%} is sampling noise.",
        "",
        "## Concepts",
        "",
        "| concept | opposite | cosine | interval | effect (sd) | score | p | corrected p | sources beyond |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for f in e.findings[:most]:
        beyond = "" if f.sources_beyond is None else f"{f.sources_beyond:.0%}"
        name = f"**{_cell(f.name)}**" if f in e.named else _cell(f.name)
        lines.append(
            f"| {name} | {_cell(f.opposite)} | {f.cosine:.2f} | {f.interval[0]:.2f} to {f.interval[1]:.2f} | "
            f"{f.effect:+.2f} | {f.score:+.1f} | {_p(f.p)} | {_p(f.p_family)} | {beyond} |"
        )
    if len(e.findings) > most:
        lines += ["", f"{len(e.findings) - most:,} more are in the JSON file."]
    lines += ["", "## What the concepts explain together", ""]
    lines += ["| concept | weight | explained up to here |", "|---|---|---|"]
    lines += [f"| {_cell(part.name)} | {part.weight:.2f} | {part.explained:.0%} |" for part in e.parts]
    lines += ["", f"By chance (shuffled labels): {e.explained_by_chance:.0%}.", ""]
    lines += ["## Most telling images", "", "| side | image | projection |", "|---|---|---|"]
    lines += [
        f"| {e.first if t.label == 'first' else e.second} | {_cell(t.uri)} | {t.projection:+.3f} |"
        for t in e.telling
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
