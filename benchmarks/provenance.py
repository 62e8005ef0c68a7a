"""How long reading what files say about themselves takes: 500 JPEGs, made here or of a folder.

python benchmarks/provenance.py                # made: photograph-like, 12 megapixels, EXIF and XMP
python benchmarks/provenance.py ~/Pictures     # the first 500 JPEGs of a folder
"""

from __future__ import annotations

import io
import platform
import statistics
import sys
import time
from datetime import UTC, datetime

import numpy as np
from PIL import Image

from morelli.errors import ImageError
from morelli.images import decode, iter_source
from morelli.provenance import read_provenance

COUNT = 500
SIDES = (4000, 3000)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="a program">'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def made() -> list[bytes]:
    """Eight different JPEGs of 12 megapixels with EXIF, repeated."""
    random = np.random.default_rng(0)
    exif = Image.Exif()
    exif.update({0x010F: "Maker", 0x0110: "Model"})
    exif.get_ifd(0x8769).update({0x8827: 100, 0x927C: bytes(20_000)})
    files = []
    for _ in range(8):
        small = Image.fromarray(random.integers(0, 255, (75, 100, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        image = small.resize(SIDES, Image.Resampling.BICUBIC)
        image.save(buffer, "JPEG", quality=92, exif=exif.tobytes(), xmp=XMP)
        files.append(buffer.getvalue())
    return [files[index % len(files)] for index in range(COUNT)]


def of_folder(folder: str) -> list[bytes]:
    files: list[bytes] = []
    for item in iter_source(folder):
        try:
            data = item.read()
        except ImageError:
            continue
        if data[:3] == b"\xff\xd8\xff":
            files.append(data)
        if len(files) == COUNT:
            break
    return files


def main() -> None:
    files = of_folder(sys.argv[1]) if len(sys.argv) > 1 else made()
    read_provenance(files[0])
    times = []
    for data in files:
        start = time.perf_counter()
        read_provenance(data)
        times.append(1000 * (time.perf_counter() - start))
    start = time.perf_counter()
    for data in files[:8]:
        decode(data)
    decoding = 1000 * (time.perf_counter() - start) / len(files[:8])
    ordered = sorted(times)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}: "
        f"{len(files)} JPEGs of {statistics.median(map(len, files)) / 1e6:.2f} MB, "
        f"median {statistics.median(times):.3f} ms, "
        f"99 % below {ordered[int(0.99 * (len(ordered) - 1))]:.3f} ms; decoding one takes {decoding:.1f} ms"
    )


if __name__ == "__main__":
    main()
