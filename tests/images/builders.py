"""Image files built or broken byte by byte, for inputs that no encoder would write."""

from __future__ import annotations

import struct
import zlib


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes | None, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG of uncompressed `rows` (filter bytes included); None gives data that is no zlib stream."""
    data = b"\xde\xad\xbe\xef" * 8 if rows is None else zlib.compress(rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def png_bomb(side: int) -> bytes:
    """A whole, valid one-bit PNG of side × side black pixels; small as a file."""
    packer = zlib.compressobj(1)
    row = bytes(1 + (side + 7) // 8) * 100
    data = b"".join(packer.compress(row) for _ in range(side // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def png_chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """(kind, start, end) of every chunk."""
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], at, at + 12 + length))
        at += 12 + length
    return found


def png_with_bad_crc(data: bytes, kind: bytes) -> bytes:
    """`data` with the checksum of its first chunk of `kind` inverted."""
    _, _, end = next(c for c in png_chunks(data) if c[0] == kind)
    return data[: end - 4] + bytes(255 - b for b in data[end - 4 : end]) + data[end:]


def png_without(data: bytes, kind: bytes) -> bytes:
    """`data` without its chunks of `kind`."""
    return data[:8] + b"".join(data[a:b] for k, a, b in png_chunks(data) if k != kind)


def png_with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """`data` with one more chunk after its header."""
    return data[:33] + chunk(kind, body) + data[33:]


def jpeg_segments(data: bytes) -> list[tuple[int, int, int]]:
    """(marker, start, end) of the segments before the first scan's data."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((data[at + 1], at, end))
        at = end
    return found


def _frame_header(data: bytes) -> int:
    return next(a for m, a, _ in jpeg_segments(data) if m in (0xC0, 0xC1, 0xC2))


def jpeg_with_size(data: bytes, width: int, height: int) -> bytes:
    """`data` whose frame header says another size."""
    at = _frame_header(data)
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def jpeg_with_precision(data: bytes, bits: int) -> bytes:
    """`data` whose frame header says another sample precision."""
    at = _frame_header(data)
    return data[: at + 4] + bytes([bits]) + data[at + 5 :]


def jpeg_without(data: bytes, marker: int) -> bytes:
    """`data` without its segments of `marker`."""
    dropped = [(a, b) for m, a, b in jpeg_segments(data) if m == marker]
    for start, end in reversed(dropped):
        data = data[:start] + data[end:]
    return data


def jpeg_with_scans(data: bytes, count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated `count` times."""
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def webp_canvas(width: int, height: int) -> bytes:
    """An extended WebP header of that canvas, with an animation that has no frame."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = (
        b"WEBPVP8X"
        + struct.pack("<I", 10)
        + b"\x02\x00\x00\x00"
        + size
        + b"ANIM"
        + struct.pack("<I", 6)
        + bytes(6)
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_garbage(data: bytes) -> bytes:
    """A WebP whose container is whole and whose picture is zeros."""
    return data[:20] + bytes(len(data) - 20)


def tiff(tags: dict[int, int], many: dict[int, int] | None = None, following: int = 0) -> bytes:
    """A little-endian TIFF of one directory; `many` gives tags that claim so many values, out of the file."""
    entries = [(tag, 4, 1, value) for tag, value in tags.items()]
    entries += [(tag, 4, count, 8) for tag, count in (many or {}).items()]
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in sorted(entries))
    return b"II*\x00" + struct.pack("<I", 8) + body + struct.pack("<I", following) + bytes(512)


def tiff_loop() -> bytes:
    """A sound grey picture whose directory names itself as the next one."""
    size = 16
    tags = {256: size, 257: size, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: size, 279: size * size}
    start = len(tiff(tags)) - 512
    tags[273] = start
    return tiff(tags, following=8)[:start] + bytes(range(256))


def zip_marked_encrypted(data: bytes) -> bytes:
    """The archive with the encryption flag set in every header."""
    marked = bytearray(data)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = marked.find(magic)
        while at >= 0:
            marked[at + offset] |= 1
            at = marked.find(magic, at + 4)
    return bytes(marked)
