#!/usr/bin/env bash
# Assumed: HeifFile.save writes the transfer function that its documentation says how to ask for,
#   `transfer_characteristic` (16 is PQ), or refuses a keyword that it does not know.
# Seen: pillow-heif 1.8.1 documents `transfer_characteristic` and reads `transfer_characteristics`. The documented
#   word is dropped without a warning, and the file says sRGB (13): an HDR picture that every reader takes for an
#   ordinary one. The other two of the three, `color_primaries` and `matrix_coefficients`, are read as documented.
# Versions: pillow-heif 1.8.1 (libheif 1.23.6), CPython 3.11, Linux x86-64. Date: 2026-11-29.
# Output seen (primaries, transfer, matrix in the file's colr box):
#   documented: 9 13 9
#   with an s: 9 16 9
# Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pillow-heif==1.8.1 pillow

cat > "$work/look.py" <<'PY'
import io
import sys

import pillow_heif
from PIL import Image

word = sys.argv[1]
assert ("``transfer_characteristic``" in pillow_heif.HeifFile.save.__doc__) is True
picture = pillow_heif.from_pillow(Image.linear_gradient("L").convert("RGB"))
out = io.BytesIO()
picture.save(out, color_primaries=9, matrix_coefficients=9, **{word: 16})
data = out.getvalue()
at = data.index(b"colrnclx") + 8
print(*(int.from_bytes(data[at + 2 * i : at + 2 * i + 2], "big") for i in range(3)))
PY

documented=$("$work/venv/bin/python" "$work/look.py" transfer_characteristic)
with_s=$("$work/venv/bin/python" "$work/look.py" transfer_characteristics)
echo "documented: $documented"
echo "with an s: $with_s"
[ "$documented" = "9 13 9" ] && [ "$with_s" = "9 16 9" ]
