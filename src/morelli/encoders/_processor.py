"""From a checkpoint's `preprocessor_config.json` to a transform of `morelli.images`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.artefacts import read_json
from morelli.errors import ArtifactError, WeightsError

if TYPE_CHECKING:
    from morelli.images.transforms import Transform

# Pillow's numbers, which the files use.
_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


def folder_transform(folder: Path) -> Transform | None:
    """The transform of a model folder; None where it has no `preprocessor_config.json`."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return None
    try:
        return processor_transform(read_json(path.resolve(), what="model folder"))
    except (ArtifactError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} cannot be read ({error}).") from error


def processor_transform(config: Mapping[str, Any]) -> Transform:
    """The transform that a `preprocessor_config.json` describes.

    Known are CLIP's way (short side, then a centre crop of that side or a smaller one, as DINOv2)
    and a plain resize to a square (SigLIP, DINOv3).

    Raises:
        WeightsError: the file describes other steps.
    """
    from morelli.images.transforms import clip_transform

    for step in ("do_resize", "do_rescale", "do_normalize"):
        if config.get(step) is False:
            raise _unknown(f"turns {step} off")
    factor = float(config.get("rescale_factor", 1 / 255))
    if abs(factor * 255 - 1) > 1e-6:
        raise _unknown(f"rescales by {factor}")
    number = int(config.get("resample", 3))
    if number not in _RESAMPLE:
        raise _unknown(f"resamples with filter {number}")
    # Statistics that the file leaves out are CLIP's.
    stated = {name: config[f"image_{name}"] for name in ("mean", "std") if f"image_{name}" in config}
    resample = _RESAMPLE[number]
    size = config.get("size", 224)
    if config.get("do_center_crop"):
        short = size.get("shortest_edge") if isinstance(size, Mapping) else size
        crop = _square(config.get("crop_size", size))
        if short is not None and crop is not None and crop <= int(short):
            return clip_transform(crop, resample=resample, short=int(short), **stated)
    elif (side := _square(size)) is not None:
        return clip_transform(side, resample=resample, resize="square", **stated)
    raise _unknown(f"asks for size {size} and crop {config.get('crop_size')}")


def _square(size: object) -> int | None:
    """The side of a square size; None when it is not a square."""
    if isinstance(size, Mapping):
        return int(size["height"]) if "height" in size and size["height"] == size.get("width") else None
    return int(size) if isinstance(size, (int, float)) else None


def _unknown(what: str) -> WeightsError:
    return WeightsError(
        f"The checkpoint's preprocessor_config.json {what}, which no transform here does. "
        "Name one with `transform=`, such as clip-224-bicubic-crop-v1."
    )
