"""The widgets' scripts and styles: plain ECMAScript of their own, and the app's views as they were built."""

from __future__ import annotations

from pathlib import Path

from morelli.errors import MissingPartError

FOLDER = Path(__file__).parent / "frontend"
BUILT = Path(__file__).parent / "static"


def script(*names: str) -> str:
    """One module out of several files, in this order; the last one has the default export."""
    return "\n".join((FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in names)


def style() -> str:
    """The style sheet of all widgets; every rule lies under `.morelli`."""
    return (FOLDER / "widgets.css").read_text(encoding="utf-8")


def app() -> tuple[str, str]:
    """The views of an atlas as the app has them: script and style sheet.

    Raises:
        MissingPartError: they were not built into this installation.
    """
    try:
        script, look = ((BUILT / f"atlas.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    except FileNotFoundError as error:
        raise MissingPartError(
            "no-app",
            "The views of an atlas are not built into this installation.",
            "In a clone: make app (needs Node 20 or newer). Wheels that were built with Node have them.",
        ) from error
    return script, look
