"""The limits under which a stranger's bytes are read."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What one image, and one archive, may cost.

    Sizes are checked before memory is taken: bytes before they are read, pixels from the header
    before a frame is decoded. `max_seconds` is honest about what a thread can do: a codec that is
    running cannot be stopped, so formats whose work is not bounded by their pixels (a JPEG of many
    scans) are estimated and refused beforehand, and the processor time spent is checked between
    the steps of a decode. It is processor time of the decoding thread, so that a busy machine
    does not change which images fail.

    Attributes:
        max_bytes: largest file or archive member, in bytes.
        max_pixels: largest width × height that is decoded. A JPEG of up to twice as many is decoded at half
            its size.
        max_seconds: processor time that one image may take.
        max_archive_ratio: largest decompressed size / compressed size of an archive member
            (images barely compress; bombs reach 1000 and more).
        max_members: members that are listed of one archive, files of one folder.
    """

    max_bytes: int = 256 * MIB
    max_pixels: int = 120_000_000
    max_seconds: float = 20.0
    max_archive_ratio: float = 200.0
    max_members: int = 2_000_000
