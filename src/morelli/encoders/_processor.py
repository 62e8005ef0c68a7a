"""From a checkpoint's `preprocessor_config.json` to a transform of `morelli.images`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.artefacts import read_json
from morelli.encoders._timm import is_timm, timm_transform
from morelli.errors import ArtifactError, WeightsError

if TYPE_CHECKING:
    from morelli.images.transforms import Transform

# Pillow's numbers, which the files use.
_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


def folder_transform(folder: Path) -> Transform | None:
    """The transform of a model folder; None where neither an image processor nor timm describes one."""
    path = folder / "preprocessor_config.json"
    try:
        if path.is_file():
            return processor_transform(read_json(path.resolve(), what="model folder"))
        path = folder / "config.json"
        if path.is_file() and is_timm(config := read_json(path.resolve(), what="model folder")):
            return timm_transform(config, path)
        return None
    except (ArtifactError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} cannot be read ({error}).") from error


def processor_transform(config: Mapping[str, Any]) -> Transform:
    """The transform that a `preprocessor_config.json` describes.

    Known are CLIP's way (short side, then a centre crop of that side or a smaller one, as DINOv2),
    a plain resize to a square (SigLIP, DINOv3) and NaFlex's (SigLIP 2).

    Raises:
        WeightsError: the file describes other steps.
    """
    from morelli.images.transforms import clip_transform, naflex_transform

    for step in ("do_resize", "do_rescale", "do_normalize"):
        if config.get(step) is False:
            raise _unknown(f"turns {step} off")
    factor = float(config.get("rescale_factor", 1 / 255))
    if abs(factor * 255 - 1) > 1e-6:
        raise _unknown(f"rescales by {factor}")
    number = int(config.get("resample", 3))
    if number not in _RESAMPLE:
        raise _unknown(f"resamples with filter {number}")
    if "max_num_patches" in config:
        half = {name: config.get(f"image_{name}") in (None, [0.5] * 3) for name in ("mean", "std")}
        if not all(half.values()) or config.get("do_center_crop"):
            raise _unknown("describes NaFlex with a crop or with statistics other than 0.5")
        patch, patches = int(config.get("patch_size", 16)), int(config["max_num_patches"])
        return naflex_transform(patch, patches, resample=_RESAMPLE[int(config.get("resample", 2))])
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
