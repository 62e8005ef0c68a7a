"""A second detector in Check: below the first one's verdict, in the table of a batch, in its file."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from morelli.server import ServerSettings
from tests.app.test_batch import DROP_ALL, column, drop
from tests.app.test_check import bring, case_id, gauge, home, verdict
from tests.app.test_check_access import violations
from tests.server.running import Running, running
from tests.small_beside import contrary_dir
from tests.small_detector import bundle_dir, distilled_dir, features, table

__all__ = ["DROP_ALL", "bundle_dir", "contrary_dir", "distilled_dir", "features", "table"]
Open = Callable[..., Page]
WORDS = {"ai": "generated", "real": "real", "inconclusive": "inconclusive", "out_of_domain": "out of domain"}


@pytest.fixture(scope="module")
def two(
    bundle_dir: Path, contrary_dir: Path, distilled_dir: Path, tiny_clip_dir: Path, built_app: Path
) -> Iterator[Running]:
    """A server with a small detector, and beside it one that was taught the opposite."""
    settings = ServerSettings(
        bundle=bundle_dir,
        beside=contrary_dir,
        distilled=distilled_dir,
        weights=tiny_clip_dir,
        device="cpu",
        offline=True,
    )
    with running(settings) as server:
        yield server


@pytest.fixture(scope="module")
def some(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve pictures of either class and of several sources, by names of their own."""
    folder = tmp_path_factory.mktemp("some")
    for label in ("real", "fake"):
        files = sorted((collection / label).rglob("*.png"))
        for k, one in enumerate(files[:: len(files) // 6][:6]):
            shutil.copy(one, folder / f"{label}-{k}.png")
    return sorted(folder.iterdir())


def second(page: Page):  # type: ignore[no-untyped-def]
    return page.get_by_role("region", name="Second detector: contrary")


def judged(server: Running, files: list[Path]) -> dict[str, str]:
    """How the two stand to each other, by the file's name."""
    answer = server.upload(*((one.name, one.read_bytes()) for one in files)).json()
    return {case["name"]: case["second"]["agreement"] for case in answer["cases"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_second_verdict_stands_below_the_first(
    two: Running, open_page: Open, some: list[Path], scheme: str
) -> None:
    found = judged(two, some)
    differing = next(one for one in some if found[one.name] == "disagree")
    page = open_page(home(two), color_scheme=scheme)
    bring(page, differing)
    expect(verdict(page)).to_be_visible()
    case = two.get(f"/cases/{case_id(page)}").json()
    said = case["second"]
    expect(second(page)).to_contain_text(f"{WORDS[said['verdict']]} {said['probability']:.2f}")
    expect(second(page)).to_contain_text(
        f"the first says {WORDS[case['verdict']]}, the second {WORDS[said['verdict']]}"
    )
    low, high = said["interval"]
    assert 0.01 < low < high < 0.99
    expect(second(page).get_by_role("img")).to_have_accessible_name(
        re.compile(f"interval {low:.2f} to {high:.2f}".replace(".", r"\."))
    )
    expect(gauge(page)).to_have_count(2)
    assert violations(page) == []
    # Another base rate is the second one's too.
    page.get_by_role("button", name="50 %").click()
    slider = page.get_by_role("slider", name=re.compile("Generated, of a hundred"))
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_url(re.compile("base="))
    rate = re.search(r"base=([\d.]+)", page.url)
    assert rate
    moved = two.get(f"/cases/{case['id']}", params={"base_rate": rate[1]}).json()["second"]
    expect(second(page)).to_contain_text(f"{moved['interval'][0]:.2f} to {moved['interval'][1]:.2f}")
    quoted = two.get(f"/cases/{case['id']}").json()["sentence"]
    assert "disagrees and says" in quoted
    with page.expect_download() as saved:
        page.get_by_role("link", name="Report (HTML)").click()
    assert "What a second detector says" in saved.value.path().read_text(encoding="utf-8")


def test_a_batch_shows_both_and_narrows_to_where_they_disagree(
    two: Running, open_page: Open, some: list[Path]
) -> None:
    found = judged(two, some)
    differing = {name for name, agreement in found.items() if agreement == "disagree"}
    single = {name for name, agreement in found.items() if agreement == "one_answers"}
    assert differing and single
    page = open_page(home(two))
    drop(page, some)
    table = page.get_by_role("region", name="All pictures")
    expect(table.get_by_role("heading", name="12 pictures")).to_be_visible()
    expect(table.get_by_role("progressbar")).to_have_count(0)
    expect(table.get_by_role("columnheader", name="Second: contrary")).to_be_visible()
    assert violations(page) == []
    table.get_by_role("button", name=f"They disagree {len(differing)}").click()
    expect(table.locator("tbody tr")).to_have_count(len(differing))
    assert {text.split("\n")[0] for text in column(page, 1)} == differing
    with page.expect_download() as saved:
        table.get_by_role("button", name="CSV of these").click()
    rows = list(csv.DictReader(io.StringIO(saved.value.path().read_text(encoding="utf-8-sig"))))
    assert {row["uri"] for row in rows} == differing
    for row in rows:
        said = two.get(f"/cases/{row['sha256']}").json()["second"]
        assert row["second_verdict"] == said["verdict"]
        assert float(row["second_probability"]) == said["probability"] and row["agreement"] == "disagree"
    # What is shown is part of the address; Back shows all again.
    assert "only=disagree" in page.url
    table.get_by_role("button", name=f"Only one answers {len(single)}").click()
    assert {text.split("\n")[0] for text in column(page, 1)} == single
    page.go_back()
    page.go_back()
    expect(table.locator("tbody tr")).to_have_count(12)
    table.get_by_role("button", name="Second: contrary").click()
    words = [text.split()[0] for text in column(page, 4)]
    assert words == sorted(words, key=["generated", "inconclusive", "out", "real"].index)


def test_a_narrow_screen_needs_no_sideways_scrolling(two: Running, open_page: Open, some: list[Path]) -> None:
    page = open_page(home(two), viewport={"width": 390, "height": 800})
    bring(page, some[0])
    expect(second(page)).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    drop(page, some)
    expect(page.get_by_role("region", name="All pictures").get_by_role("progressbar")).to_have_count(0)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
