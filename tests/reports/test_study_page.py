"""Pages of a transfer study and of explained generators: offline, and every figure as in the JSON."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from morelli.explanation._generator_explanation import explain_rows
from morelli.explanation.concepts import ConceptBank
from morelli.explanation.study import transfer_study
from morelli.reports import explanation_json, study_json, study_page
from morelli.reports._study_page import explanation_page
from tests.explanation.planted_study import FAST, planted
from tests.reports.offline_page import assert_asks_for_nothing

HOSTILE = '<img src="//x">'
PICTURE = "data:image/png;base64,iVBORw0KGgo="


class Tables(HTMLParser):
    """The text of every cell, as rows of tables, and all titles of drawings."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.titles: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.inside.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "title":
            self.titles.append("")

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if self.inside and self.inside[-1] == "title":
            self.titles[-1] += data
        elif {"td", "th"} & set(self.inside):
            self.tables[-1][-1][-1] += data


def read(text: str) -> Tables:
    found = Tables()
    found.feed(re.sub(r"<(meta|br|img|circle|line|rect|path)\b[^>]*>", "", text))
    return found


def explained(first: str = "gen", concept: str = "more saturated"):
    """An explanation of a shift that is planted along the first concept, and its most telling images."""
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(40, 16)) + 4, rng.normal(size=(80, 16)) + 4
    A[:, 0] += 3
    bank = ConceptBank.of([concept, *(f"concept {i}" for i in range(1, 6))], np.eye(6, 16))
    hashes = ([f"a{i}" for i in range(40)], [f"b{i}" for i in range(80)])
    uris = ([f"{HOSTILE}{i}.png" for i in range(40)], [f"real/{i}.png" for i in range(80)])
    found = explain_rows(
        A, B, bank, names=(first, "real images"), identities=uris, hashes=hashes, permutations=300, draws=100
    )
    return json.loads(json.dumps(explanation_json(found)))


@pytest.fixture(scope="module")
def study():
    names = [HOSTILE, "a & b", *(f"g{i}" for i in range(4))]
    return json.loads(json.dumps(study_json(transfer_study(planted(generators=6, names=names), FAST))))


def test_a_study_page_asks_for_nothing_and_names_are_text(study):
    text = study_page(study, explanations=[explained(HOSTILE, "<b>fat</b>")], name="A <i>study</i>",
                      command="morelli study transfer '<f>'")  # fmt: skip
    assert_asks_for_nothing(text)
    for markup in ("<img", "<i>", "<b>fat", "'<f>'"):
        assert markup not in text
    assert "A &lt;i&gt;study&lt;/i&gt;" in text and "&lt;b&gt;fat&lt;/b&gt;" in text and "a &amp; b" in text


def test_every_figure_of_the_table_is_the_jsons(study):
    page = read(study_page(study))
    head, *rows = page.tables[0]
    assert head[0] == "detector" and len(rows) == len(study["rows"])
    for cells, row in zip(rows, study["rows"], strict=True):
        assert cells[0] == row["title"]
        assert cells[2] == f"{row['ood_auc']:.3f}"
        assert cells[6] == f"{row['pooled']['ood_auc']:.3f}"
        for place, gain in ((4, row["gain"]), (8, row["pooled"]["gain"])):
            assert cells[place] == ("" if gain is None else f"{gain['value']:+.3f}".replace("-", "−"))
        if row["kept"]:
            assert cells[9].split() == [str(row["kept"]["median"]), "of", str(row["total"])]
    drawn = [t for t in page.titles if " to " in t and t.startswith(("+", "-"))]
    gains = [r for row in study["rows"] for r in (row["gain"], row["pooled"]["gain"]) if r]
    assert drawn == [f"{g['value']:+.3f}, from {g['low']:+.3f} to {g['high']:+.3f}" for g in gains]


def test_matrices_heads_and_isotropy_are_the_jsons(study):
    text = study_page(study)
    page = read(text)
    names = study["generators"]
    first = study["rows"][0]["matrix"]["auc"]
    for i, trained in enumerate(names):
        for j, tested in enumerate(names):
            if i != j:
                words = [t for t in page.titles if trained in t and tested in t and "AUC" in t]
                assert any(f"{first[i][j]:.3f}" in t for t in words), (trained, tested)
    heads = study["heads"]
    for name, score in zip(heads["names"], heads["score"], strict=True):
        block, head = name.removeprefix("head:").split(".")
        assert f"block {block}, head {head}: AUC {score:.3f}" in page.titles
    last = page.tables[-1]
    for cells, (space, i) in zip(last[1:], study["isotropy"].items(), strict=True):
        assert cells[0] == space
        assert cells[1:4] == [f"{i[k]:.3f}" for k in ("mean_cosine", "partition_ratio", "isoscore")]
    assert f"{study['n_fake']:,}" in text and f"{study['n_real']:,}" in text


def test_an_explanation_page_is_offline_and_says_what_the_json_says():
    e = explained("gen <1>")
    text = explanation_page(e)
    assert_asks_for_nothing(text)
    assert "<img" not in text and "gen &lt;1&gt; against real images" in text
    page = read(text)
    rows = page.tables[0][1:]
    assert len(rows) == len(e["findings"])
    for cells, f in zip(rows, e["findings"], strict=True):
        assert cells[0] == f["name"] and cells[1] == f["opposite"]
        assert cells[2].startswith(f"{f['cosine']:.3f} ({f['interval'][0]:.2f} to {f['interval'][1]:.2f})")
        assert cells[5:7] == [f"{f['p']:.2g}", f"{f['p_family']:.2g}"]
    assert e["named"] == ["more saturated"]
    assert text.count('<tr class="best">') == 1
    assert any(
        t.startswith("more saturated") and f"{e['findings'][0]['cosine']:.3f}" in t for t in page.titles
    )
    assert f"{100 * e['parts'][0]['explained']:.0f} %" in text


def test_pictures_are_shown_where_there_are_some():
    e = explained()
    shown = {e["telling"][0]["sha256"]: PICTURE, e["telling"][-1]["sha256"]: PICTURE}
    text = explanation_page(e, thumbnails=shown)
    assert text.count(f'src="{PICTURE}"') == 2
    assert_asks_for_nothing(text)
    assert HOSTILE not in text


def test_a_study_that_nothing_wins_says_so(study):
    plain = json.loads(json.dumps(study))
    plain["winner"] = "final"
    plain["heads"] = None
    for row in plain["rows"]:
        row["families"] = None
    text = study_page(plain)
    assert "No row beats the final embedding with an interval above zero" in text
    assert 'id="heads"' not in text
