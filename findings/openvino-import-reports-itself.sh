#!/usr/bin/env bash
# Assumed: importing an inference library reads its own files and nothing else.
# Seen: `import openvino` alone writes an identifier and counters into the home folder and forks a process that
#   reports the import to a web address. Nothing is asked, no line is printed, and no function was called.
#   It is the package openvino-telemetry, which openvino depends on; where that module cannot be imported,
#   openvino works and does none of this.
# Versions: openvino 2026.4.1 with openvino-telemetry 2025.2.0, CPython 3.11, Linux x86-64. Date: 2026-11-29.
# Output seen:
#   as it comes: files intel/openvino_ga_cid intel/stats; forks 1
#   without the module: files none; forks 0
# Exits 1 if that changes. The fork is counted and left to fail where there is no network.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openvino==2026.4.1 openvino-telemetry==2025.2.0

cat > "$work/look.py" <<'PY'
import os
import sys
import time
from pathlib import Path

forks = []
sys.addaudithook(lambda event, _: forks.append(event) if event == "os.fork" else None)
if sys.argv[1] == "without":
    sys.modules["openvino_telemetry"] = None
import openvino  # noqa: E402, F401

time.sleep(2)
home = Path(os.environ["HOME"])
files = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
print(f"files {' '.join(files) or 'none'}; forks {len(forks)}")
PY

mkdir "$work/one" "$work/two"
comes=$(HOME=$work/one "$work/venv/bin/python" "$work/look.py" with)
hidden=$(HOME=$work/two "$work/venv/bin/python" "$work/look.py" without)
echo "as it comes: $comes"
echo "without the module: $hidden"
[ "$comes" = "files intel/openvino_ga_cid intel/stats; forks 1" ] && [ "$hidden" = "files none; forks 0" ]
