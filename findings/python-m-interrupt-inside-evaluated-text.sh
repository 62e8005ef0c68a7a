#!/usr/bin/env bash
# Assumed: a program that catches KeyboardInterrupt and leaves with a code of its own (click: "Aborted!" and 1) leaves
#   with that code, however it was started.
# Seen: where Ctrl-C falls into text that is evaluated with `eval` or `exec`, CPython notes an unhandled interrupt
#   although the program handles it further up. Started with `python -m`, the interpreter ends itself with SIGINT at
#   the very end of its run, after exit handlers, whatever code was asked for; subprocess sees -2. Started as a
#   script, or with the text compiled before, the program's own code arrives. Libraries evaluate text while they are
#   imported (namedtuple, typing, numba), so the code of `python -m PROGRAM` depends on the moment of Ctrl-C.
# Versions: click 8.3.1, CPython 3.11, Linux x86-64; the same with CPython 3.12 and 3.13. Date: 2026-11-30.
# Output seen:
#   text, as a script: code 1
#   text, with -m: code -2
#   statements as text, with -m: code -2
#   compiled before, with -m: code 1
#   no text, with -m: code 1
# Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet click==8.3.1

cat > "$work/tool.py" <<'PY'
import signal

import click


def interrupted():
    signal.raise_signal(signal.SIGINT)


@click.command()
@click.argument("how")
def main(how):
    if how == "eval":
        eval("interrupted()", globals())
    elif how == "exec":
        exec("interrupted()", globals())
    elif how == "compiled":
        exec(compile("interrupted()", "formula", "exec"), globals())
    else:
        interrupted()


if __name__ == "__main__":
    main()
PY
cat > "$work/runs.py" <<'PY'
import subprocess
import sys

RUNS = (
    ("text, as a script", ["tool.py", "eval"]),
    ("text, with -m", ["-m", "tool", "eval"]),
    ("statements as text, with -m", ["-m", "tool", "exec"]),
    ("compiled before, with -m", ["-m", "tool", "compiled"]),
    ("no text, with -m", ["-m", "tool", "plain"]),
)
for name, arguments in RUNS:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    assert "Aborted!" in done.stderr, done.stderr
    print(f"{name}: code {done.returncode}")
PY
(cd "$work" && venv/bin/python runs.py) > "$work/seen"
cat "$work/seen"
diff "$work/seen" <(sed -n '/^# Output seen:/,/^# Exits/ s/^#   //p' "$0")
