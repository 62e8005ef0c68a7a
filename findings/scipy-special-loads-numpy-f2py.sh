#!/usr/bin/env bash
# Assumed: importing scipy.special loads compiled functions of numbers and the few modules that they need.
# Seen: it also loads numpy.f2py (a Fortran compiler's front end), numpy.testing, numpy.ctypeslib and unittest,
#   none of which the functions use. scipy.special imports scipy's copy of array_api_compat, which clones the
#   numpy namespace by getting every attribute, and getting a lazy submodule of numpy loads it. Any part of
#   SciPy that knows the array API does the same: scipy.fft, scipy.ndimage, scipy.stats.
#   numpy alone loads none of them. Programs that start for one answer pay for it at each start.
# Versions: scipy 1.17.1, numpy 2.4.6, CPython 3.11, Linux x86-64. Date: 2026-11-29.
# Output seen:
#   numpy: none
#   scipy.special: numpy.ctypeslib numpy.f2py numpy.testing unittest
#   scipy.fft: numpy.ctypeslib numpy.f2py numpy.testing unittest
#   scipy.ndimage: numpy.ctypeslib numpy.f2py numpy.testing unittest
#   scipy.stats: numpy.ctypeslib numpy.f2py numpy.testing unittest
# Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet scipy==1.17.1 numpy==2.4.6

cat > "$work/look.py" <<'PY'
import importlib
import sys

importlib.import_module(sys.argv[1])
unused = ("numpy.ctypeslib", "numpy.f2py", "numpy.testing", "unittest")
print(f"{sys.argv[1]}:", " ".join(name for name in unused if name in sys.modules) or "none")
PY

seen=$(for name in numpy scipy.special scipy.fft scipy.ndimage scipy.stats; do
  "$work/venv/bin/python" "$work/look.py" "$name"
done)
echo "$seen"
diff <(echo "$seen") <(
  echo "numpy: none"
  for name in special fft ndimage stats; do echo "scipy.$name: numpy.ctypeslib numpy.f2py numpy.testing unittest"; done
)
