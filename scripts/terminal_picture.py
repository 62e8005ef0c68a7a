"""Take the picture of the terminal that the README shows.

    python scripts/terminal_picture.py docs/images/demo.png -- morelli detect demo/images --label-from folders

Runs the command in a pseudo-terminal, and draws what it printed with a Chromium that is on the PATH.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from app_pictures import shrunk
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COLUMNS = 132
PIXELS_PER_LINE = 19
THEME = TerminalTheme(
    (24, 24, 27),
    (228, 228, 231),
    [(63, 63, 70), (248, 113, 113), (74, 222, 128), (250, 204, 21), (96, 165, 250), (192, 132, 252),
     (34, 211, 238), (212, 212, 216)],
)  # fmt: skip


def printed(command: list[str]) -> str:
    """What `command` prints on a terminal of `COLUMNS` columns, escape sequences included."""
    reader, writer = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color"}
    with subprocess.Popen(
        command, stdout=writer, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment
    ):
        os.close(writer)
        pieces = []
        while True:
            try:
                piece = os.read(reader, 65536)
            except OSError:  # the other end is closed: Linux says so by an error
                break
            if not piece:
                break
            pieces.append(piece)
    os.close(reader)
    return b"".join(pieces).decode(errors="replace").replace("\r\n", "\n").replace("\r", "")


def main() -> None:
    """Run, draw, save."""
    if len(sys.argv) < 4 or sys.argv[2] != "--":
        sys.exit(__doc__)
    out, command = Path(sys.argv[1]), sys.argv[3:]
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("This needs Chromium to draw: install it, or name it in the variable CHROMIUM.")
    screen = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    text = f"$ {' '.join(command)}\n{printed(command).rstrip()}\n"
    lines = Text.from_ansi(text).wrap(screen, COLUMNS)
    screen.print(Text("\n").join(lines), soft_wrap=True)
    page = screen.export_html(
        theme=THEME,
        inline_styles=True,
        code_format=(
            "<body style='margin:0;padding:16px;background:#18181b'><pre style='margin:0;color:#e4e4e7;"
            "font:14px/19px DejaVu Sans Mono,monospace'>{code}</pre></body>"
        ),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        html = Path(folder) / "terminal.html"
        html.write_text(page, encoding="utf-8")
        height = 40 + PIXELS_PER_LINE * (len(lines) + 1)
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        subprocess.run(
            [browser, *flags, f"--user-data-dir={folder}/profile", f"--screenshot={out.resolve()}",
             f"--window-size={32 + round(8.43 * COLUMNS)},{height}", html.as_uri()],
            check=True,
            capture_output=True,
        )  # fmt: skip
    shrunk(out)


if __name__ == "__main__":
    main()
