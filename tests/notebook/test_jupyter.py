"""Both widgets in a real JupyterLab, with a kernel of its own, driven by a browser.

JupyterLab is no dependency of the tests: `pip install jupyterlab` where this should run.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import running_chromium
from tests.notebook.test_check import file, judging  # noqa: F401 - fixtures

pytest.importorskip("jupyterlab")

SLOWEST = 60_000
"""Milliseconds that the lab's start, the kernel's and the first cell may take; torch is loaded in it."""
NOTEBOOK = "try.ipynb"


def notebook(*cells: str) -> str:
    """A notebook of code cells, none of which has run."""
    code: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps(
        {
            "cells": [{**code, "id": f"cell-{at}", "source": source} for at, source in enumerate(cells)],
            "metadata": {"kernelspec": kernel},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


def started(folder: Path) -> dict[str, Any] | None:
    """What a server has written of itself; None where there is nothing yet, or half of it."""
    for record in folder.glob("jpserver-*.json"):
        with contextlib.suppress(json.JSONDecodeError):
            return dict(json.loads(record.read_text()))
    return None


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[Path, str, str]]:
    """A JupyterLab without settings of anybody's: its folder, its address and its token."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    own = {name: str(tmp_path / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    words = [
        *("--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", f"--ServerApp.root_dir={folder}"),
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with (tmp_path / "lab.log").open("wb") as log:
        program = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *words],
            env=os.environ | own,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + SLOWEST / 1000
        while (told := started(Path(own["JUPYTER_RUNTIME_DIR"]))) is None:
            assert program.poll() is None, (tmp_path / "lab.log").read_text()
            assert time.monotonic() < until, (tmp_path / "lab.log").read_text()
            time.sleep(0.2)
        yield folder, told["url"], told["token"]
    finally:
        program.terminate()
        program.wait(30)


@pytest.fixture
def page() -> Iterator[Page]:
    with running_chromium() as browser:
        one = browser.new_page(viewport={"width": 1400, "height": 1600}, color_scheme="light")
        one.set_default_timeout(SLOWEST)
        yield one


def test_both_widgets_work_in_jupyterlab(
    lab: tuple[Path, str, str],
    page: Page,
    planted_atlas_dir: Path,
    judging: dict[str, Any],  # noqa: F811
    file: Path,  # noqa: F811
) -> None:
    folder, home, token = lab
    options = {name: str(value) if isinstance(value, Path) else value for name, value in judging.items()}
    (folder / NOTEBOOK).write_text(
        notebook(
            "import morelli",
            f"overview = morelli.show({str(planted_atlas_dir)!r})\noverview",
            f"check = morelli.show({str(file)!r}, **{options!r})\ncheck",
            "print(len(overview.selected_rows), check.dimension)",
        )
    )
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{home}lab/tree/{NOTEBOOK}?token={token}")
    # A cell that is run before the kernel is connected is forgotten.
    expect(page.get_by_text(re.compile(r"Python 3.*\| Idle"))).to_be_visible(timeout=SLOWEST)
    cells = page.locator(".jp-CodeCell")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    expect(cells.nth(3).locator(".jp-OutputArea-output")).to_have_text("120 decision", timeout=SLOWEST)

    # What is selected on the page is selected in Python.
    app = page.frame_locator(".morelli iframe")
    tiles = app.locator(".pane.overview .map")
    expect(tiles).to_have_attribute("data-settled", "true")
    app.get_by_role("button", name="Rectangle", exact=True).click()
    box = tiles.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2, steps=5)
    page.mouse.up()
    summary = app.locator(".summary .n")
    expect(summary).to_contain_text("of 120")
    selected = int(summary.inner_text().split()[0])
    panel = page.get_by_role("region", name=f"Verdict on {file.name}")
    expect(panel.locator(".stage canvas")).to_have_attribute("data-ready", "true")
    dimension = panel.get_by_role("list", name="Dimensions").locator("button.name").first
    dimension.click()
    expect(dimension).to_have_attribute("aria-pressed", "true")
    cells.nth(3).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    output = cells.nth(3).locator(".jp-OutputArea-output")
    expect(output).to_have_text(re.compile(rf"^{selected} \d+\s*$"), timeout=SLOWEST)
    assert 0 < selected < 120

    # Another theme is another look, at once.
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.get_by_text("Theme", exact=True).first.hover()
    page.get_by_text("JupyterLab Dark", exact=True).first.click()
    expect(page.locator(".morelli.dark")).to_have_count(2, timeout=SLOWEST)
    expect(app.locator("html")).to_have_attribute("data-theme", "dark", timeout=SLOWEST)
    if os.environ.get("MORELLI_SCREENSHOTS"):
        page.locator("#jupyterlab-splash").wait_for(state="detached")
        page.screenshot(path=Path(os.environ["MORELLI_SCREENSHOTS"]) / "notebook-jupyterlab.png")
    assert errors == []
