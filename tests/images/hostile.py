"""Malformed and hostile inputs, made by code, each with the reason that it must be reported with.

`write_hostile_files(folder)` is for every test that runs a batch over what strangers send: each
`Hostile.path` is one source (a file, a folder, an archive, a manifest).
"""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

from tests.images import builders


@dataclass(frozen=True)
class Hostile:
    """One hostile source.

    `expected_reason` is the reason of the one item that must be reported; None where the input is
    odd but its picture can be had, which must then carry `note` among its notes (of
    `decode(data, name=item.uri)`).
    """

    path: Path
    expected_reason: str | None
    note: str | None = None


def photo(size: tuple[int, int] = (96, 64), mode: str = "RGB") -> Image.Image:
    """A textured picture that no codec makes trivial."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    base = np.stack([x * 2, y * 3, x + y], axis=-1) % 256
    noisy = np.clip(base + rng.normal(0, 12, base.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).convert(mode)


def encoded(format: str, image: Image.Image | None = None, **options: object) -> bytes:
    """The picture's bytes in `format`; HEIF through its own library."""
    image = photo() if image is None else image
    buffer = io.BytesIO()
    if format == "HEIF":
        pillow_heif.from_pillow(image).save(buffer, quality=80, **options)
    else:
        image.save(buffer, format, **options)
    return buffer.getvalue()


