"""Tools that write their settings as a JSON object: SwarmUI, Fooocus, InvokeAI, Easy Diffusion."""

from __future__ import annotations

import re
from typing import Any, Final

from morelli.provenance._exif import MAKER_NOTE, MODEL, SOFTWARE
from morelli.provenance._finding import Claim, Finding
from morelli.provenance._generators._parameters import parse_parameters
from morelli.provenance._generators._places import made, parse_object, png_text, user_comment
from morelli.provenance._metadata import Metadata, Text

# The options stand at the end of the command.
_OPTIONS: Final = 1000
_FROM_PICTURE: Final = re.compile(r"img2img|inpaint|outpaint", re.I)


def read_swarmui(metadata: Metadata) -> Finding | None:
    """SwarmUI: ``sui_image_params`` in PNG ``parameters`` or UserComment, formerly in EXIF Model.

    Source: SwarmUI, src/Media/ImageFile.cs and src/Text2Image/T2IParamInput.cs.
    """
    for text in (png_text(metadata, "parameters"), user_comment(metadata), _exif_model(metadata)):
        if text is None or "sui_image_params" not in text.value:
            continue
        record = parse_object(text.value)
        settings = record.get("sui_image_params") if record else None
        if not isinstance(settings, dict):
            continue
        details = {
            "model": settings.get("model"),
            "seed": settings.get("seed"),
            "sampler": settings.get("sampler"),
            "steps": settings.get("steps"),
            "guidance": settings.get("cfgscale"),
            "prompt": settings.get("prompt"),
            "negative prompt": settings.get("negativeprompt"),
        }
        claim: Claim = "edited_with_ai" if "initimage" in settings else "generated"
        version = settings.get("swarm_version")
        return made("SwarmUI", text.place, version=version, claims=claim, details=details)
    return None


def read_fooocus(metadata: Metadata) -> Finding | None:
    """Fooocus: PNG ``parameters`` with ``fooocus_scheme``; UserComment with its name in Software.

    Source: Fooocus 2.5.5, modules/private_logger.py and modules/meta_parser.py. The scheme ``a1111`` writes
    AUTOMATIC1111's text block instead of JSON.
    """
    text = scheme = None
    named = None
    if (mark := png_text(metadata, "fooocus_scheme")) is not None:
        text, scheme = png_text(metadata, "parameters"), mark.value.strip()
    elif metadata.exif is not None and metadata.exif.text(SOFTWARE).startswith("Fooocus"):
        text, scheme = user_comment(metadata), metadata.exif.text(MAKER_NOTE)
        named = metadata.exif.text(SOFTWARE).removeprefix("Fooocus").strip(" v")
    if text is None:
        return None
    settings = parse_object(text.value)
    if settings is None:
        block = parse_parameters(text.value, text.place)
        if block is None:
            return None
        return made(
            "Fooocus", text.place, version=named or block.version, claims=block.claims, details=block.details
        )
    version = str(settings.get("version") or named or "").removeprefix("Fooocus").strip(" v")
    details = {
        "model": settings.get("base_model"),
        "seed": settings.get("seed"),
        "sampler": settings.get("sampler"),
        "steps": settings.get("steps"),
        "guidance": settings.get("guidance_scale"),
        "prompt": settings.get("prompt"),
        "negative prompt": settings.get("negative_prompt"),
        "scheme": scheme,
    }
    return made("Fooocus", text.place, version=version, details=details)


def read_invokeai(metadata: Metadata) -> Finding | None:
    """InvokeAI: ``invokeai_metadata``, before that ``sd-metadata``, before that ``Dream``; PNG only.

    Source: InvokeAI 6.14, invokeai/app/api/extract_metadata_from_image.py; for the older two the readers of
    stable-diffusion-prompt-reader.
    """
    if (text := png_text(metadata, "invokeai_metadata")) and (record := parse_object(text.value)):
        return _invokeai_new(text, record)
    if (text := png_text(metadata, "sd-metadata")) and (record := parse_object(text.value)):
        return _invokeai_old(text, record)
    text = png_text(metadata, "Dream")
    if text is not None and re.search(r"-s ?\d+ .*-S ?\d+", text.value[-_OPTIONS:]):
        seed = re.search(r"-S ?(\d+)", text.value[-_OPTIONS:])
        prompt = text.value.split('"')[1] if text.value.count('"') >= 2 else ""
        details = {"seed": seed[1] if seed else None, "prompt": prompt}
        return made("InvokeAI", text.place, details=details)
    return None


