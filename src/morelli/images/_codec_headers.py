"""Colours that a picture's own codec states: AV1's and HEVC's sequence headers."""

from __future__ import annotations

Colour = tuple[int, int]
"""Colour primaries and transfer characteristics (ISO/IEC 23091-2)."""
UNSPECIFIED: Colour = (2, 2)
"""Nothing is said of them."""

_SEQUENCE_HEADER = 1
_SPS = 33
_MOST_OBUS = 16
_MOST_SETS = 64  # short-term reference picture sets, ISO/IEC 23008-2, 7.4.3.2.1
_LONGEST = 4096  # bytes of a header that are looked at


class _EndError(Exception):
    """The header ends early, or holds a value that it may not."""


class _Bits:
    """Bits of a header from the first to the last; reading past the end raises `_EndError`."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise _EndError
        return (self._value >> self._left) & ((1 << count) - 1)

    def skip(self, *counts: int) -> None:
        for count in counts:
            self.read(count)

    def ue(self) -> int:
        """An Exp-Golomb code (ISO/IEC 23008-2, 9.2); AV1's uvlc reads the same (4.10.3)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 32:
                raise _EndError
        return (1 << zeros) - 1 + self.read(zeros)


def av1_colour(obus: bytes) -> Colour:
    """The colours in the sequence header among these OBUs, else `UNSPECIFIED`.

    AV1 bitstream specification, 5.3 (OBU header), 5.5 (sequence header) and 5.5.2 (colour).
    """
    at = 0
    for _ in range(_MOST_OBUS):
        if at >= len(obus):
            break
        head = obus[at]
        at += 1 + (head >> 2 & 1)
        size = len(obus) - at
        if head & 2:
            size, at = _leb128(obus, at)
        if head >> 3 & 15 == _SEQUENCE_HEADER:
            try:
                return _av1_sequence(_Bits(obus[at : at + min(size, _LONGEST)]))
            except _EndError:
                break
        at += size
    return UNSPECIFIED


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for k in range(8):
        if at + k >= len(data):
            break
        value |= (data[at + k] & 0x7F) << (7 * k)
        if not data[at + k] & 0x80:
            return value, at + k + 1
    return len(data), len(data)


def _av1_sequence(bits: _Bits) -> Colour:
    profile = bits.read(3)
    bits.skip(1)
    reduced = bits.read(1)  # the short header of still pictures
    if reduced:
        bits.skip(5)
    else:
        _av1_operating_points(bits)
    width, height = bits.read(4) + 1, bits.read(4) + 1
    bits.skip(width, height)
    if not reduced and bits.read(1):
        bits.skip(4, 3)
    bits.skip(1, 1, 1)
    if not reduced:
        bits.skip(1, 1, 1, 1)
        order_hint = bits.read(1)
        if order_hint:
            bits.skip(1, 1)
        if (bits.read(1) or bits.read(1)) and not bits.read(1):
            bits.skip(1)
        if order_hint:
            bits.skip(3)
    bits.skip(1, 1, 1)
    deep = bits.read(1)
    if profile == 2 and deep:
        bits.skip(1)
    if profile != 1:
        bits.skip(1)
    if not bits.read(1):
        return UNSPECIFIED
    return bits.read(8), bits.read(8)


def _av1_operating_points(bits: _Bits) -> None:
    delay = 0
    if bits.read(1):  # timing information
        bits.skip(32, 32)
        if bits.read(1):
            bits.ue()
        if bits.read(1):  # decoder model
            delay = bits.read(5) + 1
            bits.skip(32, 5, 5)
    display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.skip(12)
        if bits.read(5) > 7:
            bits.skip(1)
        if delay and bits.read(1):
            bits.skip(delay, delay, 1)
        if display_delay and bits.read(1):
            bits.skip(4)


def hevc_colour(configuration: bytes) -> Colour:
    """The colours in the first SPS of an ``hvcC`` box, else `UNSPECIFIED`.

    ISO/IEC 14496-15, 8.3.3.1 (configuration); ISO/IEC 23008-2, 7.3.2.2 (sequence parameter set) and E.2.1
    (video usability information).
    """
    at = 23
    for _ in range(configuration[22] if len(configuration) > 22 else 0):
        kind, count = configuration[at : at + 1], int.from_bytes(configuration[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(configuration[at : at + 2], "big")
            if at + 2 > len(configuration):
                return UNSPECIFIED
            if kind[0] & 63 == _SPS:
                unit = configuration[at + 4 : at + 2 + min(size, _LONGEST)]  # without its header of two bytes
                try:
                    # A byte 3 keeps two zeros from looking like a start code, 7.3.1.1.
                    return _hevc_sps(_Bits(unit.replace(b"\0\0\3", b"\0\0")))
                except _EndError:
                    return UNSPECIFIED
            at += 2 + size
    return UNSPECIFIED


def _hevc_sps(bits: _Bits) -> Colour:
    bits.skip(4)
    layers = bits.read(3)
    bits.skip(1)
    _hevc_profile(bits, layers)
    bits.ue()
    if bits.ue() == 3:
        bits.skip(1)
    bits.ue(), bits.ue()
    if bits.read(1):
        bits.ue(), bits.ue(), bits.ue(), bits.ue()
    bits.ue(), bits.ue()
    order_bits = bits.ue() + 4
    for _ in range(layers + 1 if bits.read(1) else 1):
        bits.ue(), bits.ue(), bits.ue()
    for _ in range(6):
        bits.ue()
    if bits.read(1) and bits.read(1):
        _hevc_scaling_lists(bits)
    bits.skip(1, 1)
    if bits.read(1):
        bits.skip(4, 4)
        bits.ue(), bits.ue()
        bits.skip(1)
    _hevc_reference_sets(bits)
    if bits.read(1):
        for _ in range(min(bits.ue(), 33)):
            bits.skip(min(order_bits, 16), 1)
    bits.skip(1, 1)
    if not bits.read(1):
        return UNSPECIFIED
    if bits.read(1) and bits.read(8) == 255:
        bits.skip(16, 16)
    if bits.read(1):
        bits.skip(1)
    if not bits.read(1):
        return UNSPECIFIED
    bits.skip(3, 1)
    if not bits.read(1):
        return UNSPECIFIED
    return bits.read(8), bits.read(8)


def _hevc_profile(bits: _Bits, layers: int) -> None:
    bits.skip(88, 8)
    present = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    if layers:
        bits.skip(2 * (8 - layers))
    for profile, level in present:
        bits.skip(88 * profile, 8 * level)


def _hevc_scaling_lists(bits: _Bits) -> None:
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.read(1):
                bits.ue()
                continue
            for _ in range(min(64, 1 << (4 + 2 * size)) + (size > 1)):
                bits.ue()


def _hevc_reference_sets(bits: _Bits) -> None:
    count = bits.ue()
    if count > _MOST_SETS:
        raise _EndError
    pictures = 0
    for index in range(count):
        if index and bits.read(1):
            bits.skip(1)
            bits.ue()
            # A picture is left out where it is neither used nor kept.
            pictures = sum(bits.read(1) or bits.read(1) for _ in range(pictures + 1))
        else:
            before, after = bits.ue(), bits.ue()
            if before > 16 or after > 16:
                raise _EndError
            pictures = before + after
            for _ in range(pictures):
                bits.ue()
                bits.skip(1)
