"""Coverage-guided fuzzing of the parsers that read strangers' files; runs where `atheris` is installed.

pip install atheris
python benchmarks/fuzz_parsers.py provenance --seconds 600
python benchmarks/fuzz_parsers.py --list

Each parser is given whole files that grow out of small valid ones. Any exception but the project's own
errors, an input that takes more than `--slowest` seconds, or more memory than `--memory` ends it, with the
input in the current folder.
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from PIL import Image

from morelli.errors import MorelliError

Parser = Callable[[bytes], None]


def seeds() -> dict[str, bytes]:
    """Small valid files of every container, with the metadata that the parsers look for."""
    picture = Image.effect_mandelbrot((40, 40), (-2, -1.5, 1, 1.5), 20).convert("RGB")
    exif = Image.Exif()
    exif.update({0x010F: "workflow:{}", 0x0110: 'prompt:{"1": {"class_type": "KSampler"}}'})
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="'
        + b"A" * 32
        + b'"/></rdf:RDF></x:xmpmeta>'
    )
    found = {}
    for format in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "BMP"):
        buffer = io.BytesIO()
        options = {"exif": exif, "xmp": xmp} if format in ("JPEG", "WEBP") else {}
        try:
            picture.save(buffer, format, **options)
        except (OSError, KeyError):
            continue
        found[format.lower()] = buffer.getvalue()
    body = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + b"\0\0\0\4\0\0\0\0" + b"<a/>"
    jpeg = found["jpeg"]
    segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    found["extended"] = jpeg[:2] + segment + jpeg[2:]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("real/a.png", found["png"])
    found["zip"] = packed.getvalue()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in (("1.png", found["png"]), ("1.cls", b"1"), ("1.json", b'{"label": "fake"}')):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    found["tar"] = packed.getvalue()
    found["csv"] = b"sep=;\npath;label;generator\na.jpg;real;\n\xc3\xa9.png;fake;sdxl\n"
    found["jsonl"] = (
        b'{"path": "a.jpg", "label": "real"}\n{"path": "b.png", "label": 1, "generator": "sdxl"}\n'
    )
    found["xmp"] = xmp
    found |= tables(found["png"])
    return found


def tables(picture: bytes) -> dict[str, bytes]:
    """Pictures in a Parquet and in an Arrow file."""
    import pyarrow as pa
    import pyarrow.parquet

    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": picture, "path": "a.png"}, {"bytes": None, "path": "b.png"}]
    table = pa.table({"image": pa.array(rows, type=kind), "label": [0, 1]})
    found = {}
    for name in ("parquet", "arrow"):
        sink = pa.BufferOutputStream()
        if name == "parquet":
            pyarrow.parquet.write_table(table, sink, compression="none")
        else:
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
        found[name] = sink.getvalue().to_pybytes()
    return found


def parse_provenance(data: bytes) -> None:
    """Every container, EXIF, XMP, IPTC and generator record, without decoding pixels."""
    from morelli.provenance import read_provenance

    read_provenance(data)


def parse_xmp(data: bytes) -> None:
    """An XMP packet as it stands in a JPEG, and what follows from it."""
    if len(data) < 60_000:
        body = b"http://ns.adobe.com/xap/1.0/\0" + data
        parse_provenance(b"\xff\xd8\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + b"\xff\xda\0\2")


def parse_picture(data: bytes) -> None:
    """The guards in front of the decoders, and the decoders under small limits."""
    from morelli.images import Limits, decode

    decode(data, Limits(max_pixels=1 << 20, max_seconds=5))


def parse_source(suffix: str) -> Parser:
    """A file of this kind as a source: listed, and its first pictures read."""
    folder = Path(tempfile.mkdtemp(prefix="morelli-fuzz-"))

    def parse(data: bytes) -> None:
        from morelli.images import Limits, iter_source, read_bytes

        path = folder / f"x.{suffix}"
        path.write_bytes(data)
        items = iter_source(path, limits=Limits(max_members=1000), label_from="folders")
        for number, item in enumerate(items):
            if number < 5:
                read_bytes(item)

    return parse


PARSERS: dict[str, tuple[Callable[[], Parser], tuple[str, ...]]] = {
    "provenance": (
        lambda: parse_provenance,
        ("jpeg", "png", "webp", "tiff", "gif", "avif", "extended"),
    ),
    "xmp": (lambda: parse_xmp, ("xmp",)),
    "picture": (lambda: parse_picture, ("jpeg", "png", "webp", "tiff", "gif", "avif", "bmp")),
    "zip": (lambda: parse_source("zip"), ("zip",)),
    "tar": (lambda: parse_source("tar"), ("tar",)),
    "csv": (lambda: parse_source("csv"), ("csv",)),
    "jsonl": (lambda: parse_source("jsonl"), ("jsonl",)),
    "parquet": (lambda: parse_source("parquet"), ("parquet",)),
    "arrow": (lambda: parse_source("arrow"), ("arrow",)),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("parser", nargs="?", choices=sorted(PARSERS))
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--slowest", type=int, default=20, help="seconds of one input")
    arguments.add_argument("--memory", type=int, default=2048, help="MiB of the whole process")
    arguments.add_argument("--list", action="store_true", help="name the parsers")
    asked = arguments.parse_args()
    if asked.list or asked.parser is None:
        print("\n".join(PARSERS))
        return
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed; `pip install atheris` where its wheels are offered")
    with atheris.instrument_imports(include=["morelli.images", "morelli.provenance"]):
        import morelli.images
        import morelli.provenance  # noqa: F401
    make, kinds = PARSERS[asked.parser]
    parse = make()
    valid = seeds()

    def one(data: bytes) -> None:
        with suppress(MorelliError):  # an answer, not a defect
            parse(data)

    with tempfile.TemporaryDirectory(prefix="morelli-corpus-") as corpus:
        for kind in kinds:
            if kind in valid:
                (Path(corpus) / kind).write_bytes(valid[kind])
                one(valid[kind])
        options = [
            *(f"-max_total_time={asked.seconds}", f"-timeout={asked.slowest}"),
            *(f"-rss_limit_mb={asked.memory}", "-max_len=200000", "-print_final_stats=1"),
        ]
        atheris.Setup([sys.argv[0], *options, corpus], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