def write_hostile_files(folder: Path) -> list[Hostile]:
    """Write all of them below `folder` and say what each must be reported as."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Hostile] = []
    for name, data, reason, note in (*_files(), *_oddities()):
        path = folder / name
        path.write_bytes(data)
        found.append(Hostile(path, reason, note))
    found += _special_files(folder)
    found += _zips(folder)
    found += _tars(folder)
    found += _manifests(folder)
    return found


Entry = tuple[str, bytes, str | None, str | None]


def _files() -> Iterator[Entry]:
    """Files whose picture cannot be had."""

    def bad(name: str, data: bytes, reason: str) -> Entry:
        return name, data, reason, None

    jpeg, png, gif = encoded("JPEG", quality=85), encoded("PNG"), encoded("GIF")
    webp, avif, heic = encoded("WEBP"), encoded("AVIF"), encoded("HEIF")
    tiff, bmp = encoded("TIFF"), encoded("BMP")
    lzw = encoded("TIFF", compression="tiff_lzw")

    yield bad("empty.jpg", b"", "empty")
    yield bad("text.jpg", b"This is not a picture.\n" * 40, "not_an_image")
    yield bad("page.png", b"<!doctype html><html><body>404</body></html>", "not_an_image")
    yield bad("zeros.webp", bytes(4096), "not_an_image")
    yield bad("noise.png", np.random.default_rng(1).bytes(4096), "not_an_image")
    yield bad("one-byte.gif", b"G", "not_an_image")
    for name, data in (("jpg", jpeg), ("png", png), ("gif", gif), ("webp", webp), ("avif", avif)):
        yield bad(f"cut-in-half.{name}", data[: len(data) // 2], "truncated")
    for name, data in (("heic", heic), ("tif", tiff), ("bmp", bmp)):
        yield bad(f"cut-in-half.{name}", data[: len(data) // 2], "truncated")
    yield bad("cut-at-the-end.jpg", jpeg[: len(jpeg) * 19 // 20], "truncated")
    yield bad("cut-at-the-end.png", png[:-12], "truncated")
    yield bad("cut-lzw.tif", lzw[: len(lzw) - 400], "damaged")

    yield bad("start-only.jpg", jpeg[:4], "truncated")
    yield bad("header-only.jpg", jpeg[: jpeg.index(b"\xff\xda")], "truncated")
    yield bad("no-pixels.jpg", builders.jpeg_with_size(jpeg, 0, 0), "damaged")
    yield bad("huge.jpg", builders.jpeg_with_size(jpeg, 65_500, 65_500), "too_many_pixels")
    yield bad("twelve-bits.jpg", builders.jpeg_with_precision(jpeg, 12), "unsupported_format")
    yield bad("no-tables.jpg", builders.jpeg_without(jpeg, 0xDB), "damaged")
    many = encoded("JPEG", Image.new("L", (4000, 4000), 90), progressive=True)
    yield bad("thousand-scans.jpg", builders.jpeg_with_scans(many, 1000), "too_slow")

    yield bad("signature-only.png", png[:8], "truncated")
    yield bad("pixel-bomb.png", builders.png_bomb(50_000), "too_many_pixels")
    yield bad("no-pixels.png", builders.png(0, 10, b""), "damaged")
    yield bad("bad-crc-header.png", builders.png_with_bad_crc(png, b"IHDR"), "damaged")
    yield bad("bad-crc-data.png", builders.png_with_bad_crc(png, b"IDAT"), "damaged")
    yield bad("no-data.png", builders.png_without(png, b"IDAT"), "damaged")
    yield bad("too-little-data.png", builders.png(64, 64, bytes(65 * 3)), "truncated")
    yield bad("bad-zlib.png", builders.png(8, 8, None), "damaged")
    yield bad("bad-depth.png", builders.png(8, 8, bytes(72), depth=7), "damaged")
    yield bad("endless-chunk.png", png[:33] + b"\xff\xff\xff\xf0IDAT" + png[41:], "truncated")
    yield bad("no-palette.png", builders.png(8, 8, bytes(72), colour=3), "damaged")

    yield bad("absurd-canvas.gif", gif[:6] + b"\xff\xff\xff\xff" + gif[10:], "too_many_pixels")
    yield bad("header-only.gif", gif[:13], "truncated")
    yield bad("no-frames.gif", b"GIF89a\x08\x00\x08\x00\x00\x00\x00;", "damaged")

    yield bad("absurd-canvas.webp", builders.webp_canvas(16_384, 16_384), "too_many_pixels")
    yield bad("header-only.webp", webp[:16], "truncated")
    yield bad("garbage.webp", builders.webp_garbage(webp), "damaged")

    yield bad("brand-only.avif", avif[: int.from_bytes(avif[:4], "big")], "truncated")
    yield bad("garbage.avif", avif[:32] + bytes(len(avif) - 32), "damaged")
    yield bad("brand-only.heic", heic[: int.from_bytes(heic[:4], "big")], "damaged")
    yield bad("garbage.heic", heic[:24] + b"\x00\x00\x00\x00" + bytes(400), "damaged")

    yield bad("offset-beyond.tif", b"II*\x00\xff\xff\xff\x7f" + bytes(64), "damaged")
    yield bad("absurd-directory.tif", b"II*\x00\x08\x00\x00\x00\xff\xff" + bytes(512), "damaged")
    yield bad("no-size.tif", builders.tiff({258: 8}), "damaged")
    yield bad("huge.tif", builders.tiff({256: 1_000_000, 257: 1_000_000, 258: 8, 262: 1}), "too_many_pixels")
    tiles = {256: 16, 257: 16, 258: 8, 259: 5, 262: 1, 277: 1, 322: 65_520, 323: 65_520, 324: 8, 325: 8}
    yield bad("absurd-tile.tif", builders.tiff(tiles), "too_many_pixels")
    strips = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 277: 1, 278: 16}
    yield bad("data-beyond.tif", builders.tiff({**strips, 273: 1 << 30, 279: 256}), "truncated")
    yield bad(
        "unknown-codec.tif", builders.tiff({**strips, 259: 4242, 273: 8, 279: 256}), "unsupported_format"
    )
    yield bad("many-strips.tif", builders.tiff(strips, many={273: 1 << 24}), "damaged")
    yield bad("broken-big.tif", b"II+\x00\x08\x00\x00\x00" + b"\xff" * 64, "damaged")

    yield bad("header-only.bmp", bmp[:30], "truncated")
    yield bad("huge.bmp", bmp[:18] + struct.pack("<ii", 100_000, 100_000) + bmp[26:], "too_many_pixels")
    yield bad("no-pixels.bmp", bmp[:18] + struct.pack("<ii", 0, 0) + bmp[26:], "damaged")
    yield bad("odd-bits.bmp", bmp[:28] + struct.pack("<H", 13) + bmp[30:], "damaged")

    yield bad("document.jpg", b"%PDF-1.7\n" + bytes(200), "unsupported_format")
    yield bad("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format")
    yield bad("layers.psd", b"8BPS\x00\x01" + bytes(200), "unsupported_format")
    yield bad("icon.ico", encoded("ICO"), "unsupported_format")
    yield bad("wavelet.jp2", encoded("JPEG2000"), "unsupported_format")
    yield bad(
        "film.heic", b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(64), "unsupported_format"
    )
    yield bad("program.png", b"\x7fELF\x02\x01\x01" + bytes(200), "unsupported_format")
    yield bad("archive.jpg", b"PK\x03\x04" + bytes(200), "unsupported_format")


def _oddities() -> Iterator[Entry]:
    """Files that look hostile and whose picture can be had; the note says what was left aside."""
    jpeg, png = encoded("JPEG", quality=85), encoded("PNG")
    bomb = b"Comment\x00\x00" + zlib.compress(bytes(24 << 20), 6)
    yield "text-bomb.png", builders.png_with_chunk(png, b"zTXt", bomb), None, "oversized PNG metadata ignored"
    profile = b"p\x00\x00" + zlib.compress(bytes(24 << 20), 6)
    yield (
        "profile-bomb.png",
        builders.png_with_chunk(png, b"iCCP", profile),
        None,
        "oversized PNG metadata ignored",
    )
    text = b"parameters\x00" + b"a cat, " * 300_000
    yield "long-prompt.png", builders.png_with_chunk(png, b"tEXt", text), None, None
    exif = b"Exif\x00\x00II*\x00\xff\xff\xff\x7f"
    yield "broken-exif.jpg", encoded("JPEG", exif=exif), None, "broken EXIF ignored"
    endless = b"Exif\x00\x00" + b"MM\x00*\x00\x00\x00\x08\xff\xff" + b"\x01\x12\x00\x03" * 200
    yield "endless-exif.jpg", encoded("JPEG", exif=endless), None, "broken EXIF ignored"
    yield (
        "broken-icc.jpg",
        encoded("JPEG", icc_profile=b"not a profile" * 9),
        None,
        "broken ICC profile ignored",
    )
    yield "broken-icc.png", encoded("PNG", icc_profile=bytes(300)), None, "broken ICC profile ignored"
    marker = b"\xff\xfe\xff\xff" + bytes(65_533)
    yield "huge-comments.jpg", jpeg[:2] + marker * 60 + jpeg[2:], None, None
    frames = [photo().rotate(90 * k) for k in range(12)]
    for name, format in (("gif", "GIF"), ("png", "PNG"), ("webp", "WEBP")):
        data = encoded(format, frames[0], save_all=True, append_images=frames[1:])
        yield f"animated.{name}", data, None, "first of 12 frames"
    yield "looping.tif", builders.tiff_loop(), None, None
    yield "no-huffman.jpg", builders.jpeg_without(jpeg, 0xC4), None, None  # libjpeg has default tables
    yield "really-a-png.jpg", png, None, "named as JPEG, is PNG"


def _special_files(folder: Path) -> list[Hostile]:
    """What a file system can hold apart from files."""
    found = [Hostile(folder / "never-was.jpg", "missing")]

    def add(name: str, reason: str | None, make: Callable[[Path], object]) -> None:
        path = folder / name
        make(path)
        found.append(Hostile(path, reason))

    add("pipe.jpg", "not_a_file", os.mkfifo)
    add("socket.jpg", "not_a_file", _bind)
    add("device.jpg", "not_a_file", lambda p: p.symlink_to("/dev/zero"))
    add("nowhere.jpg", "missing", lambda p: p.symlink_to("not-there.jpg"))
    add("myself.jpg", "cyclic_link", lambda p: p.symlink_to(p.name))
    add("too-large.png", "too_many_bytes", lambda p: _sparse(p, 257 << 20))
    add("cyclic", "cyclic_link", _cyclic_folder)
    add("pipes", "not_a_file", lambda p: (p.mkdir(), os.mkfifo(p / "inside.png")))
    add("broken-links", "missing", lambda p: (p.mkdir(), (p / "a.jpg").symlink_to("/nowhere/b.jpg")))
    cut = encoded("JPEG")[:500]
    for name in (
        b"caf\xe9.jpg",
        b"two\nlines.jpg",
        b"tab\tand\x1b[31mred.jpg",
        b"*?[a].jpg",
        b"a" * 250 + b".jpg",
    ):
        path = folder / os.fsdecode(name)
        path.write_bytes(cut)
        found.append(Hostile(path, "truncated"))
    return found


def _zips(folder: Path) -> list[Hostile]:
    jpeg = encoded("JPEG")
    found = []

    def add(
        name: str, reason: str | None, members: dict[str, bytes], method: int = zipfile.ZIP_STORED
    ) -> Path:
        path = folder / name
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("good.jpg", jpeg)
            for member, data in members.items():
                archive.writestr(member, data, compress_type=method)
        found.append(Hostile(path, reason))
        return path

    add("bomb.zip", "archive_bomb", {"bomb.png": bytes(64 << 20)}, zipfile.ZIP_DEFLATED)
    add("slip.zip", "unsafe_name", {"../../evil.jpg": jpeg})
    add("absolute.zip", "unsafe_name", {"/etc/evil.jpg": jpeg})
    add("drive.zip", "unsafe_name", {"C:\\evil.jpg": jpeg})
    add("nested.zip", "nested_archive", {"inner.zip": b"PK\x05\x06" + bytes(18)})
    add("truncated-member.zip", "truncated", {"cut.jpg": jpeg[:400]})
    add("lzma.zip", "unsupported_compression", {"b.jpg": jpeg}, zipfile.ZIP_LZMA)
    link = zipfile.ZipInfo("link.jpg")
    link.create_system = 3
    link.external_attr = 0o120777 << 16
    path = folder / "link.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    found.append(Hostile(path, "archive_link"))
    encrypted = add("encrypted.zip", "encrypted", {})
    encrypted.write_bytes(builders.zip_marked_encrypted(encrypted.read_bytes()))
    crc = add("bad-member.zip", "damaged", {})
    data = crc.read_bytes()
    crc.write_bytes(data.replace(jpeg, jpeg[:300] + bytes(40) + jpeg[340:]))
    cut = add("cut.zip", "damaged_archive", {"more.jpg": jpeg})
    cut.write_bytes(cut.read_bytes()[:-100])
    (folder / "text.zip").write_bytes(b"not a zip at all")
    (folder / "empty.zip").write_bytes(b"")
    found += [Hostile(folder / "text.zip", "damaged_archive"), Hostile(folder / "empty.zip", "empty")]
    return found


def _tars(folder: Path) -> list[Hostile]:
    jpeg = encoded("JPEG")
    found = []

    def add(name: str, reason: str | None, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
        path = folder / name
        with tarfile.open(path, mode) as archive:
            for info, data in ((tarfile.TarInfo("good.jpg"), jpeg), *members):
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        found.append(Hostile(path, reason))
        return path

    def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        return info

    add("slip.tar", "unsafe_name", (member("../../evil.jpg"), jpeg))
    add("absolute.tar", "unsafe_name", (member("/etc/evil.jpg"), jpeg))
    add("symlink.tar", "archive_link", (member("a.jpg", tarfile.SYMTYPE, "/etc/passwd"), b""))
    add("hardlink.tar", "archive_link", (member("a.jpg", tarfile.LNKTYPE, "good.jpg"), b""))
    add("device.tar", "not_a_file", (member("a.jpg", tarfile.CHRTYPE), b""))
    add("pipe.tar", "not_a_file", (member("a.jpg", tarfile.FIFOTYPE), b""))
    add("nested.tar", "nested_archive", (member("inner.tar.gz"), b"\x1f\x8b"))
    add("slip.tar.gz", "unsafe_name", (member("../../evil.jpg"), jpeg), mode="w:gz")
    add("xz.tar.xz", "unsupported_compression", mode="w:xz")
    add("bad-sidecar.tar", "bad_sidecar", (member("1.jpg"), jpeg), (member("1.json"), b'{"label": '))
    add("list.tar", "bad_sidecar", (member("1.jpg"), jpeg), (member("1.json"), b'["dog"]'))
    cut = add("cut.tar", "truncated")
    cut.write_bytes(cut.read_bytes()[:800])
    cut = add(
        "cut.tar.gz", "truncated", (member("noise.jpg"), np.random.default_rng(0).bytes(50_000)), mode="w:gz"
    )
    cut.write_bytes(cut.read_bytes()[:-20_000])
    middle = add("damaged.tar", "damaged_archive", (member("second.jpg"), jpeg), (member("third.jpg"), jpeg))
    data = bytearray(middle.read_bytes())
    second = data.index(b"second.jpg")
    data[second : second + 512] = b"\xaa" * 512
    middle.write_bytes(data)
    # A header that announces an extended header of 8 GB, which tarfile would read at once.
    for name, opener in (("header-bomb.tar", open), ("header-bomb.tar.gz", gzip.open)):
        info = member("a", tarfile.XHDTYPE)
        info.size = (8 << 30) - 1
        with opener(folder / name, "wb") as file:
            file.write(info.tobuf(tarfile.USTAR_FORMAT) + bytes(8192))
        found.append(Hostile(folder / name, "damaged_archive"))
    bomb = folder / "bomb.tar.gz"
    info = member("a.jpg")
    info.size = 100 << 20
    with gzip.open(bomb, "wb", compresslevel=5) as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(100):
            file.write(bytes(1 << 20))
    found.append(Hostile(bomb, "archive_bomb"))
    for name, data, reason in (
        ("text.tar", b"not a tar" * 100, "damaged_archive"),
        ("empty.tar", b"", "empty"),
    ):
        (folder / name).write_bytes(data)
        found.append(Hostile(folder / name, reason))
    return found


def _manifests(folder: Path) -> list[Hostile]:
    (folder / "missing-file.csv").write_bytes(b"\xef\xbb\xbfpath,label\r\nnot-there.jpg,fake\r\n")
    (folder / "a-folder.csv").write_text("path\npipes\n")
    (folder / "a-pipe.csv").write_text("path,label\npipe.jpg,real\n")
    return [
        Hostile(folder / "missing-file.csv", "missing"),
        Hostile(folder / "a-folder.csv", "not_a_file"),
        Hostile(folder / "a-pipe.csv", "not_a_file"),
    ]


def _bind(path: Path) -> None:
    # A socket's address holds 108 bytes; temporary folders are longer.
    with socket.socket(socket.AF_UNIX) as server, chdir(path.parent):
        server.bind(path.name)


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(size)


def _cyclic_folder(path: Path) -> None:
    (path / "below" / "deeper").mkdir(parents=True)
    (path / "below" / "deeper" / "up").symlink_to(path, target_is_directory=True)
    (path / "good.jpg").write_bytes(encoded("JPEG"))
