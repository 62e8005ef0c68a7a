"""A person's word against a verdict: where it goes, what it would change, and known images with pictures."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from playwright.sync_api import expect

from morelli.detectors import Bundle, default_bundle_path
from morelli.features import FeatureTable
from morelli.server import ServerSettings
from tests.app.explore_atlas import Open
from tests.app.test_check_access import violations
from tests.server.running import Running, running


def test_a_correction_in_check_shows_what_it_would_change(
    judging: Running, open_page: Open, pictures: dict[str, Path], feedback: Path
) -> None:
    page = open_page(f"http://127.0.0.1:{judging.port}/")
    page.locator("input[type=file]").first.set_input_files(pictures["coffee"])
    # The shipped detector keeps no paths of its known images, which is said in place of pictures.
    expect(page.get_by_text("Their pictures cannot be shown here")).to_be_visible()
    expect(page.get_by_text("keeps features of these images, and no paths to them")).to_be_visible()

    page.get_by_role("button", name="It is generated").click()
    expect(page.get_by_text("you know this picture to be generated")).to_be_visible()
    table = page.get_by_role("table").filter(has_text="Nearest known generated picture")
    expect(table.get_by_role("row").nth(2).get_by_role("cell").nth(1)).to_have_text("0.000")
    expect(page.get_by_text("The score comes from a fit to other pictures")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="No, it is real").click()
    expect(page.get_by_text("before, it was said to be generated")).to_be_visible()
    rows = FeatureTable.open(feedback).metadata(["uri", "label"]).to_pylist()
    assert [(row["uri"], row["label"]) for row in rows if row["uri"] == "coffee.jpg"] == [("coffee.jpg", 0)]


def test_known_images_are_shown_where_the_bank_has_paths_into_a_root(
    judging: Running, open_page: Open, pictures: dict[str, Path], tmp_path: Path
) -> None:
    bundle = Bundle.load(default_bundle_path())
    own = pictures["chelsea"]
    case = judging.upload((own.name, own.read_bytes())).json()["cases"][0]
    assert bundle.bank is not None
    nearest = bundle.bank.ids.index(case["neighbors"]["real"][0]["id"])
    ids, uris = list(bundle.bank.ids), list(bundle.bank.uris)
    ids[nearest], uris[nearest] = sha256(own.read_bytes()).hexdigest(), str(own)
    replace(bundle, bank=replace(bundle.bank, ids=tuple(ids), uris=tuple(uris))).save(tmp_path / "own")
    settings = ServerSettings(bundle=tmp_path / "own", roots=(own.parent,))
    with running(settings) as server:
        page = open_page(f"http://127.0.0.1:{server.port}/")
        page.locator("input[type=file]").first.set_input_files(own)
        shown = page.get_by_role("region", name="Nearest real").get_by_role("img")
        expect(shown).to_have_count(1)
        expect(page.get_by_text("Some of their pictures cannot be shown")).to_be_visible()
        page.wait_for_function(
            "() => document.querySelector('[aria-label=\"Nearest real\"] img').naturalWidth > 0"
        )
