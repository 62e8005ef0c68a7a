"""XMP that does not fit into one JPEG segment: put together by name and place, or left out."""

from __future__ import annotations

import hashlib
import io

import pytest
from PIL import Image

from morelli.provenance import read_provenance
from tests.provenance.made import typed, xmp

NAME = b"http://ns.adobe.com/xmp/extension/\0"


def segment(body: bytes) -> bytes:
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def extended(packet: bytes, size: int, guid: bytes, *, length: int | None = None) -> list[bytes]:
    """The packet's segments of `size` bytes each."""
    whole = (len(packet) if length is None else length).to_bytes(4, "big")
    return [
        segment(NAME + guid + whole + at.to_bytes(4, "big") + packet[at : at + size])
        for at in range(0, len(packet), size)
    ]


def guid_of(packet: bytes) -> bytes:
    return hashlib.md5(packet).hexdigest().upper().encode()


def photograph(segments: list[bytes], guid: bytes) -> bytes:
    pointer = f'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="{guid.decode()}"'
    main = (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        f"<rdf:Description {pointer}/></rdf:RDF></x:xmpmeta>"
    ).encode()
    buffer = io.BytesIO()
    Image.effect_mandelbrot((48, 48), (-2, -1.5, 1, 1.5), 50).convert("RGB").save(buffer, "JPEG", xmp=main)
    data = buffer.getvalue()
    at = data.index(b"\xff\xdb")
    return data[:at] + b"".join(segments) + data[at:]


def claims(data: bytes) -> list[str]:
    return [finding.claims for finding in read_provenance(data).findings]


PACKET = xmp(typed("trainedAlgorithmicMedia"))
PACKET = PACKET if isinstance(PACKET, bytes) else PACKET.encode()
GUID = guid_of(PACKET)


@pytest.mark.parametrize("size", [40, 100, 60_000])
def test_an_extended_packet_is_read_in_any_order(size: int) -> None:
    pieces = extended(PACKET, size, GUID)
    for order in (pieces, pieces[::-1]):
        assert claims(photograph(order, GUID)) == ["generated"]


def test_what_is_not_whole_or_not_this_picture_s_claims_nothing() -> None:
    pieces = extended(PACKET, 100, GUID)
    assert len(pieces) > 2
    other = guid_of(b"another")
    hole = pieces[:1] + pieces[2:]
    for segments, guid in (
        (hole, GUID),
        (pieces, other),
        (extended(PACKET, 100, GUID, length=len(PACKET) + 1), GUID),
        (extended(PACKET, 100, GUID, length=10), GUID),
        ([segment(NAME + GUID[:20])], GUID),
    ):
        assert claims(photograph(segments, guid)) == []


def test_a_flood_of_pieces_is_bounded() -> None:
    rest = b"\0\0\xff\xff\0\0\0\0" + b"x" * 60_000
    flood = [segment(NAME + guid_of(bytes([k])) + rest) for k in range(90)]
    assert claims(photograph([*flood, *extended(PACKET, 100, GUID)], GUID)) == []
