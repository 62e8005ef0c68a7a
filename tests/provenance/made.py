"""Builders of files as generators, editors and phones write them."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

IFD = 0x8769
COMMENT = 0x9286
JOB = "a7421d2f-b262-44f9-977c-ac23e9c7d3e3"
DST = "http://cv.iptc.org/newscodes/digitalsourcetype/"
BLOCK = (
    "a lighthouse at dusk, (oil painting:1.2)\nNegative prompt: blurry, low quality\n"
    "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 123456, Size: 96x64, "
    'Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Lora hashes: "one: 1a2b, two: 3c4d", '
)


def picture(mode: str = "RGB", size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A small picture with some structure."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    rgb = np.stack([x * 2 % 256, y * 3 % 256, (x + y) % 256], axis=2).astype(np.uint8)
    return Image.fromarray(rgb).convert(mode)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png(**texts: str) -> bytes:
    """A PNG with tEXt chunks, or iTXt where a text is not Latin-1, as Pillow's add_text has it."""
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key.replace("__", "-"), value)
    return saved(picture(), "PNG", pnginfo=info)


def with_exif(format: str, tags: dict[int, Any], sub: dict[int, Any] | None = None, **options: Any) -> bytes:
    """A file with EXIF: tags of the first directory and of the EXIF directory."""
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    if sub:
        exif.get_ifd(IFD).update(sub)
    # As bytes: an Exif without tags of the first directory counts as empty.
    return saved(picture(), format, exif=exif.tobytes(), **options)


def unicode_comment(text: str, order: str = "utf-16-be") -> dict[int, bytes]:
    """UserComment as piexif writes it (big-endian), or .NET (little-endian)."""
    return {COMMENT: b"UNICODE\0" + text.encode(order)}


def xmp(properties: str = "", children: str = "") -> bytes:
    """An XMP packet with attributes and elements of the top-level description."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
        f'{properties}>{children}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def jpeg_xmp(properties: str = "", children: str = "") -> bytes:
    return saved(picture(), "JPEG", xmp=xmp(properties, children))


def png_xmp(properties: str = "", children: str = "", **texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp(properties, children).decode())
    for key, value in texts.items():
        info.add_text(key, value)
    return saved(picture(), "PNG", pnginfo=info)


def typed(term: str) -> str:
    return f'Iptc4xmpExt:DigitalSourceType="{DST}{term}"'


def graph(**changes: Any) -> dict[str, Any]:
    """ComfyUI's default text-to-image graph in the form that it runs."""
    nodes: dict[str, Any] = {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl_base_1.0.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 96, "height": 64, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse at dusk", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 5678,
                "steps": 25,
                "cfg": 6.5,
                "sampler_name": "dpmpp_2m",
                "scheduler": "karras",
                "denoise": 1.0,
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
            },
        },
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
    }
    return nodes | changes


FROM_PICTURE = {
    "5": {"class_type": "VAEEncode", "inputs": {"pixels": ["10", 0], "vae": ["4", 2]}},
    "10": {"class_type": "LoadImage", "inputs": {"image": "photo.jpg"}},
}
PROCESSING = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "product.jpg"}},
    "2": {"class_type": "ImageUpscaleWithModel", "inputs": {"image": ["1", 0], "upscale_model": ["3", 0]}},
    "3": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "4x-UltraSharp.pth"}},
    "4": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
}
ADVANCED = {
    "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red fox in snow"}},
    "3": {"class_type": "BasicGuider", "inputs": {"model": ["1", 0], "conditioning": ["2", 0]}},
    "4": {"class_type": "RandomNoise", "inputs": {"noise_seed": 99}},
    "5": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
    "6": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 96, "height": 64}},
    "7": {
        "class_type": "SamplerCustomAdvanced",
        "inputs": {"noise": ["4", 0], "guider": ["3", 0], "sampler": ["5", 0], "latent_image": ["6", 0]},
    },
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["7", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}},
}
SERVICE = {
    "1": {"class_type": "OpenAIGPTImage1", "inputs": {"prompt": "a fox", "seed": 3}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
}
WORKFLOW = {
    "nodes": [
        {"id": 1, "type": "KSampler", "mode": 0, "properties": {"cnr_id": "comfy-core", "ver": "0.3.43"}},
        {"id": 2, "type": "SaveImage", "mode": 0},
    ],
    "links": [],
}


def animated_comfy() -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, value in (("prompt", graph()), ("workflow", WORKFLOW)):
        info.add(b"comf", key.encode() + b"\0" + json.dumps(value).encode(), after_idat=True)
    frames = [picture(), picture().rotate(180)]
    return saved(frames[0], "PNG", pnginfo=info, save_all=True, append_images=frames[1:])


def zipped_parameters() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", BLOCK + "Version: v1.10.1", zip=True)
    return saved(picture(), "PNG", pnginfo=info)


def unicode_parameters() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("parameters", "黄昏的灯塔\n" + BLOCK + "Version: v1.10.1", zip=True)
    return saved(picture(), "PNG", pnginfo=info)


def hidden_novelai(height: int = 160) -> bytes:
    """NovelAI's alpha channel without any text chunk, after nai_meta_writer.py."""
    record = {
        "Software": "NovelAI",
        "Source": "NovelAI Diffusion V4 37442FCA",
        "Description": "a fox",
        "Comment": json.dumps({"prompt": "a fox", "seed": 77, "sampler": "k_euler", "steps": 28, "scale": 5}),
    }
    packed = gzip.compress(json.dumps(record).encode())
    body = b"stealth_pngcomp" + struct.pack(">I", 8 * len(packed)) + packed
    pixels = np.array(picture("RGBA", (96, height)))
    bits = np.unpackbits(np.frombuffer(body, np.uint8))
    alpha = np.full(96 * height, 255, np.uint8)
    alpha[: len(bits)] = 0xFE | bits
    pixels[..., 3] = alpha.reshape(96, height).T
    return saved(Image.fromarray(pixels), "PNG")


def samsung(gen_ai: int, name: str = "PhotoEditor_Re_Edit_Data") -> bytes:
    """A JPEG with a Samsung trailer of one block."""
    value = json.dumps({"originalPath": "", "genAIType": gen_ai, "isBlending": True}).encode()
    label = name.encode()
    block = b"\0\0\xa1\x0b" + struct.pack("<I", len(label)) + label + value
    directory = (
        b"SEFH" + struct.pack("<II", 107, 1) + b"\0\0\xa1\x0b" + struct.pack("<II", len(block), len(block))
    )
    return saved(picture(), "JPEG") + block + directory + struct.pack("<I", len(directory)) + b"SEFT"


def iim_credit(line: str) -> bytes:
    """A JPEG whose IPTC-IIM block holds a credit line."""
    dataset = b"\x1c\x02\x6e" + struct.pack(">H", len(line)) + line.encode()
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(dataset)) + dataset + b"\0" * (len(dataset) % 2)
    body = b"Photoshop 3.0\0" + resource
    data = saved(picture(), "JPEG")
    return data[:2] + b"\xff\xed" + struct.pack(">H", len(body) + 2) + body + data[2:]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


