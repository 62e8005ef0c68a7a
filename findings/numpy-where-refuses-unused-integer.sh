#!/usr/bin/env bash
# Assumed: np.where(codes < 0, -1, codes) works on any integer codes; on unsigned ones, where nothing is below zero,
#   it gives them back, as it does up to NumPy 2.4. A numpy>=2.0 in a package's requirements is one behaviour.
# Seen: NumPy 2.5 raises OverflowError as soon as a Python integer does not fit the array's type, also where the
#   condition never chooses it and where the arrays are empty; 2.4 wraps it around without a word (-1 is 255 in
#   uint8). NumPy 2.5 has no files for Python 3.11, so pip gives 2.4 there and 2.5 from Python 3.12 on: the same
#   requirement passes its tests on one Python and fails on another. A Python float widens the result in both.
# Versions: numpy 2.4.6 and 2.5.5, CPython 3.12 and newer, Linux x86-64. Date: 2026-11-30.
# Output seen:
#   2.4.6 never chosen: [0, 7] uint8
#   2.4.6 no rows: [] uint8
#   2.4.6 chosen: [255, 7] uint8
#   2.4.6 a float: [0.0, 7.0] float64
#   2.5.5 never chosen: OverflowError: Python integer -1 out of bounds for uint8
#   2.5.5 no rows: OverflowError: Python integer -1 out of bounds for uint8
#   2.5.5 chosen: OverflowError: Python integer -1 out of bounds for uint8
#   2.5.5 a float: [0.0, 7.0] float64
# Exits 1 if that changes. Takes PYTHON, or the first Python of 3.12 or newer that it finds.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/look.py" <<'PY'
import numpy as np

codes = np.array([0, 7], np.uint8)
ways = {
    "never chosen": lambda: np.where(codes < 0, -1, codes),
    "no rows": lambda: np.where(codes[:0] < 0, -1, codes[:0]),
    "chosen": lambda: np.where(codes == 0, -1, codes),
    "a float": lambda: np.where(codes < 0, -1.0, codes),
}
for name, way in ways.items():
    try:
        found = way()
        print(np.__version__, f"{name}:", found.tolist(), found.dtype)
    except OverflowError as error:
        print(np.__version__, f"{name}: OverflowError:", error)
PY
found=
for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 ~/.pyenv/versions/3.1[234]*/bin/python3; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then found=$candidate; break; fi
done
if [ -z "$found" ]; then echo "Needs a Python of 3.12 or newer; name one with PYTHON." >&2; exit 1; fi
for version in 2.4.6 2.5.5; do
  "$found" -m venv "$work/$version"
  "$work/$version/bin/pip" install --quiet "numpy==$version"
  "$work/$version/bin/python" "$work/look.py"
done > "$work/seen"
cat "$work/seen"
diff "$work/seen" <(sed -n '/^# Output seen:/,/^# Exits/ s/^#   //p' "$0")
