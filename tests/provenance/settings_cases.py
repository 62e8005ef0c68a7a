"""Tools that write all their settings: texts, graphs and JSON records."""

from __future__ import annotations

import json

from tests.provenance.case import Case
from tests.provenance.made import (
    ADVANCED,
    BLOCK,
    COMMENT,
    DRAW_THINGS,
    EASY,
    EASY_OBJECT,
    FOOOCUS,
    FROM_PICTURE,
    INVOKE,
    INVOKE_OLD,
    NOVELAI,
    PROCESSING,
    SDNEXT,
    SERVICE,
    SWARM,
    WORKFLOW,
    animated_comfy,
    graph,
    hidden_novelai,
    picture,
    png,
    png_xmp,
    saved,
    unicode_comment,
    unicode_parameters,
    with_exif,
    zipped_parameters,
)

A1111 = "stable-diffusion-webui, modules/images.py"
COMFY = "ComfyUI, comfy_api/latest/_ui.py"
SWARMUI = "SwarmUI, src/Media/ImageFile.cs"
FOOOCUS_SOURCE = "Fooocus 2.5.5, modules/private_logger.py"
INVOKE_SOURCE = "InvokeAI 6.14, app/api/extract_metadata_from_image.py"
READER = "stable-diffusion-prompt-reader, image_data_reader.py"
NOVELAI_SOURCE = "novelai-image-metadata, nai_meta_writer.py"
_PROMPT = {0x0110: "prompt:" + json.dumps(graph()), 0x010F: "workflow:" + json.dumps(WORKFLOW)}
_A1111 = BLOCK + "Version: v1.10.1"
_WEBUI = {"model": "v1-5-pruned-emaonly", "seed": "123456", "sampler": "Euler a", "steps": "20"}
_BIG = graph(**FROM_PICTURE)

