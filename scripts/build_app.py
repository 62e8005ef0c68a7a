"""Builds the browser app into the package: a hook of hatchling, and a script for a checkout.

Run as a script it builds `web/` into `src/morelli/server/static/`, and the views of an atlas for notebooks
into `src/morelli/notebook/static/`, where the sources are newer than what is there. As hatchling's hook it
does the same before a wheel is packed. Without Node the package works all the same and `morelli serve` says
what is missing, so that is a message and not an error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
BUILT = ROOT / "src" / "morelli" / "server" / "static" / "index.html"
NOTEBOOK = ROOT / "src" / "morelli" / "notebook" / "static" / "atlas.js"
MINIMUM_NODE = 20


def sources() -> list[Path]:
    """Files that the built app is made from."""
    files = [path for path in (WEB / "src").rglob("*") if path.is_file()]
    return files + [path for path in WEB.iterdir() if path.is_file()]


def stale() -> bool:
    """Whether the built app is missing or older than a source."""
    built = (BUILT, NOTEBOOK)
    if not all(file.is_file() for file in built):
        return True
    oldest = min(file.stat().st_mtime for file in built)
    return any(path.stat().st_mtime > oldest for path in sources())


def node_problem() -> str | None:
    """Why the app cannot be built here, None where it can."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return f"Node {MINIMUM_NODE} or newer with npm is not installed"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < MINIMUM_NODE:
        return f"Node is {version}, the app needs {MINIMUM_NODE} or newer"
    return None


def install() -> None:
    """Install what the lock file names, unless that is what is installed."""
    stamp = WEB / "node_modules" / ".package-lock.json"
    if stamp.is_file() and stamp.stat().st_mtime >= (WEB / "package-lock.json").stat().st_mtime:
        return
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=WEB, check=True)


def build() -> None:
    """Build the app; nothing of a failed build stays."""
    install()
    subprocess.run(["npm", "run", "--silent", "build"], cwd=WEB, check=True)
    for file in (BUILT, NOTEBOOK):
        os.utime(file)


def main() -> int:
    """Build where that is possible and needed; 0 unless a build fails."""
    if not WEB.is_dir():
        return 0
    problem = node_problem()
    if problem:
        print(f"The browser app is not built: {problem}. Everything else works without it.", file=sys.stderr)
        return 0
    if "--install" in sys.argv:
        install()
    elif stale():
        print("Building the browser app ...", file=sys.stderr)
        build()
    return 0


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script, outside a build
    pass
else:

    class AppHook(BuildHookInterface):  # type: ignore[misc,type-arg]
        """hatchling's way in; editable installs leave the app to `make app`."""

        PLUGIN_NAME = "custom"

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            """Build before the files of a wheel are gathered."""
            if version == "standard":
                main()


if __name__ == "__main__":
    sys.exit(main())
