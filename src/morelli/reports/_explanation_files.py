"""The explanation of a generator as files: page, Markdown, JSON and plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from morelli.reports._explanation_text import explanation_json, explanation_markdown
from morelli.reports._study_page import explanation_page

if TYPE_CHECKING:
    from morelli.explanation import GeneratorExplanation


def write_explanation(explanation: GeneratorExplanation, folder: Path) -> None:
    """Write explanation.html, .md, .json and .png into `folder`, which is made if need be."""
    from morelli.reports.plots._explanation import plot_explanation

    folder.mkdir(parents=True, exist_ok=True)
    plot_explanation(explanation, folder / "explanation.png")
    page = explanation_markdown(explanation) + "\n![concepts and decomposition](explanation.png)\n"
    (folder / "explanation.md").write_text(page, encoding="utf-8")
    document = explanation_json(explanation)
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (folder / "explanation.json").write_text(text + "\n", encoding="utf-8")
    (folder / "explanation.html").write_text(explanation_page(document), encoding="utf-8")
