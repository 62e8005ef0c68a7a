#!/usr/bin/env bash
# Assumed: in a TIFF the planar configuration (samples side by side, or each in a plane of its own) is a matter of
#   storage: a reader that takes both gives the same pixels, as Pillow does for RGB, RGBA and CMYK.
# Seen: of grey with alpha in compressed planes Pillow gives an alpha of 0 everywhere, so that what is opaque is
#   wholly transparent, and white or black once it is laid on a ground; uncompressed planes it refuses only when the
#   pixels are loaded. Of CIELab in planes a* and b* are 128 off (their sign is turned around for interleaved samples
#   alone), so that neutral grey is a strong colour. No warning in either case; tifffile reads all of them.
# Versions: Pillow 13.0.0, tifffile 2026.3.3, CPython 3.11, Linux x86-64. Date: 2026-11-30.
# Output seen:
#   RGB, zlib, planes: as written
#   CMYK, zlib, planes: as written
#   grey and alpha, zlib, side by side: as written
#   grey and alpha, zlib, planes: channel 0 as written, channel 1 is all 0
#   grey and alpha, none, planes: ValueError: unknown raw mode for given image mode
#   CIELab, zlib, side by side: as written
#   CIELab, zlib, planes: channel 0 as written, channel 1 is 128 off, channel 2 is 128 off
#   CIELab, none, planes: channel 0 as written, channel 1 is 128 off, channel 2 is 128 off
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

rng = np.random.default_rng(0)
colour = rng.integers(0, 256, (16, 16, 3), np.uint8)
inks = rng.integers(0, 256, (16, 16, 4), np.uint8)
opaque = np.stack([colour[..., 0], np.full((16, 16), 255, np.uint8)], axis=2)


def state(found, meant):
    if np.array_equal(found, meant):
        return "as written"
    parts = []
    for channel in range(meant.shape[2]):
        one, other = found[..., channel], meant[..., channel]
        if np.array_equal(one, other):
            parts.append(f"channel {channel} as written")
        elif not one.any():
            parts.append(f"channel {channel} is all 0")
        else:
            assert np.array_equal(one, other ^ 128), "something else"
            parts.append(f"channel {channel} is 128 off")
    return ", ".join(parts)


def look(name, pixels, compression, planes, **options):
    stored = pixels.transpose(2, 0, 1) if planes else pixels
    place = "planes" if planes else "side by side"
    file = io.BytesIO()
    config = "separate" if planes else "contig"
    tifffile.imwrite(file, stored, planarconfig=config, compression=compression, **options)
    file.seek(0)
    read = tifffile.imread(file)
    assert np.array_equal(read.transpose(1, 2, 0) if planes else read, pixels)
    file.seek(0)
    try:
        found = state(np.asarray(Image.open(file)), pixels)
    except ValueError as error:
        found = f"ValueError: {error}"
    print(f"{name}, {compression or 'none'}, {place}: {found}")


alpha = {"photometric": "minisblack", "extrasamples": ["UNASSALPHA"]}
look("RGB", colour, "zlib", True, photometric="rgb")
look("CMYK", inks, "zlib", True, photometric="separated")
look("grey and alpha", opaque, "zlib", False, **alpha)
look("grey and alpha", opaque, "zlib", True, **alpha)
look("grey and alpha", opaque, None, True, **alpha)
look("CIELab", colour, "zlib", False, photometric="cielab")
look("CIELab", colour, "zlib", True, photometric="cielab")
look("CIELab", colour, None, True, photometric="cielab")
PY
"$work/venv/bin/python" "$work/look.py" > "$work/seen"
cat "$work/seen"
diff "$work/seen" <(sed -n '/^# Output seen:/,/^# Exits/ s/^#   //p' "$0")