def read_easy_diffusion(metadata: Metadata) -> Finding | None:
    """Easy Diffusion: one PNG text for each setting, or a JSON object in UserComment.

    Source: the reader of stable-diffusion-prompt-reader, sd_prompt_reader/format/easydiffusion.py.
    """
    for names in (_EASY_KEYS, {key: key for key in _EASY_KEYS}):
        found = {key: png_text(metadata, name) for key, name in names.items()}
        values = {key: text.value for key, text in found.items() if text is not None}
        model = found["use_stable_diffusion_model"]
        if model is not None and {"prompt", "seed", "sampler_name"} <= values.keys():
            return _easy(values, model.place)
    text = user_comment(metadata)
    record = parse_object(text.value) if text else None
    if text is None or record is None:
        return None
    for names in (_EASY_KEYS, {key: key for key in _EASY_KEYS}):
        values = {key: str(record[name]) for key, name in names.items() if name in record}
        if {"prompt", "seed", "sampler_name", "use_stable_diffusion_model"} <= values.keys():
            return _easy(values, text.place)
    return None


_EASY_KEYS: Final = {
    "prompt": "Prompt",
    "negative_prompt": "Negative Prompt",
    "seed": "Seed",
    "use_stable_diffusion_model": "Stable Diffusion model",
    "sampler_name": "Sampler",
    "num_inference_steps": "Steps",
    "guidance_scale": "Guidance Scale",
}


def _easy(values: dict[str, str], place: str) -> Finding:
    details = {
        "model": re.split(r"[\\/]", values["use_stable_diffusion_model"])[-1],
        "seed": values.get("seed"),
        "sampler": values.get("sampler_name"),
        "steps": values.get("num_inference_steps"),
        "guidance": values.get("guidance_scale"),
        "prompt": values.get("prompt"),
        "negative prompt": values.get("negative_prompt"),
    }
    return made("Easy Diffusion", place, details=details)


def _invokeai_new(text: Text, record: dict[str, Any]) -> Finding | None:
    mode = record.get("generation_mode")
    if not mode and "positive_prompt" not in record and "seed" not in record:
        return None
    model = record.get("model")
    details = {
        "model": (model.get("name") or model.get("model_name")) if isinstance(model, dict) else model,
        "seed": record.get("seed"),
        "sampler": record.get("scheduler"),
        "steps": record.get("steps"),
        "guidance": record.get("cfg_scale"),
        "prompt": record.get("positive_prompt"),
        "negative prompt": record.get("negative_prompt"),
        "mode": mode,
    }
    claim: Claim = "edited_with_ai" if _FROM_PICTURE.search(str(mode)) else "generated"
    return made("InvokeAI", text.place, version=record.get("app_version"), claims=claim, details=details)


def _invokeai_old(text: Text, record: dict[str, Any]) -> Finding | None:
    image = record.get("image")
    if not isinstance(image, dict) or "seed" not in image:
        return None
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        prompt = "; ".join(str(p.get("prompt", "")) for p in prompt if isinstance(p, dict))
    details = {
        "model": record.get("model_weights"),
        "seed": image.get("seed"),
        "sampler": image.get("sampler"),
        "steps": image.get("steps"),
        "guidance": image.get("cfg_scale"),
        "prompt": prompt,
    }
    claim: Claim = "edited_with_ai" if image.get("type") == "img2img" else "generated"
    return made("InvokeAI", text.place, version=record.get("app_version"), claims=claim, details=details)


def _exif_model(metadata: Metadata) -> Text | None:
    if metadata.exif is None or not (value := metadata.exif.text(MODEL)):
        return None
    return Text("", value, f"Model in {metadata.exif.place}")
