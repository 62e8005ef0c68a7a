"""The explanation of a generator as files: page, Markdown, JSON and plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from morelli.artefacts import write_file
from morelli.artefacts.text import markdown_page
from morelli.reports._explanation_text import explanation_json, explanation_markdown
from morelli.reports._folders import replacing_report
from morelli.reports._study_page import explanation_page

if TYPE_CHECKING:
    from morelli.explanation import GeneratorExplanation


def write_explanation(explanation: GeneratorExplanation, folder: Path) -> None:
    """Write explanation.html, .md, .json and .png as `folder`, whole or not at all; an older one is replaced.

    Raises:
        UsageError: `folder` holds something else than an explanation.
    """
    from morelli.reports.plots._explanation import plot_explanation

    page = explanation_markdown(explanation) + "\n![concepts and decomposition](explanation.png)\n"
    document = explanation_json(explanation)
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    with replacing_report(folder, "explanation") as fresh:
        plot_explanation(explanation, fresh / "explanation.png")
        write_file(fresh / "explanation.md", markdown_page(page, ["explanation.png"]), lock=False)
        write_file(fresh / "explanation.json", text, lock=False)
        write_file(fresh / "explanation.html", explanation_page(document), lock=False)
