#!/usr/bin/env bash
# Assumed: umap-learn keeps what numba compiled for it in numba's cache, as pynndescent's functions of the same names
#   and by the same authors are kept, so that only the first run on a machine waits for the compiler.
# Seen: the two functions that turn neighbours into a fuzzy set, smooth_knn_dist and compute_membership_strengths,
#   have no cache (numba.njit(parallel=True) without cache=True). Every process that fits UMAP compiles them, which
#   takes longer than the fit itself for some hundred rows. Calling `enable_caching()` on the two dispatchers after
#   the import is enough, and a second process then loads them; the embedding is the same to the last bit.
# Versions: umap-learn 0.5.12, numba 0.68.1, CPython 3.11, Linux x86-64. Date: 2026-11-29.
# Output seen:
#   pynndescent tau_rand_int: cached
#   umap tau_rand_int: not cached
#   smooth_knn_dist: not cached
#   compute_membership_strengths: not cached
#   as installed, second process: compiled 2 of 2 again
#   enable_caching, second process: compiled 0 of 2 again
#   the same embedding
# Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet umap-learn==0.5.12 numba==0.68.1

cat > "$work/look.py" <<'PY'
import hashlib
import sys
import warnings

warnings.simplefilter("ignore")
import numpy as np
import pynndescent.utils
import umap
import umap.utils
from umap import umap_

UNCACHED = ("smooth_knn_dist", "compute_membership_strengths")
what = sys.argv[1]
if what == "which":
    for package, module in (("pynndescent", pynndescent.utils), ("umap", umap.utils)):
        kept = module.tau_rand_int.stats.cache_path is not None
        print(f"{package} tau_rand_int:", "cached" if kept else "not cached")
    for name in UNCACHED:
        print(f"{name}:", "cached" if getattr(umap_, name).stats.cache_path else "not cached")
    sys.exit()
if what == "enabled":
    for name in UNCACHED:
        getattr(umap_, name).enable_caching()
X = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
found = umap.UMAP(random_state=0, n_jobs=1).fit_transform(X)
# Without a cache no miss is counted, though everything was compiled.
again = sum(not getattr(umap_, name).stats.cache_hits for name in UNCACHED)
print(again, hashlib.sha256(found.tobytes()).hexdigest())
PY

run() { "$work/venv/bin/python" "$work/look.py" "$1"; }
run which > "$work/seen"
run plain > /dev/null
read -r plain first < <(run plain)
run enabled > /dev/null
read -r enabled second < <(run enabled)
{
  echo "as installed, second process: compiled $plain of 2 again"
  echo "enable_caching, second process: compiled $enabled of 2 again"
  if [ "$first" = "$second" ]; then echo "the same embedding"; else echo "another embedding"; fi
} >> "$work/seen"
cat "$work/seen"
diff "$work/seen" <(sed -n '/^# Output seen:/,/^# Exits/ s/^#   //p' "$0")