SWARM = {
    "sui_image_params": {
        "prompt": "a fox",
        "model": "AuraFlow/aura_flow_0.2",
        "seed": 1,
        "steps": 20,
        "cfgscale": 3.5,
        "swarm_version": "0.9.3.1",
    },
    "sui_extra_data": {"date": "2024-11-19"},
}
FOOOCUS = {
    "base_model": "juggernautXL_v8Rundiffusion",
    "prompt": "a fox",
    "negative_prompt": "",
    "seed": "8888",
    "sampler": "dpmpp_2m_sde_gpu",
    "steps": 30,
    "guidance_scale": 4.0,
    "version": "Fooocus v2.5.5",
}
INVOKE = {
    "generation_mode": "sdxl_txt2img",
    "positive_prompt": "a fox",
    "seed": 42,
    "scheduler": "euler",
    "steps": 30,
    "cfg_scale": 7.5,
    "model": {"name": "Juggernaut XL", "base": "sdxl"},
    "app_version": "5.6.0",
}
INVOKE_OLD = {
    "model": "stable diffusion",
    "model_weights": "stable-diffusion-1.5",
    "app_version": "2.3.1",
    "image": {
        "prompt": [{"prompt": "a fox", "weight": 1}],
        "seed": 42,
        "steps": 30,
        "sampler": "k_lms",
        "type": "txt2img",
    },
}
NOVELAI = {
    "Title": "NovelAI generated image",
    "Description": "a fox",
    "Software": "NovelAI",
    "Source": "NovelAI Diffusion V4 37442FCA",
    "Comment": json.dumps({"prompt": "a fox", "seed": 77, "sampler": "k_euler", "steps": 28, "scale": 5}),
}
DRAW_THINGS = {
    "c": "a fox",
    "uc": "blurry",
    "model": "flux_1_dev_q8p.ckpt",
    "sampler": "Euler A",
    "seed": 9,
    "steps": 8,
    "scale": 3.5,
}
EASY = {
    "Prompt": "a fox",
    "Negative Prompt": "",
    "Seed": "11",
    "Stable Diffusion model": "models/sd-v1-4.ckpt",
    "Sampler": "euler_a",
    "Steps": "25",
    "Guidance Scale": "7.5",
}
EASY_OBJECT = {
    "prompt": "a fox",
    "seed": 11,
    "use_stable_diffusion_model": "D:\\models\\sd-v1-4.ckpt",
    "sampler_name": "euler_a",
    "num_inference_steps": 25,
}
AIGC = {"Label": "1", "ContentProducer": "001191110102MACQD9K64010000", "ProduceID": "abc", "PropagateID": ""}
SDNEXT = (
    "a lighthouse\nNegative prompt: \nSteps: 50, Size: 96x64, Seed: 3921536483, CFG scale: 5, App: SD.Next, "
    "Version: d7eb90e, Pipeline: OvisImagePipeline, Operations: {}, Model: Ovis-Image-7B"
)
