"""ComfyUI: the graph that it ran (``prompt``) and the one that was drawn (``workflow``), as JSON.

PNG texts of these names, chunks ``comf`` of animated PNGs, and EXIF ``prompt:…`` in Model and ``workflow:…``
in Make and the tags below it for WebP, JPEG and AVIF (ComfyUI, comfy_api/latest/_ui.py). Many graphs only
crop, scale or cut out photographs: a picture is said to be generated where a sampler, or a node that asks a
generator's service, feeds what was saved.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from morelli.provenance._exif import DESCRIPTION, MAKE, MODEL
from morelli.provenance._finding import Finding
from morelli.provenance._generators._places import made, parse_object
from morelli.provenance._metadata import Metadata

_MOST_NODES: Final = 20_000
# Saving nodes, and samplers, that are followed upwards.
_MOST_FOLLOWED: Final = 32
_SAMPLER: Final = re.compile(r"(?<!up)(?<!down)(?<!re)sampler|^UltimateSDUpscale|^(Face)?Detailer", re.I)
# Nodes that only choose or describe a sampler.
_NO_SAMPLER: Final = re.compile(
    r"select|loader|setting|preset|config|scheduler|params?$|parameters|string|name|info|combo|"
    r"^Sampler(Euler|DPM|LMS|LCM|ER_SDE|SASolver|SEEDS|Ancestral|Gradient)",
    re.I,
)
# Core nodes that call a generator's service (ComfyUI, comfy_api_nodes).
_SERVICE: Final = re.compile(
    r"^(OpenAIDalle|OpenAIGPTImage|FluxPro|FluxKontext(Pro|Max)|Flux2(Pro|Max)|Ideogram|GeminiImage|GeminiNanoBanana|"
    r"StabilityStableImage|Recraft(TextToImage|ImageToImage|ImageInpainting)|LumaImage|KlingImageGeneration|"
    r"ByteDance(Image|Seedream)|RunwayTextToImage)"
)
_LOADS_PICTURE: Final = re.compile(r"load_?\s?image|image_?\s?load", re.I)
_SAVES: Final = re.compile(r"save|output", re.I)
_SHOWS: Final = re.compile(r"save|output|preview|websocket|send", re.I)
# Inputs that carry pixels or latents, not sizes, models or words.
_PICTURE_INPUT: Final = re.compile(r"^(latent|samples|image|pixels|input|frames|reference|base_image)", re.I)
_PROMPT_INPUT: Final = re.compile(r"^(positive|conditioning|guider|cond$|text_embeds)")
_TEXT_INPUTS: Final = ("text", "prompt", "text_g", "t5xxl", "clip_l", "text_l", "positive_prompt", "string")
_MODEL_INPUTS: Final = ("ckpt_name", "unet_name", "model_name", "model", "base_ckpt_name")
# Modes of a drawn node that does not run (ComfyUI_frontend, LGraphEventMode): never, and bypassed.
_ASLEEP: Final = (2, 4)


class _Node(NamedTuple):
    kind: str
    inputs: Mapping[str, Any]


_Graph = dict[str, _Node]


def read_comfyui(metadata: Metadata) -> Finding | None:
    """What the graphs in a file say; None where there is none."""
    prompt, prompt_place = _stored(metadata, "prompt")
    workflow, workflow_place = _stored(metadata, "workflow")
    graph = _graph(prompt) if prompt is not None else {}
    version = _version(workflow or {})
    if graph:
        return _run(graph, prompt_place, version)
    kinds = list(_drawn(workflow or {}))
    if not kinds:
        return None
    sampler = next((kind for kind in kinds if samples(kind)), None)
    if sampler is None:
        return _processing(workflow_place, version, len(kinds))
    details = {"sampling node": sampler, "nodes": len(kinds)}
    return made("ComfyUI", workflow_place, version=version, details=details)


def samples(kind: str) -> bool:
    """True for a type of node that generates pixels.

    >>> samples("KSampler"), samples("KSamplerSelect"), samples("ImageUpsampler")
    (True, False, False)
    """
    if _SERVICE.search(kind):
        return True
    return bool(_SAMPLER.search(kind)) and not _NO_SAMPLER.search(kind)


def _run(graph: _Graph, place: str, version: str | None) -> Finding:
    """The finding of a graph that was run: what feeds the nodes that save pictures."""
    ends = _ends(graph)
    behind = [_upstream(graph, [end]) for end in ends[:_MOST_FOLLOWED]]
    sampled = [nodes for nodes in behind if any(samples(graph[node].kind) for node in nodes)]
    if not sampled:
        return _processing(place, version, len(graph))
    nodes = max(sampled, key=len)
    samplers = [node for node in nodes if samples(graph[node].kind)][:_MOST_FOLLOWED]
    from_picture = all(_starts_from_picture(graph, node) for node in samplers)
    return made(
        "ComfyUI",
        place,
        version=version,
        claims="edited_with_ai" if from_picture else "generated",
        # One graph can save several pictures, and does not say which of them this file is.
        strength="statement" if len(sampled) == len(behind) else "weak",
        details=_details(graph, nodes, samplers),
    )


def _processing(place: str, version: str | None, nodes: int) -> Finding:
    return made(
        "ComfyUI",
        place,
        version=version,
        claims="processed",
        details={"nodes": nodes},
        how="The file holds a ComfyUI graph with no sampler behind its picture: processing, not generation.",
    )


def _stored(metadata: Metadata, name: str) -> tuple[dict[str, Any] | None, str]:
    """The graph of that name where ComfyUI keeps it, and the place."""
    if metadata.format == "PNG":
        for text in metadata.texts:
            if text.key == name and (found := _parse(text.value)):
                return found, text.place
    exif = metadata.exif
    if exif is not None:
        # Each further text goes into the tag below the one before, from Make on.
        for tag in (MODEL, MAKE, DESCRIPTION, DESCRIPTION - 1):
            value = exif.text(tag)
            if value[: len(name) + 1].lower() == f"{name}:" and (found := _parse(value[len(name) + 1 :])):
                label = {MODEL: "Model", MAKE: "Make"}.get(tag, f"tag 0x{tag:04X}")
                return found, f"{label} in {exif.place}"
    return None, ""


def _parse(text: str) -> dict[str, Any] | None:
    # Older versions wrote NaN, which Python's parser takes.
    return parse_object(text)


def _graph(prompt: Mapping[str, Any]) -> _Graph:
    graph: _Graph = {}
    for number, node in list(prompt.items())[:_MOST_NODES]:
        if isinstance(node, dict) and isinstance(node.get("class_type"), str):
            inputs = node.get("inputs")
            graph[str(number)] = _Node(node["class_type"][:200], inputs if isinstance(inputs, dict) else {})
    return graph


def _drawn(workflow: Mapping[str, Any]) -> Iterable[str]:
    """Types of the drawn nodes that would run, those inside subgraphs included."""
    groups = [workflow.get("nodes")]
    definitions = workflow.get("definitions")
    if isinstance(definitions, dict) and isinstance(definitions.get("subgraphs"), list):
        groups += [part.get("nodes") for part in definitions["subgraphs"][:500] if isinstance(part, dict)]
    for nodes in groups:
        for node in nodes[:_MOST_NODES] if isinstance(nodes, list) else []:
            if (
                isinstance(node, dict)
                and isinstance(node.get("type"), str)
                and node.get("mode") not in _ASLEEP
            ):
                yield node["type"][:200]


def _links(node: _Node, names: re.Pattern[str] | None = None) -> list[str]:
    """The nodes that feed `node`, by any input or by those whose names fit."""
    return [
        str(value[0])
        for name, value in node.inputs.items()
        if (names is None or names.search(name))
        and isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str | int)
    ]


def _upstream(graph: _Graph, start: Iterable[str], names: re.Pattern[str] | None = None) -> list[str]:
    """The nodes from `start` upwards, nearest first."""
    seen: dict[str, None] = {}
    waiting = deque(start)
    while waiting:
        node = waiting.popleft()
        if node in seen or node not in graph:
            continue
        seen[node] = None
        waiting.extend(_links(graph[node], names))
    return list(seen)


def _ends(graph: _Graph) -> list[str]:
    """The nodes that save a picture; without any, those that show one; without any, those that feed none."""
    for pattern in (_SAVES, _SHOWS):
        found = [node for node, (kind, _) in graph.items() if pattern.search(kind)]
        if found:
            return found
    fed = {source for node in graph.values() for source in _links(node)}
    return [node for node in graph if node not in fed] or list(graph)


def _starts_from_picture(graph: _Graph, sampler: str) -> bool:
    """The sampler works on a picture that was loaded and not on noise, itself or through an earlier pass."""
    above = _upstream(graph, _links(graph[sampler], _PICTURE_INPUT), _PICTURE_INPUT)
    return any(_LOADS_PICTURE.search(graph[node].kind) for node in above)


def _details(graph: _Graph, nodes: list[str], samplers: list[str]) -> dict[str, object]:
    first = samplers[-1]
    settings = [graph[node].inputs for node in (first, *_upstream(graph, [first]))]

    def value(*names: str) -> object:
        for inputs in settings:
            for name in names:
                if isinstance(inputs.get(name), str | int | float) and not isinstance(inputs[name], bool):
                    return inputs[name]
        return None

    models = dict.fromkeys(
        graph[node].inputs[name]
        for node in nodes
        for name in _MODEL_INPUTS
        if isinstance(graph[node].inputs.get(name), str)
        and re.search(r"load", graph[node].kind, re.I)
        and not re.search(r"upscale|control|clip|vae|lora", graph[node].kind, re.I)
    )
    return {
        "model": ", ".join(list(models)[:3]),
        "seed": value("seed", "noise_seed"),
        "sampler": value("sampler_name"),
        "steps": value("steps"),
        "guidance": value("cfg", "guidance"),
        "prompt": _prompt(graph, first),
        "sampling node": graph[first].kind,
        "nodes": len(graph),
    }


def _prompt(graph: _Graph, sampler: str) -> str:
    """The nearest text above the sampler's positive conditioning."""
    for node in _upstream(graph, _links(graph[sampler], _PROMPT_INPUT)):
        for name in _TEXT_INPUTS:
            text = graph[node].inputs.get(name)
            if isinstance(text, str) and text.strip():
                return text.strip()
    return ""


def _version(workflow: Mapping[str, Any]) -> str | None:
    """The version of ComfyUI's own nodes, which newer workflows carry."""
    nodes = workflow.get("nodes")
    for node in nodes[:_MOST_NODES] if isinstance(nodes, list) else []:
        properties = node.get("properties") if isinstance(node, dict) else None
        if isinstance(properties, dict) and properties.get("cnr_id") == "comfy-core":
            version = properties.get("ver")
            return version if isinstance(version, str) else None
    return None
