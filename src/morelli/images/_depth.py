"""What a container says of bit depth, brightness and pictures beside the first, which are not judged."""

from __future__ import annotations

from collections.abc import Iterator

from morelli.images._boxes import read_boxes
from morelli.images._codec_headers import UNSPECIFIED, Colour
from morelli.images._hdr import HLG, PQ

_TRANSFER = {PQ: "PQ", HLG: "HLG"}
_BT2020 = 9
# Types of auxiliary pictures: ISO/IEC 23008-12 6.6.2 and 23008-2, and those that phones write.
_AUXILIARY = {
    b"urn:mpeg:hevc:2015:auxid:2": "depth map",
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth": "depth map",
    b"urn:com:apple:photo:2020:aux:hdrgainmap": "gain map",
}
_GAIN_MAP = b"http://ns.adobe.com/hdr-gain-map/1.0/"  # XMP of Ultra HDR JPEG
_PQ_PROFILE = b"ITUR_2100_PQ_FULL"  # W3C note of 2017, "Using the ITU BT.2100 PQ EOTF with PNG"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ISO_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"  # ISO 21496-1, APP2 of a JPEG
_HEAD = 1 << 20
_MOST_PARTS = 2_000


def depth_notes(data: bytes, format: str, colour: Colour | None = None) -> list[str]:
    """Notes such as ``10-bit reduced``, ``HDR (PQ) tone-mapped``, ``gain map not judged``.

    Only headers are read: of AVIF and HEIF the box ``av1C`` of the picture that is shown and the types of the
    pictures beside it, of JPEG the XMP of the first picture. `colour` is what `hdr_colour` found.
    """
    notes = [] if colour is None else [f"HDR ({_TRANSFER[colour[1]]}) tone-mapped"]
    if format in ("AVIF", "HEIF"):
        boxes = read_boxes(data)
        for kind, body in boxes.properties:
            if kind == b"av1C" and len(body) >= 3 and format == "AVIF":
                high, twelve = body[2] & 0x40, body[2] & 0x20  # AV1 in ISOBMFF, 2.3.3
                if high:
                    notes.insert(0, f"{12 if twelve else 10}-bit reduced")
        notes += [f"{_AUXILIARY[kind]} not judged" for kind in boxes.auxiliary if kind in _AUXILIARY]
        if boxes.tone_map:
            notes.append("gain map not judged")
    elif format == "JPEG" and any(
        _GAIN_MAP in packet or packet.startswith(_ISO_GAIN_MAP) for packet in _packets(data[:_HEAD])
    ):
        notes.append("gain map not judged")
    return list(dict.fromkeys(notes))


def hdr_colour(data: bytes, format: str, icc: bytes | None) -> Colour | None:
    """Primaries and transfer characteristics of a picture in PQ or HLG, None of any other.

    AVIF and HEIF say it in the box ``colr`` of the picture that is shown, or else in their codec's header;
    PNG in ``cICP``, or by the name of a profile that stood for PQ before there was ``cICP``; the colour
    profile `icc` of any format in its tag ``cicp``.
    """
    stated = [_profile_colour(icc)] if icc else []
    if format in ("AVIF", "HEIF"):
        stated.insert(0, read_boxes(data).colour())
    elif format == "PNG":
        for kind, body in _chunks(data[:_HEAD]):
            if kind == b"cICP" and len(body) == 4:
                stated.insert(0, (body[0], body[1]))
            elif kind == b"iCCP" and body.partition(b"\0")[0] == _PQ_PROFILE:
                stated.append((_BT2020, PQ))
    return next((colour for colour in stated if colour[1] in _TRANSFER), None)


def stated_colour(data: bytes, format: str) -> Colour | None:
    """The colours that AVIF, HEIF and PNG (``cICP``) state by code points; None where nothing is stated."""
    if format in ("AVIF", "HEIF"):
        colour = read_boxes(data).colour()
    elif format == "PNG":
        stated = (body for kind, body in _chunks(data[:_HEAD]) if kind == b"cICP" and len(body) == 4)
        colour = next(((body[0], body[1]) for body in stated), UNSPECIFIED)
    else:
        return None
    return None if colour == UNSPECIFIED else colour


def _profile_colour(icc: bytes) -> Colour:
    """What the tag ``cicp`` of a profile states (ICC.1:2022, 10.5), else unspecified."""
    for k in range(min(int.from_bytes(icc[128:132], "big"), 100)):
        entry = icc[132 + 12 * k : 144 + 12 * k]
        if entry[:4] == b"cicp":
            at = int.from_bytes(entry[4:8], "big")
            whole = icc[at : at + 4] == b"cicp" and len(icc) > at + 11
            return (icc[at + 8], icc[at + 9]) if whole else UNSPECIFIED
    return UNSPECIFIED


def _packets(data: bytes) -> Iterator[bytes]:
    """XMP and APP2 packets of a JPEG before its first scan."""
    at = 2
    for _ in range(_MOST_PARTS):
        marker, size = data[at : at + 2], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker[:1] != b"\xff" or marker == b"\xff\xda" or size < 2:
            return
        body = data[at + 4 : at + 2 + size]
        if marker == b"\xff\xe2" or (marker == b"\xff\xe1" and body.startswith(_XMP)):
            yield body
        at += 2 + size


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of a PNG's chunks before its pixels: a text may hold the name of any of them."""
    at = 8
    for _ in range(_MOST_PARTS):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if len(kind) < 4 or kind == b"IDAT":
            return
        yield kind, data[at + 8 : at + 8 + size]
        at += 12 + size
