#!/usr/bin/env bash
# Assumed: TSNE(neighbors="exact") of openTSNE asks scikit-learn alone; libraries for approximate neighbours are for
#   the other choices, so that their presence changes nothing.
# Seen: every choice by name first imports pynndescent where it is installed (as umap-learn brings it), and numba and
#   LLVM with it: an import of seconds for a fit of a fraction of one. Where numba finds no place for its cache (a
#   container whose user may write neither to the library nor to a home folder) that import fails, and the exact fit
#   with it, while the same program works where pynndescent is missing. Handing over ready affinities avoids it.
# Versions: openTSNE 1.0.4, pynndescent 0.7.0, CPython 3.11, Linux x86-64. Date: 2026-11-30.
# Output seen:
#   without pynndescent: numba imported: False
#   with pynndescent: numba imported: True
#   with pynndescent, affinities of its own: numba imported: False
#   the same places: True
# Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/look.py" <<'PY'
import hashlib
import sys

import numpy as np
from openTSNE import TSNE
from openTSNE.affinity import MultiscaleMixture
from openTSNE.nearest_neighbors import Sklearn

rows = np.random.default_rng(0).normal(size=(40, 5))
start = 1e-4 * rows[:, :2]
if sys.argv[1] == "by name":
    model = TSNE(perplexity=10, neighbors="exact", initialization=start, n_jobs=1, random_state=0)
    found = model.fit(rows)
else:
    near = Sklearn(rows, k=30, metric="euclidean", random_state=0)
    model = TSNE(initialization=start, n_jobs=1, random_state=0)
    found = model.fit(affinities=MultiscaleMixture(knn_index=near, perplexities=10))
print("numba" in sys.modules, hashlib.sha256(np.array(found).tobytes()).hexdigest())
PY
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet opentsne==1.0.4
read -r plain first < <("$work/venv/bin/python" "$work/look.py" "by name" 2> /dev/null)
"$work/venv/bin/pip" install --quiet pynndescent==0.7.0
read -r named second < <("$work/venv/bin/python" "$work/look.py" "by name" 2> /dev/null)
read -r own third < <("$work/venv/bin/python" "$work/look.py" "affinities" 2> /dev/null)
{
  echo "without pynndescent: numba imported: $plain"
  echo "with pynndescent: numba imported: $named"
  echo "with pynndescent, affinities of its own: numba imported: $own"
  if [ "$first" = "$second" ] && [ "$second" = "$third" ]; then echo "the same places: True"; else echo "the same places: False"; fi
} > "$work/seen"
cat "$work/seen"
diff "$work/seen" <(sed -n '/^# Output seen:/,/^# Exits/ s/^#   //p' "$0")
