"""Chromium for tests of the app and the widgets: found, started, or installed by `python -m tests.browser`.

`MORELLI_CHROMIUM` names one; then the PATH is looked through; then Playwright's own is taken. Where there is
none, Debian and Ubuntu as root get their package, which comes by the machine's usual mirror, and everybody
else gets Playwright's build. With `--package` only the former is done, for which no other package is needed.

The shell without a window comes first: the whole browser draws its own toolbars for each page that a test
opens, in processes of their own, which takes four times as much of a processor as the page.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.alarm import after

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SHELL = "chromium-headless-shell"
NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
]


def find_chromium() -> str | None:
    """Path of a Chromium that can be started; None where there is none.

    Raises:
        FileNotFoundError: `MORELLI_CHROMIUM` names something that is not there.
    """
    named = os.environ.get("MORELLI_CHROMIUM")
    if named:
        if shutil.which(named) is None:
            raise FileNotFoundError(f"MORELLI_CHROMIUM is {named!r}, and there is no such program.")
        return named
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and importlib.util.find_spec("playwright"):
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            own = playwright.chromium.executable_path
        found = own if Path(own).is_file() else None
    return found


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A Chromium without a window; skips the test that asks where there is none."""
    import pytest
    from playwright.sync_api import sync_playwright

    found = find_chromium()
    if found is None:
        pytest.skip("needs Chromium: run `python -m tests.browser`, or name one in MORELLI_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS, headless=True)
        yield browser
        with killed_if_slow():
            browser.close()


@contextmanager
def killed_if_slow(seconds: float = 60) -> Iterator[None]:
    """Kill the browsers of this process if what is done here takes longer: Playwright waits without end for a
    page that does not close."""
    import psutil

    def kill() -> None:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if "chrom" in process.name():
                    process.kill()

    with after(seconds, kill):
        yield


def has_package() -> bool:
    """Whether this user may install the system's package."""
    return os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_chromium(*, package_only: bool = False) -> None:
    """Install one: Debian's package as root, Playwright's build otherwise.

    Raises:
        subprocess.CalledProcessError: neither could be installed.
    """
    if has_package():
        unasked = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}

        def apt(*words: str) -> None:
            subprocess.run(["apt-get", "-qq", *words], check=True, stdout=subprocess.DEVNULL, env=unasked)

        apt("update")
        known = subprocess.run(["apt-cache", "show", SHELL], capture_output=True, check=False)
        browser = "chromium" if known.returncode else SHELL
        apt("install", "-y", "--no-install-recommends", browser, "fonts-dejavu-core")
    if find_chromium() is None and not package_only:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


if __name__ == "__main__":
    package_only = "--package" in sys.argv
    if find_chromium() is None and (has_package() or not package_only):
        print("No Chromium here; installing one for the tests of the app ...", flush=True)
        try:
            install_chromium(package_only=package_only)
        except (OSError, subprocess.CalledProcessError) as error:
            print(
                f"No Chromium could be installed ({error}), so the tests of the app will be skipped. Install "
                "one and name it in MORELLI_CHROMIUM."
            )
    if not package_only:
        print(f"Browser for the tests of the app: {find_chromium()}")
