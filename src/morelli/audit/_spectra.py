"""Average high-pass spectra per generator: the periodic traces that upsampling leaves.

UnivFD (Ojha et al. 2023, appendix; after Zhang et al. 2019 and Wang et al. 2020): subtract a median-blurred
copy from each image, take the magnitude of its Fourier transform, average over up to 2000 images of a
generator, and show the logarithm. GANs show grids of bright points, diffusion models mostly do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from morelli.errors import ImageError, UsageError
from morelli.images import ImageItem, Limits, image_errors, in_threads, iter_source, read_image

if TYPE_CHECKING:
    from PIL import Image

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """The average high-pass spectrum of one generator or real source.

    `magnitude` (side, side): mean |FFT| of the high-pass image, grey levels of 0–255, zero frequency in the
    middle (index side // 2). `radial` (side // 2,): its mean over rings, by frequency in cycles per side.
    `n` images were averaged; `small` were left out because a side was shorter than `side`.
    """

    name: str
    label: int | None
    n: int
    small: int
    failed: int
    magnitude: Floats
    radial: Floats

    def log_magnitude(self) -> Floats:
        """log10 of the magnitude, (side, side), for display."""
        return np.asarray(np.log10(np.maximum(self.magnitude, 1e-3)))


def high_pass_magnitude(image: Image.Image, side: int, kernel: int = 3) -> Floats:
    """|FFT| of the grey centre crop minus its median blur, (side, side), zero frequency in the middle.

    The crop is not resized, since resizing writes a spectrum of its own. The Hann window is ours,
    not the paper's.
    """
    from PIL import ImageFilter

    left, top = (image.width - side) // 2, (image.height - side) // 2
    grey = image.crop((left, top, left + side, top + side)).convert("L")
    blurred = grey.filter(ImageFilter.MedianFilter(kernel))
    residual = np.asarray(grey, np.float64) - np.asarray(blurred, np.float64)
    # Opposite borders do not meet: without a window the jump between them draws a bright cross over the axes,
    # where a generator's own peaks lie. Scaled so that white noise keeps its magnitude.
    hann = np.hanning(side + 2)[1:-1]
    window = np.outer(hann, hann)
    window /= np.sqrt(np.mean(window**2))
    return np.asarray(np.abs(np.fft.fftshift(np.fft.fft2(residual * window))))


def mean_spectra(
    source: str | Path | Sequence[str | Path] | Iterable[ImageItem],
    *,
    side: int = 256,
    limit: int = 2000,
    kernel: int = 3,
    seed: int = 0,
    limits: Limits | None = None,
    workers: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    **reading: Any,
) -> list[Spectrum]:
    """Average high-pass spectra of every generator and, for real images, of every source.

    Args:
        source: what `iter_source` reads, or image items themselves.
        side: side of the centre crop, pixels; images with a shorter side are left out and counted.
        limit: images a group at most, drawn at random.
        kernel: side of the median filter, odd.
        seed: of that draw.
        limits: bounds on single images.
        workers: threads; one for each processor if None.
        progress: called with (images done, images in all).
        reading: further arguments of `iter_source`.

    Real groups come first, then generators, each in alphabetical order.
    """
    bounds = limits or Limits()
    named = isinstance(source, str | Path) or (
        isinstance(source, Sequence) and all(isinstance(entry, str | Path) for entry in source)
    )
    items: Iterable[ImageItem] = iter_source(source, limits=bounds, **reading) if named else source  # type: ignore[arg-type,assignment]
    groups: dict[tuple[int, str], list[ImageItem]] = defaultdict(list)
    for item in items:
        name = item.generator if item.label == 1 else item.metadata.get("source")
        groups[-1 if item.label is None else item.label, name or ""].append(item)
    if not groups:
        raise UsageError("No images to take spectra of.")
    rng = np.random.default_rng(seed)
    chosen = {
        key: [members[k] for k in sorted(rng.permutation(len(members))[:limit])]
        for key, members in sorted(groups.items())
    }
    sums = {key: np.zeros((side, side)) for key in chosen}
    counts = {key: [0, 0, 0] for key in chosen}  # averaged, too small, failed
    total = sum(map(len, chosen.values()))

    def one(entry: tuple[tuple[int, str], ImageItem]) -> tuple[tuple[int, str], Floats | str]:
        key, item = entry
        try:
            image = read_image(item, bounds).image
            with image_errors():
                return key, "small" if min(image.size) < side else high_pass_magnitude(image, side, kernel)
        except ImageError:
            return key, "failed"

    queue = [(key, item) for key, members in chosen.items() for item in members]
    for done, (key, outcome) in enumerate(in_threads(one, queue, workers), start=1):
        if isinstance(outcome, str):
            counts[key][1 if outcome == "small" else 2] += 1
        else:
            sums[key] += outcome
            counts[key][0] += 1
        if progress is not None:
            progress(done, total)
    rings = _rings(side)
    spectra = []
    for (label, name), (n, small, failed) in counts.items():
        magnitude = sums[label, name] / max(n, 1)
        weight = np.bincount(rings.ravel(), weights=magnitude.ravel())
        radial = (weight / np.bincount(rings.ravel()))[: side // 2]
        word = {0: "real", 1: "generated", -1: "unlabelled"}[label]
        spectra.append(
            Spectrum(name or word, None if label < 0 else label, n, small, failed, magnitude, radial)
        )
    return spectra


def _rings(side: int) -> npt.NDArray[np.int64]:
    """The frequency ring of each place of a shifted (side, side) spectrum."""
    axis = np.arange(side) - side // 2
    return np.rint(np.hypot(axis[:, None], axis[None, :])).astype(np.int64)
