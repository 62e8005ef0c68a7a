"""The widgets' scripts and styles: plain ECMAScript, put together from the parts that both share."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "frontend"


def script(*names: str) -> str:
    """One module out of several files, in this order; the last one has the default export."""
    return "\n".join((FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in names)


def style() -> str:
    """The style sheet of all widgets; every rule lies under `.morelli`."""
    return (FOLDER / "widgets.css").read_text(encoding="utf-8")
