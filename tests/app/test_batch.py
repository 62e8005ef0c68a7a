"""Many pictures in a real browser: a table with sorting and CSV, archives, and a part judged alone."""

from __future__ import annotations

import base64
import csv
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.app.test_check import bring, case_id, home, verdict
from tests.server.running import Running

pytestmark = pytest.mark.encoder
Open = Callable[..., Page]
WHILE_JUDGED = 60_000
# Runs in the page, as a drag of several files from a file manager would end.
DROP_ALL = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, data] of files) {
    transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));
  }
  const event = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, photos: list[tuple[str, Image.Image]]) -> list[Path]:
    """Eight crops of photographs, of different sizes, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("many")
    for k, (name, image) in enumerate(photos[:4] * 2):
        image.convert("RGB").crop((k, k, k + 96 + 8 * k, k + 96)).save(folder / f"{k}-{name}.png")
    (folder / "9-notes.png").write_bytes(b"not a picture at all")
    return sorted(folder.iterdir())


def drop(page: Page, files: list[Path]) -> None:
    expect(page.get_by_role("button", name=re.compile("Choose pictures|Add"))).to_be_visible()
    page.evaluate(DROP_ALL, [[one.name, base64.b64encode(one.read_bytes()).decode()] for one in files])


def column(page: Page, number: int) -> list[str]:
    return page.locator(f"tbody tr > :nth-child({number})").all_inner_texts()


def test_many_files_are_a_table_with_sorting_and_a_csv_file(
    judging: Running, open_page: Open, many: list[Path]
) -> None:
    page = open_page(home(judging))
    drop(page, many)
    table = page.get_by_role("region", name="All pictures")
    expect(table.get_by_role("heading", name="9 pictures")).to_be_visible()
    expect(table.get_by_text(re.compile(r"1 could not be judged"))).to_be_visible(timeout=WHILE_JUDGED)
    expect(table.get_by_role("progressbar")).to_have_count(0, timeout=WHILE_JUDGED)
    expect(table.get_by_text(re.compile(r"without an answer:"))).to_be_visible()
    table.get_by_role("button", name="Probability").click()
    expect(table.get_by_role("columnheader", name="Probability")).to_have_attribute("aria-sort", "descending")
    with page.expect_download() as saved:
        table.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(saved.value.path().read_text(encoding="utf-8-sig"))))
    assert {row["uri"] for row in rows} == {one.name for one in many}
    judged = [row for row in rows if row["verdict"]]
    given = [float(row["probability"]) for row in judged]
    assert len(judged) == 8 and given == sorted(given, reverse=True)
    for row in judged:
        case = judging.get(f"/cases/{row['sha256']}").json()
        assert float(row["probability"]) == case["probability"] and row["verdict"] == case["verdict"]
    assert rows[-1]["uri"] == "9-notes.png" and rows[-1]["error_message"]
    # The order is part of the address, and a row opens its picture.
    other = open_page(page.url)
    expect(other.get_by_role("columnheader", name="Probability")).to_have_count(
        0
    )  # another tab has no pictures
    table.get_by_role("button", name="Picture").click()
    names = [text.split("\n")[0] for text in column(page, 1)]
    assert names == sorted(names)
    table.get_by_role("link", name=re.compile("^0-")).click()
    expect(verdict(page)).to_be_visible()
    page.get_by_role("button", name="Table").click()
    expect(table.get_by_role("heading", name="9 pictures")).to_be_visible()


def test_an_archive_becomes_its_pictures(
    judging: Running, open_page: Open, many: list[Path], tmp_path: Path
) -> None:
    packed = tmp_path / "holiday.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for one in (many[0], many[1], many[-1]):
            archive.write(one, f"day/{one.name}")
    page = open_page(home(judging))
    drop(page, [packed])
    table = page.get_by_role("region", name="All pictures")
    expect(table.get_by_role("heading", name="3 pictures")).to_be_visible(timeout=WHILE_JUDGED)
    expect(table.get_by_role("progressbar")).to_have_count(0, timeout=WHILE_JUDGED)
    expect(table.get_by_role("row", name=re.compile(re.escape(many[0].name)))).to_contain_text("holiday.zip")
    expect(table.get_by_text("1 could not be judged")).to_be_visible()
    table.get_by_role("link").first.click()
    expect(verdict(page)).to_be_visible()
    for _ in range(600):
        if len(judging.state.archives) == 0:
            break
        page.wait_for_timeout(100)
    assert len(judging.state.archives) == 0, "the archive is closed when its last picture is through"


def test_a_box_on_the_picture_judges_that_part_alone(
    judging: Running, open_page: Open, pictures: dict[str, Path]
) -> None:
    page = open_page(home(judging))
    bring(page, pictures["coffee"])
    expect(verdict(page)).to_be_visible()
    whole = case_id(page)
    page.get_by_role("button", name="Judge a part").click()
    area = page.get_by_role("application")
    expect(area.get_by_role("img")).to_be_visible()
    place = area.bounding_box()
    assert place
    at = [
        (place["x"] + x * place["width"], place["y"] + y * place["height"])
        for x, y in ((0.25, 0.2), (0.75, 0.7))
    ]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1], steps=3)
    page.mouse.up()
    expect(page.get_by_role("link", name=re.compile(r"coffee, part \d+x\d+\.png"))).to_be_visible()
    page.wait_for_url(lambda url: whole not in url)
    expect(verdict(page)).to_be_visible()
    part = judging.get(f"/cases/{case_id(page)}").json()
    with Image.open(pictures["coffee"]) as image:
        sides = (image.width / 2, image.height / 2)
    assert (part["facts"]["width"], part["facts"]["height"]) == pytest.approx(sides, abs=2)
    assert part["facts"]["format"] == "PNG" and part["id"] != whole