SETTINGS = [
    Case(
        "a1111-png",
        "AUTOMATIC1111 web UI",
        A1111,
        lambda: png(parameters=_A1111),
        version="v1.10.1",
        details=_WEBUI,
    ),
    Case("a1111-png-ztxt", "AUTOMATIC1111 web UI", A1111, zipped_parameters, details=_WEBUI),
    Case("a1111-png-itxt", "AUTOMATIC1111 web UI", A1111, unicode_parameters, details=_WEBUI),
    Case(
        "a1111-jpeg",
        "AUTOMATIC1111 web UI",
        A1111,
        lambda: with_exif("JPEG", {}, unicode_comment(_A1111)),
        details=_WEBUI,
    ),
    Case(
        "a1111-webp",
        "AUTOMATIC1111 web UI",
        A1111,
        lambda: with_exif("WEBP", {}, unicode_comment(_A1111)),
        details=_WEBUI,
    ),
    Case(
        "a1111-avif",
        "AUTOMATIC1111 web UI",
        A1111,
        lambda: with_exif("AVIF", {}, unicode_comment(_A1111)),
        details=_WEBUI,
    ),
    Case(
        "a1111-gif",
        "AUTOMATIC1111 web UI",
        A1111,
        lambda: saved(picture("P"), "GIF", comment=_A1111.encode()),
        details=_WEBUI,
    ),
    Case(
        "a1111-img2img",
        "AUTOMATIC1111 web UI",
        A1111,
        lambda: png(parameters=BLOCK + "Denoising strength: 0.6, Version: v1.10.1"),
        claims="edited_with_ai",
    ),
    Case(
        "a1111-hires",
        "AUTOMATIC1111 web UI",
        A1111,
        lambda: png(parameters=BLOCK + "Denoising strength: 0.6, Hires upscale: 2, Version: v1.10.1"),
    ),
    Case(
        "a1111-extras",
        "AUTOMATIC1111 web UI",
        A1111,
        lambda: png(postprocessing="Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 4x+"),
        claims="processed",
    ),
    Case(
        "forge-png",
        "Stable Diffusion WebUI Forge",
        "Forge f2.0.1; the form of AUTOMATIC1111",
        lambda: png(parameters=BLOCK + "Version: f2.0.1v1.10.1-previous-669-gdfdcbab6"),
        version="f2.0.1v1.10.1-previous-669-gdfdcbab6",
    ),
    Case(
        "sdnext-jpeg",
        "SD.Next",
        "files of SD.Next's reference collection",
        lambda: with_exif("JPEG", {}, unicode_comment(SDNEXT.format("txt2img"))),
        version="d7eb90e",
        details={"model": "Ovis-Image-7B"},
    ),
    Case(
        "sdnext-img2img",
        "SD.Next",
        "files of SD.Next's reference collection",
        lambda: with_exif("JPEG", {}, unicode_comment(SDNEXT.format("img2img; inpaint"))),
        claims="edited_with_ai",
    ),
    Case(
        "comfyui-png",
        "ComfyUI",
        COMFY,
        lambda: png(prompt=json.dumps(graph()), workflow=json.dumps(WORKFLOW)),
        version="0.3.43",
        details={
            "seed": "5678",
            "model": "sd_xl_base_1.0.safetensors",
            "prompt": "a lighthouse at dusk",
            "sampler": "dpmpp_2m",
            "steps": "25",
        },
    ),
    Case(
        "comfyui-advanced",
        "ComfyUI",
        COMFY,
        lambda: png(prompt=json.dumps(ADVANCED)),
        details={
            "seed": "99",
            "model": "flux1-dev.safetensors",
            "prompt": "a red fox in snow",
            "sampler": "euler",
        },
    ),
    Case("comfyui-webp", "ComfyUI", COMFY, lambda: with_exif("WEBP", _PROMPT), details={"seed": "5678"}),
    Case(
        "comfyui-jpeg",
        "ComfyUI",
        "savers for ComfyUI, in the core's form",
        lambda: with_exif("JPEG", _PROMPT),
        details={"seed": "5678"},
    ),
    Case(
        "comfyui-avif",
        "ComfyUI",
        "savers for ComfyUI, in the core's form",
        lambda: with_exif("AVIF", _PROMPT),
        details={"seed": "5678"},
    ),
    Case("comfyui-apng", "ComfyUI", COMFY, animated_comfy, details={"seed": "5678"}),
    Case(
        "comfyui-workflow",
        "ComfyUI",
        COMFY,
        lambda: png(workflow=json.dumps(WORKFLOW)),
        details={"sampling node": "KSampler"},
    ),
    Case("comfyui-img2img", "ComfyUI", COMFY, lambda: png(prompt=json.dumps(_BIG)), claims="edited_with_ai"),
    Case(
        "comfyui-service",
        "ComfyUI",
        "ComfyUI, comfy_api_nodes/nodes_openai.py",
        lambda: png(prompt=json.dumps(SERVICE)),
        details={"prompt": ""},
    ),
    Case(
        "comfyui-two-outputs",
        "ComfyUI",
        COMFY,
        lambda: png(
            prompt=json.dumps(
                graph(
                    **{
                        "11": PROCESSING["1"],
                        "12": {"class_type": "SaveImage", "inputs": {"images": ["11", 0]}},
                    }
                )
            )
        ),
        strength="weak",
    ),
    Case(
        "comfyui-processing", "ComfyUI", COMFY, lambda: png(prompt=json.dumps(PROCESSING)), claims="processed"
    ),
    Case(
        "invokeai-png",
        "InvokeAI",
        INVOKE_SOURCE,
        lambda: png(invokeai_metadata=json.dumps(INVOKE)),
        version="5.6.0",
        details={"model": "Juggernaut XL", "seed": "42"},
    ),
    Case(
        "invokeai-inpaint",
        "InvokeAI",
        INVOKE_SOURCE,
        lambda: png(invokeai_metadata=json.dumps(INVOKE | {"generation_mode": "sdxl_inpaint"})),
        claims="edited_with_ai",
    ),
    Case(
        "invokeai-2",
        "InvokeAI",
        READER,
        lambda: png(sd__metadata=json.dumps(INVOKE_OLD)),
        version="2.3.1",
        details={"model": "stable-diffusion-1.5", "prompt": "a fox"},
    ),
    Case(
        "invokeai-1",
        "InvokeAI",
        READER,
        lambda: png(Dream='"a fox" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms'),
        details={"seed": "42", "prompt": "a fox"},
    ),
    Case(
        "fooocus-png",
        "Fooocus",
        FOOOCUS_SOURCE,
        lambda: png(parameters=json.dumps(FOOOCUS), fooocus_scheme="fooocus"),
        version="2.5.5",
        details={"seed": "8888", "model": "juggernautXL_v8Rundiffusion"},
    ),
    Case(
        "fooocus-a1111",
        "Fooocus",
        FOOOCUS_SOURCE,
        lambda: png(parameters=BLOCK + "Version: Fooocus v2.5.5", fooocus_scheme="a1111"),
        version="2.5.5",
        details={"seed": "123456"},
    ),
    Case(
        "fooocus-jpeg",
        "Fooocus",
        FOOOCUS_SOURCE,
        lambda: with_exif(
            "JPEG", {COMMENT: json.dumps(FOOOCUS), 0x0131: "Fooocus v2.5.5", 0x927C: "fooocus"}
        ),
        version="2.5.5",
        details={"seed": "8888"},
    ),
    Case(
        "fooocus-webp",
        "Fooocus",
        FOOOCUS_SOURCE,
        lambda: with_exif(
            "WEBP", {COMMENT: json.dumps(FOOOCUS), 0x0131: "Fooocus v2.5.5", 0x927C: "fooocus"}
        ),
        version="2.5.5",
    ),
    Case(
        "swarmui-png",
        "SwarmUI",
        SWARMUI,
        lambda: png(parameters=json.dumps(SWARM)),
        version="0.9.3.1",
        details={"model": "AuraFlow/aura_flow_0.2", "seed": "1"},
    ),
    Case(
        "swarmui-jpeg",
        "SwarmUI",
        SWARMUI,
        lambda: with_exif("JPEG", {}, unicode_comment(json.dumps(SWARM, indent=2), "utf-16-le")),
        version="0.9.3.1",
        details={"seed": "1"},
    ),
    Case(
        "swarmui-init-image",
        "SwarmUI",
        SWARMUI,
        lambda: png(
            parameters=json.dumps({"sui_image_params": SWARM["sui_image_params"] | {"initimage": "x"}})
        ),
        claims="edited_with_ai",
    ),
    Case(
        "swarmui-model-tag",
        "SwarmUI",
        READER,
        lambda: with_exif("JPEG", {0x0110: json.dumps(SWARM)}),
        version="0.9.3.1",
    ),
    Case(
        "easy-diffusion-png",
        "Easy Diffusion",
        READER,
        lambda: png(**EASY),
        details={"model": "sd-v1-4.ckpt", "seed": "11"},
    ),
    Case(
        "easy-diffusion-jpeg",
        "Easy Diffusion",
        READER,
        lambda: with_exif("JPEG", {}, unicode_comment(json.dumps(EASY_OBJECT))),
        details={"model": "sd-v1-4.ckpt"},
    ),
    Case(
        "novelai-png",
        "NovelAI",
        NOVELAI_SOURCE,
        lambda: png(**NOVELAI),
        details={"seed": "77", "model": "NovelAI Diffusion V4 37442FCA"},
    ),
    Case(
        "novelai-alpha", "NovelAI", NOVELAI_SOURCE, hidden_novelai, details={"seed": "77", "prompt": "a fox"}
    ),
    Case(
        "draw-things",
        "Draw Things",
        READER,
        lambda: png_xmp(
            'xmp:CreatorTool="Draw Things"',
            '<exif:UserComment><rdf:Alt><rdf:li xml:lang="x-default">'
            + json.dumps(DRAW_THINGS)
            + "</rdf:li></rdf:Alt></exif:UserComment>",
        ),
        details={"seed": "9", "model": "flux_1_dev_q8p.ckpt"},
    ),
]
