"""The published UnivFD head as a bundle."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np

from morelli.detectors._bundle import Bundle
from morelli.detectors._linear_head import LinearHead
from morelli.detectors._thresholds import Threshold
from morelli.detectors._torch_file import read_tensors
from morelli.encoders import Build, encoder_card
from morelli.errors import ArtifactError

ENCODER = "clip-vit-l14"
TRANSFORM = "univfd-224-crop-v1"
# model.safetensors of openai/clip-vit-large-patch14, revision 32bd64288804d66eefd0ccbe215aa642df71cc41.
ENCODER_WEIGHTS = "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb"
DIMENSION = 768
NORM, BIAS = 6.2001, -0.51670


def import_univfd(path: str | Path, *, force: bool = False, build: Build | None = None) -> Bundle:
    """Read `fc_weights.pth` of the UnivFD repository (Ojha et al. 2023, MIT) as a bundle for CLIP ViT-L/14.

    The file is read as data (see `_torch_file`). It must hold one (1, 768) weight and one bias, of
    norm 6.2001 and value -0.51670, which the published head has. The bundle is uncalibrated: its
    probability is the sigmoid of the logit, its threshold the paper's 0.5, it has no bank and no
    interval, so it says `ai` or `real` only. `Bundle.recalibrated` makes it honest on images of yours.

    Args:
        force: take a head of other norm or bias as well, such as a retrained one.
        build: of the features it will judge; by default OpenAI's L/14 in float32 and UnivFD's crop.

    Raises:
        ArtifactError: the file cannot be read, holds something else, or is another head.
    """
    file = Path(path)
    tensors = read_tensors(file)
    weight = [t for name, t in tensors.items() if name.rsplit(".", 1)[-1] == "weight"]
    bias = [t for name, t in tensors.items() if name.rsplit(".", 1)[-1] == "bias"]
    if len(weight) != 1 or len(bias) != 1:
        raise ArtifactError(
            f"{file} holds the tensors {sorted(tensors)[:6]}; a head is one weight and one bias. "
            "Give fc_weights.pth of the UnivFD repository"
        )
    if weight[0].shape not in {(1, DIMENSION), (DIMENSION,)} or bias[0].size != 1:
        raise ArtifactError(
            f"{file}: weight {weight[0].shape}, bias {bias[0].shape}; "
            f"the UnivFD head is (1, {DIMENSION}) and (1,)"
        )
    weights, offset = weight[0].astype(np.float64).reshape(-1), float(bias[0].reshape(()))
    if not (np.isfinite(weights).all() and math.isfinite(offset)):
        raise ArtifactError(f"{file}: the head holds values that are not finite")
    norm = float(np.linalg.norm(weights))
    published = abs(norm - NORM) < 1e-4 and abs(offset - BIAS) < 1e-4
    if not published and not force:
        raise ArtifactError(
            f"{file} is not the published head: norm {norm:.4f} and bias {offset:.5f} instead of "
            f"{NORM} and {BIAS:.5f}. Download it again, or import it as it is with --force"
        )
    notes = [
        "Published threshold 0.5 on the sigmoid; nobody calibrated it here and its error rates are unknown.",
        "Its authors crop 224 pixels from the centre and never resize; other preprocessing changes answers.",
    ]
    if not published:
        notes.append(f"Not the published head (norm {norm:.4f}, bias {offset:.5f}), imported by force.")
    at_half = Threshold(0.0, math.nan, math.nan, 0, math.nan, False, "the paper's threshold, not measured")
    return Bundle(
        name="univfd",
        build=build or Build(ENCODER, _encoder_weights(), TRANSFORM, "float32"),
        head_kinds=("final",),
        ai=at_half,
        real=at_half,
        head=LinearHead(weights, offset),
        training={"source": "ProGAN against LSUN, 720 000 images, by the authors of UnivFD"},
        recipe={"estimator": "UnivFD published head", "file": hashlib.sha256(file.read_bytes()).hexdigest()},
        licence="MIT (head, by its authors)",
        notes=tuple(notes),
    )


def _encoder_weights() -> str:
    pinned = [source.sha256 for source in encoder_card(ENCODER).sources if source.sha256]
    return pinned[0] if pinned else ENCODER_WEIGHTS
