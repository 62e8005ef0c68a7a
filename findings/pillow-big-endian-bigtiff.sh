#!/usr/bin/env bash
# Assumed: Pillow reads BigTIFF in either byte order, as it does classic TIFF: its plug-in lists the marks of both.
# Seen: a BigTIFF in big-endian order is "no image" to Pillow (UnidentifiedImageError), the error for a file that is
#   damaged: the test for the format knows the mark, but the byte that tells BigTIFF from TIFF is looked up
#   at its little-endian place, so the header is read as that of a classic file. tifffile reads the same bytes.
# Versions: Pillow 13.0.0, tifffile 2026.3.3, CPython 3.11, Linux x86-64. Date: 2026-11-30.
# Output seen:
#   TIFF, little-endian: as written
#   TIFF, big-endian: as written
#   BigTIFF, little-endian: as written
#   BigTIFF, big-endian: UnidentifiedImageError
# Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6

cat > "$work/look.py" <<'PY'
import io

import numpy as np
import tifffile
from PIL import Image

pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
for name, big in (("TIFF", False), ("BigTIFF", True)):
    for order, mark in (("little", "<"), ("big", ">")):
        file = io.BytesIO()
        tifffile.imwrite(file, pixels, photometric="rgb", bigtiff=big, byteorder=mark)
        file.seek(0)
        assert np.array_equal(tifffile.imread(file), pixels)
        file.seek(0)
        try:
            found = "as written" if np.array_equal(np.asarray(Image.open(file)), pixels) else "other pixels"
        except Exception as error:
            found = type(error).__name__
        print(f"{name}, {order}-endian: {found}")
PY
"$work/venv/bin/python" "$work/look.py" > "$work/seen"
cat "$work/seen"
diff "$work/seen" <(sed -n '/^# Output seen:/,/^# Exits/ s/^#   //p' "$0")
