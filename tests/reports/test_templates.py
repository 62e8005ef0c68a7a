"""Text in pages: what stands between backticks is code, and all of it is escaped."""

from __future__ import annotations

import pytest

from morelli.reports._templates import page_environment


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("look with `morelli audit`", "look with <code>morelli audit</code>"),
        ("`a` and `<b>`", "<code>a</code> and <code>&lt;b&gt;</code>"),
        ("a file called `<img src=x>", "a file called `&lt;img src=x&gt;"),
        ("plain <i>", "plain &lt;i&gt;"),
    ],
)
def test_backticks_are_code_and_markup_is_text(text: str, shown: str) -> None:
    assert page_environment().from_string("{{ text | code }}").render(text=text) == shown
