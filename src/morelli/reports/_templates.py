"""The environment in which every page is drawn: names are escaped, and a missing value is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from morelli.palette import css_variables

if TYPE_CHECKING:
    from jinja2 import Environment


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
    return environment
