"""Explore in a real browser: four views of one atlas, linked by one selection that the address carries."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
from playwright.sync_api import Page, expect

from morelli.atlas import Atlas
from tests.app.explore_atlas import (
    Open,
    address,
    drag,
    settled,
    shown_images,
    spec,
    state,
    view,
)
from tests.server.running import Running

LEFT_HALF = [(0.12, 0.03), (0.5, 0.03), (0.5, 0.97), (0.12, 0.97), (0.12, 0.03)]


def lasso(page: Page) -> None:
    page.get_by_role("button", name="Lasso").click()
    drag(page, LEFT_HALF)


def test_a_lasso_selects_the_images_inside_it_in_every_view(
    exploring: Running,
    open_page: Open,
    atlas: Atlas,
) -> None:
    page = settled(open_page(address(exploring)))
    assert shown_images(page) == len(atlas)
    lasso(page)
    settled(page)
    (clause,) = spec(page)
    assert set(clause) == {"polygon"}
    chosen = atlas.select({"and": [clause]})
    assert 0 < chosen.counts["count"] < len(atlas)
    assert shown_images(page) == chosen.counts["count"]
    rows = (
        view(page, "Image view").locator("[data-row]").evaluate_all("all => all.map((a) => +a.dataset.row)")
    )
    assert rows == chosen.rows[: len(rows)].tolist()
    expect(view(page, "Dimension view").locator("path.selected")).to_have_count(8)
    expect(view(page, "Pattern view").get_by_text(re.compile("of the selection")).first).to_be_visible()
    expect(page.locator(".summary")).to_contain_text(f"{chosen.counts['count']} of {len(atlas)}")

    page.get_by_role("button", name="Undo").click()
    settled(page)
    assert spec(page) == [] and shown_images(page) == len(atlas)
    page.get_by_role("button", name="Redo").click()
    settled(page)
    assert spec(page) == [clause]


def test_a_rectangle_and_a_further_one_add_up(
    exploring: Running,
    open_page: Open,
    atlas: Atlas,
) -> None:
    page = settled(open_page(address(exploring)))
    page.get_by_role("button", name="Rectangle").click()
    drag(page, [(0.12, 0.03), (0.45, 0.5)])
    settled(page)
    (first,) = spec(page)
    page.keyboard.down("Shift")
    drag(page, [(0.5, 0.5), (0.95, 0.97)])
    page.keyboard.up("Shift")
    settled(page)
    (both,) = spec(page)
    assert both["or"][0] == first and "rect" in both["or"][1]
    expect(page.get_by_role("list", name="What narrows the selection")).to_contain_text("2 regions")
    assert shown_images(page) == atlas.select({"and": [both]}).counts["count"]


def test_a_selection_does_not_move_a_map_that_shows_all(exploring: Running, open_page: Open) -> None:
    page = settled(open_page(address(exploring)))
    surface = page.get_by_role("application")
    surface.focus()
    surface.press("+")
    settled(page)
    expect(page).to_have_url(re.compile("at="))
    surface.press("0")
    expect(page).not_to_have_url(re.compile("at="))
    settled(page)
    page.evaluate(
        """() => {
          const map = document.querySelector('.map');
          window.frames = [map.dataset.frame];
          new MutationObserver(() => window.frames.push(map.dataset.frame))
            .observe(map, { attributeFilter: ['data-frame'] });
        }"""
    )
    page.get_by_role("button", name="Rectangle").click()
    drag(page, [(0.12, 0.03), (0.45, 0.5)])
    settled(page)
    assert len(spec(page)) == 1
    assert len(set(page.evaluate("() => window.frames"))) == 1


def test_a_cell_is_selected_by_a_click_and_let_go_by_another(
    exploring: Running,
    open_page: Open,
    atlas: Atlas,
) -> None:
    page = settled(open_page(address(exploring)))
    surface = page.get_by_role("application")
    level = int(surface.get_attribute("data-level") or 0)
    table = atlas.tile(level)
    fullest = int(np.argmax(table["count"].to_numpy()))
    number = table["cell"][fullest].as_py()
    left, top, side = map(float, (surface.get_attribute("data-frame") or "").split())
    box = surface.bounding_box()
    assert box is not None
    ix, iy = number % 2**level, number >> level
    place = (box["x"] + left + side * (ix + 0.5) / 2**level, box["y"] + top + side * (iy + 0.5) / 2**level)
    page.mouse.move(*place)
    expect(page.locator(".card")).to_contain_text(f"{table['count'][fullest].as_py()} images")
    page.mouse.click(*place)
    settled(page)
    assert spec(page) == [{"cells": {"level": level, "ids": [number]}}]
    assert shown_images(page) == table["count"][fullest].as_py()
    page.mouse.click(*place)
    settled(page)
    assert spec(page) == []


def test_the_bar_selects_the_generated_images_beside_what_is_selected(
    exploring: Running, open_page: Open, atlas: Atlas
) -> None:
    narrow = {"column": "probability", "range": [0.5, None]}
    page = settled(open_page(address(exploring, sel={"and": [narrow]})))
    page.locator(".summary").get_by_role("button", name="generated").click()
    settled(page)
    assert spec(page) == [narrow, {"column": "label", "in": ["fake"]}]
    assert shown_images(page) == atlas.select({"and": spec(page)}).counts["count"] > 0


def test_a_long_name_of_a_dimension_is_readable(exploring: Running, open_page: Open, atlas: Atlas) -> None:
    long = "loud in skies with thin clouds over water, and in the bokeh of small sensors"
    page = settled(open_page(address(exploring)))
    name = view(page, "Dimension view").locator("button.name").first
    name.dblclick()
    field = page.get_by_label("Name of the dimension")
    field.fill(long)
    field.press("Enter")
    name = view(page, "Dimension view").get_by_role("button", name=long)
    lines = "(node) => node.getClientRects().length && Math.round(node.scrollHeight / 16)"
    assert 1 < name.locator("span").evaluate(lines) <= 4
    assert name.evaluate("(node) => node.scrollWidth <= node.clientWidth")
    if name.get_attribute("aria-expanded") != "true":
        name.click()
    assert name.locator("span").evaluate("(node) => node.scrollHeight <= node.clientHeight + 1")


def test_a_pattern_selects_the_images_that_carry_it(
    exploring: Running,
    open_page: Open,
    atlas: Atlas,
) -> None:
    page = settled(open_page(address(exploring)))
    card = view(page, "Pattern view").get_by_role("button", name=re.compile("^Select the")).first
    card.click()
    settled(page)
    (clause,) = spec(page)
    expect(view(page, "Pattern view").locator("button[aria-pressed=true].crops")).to_have_count(1)
    assert shown_images(page) == atlas.prototypes()[clause["prototype"]]["images"]


def test_switching_a_dimension_off_judges_everything_again(
    exploring: Running,
    open_page: Open,
    atlas: Atlas,
) -> None:
    page = settled(open_page(address(exploring, sort="-probability")))
    strongest = max(range(8), key=lambda k: atlas.rescore([k])["changed"])
    told = atlas.rescore([strongest])
    name = atlas.dimension_names()[strongest]
    view(page, "Dimension view").get_by_role("switch", name=f"Count {name}", exact=True).click()
    settled(page)
    assert state(page)["off"] == str(strongest)
    chip = page.get_by_role("list", name="What narrows the selection")
    expect(chip).to_contain_text(f"AUC {told['auc_before']:.3f} → {told['auc_after']:.3f}")
    highest = view(page, "Image view").locator("[data-row]").first
    expect(highest).to_have_attribute("data-row", str(int(np.argmax(atlas.logits([strongest])))))
    wrong = (told["errors_after"]["fp"] + told["errors_after"]["fn"]) / len(atlas)
    expect(page.locator(".summary")).to_contain_text(f"{100 * wrong:.1f} % wrong")

    assert told["changed"] > 0
    chip.get_by_role("button", name=re.compile("changed$")).click()
    settled(page)
    assert shown_images(page) == told["changed"]


def test_a_range_drawn_on_a_histogram_is_a_range_of_impacts(
    exploring: Running,
    open_page: Open,
    atlas: Atlas,
) -> None:
    page = settled(open_page(address(exploring)))
    histogram = view(page, "Dimension view").locator("li svg").first
    box = histogram.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.5 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], y, steps=4)
    page.mouse.up()
    settled(page)
    (clause,) = spec(page)
    assert set(clause) == {"dimension", "range"}
    assert shown_images(page) == atlas.select({"and": [clause]}).counts["count"]


def test_a_renamed_pattern_keeps_its_name_and_a_hidden_one_goes(
    exploring: Running,
    open_page: Open,
    atlas: Atlas,
) -> None:
    page = settled(open_page(address(exploring, pane="patterns")))
    cards = view(page, "Pattern view").locator("ul > li")
    before = cards.count()
    cards.first.get_by_role("button", name=re.compile("^More about")).click()
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name of the pattern").fill("chequered edges")
    page.keyboard.press("Enter")
    expect(cards.first.get_by_role("heading")).to_have_text("chequered edges")
    page.reload()
    expect(cards.first.get_by_role("heading")).to_have_text("chequered edges")
    assert "chequered edges" in {one["name"] for one in atlas.prototypes()}

    cards.first.get_by_role("button", name="More about chequered edges").click()
    page.get_by_role("button", name="Hide").click()
    expect(cards).to_have_count(before - 1)
    page.get_by_label("1 hidden").check()
    expect(cards).to_have_count(before)


def test_merged_patterns_are_one(exploring: Running, open_page: Open, atlas: Atlas) -> None:
    page = settled(open_page(address(exploring, pane="patterns", patterns="coverage")))
    cards = view(page, "Pattern view").locator("ul > li")
    before = cards.count()
    biggest = max(atlas.prototypes(), key=lambda one: one["images"])
    cards.last.get_by_role("button", name=re.compile("^More about")).click()
    page.get_by_label("Merge into").select_option(str(biggest["id"]))
    expect(cards).to_have_count(before - 1)
    cards.first.locator("button.crops").click()
    expect(page.locator(".summary .n")).to_contain_text(
        f"{atlas.select({'and': [{'prototype': biggest['id']}]}).counts['count']} of"
    )
    (merged,) = [one for one in atlas.prototypes() if one["merged_into"] == biggest["id"]]
    assert merged["id"] != biggest["id"]


def test_two_generators_are_set_against_each_other(exploring: Running, open_page: Open) -> None:
    page = settled(open_page(address(exploring, pane="patterns")))
    patterns = view(page, "Pattern view")
    patterns.get_by_role("button", name="Generators").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    lines = page.get_by_role("region", name="Generator against generator").locator("ol > li")
    expect(lines.first).to_be_visible()
    assert "vs" in state(page)
    page.get_by_role("button", name="End the comparison").click()
    expect(lines).to_have_count(0)


def test_a_selection_is_saved_by_name_and_exported(
    exploring: Running,
    open_page: Open,
    atlas: Atlas,
) -> None:
    chosen = atlas.select(
        {"and": [{"column": "label", "in": ["fake"]}, {"column": "probability", "range": [0.2, 0.9]}]}
    )
    page = settled(open_page(address(exploring, sel=chosen.spec)))
    page.get_by_role("button", name="Saved").click()
    page.get_by_label("Name for this selection").fill("doubtful fakes")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("button", name=re.compile("^doubtful fakes"))).to_be_visible()
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("^CSV")).click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    assert [int(row["row"]) for row in rows] == chosen.rows.tolist()
    assert {row["label"] for row in rows} == {"fake"}
    assert all(0.2 <= float(row["probability"]) <= 0.9 for row in rows)

    page.goto(address(exploring))
    settled(page)
    page.get_by_role("button", name="Saved").click()
    page.get_by_role("button", name=re.compile("^doubtful fakes")).click()
    settled(page)
    assert shown_images(page) == chosen.counts["count"]


def test_the_address_is_the_whole_state(exploring: Running, open_page: Open) -> None:
    page = settled(open_page(address(exploring)))
    page.get_by_label("Colour by").select_option("score")
    lasso(page)
    settled(page)
    page.get_by_label("Sort", exact=True).select_option("uncertainty")
    settled(page)
    page.mouse.move(500, 300)
    for _ in range(4):
        page.mouse.wheel(0, -240)
    expect(page).to_have_url(re.compile("at="))
    settled(page)
    view(page, "Image view").locator("[data-row]").nth(2).click()
    title = page.get_by_role("dialog").get_by_role("heading", level=2)
    expect(title).to_have_text(re.compile(r"\.png$"))

    other = settled(open_page(page.url))
    expect(other.get_by_role("dialog").get_by_role("heading", level=2)).to_have_text(title.inner_text())
    assert state(other) == state(page)
    assert shown_images(other) == shown_images(page)
    surfaces = [p.get_by_role("application").get_attribute("data-level") for p in (page, other)]
    assert surfaces[0] == surfaces[1]
    expect(other.get_by_label("Colour by")).to_have_value("score")
    expect(other.get_by_label("Sort", exact=True)).to_have_value("uncertainty")


def test_an_image_is_inspected_compared_and_called_wrong(
    exploring: Running,
    open_page: Open,
    atlas: Atlas,
) -> None:
    page = settled(open_page(address(exploring)))
    tiles = view(page, "Image view").locator("[data-row]")
    tiles.nth(1).click()
    sheet = page.get_by_role("dialog")
    item = atlas.image(1)
    expect(sheet).to_contain_text(item["sha256"])
    shown = sheet.locator("text=/sum: the logit/").locator("xpath=ancestor::li")
    expect(shown).to_contain_text(f"{abs(item['logit']):.2f}")
    sheet.get_by_role("button", name="generated", exact=True).click()
    expect(sheet.get_by_text("Noted: you know this image to be generated.")).to_be_visible()
    expect(sheet.get_by_text("1 image in feedback.csv")).to_be_visible()
    assert [row["label"] for row in atlas.edits.read_feedback()] == ["fake"]
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)

    for index in (0, 2, 3):
        tiles.nth(index).click(modifiers=["Shift"])
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("columnheader")).to_have_count(4)
    expect(page.get_by_role("dialog").get_by_role("row")).to_have_count(1 + 1 + 8)


def test_a_damaged_address_still_opens_the_atlas(exploring: Running, open_page: Open) -> None:
    page = settled(
        open_page(address(exploring, sel='{"and": [', off="99,x", by="mood", image="-4", at="a,b"))
    )
    expect(page.get_by_role("alert")).to_have_count(0)
    assert shown_images(page) == 120


def test_a_selection_that_the_server_refuses_says_why(exploring: Running, open_page: Open) -> None:
    page = open_page(address(exploring, sel={"and": [{"prototype": 4000}]}))
    expect(page.get_by_role("alert")).to_contain_text("no prototype 4000")


def test_the_map_paints_every_mode_differently(exploring: Running, open_page: Open) -> None:
    page = settled(open_page(address(exploring, pane="overview")))
    choice = page.get_by_label("Colour by")
    modes = choice.locator("option").evaluate_all("all => all.map((one) => one.value)")
    assert {"signature", "label", "verdict", "error", "generator", "score", "uncertainty"} < set(modes)
    seen = set()
    plain = [mode for mode in modes if ":" not in mode]
    for mode in [*plain, "dimension:2", "column:roll", "column:exposure"]:
        choice.select_option(mode)
        settled(page)
        for _ in range(200):  # the frame that shows it may come later
            colours, picture = page.evaluate(
                """() => {
                  const canvas = document.querySelector('.map canvas');
                  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                  const pixels = new Uint32Array(data.buffer);
                  const mark = pixels.reduce((sum, one) => (sum * 31 + one) % 2147483647, 7);
                  return [new Set(pixels).size, mark];
                }"""
            )
            if picture not in seen:
                break
            page.wait_for_timeout(50)
        assert colours > 4
        seen.add(picture)
    assert len(seen) == 10


def test_a_patterns_page_is_walked_by_keyboard_and_leads_to_its_images(
    exploring: Running, open_page: Open, atlas: Atlas
) -> None:
    page = settled(open_page(address(exploring)))
    view(page, "Pattern view").get_by_role("button", name="Page of", exact=False).first.click()
    dialog = page.get_by_role("dialog")
    first = int(state(page)["pattern"])
    names = {one["id"]: one["name"] for one in atlas.prototypes()}
    expect(dialog.get_by_role("heading", level=2)).to_have_text(names[first])
    without = atlas.pattern_page(first)["without"]
    expect(dialog).to_contain_text(f"{without['images']} image")
    expect(dialog.get_by_role("table")).to_contain_text("without it")
    expect(dialog.get_by_role("button", name="Open image", exact=False).first).to_be_visible()
    if len(names) > 1:
        page.keyboard.press("ArrowRight")
        expect(dialog.get_by_role("heading", level=2)).not_to_have_text(names[first])
        page.keyboard.press("ArrowLeft")
        expect(dialog.get_by_role("heading", level=2)).to_have_text(names[first])
    dialog.get_by_role("button", name="Select its images").click()
    expect(dialog).to_have_count(0)
    settled(page)
    assert spec(page) == [{"prototype": first}]
    assert shown_images(page) == without["images"]
