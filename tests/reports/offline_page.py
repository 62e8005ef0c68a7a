"""What every HTML page of the project must be: one file that asks nobody for anything."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.targets += [v or "" for k, v in attrs if k in ("href", "src", "srcset", "action", "data")]


def assert_asks_for_nothing(text: str) -> None:
    """No script, no frame, no address but anchors of the page itself and data, and a policy that says so."""
    links = Links()
    links.feed(text)
    assert not {"script", "link", "iframe", "object"} & set(links.tags)
    assert all(t.startswith(("#", "data:")) for t in links.targets)
    assert not re.search(r"url\(|@import|https?://", text)
    assert "default-src 'none'" in text
    anchors = set(re.findall(r'id="([^"]+)"', text))
    assert {t[1:] for t in links.targets if t.startswith("#")} <= anchors
