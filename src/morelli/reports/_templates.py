"""The environment in which every page is drawn: names are escaped, and a missing value is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from morelli.palette import css_variables

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def page_environment() -> Environment:
    """Templates of this folder; jinja2 is loaded only when a page is drawn.

    A template is compiled each time it is fetched from a new environment, so that pages keep theirs.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("morelli.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["colours"] = Markup(css_variables())
    environment.filters["code"] = _code
    return environment


def _code(text: str) -> Markup:
    """Text of which what stands between backticks is code."""
    from markupsafe import Markup, escape

    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # one is left over: it is no mark
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )
