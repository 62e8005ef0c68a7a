"""Published figures of UnivFD's 19 test sets, as data: not measured here, and marked so wherever they stand.

All rows: detectors trained on ProGAN (LSUN), tested on the 19 sets of Ojha et al. 2023, figures in percent.
UnivFD reads CLIP ViT-L/14; its linear-layer accuracies on ten sets are multiples of 0.5, so those sets held
100 + 100 images and a repetition on all images may differ by two to four points.

Average precision: later papers reprint a row named "UniFD" (mean 90.14). Its means over the six GAN sets and
the eight diffusion and autoregressive ones, 96.34 and 90.36, are within rounding those that the paper's text
gives for *nearest neighbours* (96.36 / 90.58) and not those for the linear layer (99.31 / 95.00). It is
therefore listed as the neighbour row, and the linear layer's own row of average precisions is left out: it
is known to us by its means in the paper's text alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SETS = (
    "progan", "cyclegan", "biggan", "stylegan", "gaugan", "stargan",
    "deepfake", "seeingdark", "san", "crn", "imle",
    "guided", "ldm_200", "ldm_200_cfg", "ldm_100",
    "glide_100_27", "glide_50_27", "glide_100_10", "dalle",
)  # fmt: skip
"""The test sets, in the order in which the rows below give them: family by family."""


@dataclass(frozen=True)
class Published:
    """One published row: `values` in percent by set, `mean` over the sets as printed, `source` to cite.

    `metric` is ``accuracy`` (threshold 0.5) or ``average_precision``. `note` is what a reader must know.
    """

    detector: str
    metric: str
    values: Mapping[str, float]
    mean: float
    source: str
    note: str = ""


def _row(  # noqa: PLR0917
    detector: str, metric: str, text: str, mean: float, source: str, note: str = ""
) -> Published:
    values = dict(zip(SETS, map(float, text.split()), strict=True))
    return Published(detector, metric, values, mean, source, note)


_EFF = "as reprinted by later papers that compare on the same 19 sets"

PUBLISHED: tuple[Published, ...] = (
    _row(
        "UnivFD, linear layer (ViT-L/14)",
        "accuracy",
        "100 98.50 94.50 82.00 99.50 97.00 66.60 63.00 57.50 59.50 72.00 70.03 94.19 73.76 94.36 79.07 "
        "79.85 78.14 86.78",
        81.38,
        f"Ojha et al., CVPR 2023, {_EFF}",
    ),
    _row(
        "CNN detector, blur + JPEG 0.1",
        "accuracy",
        "99.99 85.20 70.20 85.70 78.95 91.70 53.47 66.67 48.69 86.31 86.26 60.07 54.03 54.96 54.14 60.78 "
        "63.80 65.66 55.58",
        69.58,
        f"Wang et al., CVPR 2020; {_EFF}",
    ),
    _row(
        "Patch classifier (Xception)",
        "accuracy",
        "75.03 68.97 68.47 79.16 64.23 63.94 75.54 75.14 75.28 72.33 55.30 67.41 76.50 76.10 75.77 74.81 "
        "73.28 68.52 67.91",
        71.24,
        f"Chai et al., ECCV 2020; {_EFF}",
    ),
    _row(
        "Co-occurrence",
        "accuracy",
        "97.70 63.15 53.75 92.50 51.10 54.70 57.10 63.06 55.85 65.65 65.80 60.50 70.70 70.55 71.00 70.25 "
        "69.60 69.90 67.55",
        66.86,
        f"Nataraj et al., 2019; {_EFF}",
    ),
    _row(
        "Frequency spectrum",
        "accuracy",
        "49.90 99.90 50.50 49.90 50.30 99.70 50.10 50.00 48.00 50.60 50.10 50.90 50.40 50.40 50.30 51.70 "
        "51.40 50.40 50.00",
        55.45,
        f"Zhang et al., WIFS 2019; {_EFF}",
        "The mean is as printed; that of the printed values is 55.50.",
    ),
    _row(
        "UnivFD, nearest neighbours (ViT-L/14)",
        "average_precision",
        "100 98.13 94.46 86.66 99.25 99.53 91.67 78.54 67.54 83.12 91.06 79.24 95.81 79.77 95.93 93.93 "
        "95.12 94.59 88.45",
        90.14,
        f"Ojha et al., CVPR 2023, {_EFF} as “UniFD”",
        "Reprinted without saying which of the paper's two detectors it is; its means are those of the "
        "nearest-neighbour one. Do not compare a linear layer with it: the paper's text gives that one "
        "99.31 on the six GAN sets and 95.00 on the eight diffusion and autoregressive ones.",
    ),
    _row(
        "CNN detector, blur + JPEG 0.1",
        "average_precision",
        "100 93.47 84.50 99.54 89.49 98.15 89.02 73.75 59.47 98.24 98.40 73.72 70.62 71.00 70.54 80.65 "
        "84.91 82.07 70.59",
        83.58,
        f"Wang et al., CVPR 2020; {_EFF}",
    ),
    _row(
        "Patch classifier (Xception)",
        "average_precision",
        "80.88 72.84 71.66 85.75 65.99 69.25 76.55 76.19 76.34 74.52 68.52 75.03 87.10 86.72 86.40 85.37 "
        "83.73 78.38 75.67",
        77.73,
        f"Chai et al., ECCV 2020; {_EFF}",
    ),
)


def comparable(trained_on: list[str] | None, sets: list[str]) -> bool:
    """Whether published figures may stand beside ours: trained on ProGAN alone, tested on those sets."""
    trained = {name.lower().replace("-", "").replace("_", "") for name in trained_on or ()}
    return trained == {"progan"} and any(name in SETS for name in sets)
