"""Watermarks in the pixels, as plug-ins; built in is the open one of Stable Diffusion and FLUX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from morelli.provenance._finding import Finding

WatermarkState = Literal["yes", "no", "not available"]
"""Found; looked for and not found, which proves nothing; could not be looked for."""


class WatermarkReader(Protocol):
    """A plug-in that looks for one kind of watermark.

    Attributes:
        name: what the state is listed under.
    """

    name: str

    def read(self, image: Image.Image) -> tuple[WatermarkState, Finding | None]:
        """The state, and the finding where the state is ``yes``. `image` is RGB and must not be changed."""
        ...


class InvisibleWatermark:
    """The DwtDct watermark of the invisible-watermark library, which open generators embed.

    A picture's U channel is halved by Haar's wavelet; in each 4 × 4 block the largest coefficient but the
    first carries one bit, by the half of a step of 36 that it lies in, and the bits repeat over the blocks
    (invisible-watermark 0.2.0, imwatermark/maxDct.py). It survives lossless copies only: scaling and most
    JPEGs destroy it.

    Example:
        >>> InvisibleWatermark().read(Image.new("RGB", (64, 64)))
        ('not available', None)
    """

    name = "invisible-watermark"

    def read(self, image: Image.Image) -> tuple[WatermarkState, Finding | None]:
        """``not available`` below 256 × 256 pixels, as the library has it."""
        if image.width * image.height < 256 * 256:
            return "not available", None
        scores = block_bits(np.asarray(image.convert("RGB")))
        for tool, message, most_wrong in _MESSAGES:
            bits = (
                np.array([scores[start :: len(message)].mean() for start in range(len(message))]) > 127 / 255
            )
            wrong = int((bits != np.array([int(bit) for bit in message])).sum())
            if wrong <= most_wrong:
                sentence = (
                    f"The pixels carry the invisible watermark of {tool} ({len(message) - wrong} of "
                    f"{len(message)} bits), which its programs embed in what they generate or rework."
                )
                details = {"bits": f"{len(message) - wrong} of {len(message)}"}
                return "yes", Finding(
                    "watermark", "generated", "statement", sentence, "pixels", tool, None, details
                )
        return "no", None


def block_bits(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The bit of each 4 × 4 block of the U channel's approximation, (blocks,), row by row; 0 or 1.

    Args:
        rgb: (height, width, 3).
    """
    height, width = (side // 4 * 4 for side in rgb.shape[:2])
    colours = rgb[:height, :width].astype(np.float64)
    luma = colours @ np.array([0.299, 0.587, 0.114])
    u = np.clip(np.rint((colours[..., 2] - luma) * 0.492 + 128), 0, 255)
    half = (u[0::2, 0::2] + u[0::2, 1::2] + u[1::2, 0::2] + u[1::2, 1::2]) / 2
    rows, columns = half.shape[0] // 4, half.shape[1] // 4
    blocks = half[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).swapaxes(1, 2).reshape(-1, 16)
    sizes = np.abs(blocks[:, 1:])
    largest = sizes[np.arange(len(sizes)), sizes.argmax(axis=1)]
    bits: NDArray[np.float64] = (largest % _STEP > _STEP / 2).astype(np.float64)
    return bits


def read_watermarks(
    image: Image.Image, readers: Sequence[WatermarkReader]
) -> tuple[dict[str, str], list[Finding]]:
    """The state by each reader's name, and the findings."""
    states: dict[str, str] = {}
    findings: list[Finding] = []
    for reader in readers:
        state, finding = reader.read(image)
        states[reader.name] = state
        if finding is not None:
            findings.append(finding)
    return states, findings


def _text_bits(text: str) -> str:
    return "".join(f"{byte:08b}" for byte in text.encode())


_STEP: Final = 36
# Tool, message, and how many bits may be wrong; chance alone gives each less than once in 10^8 pictures.
_MESSAGES: Final = (
    ("Stable Diffusion XL", f"{0b101100111110110010010000011110111011000110011110:048b}", 4),
    ("FLUX", f"{0b001010101111111010000111100111001111010100101110:b}", 4),
    ("Stable Diffusion 1", _text_bits("StableDiffusionV1"), 20),
    ("Stable Diffusion 2", _text_bits("SDV2"), 1),
)
