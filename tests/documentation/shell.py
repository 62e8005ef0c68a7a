"""Runs the commands that a page shows, in this process: each `morelli` line in the page's folder."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Finished, morelli

PIPE = re.compile(r"\s\|\s(?=(?:[^']*'[^']*')*[^']*$)")


def lines_of(text: str) -> list[str]:
    """The commands of a block: lines that end in a backslash go on, comments and empty lines are left out."""
    whole: list[str] = []
    for line in text.splitlines():
        if whole and whole[-1].endswith("\\"):
            whole[-1] = whole[-1][:-1] + line
        # Quoted text may run over lines, as a selection document does.
        elif whole and whole[-1].count("'") % 2:
            whole[-1] += line
        else:
            whole.append(line)
    return [line for line in (shlex_without_comment(line) for line in whole) if line]


def shlex_without_comment(line: str) -> str:
    """A command line without what follows ` #`."""
    return re.sub(r"(^|\s)#.*$", "", line).strip()


def run_line(line: str, home: Path) -> Finished:
    """Run one command line; what stands behind a pipe runs in a shell, where its program is installed."""
    first, *rest = PIPE.split(line)
    words = [str(home / word[2:]) if word.startswith("~/") else word for word in shlex.split(first)]
    if words[0] == "python" and words[1:2] == ["-m"]:
        words = words[2:]
    if words[0] == "cat":
        return Finished(0, "".join(Path(word).read_text("utf-8") for word in words[1:]), "")
    assert words[0] == "morelli", f"mark the block as not run, or write a morelli command: {line}"
    done = serve(words[2:]) if words[1] == "serve" else morelli(*words[1:])
    if done.code == 0 and rest and shutil.which(shlex.split(rest[0])[0]):
        after = subprocess.run(
            " | ".join(rest), shell=True, input=done.out, text=True, capture_output=True, check=False
        )
        return Finished(after.returncode, after.stdout, after.stderr)
    return done


def serve(options: list[str]) -> Finished:
    """`morelli serve`: the same options and the same app, asked directly instead of through a socket."""
    from starlette.testclient import TestClient

    from morelli import server

    answers = []

    def ask(settings: server.ServerSettings, **_: object) -> None:
        with TestClient(server.create_app(settings), base_url="http://127.0.0.1:8017") as client:
            for path in ("/api/v1/health", "/api/v1/info", "/api/v1/atlases"):
                answers.append(client.get(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "serve", ask)
        done = morelli("serve", *options)
    assert [one.status_code for one in answers] == [200, 200, 200] or done.code, answers
    assert not any("problem" in atlas for atlas in answers[2].json()["atlases"])
    return done
