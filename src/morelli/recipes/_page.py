"""The page that tells what a recipe made: from what, on which terms, how well, and what was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from morelli.artefacts.text import markdown_text
from morelli.recipes._steps import Step
from morelli.recipes.plans import Plan

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.encoders import Encoder

_FIGURES = (
    ("auc", "area under the curve"),
    ("tpr_at_5_percent_fpr", "found at 5 % false alarms"),
    ("ece", "calibration error"),
)


def page(plan: Plan, encoder: Encoder, bundle: Bundle, steps: Sequence[Step]) -> str:
    """Markdown about a finished recipe."""
    build, card = encoder.build, encoder.card
    lines = [
        f"# {markdown_text(plan.title)}",
        "",
        f"Made by the recipe `{markdown_text(plan.name)}`. The detector is in `bundle/`, with its model "
        "card; `report/report.html` has every figure, `recipe.json` the plan and the hashes of every step.",
        "",
        "## Images",
        "",
        "| collection | real | generated | generators | sources | not readable | from | terms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for step in steps:
        if "collection" in step.facts:
            facts = step.facts
            lines.append(
                f"| {markdown_text(facts['collection'])} | {facts['real']:,} | {facts['fake']:,} "
                f"| {facts['generators']:,} | {facts['sources']:,} | {facts['failed']:,} "
                f"| {markdown_text(facts['origin'])} | {markdown_text(facts['licence'])} |"
            )
    lines += [
        "",
        f"Encoder: {markdown_text(card.name)} ({markdown_text(card.licence)}), build `{build.fingerprint}`, "
        f"weights {build.weights[:16]}…, transform {markdown_text(build.transform)}.",
        "",
        "## Held-out figures of the bundle",
        "",
        "Groups (a generator's lineage, a source of real images) were kept out of the fit that scored them.",
        "",
        "| figure | value | interval |",
        "|---|---|---|",
    ]
    for name, words in _FIGURES:
        value = bundle.metrics[name]
        lines.append(f"| {words} | {value['value']:.3f} | {value['low']:.3f} to {value['high']:.3f} |")
    facts_auc = next((step.facts["file_facts_auc"] for step in steps if step.name == "evaluate"), None)
    if facts_auc is not None:
        lines += [
            "",
            f"File facts of the aligned copies alone reach an AUC of {facts_auc:.3f}; 0.5 is chance.",
        ]
    lines += [
        "",
        "## Steps",
        "",
        "| step | seconds | output |",
        "|---|---|---|",
        *(f"| {step.name} | {step.seconds:,.1f} | `{step.output[:16]}` |" for step in steps),
        "",
        "## What was not measured before",
        "",
        markdown_text(plan.unmeasured),
    ]
    return "\n".join(lines) + "\n"
