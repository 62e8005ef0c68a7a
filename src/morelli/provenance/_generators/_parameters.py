"""The text block of AUTOMATIC1111's web UI, which Forge, SD.Next, Fooocus and savers for ComfyUI write alike.

A prompt, ``Negative prompt: …``, and a last line ``Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, …``
(stable-diffusion-webui, modules/images.py and modules/infotext_utils.py). It stands in the PNG text
``parameters``, in UserComment of JPEG, WebP and AVIF, and in a GIF's comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from morelli.provenance._finding import Claim, Finding
from morelli.provenance._generators._places import made, png_text, user_comment
from morelli.provenance._metadata import Metadata, Text

_LONGEST_LINE: Final = 64 << 10
_STEPS: Final = re.compile(r"Steps: \d{1,6}(?:,|$)")
_KNOWN: Final = frozenset(
    {"Steps", "Sampler", "CFG scale", "Distilled CFG Scale", "Seed", "Size", "Model", "Model hash"}
    | {"Schedule type", "Scheduler", "Version", "App", "Pipeline", "Denoising strength"}
)
_NEGATIVE: Final = "Negative prompt:"
_FROM_PICTURE: Final = re.compile(r"img2img|inpaint|outpaint|edit", re.I)


def read_parameters(metadata: Metadata) -> Finding | None:
    """A finding where a parameter block stands in a place where these tools write it."""
    for text in _places(metadata):
        finding = parse_parameters(text.value, text.place)
        if finding is not None:
            return finding
    done = png_text(metadata, "postprocessing")
    if done is not None and done.value.startswith(("Postprocess ", "Upscale: ")):
        return made(
            "AUTOMATIC1111 web UI",
            done.place,
            claims="processed",
            details={"settings": done.value},
            how="The file says that AUTOMATIC1111's web UI enlarged or restored it, not that it made it.",
        )
    return None


def parse_parameters(block: str, place: str) -> Finding | None:
    """The finding of one parameter block; None where the text is something else."""
    lines = block.strip().split("\n")
    last = next((i for i in range(len(lines) - 1, -1, -1) if _STEPS.match(lines[i].strip())), None)
    if last is None:
        return None
    settings = dict(_pairs(" ".join(lines[last:])[:_LONGEST_LINE].strip()))
    # Two settings might be a caption; no caption has three under these very names.
    if len(_KNOWN & settings.keys()) < 3:
        return None
    prompt, _, negative = "\n".join(lines[:last]).partition(_NEGATIVE)
    tool, version = _tool(settings)
    details = {
        "model": settings.get("Model"),
        "seed": settings.get("Seed"),
        "sampler": settings.get("Sampler") or settings.get("Scheduler"),
        "steps": settings.get("Steps"),
        "guidance": settings.get("CFG scale"),
        "size": settings.get("Size"),
        "prompt": prompt.strip(),
        "negative prompt": negative.strip(),
    }
    return made(tool, place, version=version, claims=_claim(settings), details=details)


def _places(metadata: Metadata) -> Iterator[Text]:
    for found in (png_text(metadata, "parameters"), user_comment(metadata)):
        if found is not None:
            yield found
    if metadata.format == "GIF":
        yield from (text for text in metadata.texts if text.place == "GIF comment")


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """``name: value`` pairs separated by commas; a quoted value may hold commas."""
    at = 0
    while at < len(line):
        colon = line.find(":", at)
        if colon < 0:
            return
        name = line[at:colon].strip(" ,")
        start = colon + 1
        while start < len(line) and line[start] == " ":
            start += 1
        if line[start : start + 1] == '"':
            end = start + 1
            while end < len(line) and line[end] != '"':
                end += 2 if line[end] == "\\" else 1
            end += 1
        else:
            comma = line.find(",", start)
            end = len(line) if comma < 0 else comma
        yield name, line[start:end].strip().strip('"')
        at = end + 1


def _tool(settings: dict[str, str]) -> tuple[str, str | None]:
    version = settings.get("Version")
    if app := settings.get("App"):
        return app, version
    if version and version.startswith("Fooocus"):
        return "Fooocus", version.removeprefix("Fooocus").strip(" v") or None
    if version == "ComfyUI":
        return "ComfyUI", None
    if version and version.startswith(("f", "neo")):
        return "Stable Diffusion WebUI Forge", version
    if version and version.startswith("v"):
        return "AUTOMATIC1111 web UI", version
    return "Stable Diffusion web UI or alike", version


def _claim(settings: dict[str, str]) -> Claim:
    """Made from another picture: the operation says so, or a denoising strength without a second pass."""
    if _FROM_PICTURE.search(settings.get("Operations", "")):
        return "edited_with_ai"
    second_pass = any(name.startswith("Hires") for name in settings)
    from_picture = "Denoising strength" in settings or "Mask blur" in settings
    return (
        "edited_with_ai" if from_picture and not second_pass and "Operations" not in settings else "generated"
    )
