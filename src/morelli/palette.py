"""The colours of the project: one pair for real and generated, and what stands beside it.

They are the app's. The pair is blue-teal and orange, which stay apart for every common kind of colour
blindness; each comes as a fill (at least 3 : 1 on paper) and as a deeper tone for text and thin marks
(4.5 : 1). What is neither of both, a detector or a metric, has a hue of `SERIES` or of `AUC`.
"""

from __future__ import annotations

REAL, GENERATED = "#1b87ab", "#d06f14"
REAL_TEXT, GENERATED_TEXT = "#0c6685", "#9f4a06"
INCONCLUSIVE, OUT_OF_DOMAIN = "#8a8f93", "#4d5257"
INK, FAINT, PALE, PAPER = "#191b1d", "#676c71", "#c9cdd0", "#fafaf7"
MIDDLE = "#e4e4e0"
"""Between real and generated on a scale: speaks for neither."""

# What the classes' hues are not: eight that stay apart for colour-blind readers (after Okabe and Ito).
SERIES = ("#2a5fc4", "#9a7d00", "#8a3fb5", "#13805a", "#c22f52", "#5c6b23", "#0f7d86", "#96553a")
SERIES_DARK = ("#8ab4ff", "#e0c341", "#c893e8", "#5fcf9e", "#ff8fa3", "#9aa86a", "#6fd3d8", "#d9a38a")

# Names of a column on the map: two more, and no grey, which is for all further names.
CATEGORIES = (*SERIES, "#5560c8", "#b5478c")
CATEGORIES_DARK = (*SERIES_DARK, "#b0b7ff", "#f5a3d7")

# An AUC is no class either: chance is pale, better is deeper indigo, upside down is rose. (AUC, colour).
AUC = (
    (0.0, "#8a4a66"),
    (0.25, "#c9a3b4"),
    (0.5, "#eeeeea"),
    (0.625, "#b9c3d6"),
    (0.75, "#7489b4"),
    (0.875, "#3a5390"),
    (1.0, "#1b2f66"),
)

# The app's names of CSS variables: light and dark.
_VARIABLES = {
    "ink": (INK, "#eceded"),
    "real": (REAL_TEXT, "#63c3e2"),
    "generated": (GENERATED_TEXT, "#f5a558"),
    "unsure": ("#5c6166", "#a2a8ae"),
    "real-fill": (REAL, "#3aa3c6"),
    "generated-fill": (GENERATED, "#e58a34"),
    "unsure-fill": (INCONCLUSIVE, "#7c8389"),
    **{f"series-{k}": pair for k, pair in enumerate(zip(SERIES, SERIES_DARK, strict=True))},
}


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0–255 each, of ``#rrggbb``.

    >>> rgb(GENERATED)
    (208, 111, 20)
    """
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def app_colours() -> dict[str, dict[str, str | tuple[str, ...]]]:
    """What the app's canvases draw with, which know no CSS variables: light and dark.

    >>> app_colours()["light"]["real"]
    '#1b87ab'
    """
    light, dark = (
        {name: _VARIABLES[f"{name}-fill"][side] for name in ("real", "generated", "unsure")}
        for side in (0, 1)
    )
    return {
        "light": {**light, "categories": CATEGORIES},
        "dark": {**dark, "categories": CATEGORIES_DARK},
    }


def css_variables() -> str:
    """CSS that defines the variables ``--real``, ``--real-fill``, … for pages, light and dark by preference.

    >>> css_variables().splitlines()[0][:35]
    ':root { --ink: #191b1d; --real: #0c'
    """
    light, dark = (
        f":root {{ {' '.join(f'--{name}: {pair[side]};' for name, pair in _VARIABLES.items())} }}"
        for side in (0, 1)
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n"
