"""The command line of Morelli. Importing it loads no model library; commands import what they need."""

from __future__ import annotations

import typer

app = typer.Typer(name="morelli", no_args_is_help=True, help="Detect AI-generated images.")


@app.callback()
def _root() -> None:
    """Detect AI-generated images."""


def main() -> None:
    """Run the command line."""
    app()
