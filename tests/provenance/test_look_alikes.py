"""Files that look as if they said something, and must not become a claim of generation."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from PIL import Image, PngImagePlugin

from morelli.provenance import read_provenance
from tests.provenance.made import (
    BLOCK,
    PROCESSING,
    SWARM,
    WORKFLOW,
    graph,
    hidden_novelai,
    iim_credit,
    jpeg_xmp,
    picture,
    png,
    png_chunk,
    png_xmp,
    samsung,
    saved,
    typed,
    unicode_comment,
    with_exif,
    xmp,
)

TEXT = BLOCK + "Version: v1.10.1"


def appended_to_jpeg() -> bytes:
    """A whole PNG text chunk behind a JPEG's end."""
    return saved(picture(), "JPEG") + png_chunk(b"tEXt", b"parameters\0" + TEXT.encode())


def appended_png_to_jpeg() -> bytes:
    return saved(picture(), "JPEG") + png(parameters=TEXT)


def appended_after_iend() -> bytes:
    return png() + png_chunk(b"tEXt", b"parameters\0" + TEXT.encode())


def appended_to_webp() -> bytes:
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + json.dumps(graph())
    body = exif.tobytes()
    return saved(picture(), "WEBP") + b"EXIF" + len(body).to_bytes(4, "little") + body


def xmp_after_jpeg() -> bytes:
    return saved(picture(), "JPEG") + xmp(typed("trainedAlgorithmicMedia"))


def sleeping_sampler() -> bytes:
    nodes = [node | {"mode": 4} if node["type"] == "KSampler" else node for node in WORKFLOW["nodes"]]
    return png(workflow=json.dumps(WORKFLOW | {"nodes": nodes}))


def sampler_that_saves_nothing() -> bytes:
    """A photograph is loaded and saved; the sampler beside it feeds a preview alone."""
    nodes = graph() | {
        "9": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}},
        "10": {"class_type": "LoadImage", "inputs": {"image": "photo.jpg"}},
        "11": {"class_type": "SaveImage", "inputs": {"images": ["10", 0]}},
    }
    return png(prompt=json.dumps(nodes))


def chosen_sampler() -> bytes:
    nodes = PROCESSING | {"9": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}}}
    return png(prompt=json.dumps(nodes))


def upsampler() -> bytes:
    nodes = PROCESSING | {"2": {"class_type": "ImageUpsampler", "inputs": {"image": ["1", 0]}}}
    return png(prompt=json.dumps(nodes))


def nested_type() -> bytes:
    """The source type of an ingredient or artwork shown, not of the picture."""
    inner = (
        "<Iptc4xmpExt:ArtworkOrObject><rdf:Bag><rdf:li rdf:parseType='Resource'>"
        "<Iptc4xmpExt:DigitalSourceType>"
        "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
        "</Iptc4xmpExt:DigitalSourceType></rdf:li></rdf:Bag></Iptc4xmpExt:ArtworkOrObject>"
    )
    return jpeg_xmp(children=inner)


def foreign_namespace() -> bytes:
    return jpeg_xmp(
        'xmlns:own="http://example.org/own/" '
        'own:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"'
    )


def entity() -> bytes:
    """The words come out of an entity: the packet is not read at all."""
    packet = xmp(typed("trainedAlgorithmicMedia"))
    at = packet.index(b"<x:xmpmeta")
    return saved(picture(), "JPEG", xmp=packet[:at] + b'<!DOCTYPE x [<!ENTITY a "b">]>' + packet[at:])


def mismatched_alpha() -> bytes:
    """The hidden text's magic in the rows instead of the columns."""
    with Image.open(io.BytesIO(hidden_novelai())) as image:
        return saved(image.transpose(Image.Transpose.TRANSPOSE), "PNG")


def comment_chunk(text: str) -> bytes:
    return saved(picture(), "JPEG", comment=text.encode())


def jpeg_text(text: str, tag: int = 0x010E) -> bytes:
    return with_exif("JPEG", {tag: text})


LOOK_ALIKES: dict[str, Callable[[], bytes]] = {
    "the word parameters in a caption": lambda: jpeg_text("Camera parameters: f/8, 1/250 s, ISO 100"),
    "a prompt quoted in a caption": lambda: jpeg_text(TEXT),
    "a prompt quoted in an XMP description": lambda: jpeg_xmp(
        children=f"<dc:description><rdf:Alt><rdf:li>{TEXT}</rdf:li></rdf:Alt></dc:description>"
    ),
    "PNG text parameters with other words": lambda: png(parameters="exposure=2; gain=4; filter=H-alpha"),
    "PNG text parameters with two settings": lambda: png(parameters="Steps: 20, Seed: 3"),
    "PNG text parameters with JSON of another program": lambda: png(
        parameters='{"iterations": 5, "seed": 1}'
    ),
    "PNG text prompt with plain words": lambda: png(prompt="Describe this picture in one sentence."),
    "PNG text prompt with other JSON": lambda: png(prompt='{"1": {"type": "question"}}'),
    "PNG text Software of a plotting library": lambda: png(Software="Matplotlib version3.5.1"),
    "PNG text Description that only names Midjourney": lambda: png(Description="A review of Midjourney, v 6"),
    "PNG text Comment with JSON": lambda: png(Comment='{"prompt": "x", "seed": 3}'),
    "PNG text Dream": lambda: png(Dream="I had a dream -s of you"),
    "PNG text AIGC without its fields": lambda: png(AIGC='{"Label": "1"}'),
    "a PNG text in a JPEG's comment": lambda: comment_chunk("parameters\0" + TEXT),
    "a parameter block in a JPEG comment": lambda: comment_chunk(TEXT),
    "SwarmUI's JSON in a JPEG comment": lambda: comment_chunk(json.dumps(SWARM)),
    "an encoder's note in UserComment": lambda: with_exif(
        "JPEG", {}, unicode_comment("CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 80\n")
    ),
    "a parameter block in a TIFF's UserComment": lambda: with_exif("TIFF", {0x010E: TEXT}),
    "a PNG chunk appended to a JPEG": appended_to_jpeg,
    "a PNG appended to a JPEG": appended_png_to_jpeg,
    "a PNG chunk after the end of a PNG": appended_after_iend,
    "an EXIF chunk after the end of a WebP": appended_to_webp,
    "an XMP packet after the end of a JPEG": xmp_after_jpeg,
    "ComfyUI without a sampler": lambda: png(prompt=json.dumps(PROCESSING)),
    "ComfyUI without a sampler in WebP": lambda: with_exif(
        "WEBP", {0x0110: "prompt:" + json.dumps(PROCESSING)}
    ),
    "ComfyUI with a bypassed sampler": sleeping_sampler,
    "ComfyUI with a sampler beside the saved picture": sampler_that_saves_nothing,
    "ComfyUI with a node that chooses a sampler": chosen_sampler,
    "ComfyUI with an upsampler": upsampler,
    "a camera's name in a workflow": lambda: png(
        prompt=json.dumps(
            PROCESSING | {"9": {"class_type": "Note", "inputs": {"text": "Canon EOS R5 KSampler"}}}
        )
    ),
    "AUTOMATIC1111 that only enlarged": lambda: png(postprocessing="Postprocess upscale by: 4"),
    "a credit line that quotes Google": lambda: iim_credit("Made with Google AI? No: by Jane Doe"),
    "a photo agency's credit line": lambda: jpeg_xmp('photoshop:Credit="AFP via Getty Images"'),
    "IPTC digitalCapture": lambda: jpeg_xmp(typed("digitalCapture")),
    "IPTC algorithmicMedia": lambda: jpeg_xmp(typed("algorithmicMedia")),
    "a source type inside an artwork's description": nested_type,
    "a source type in a foreign namespace": foreign_namespace,
    "a source type behind an entity": entity,
    "a CreatorTool that is an editor": lambda: jpeg_xmp('xmp:CreatorTool="Adobe Photoshop 26.0 with AI"'),
    "JSON in exif:UserComment of another program": lambda: png_xmp(
        children='<exif:UserComment>{"c": 1}</exif:UserComment>'
    ),
    "a camera named after nothing": lambda: jpeg_text("Canon", 0x010F),
    "Signature without a UUID": lambda: with_exif(
        "JPEG", {0x010E: "Signature: " + "Ab3/" * 22, 0x013B: "Jane Doe"}
    ),
    "Software that mentions AI": lambda: jpeg_text("Luminar AI", 0x0131),
    "Samsung's trailer without generative edit": lambda: samsung(0),
    "genAIType in another Samsung block": lambda: samsung(12, "Image_UTC_Data"),
    "the alpha mark in the rows": mismatched_alpha,
    "a remote manifest": lambda: jpeg_xmp('dcterms:provenance="https://example.org/manifest.c2pa"'),
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_look_alikes_claim_no_generation(name: str) -> None:
    found = read_provenance(LOOK_ALIKES[name](), pixels=True)
    assert found.format is not None
    assert not found.suspicious, found.sentence
    assert found.claims not in ("generated", "edited_with_ai")


def test_the_look_alikes_hold_what_they_imitate() -> None:
    """Each text used above does become a claim where it belongs."""
    assert read_provenance(png(parameters=TEXT)).suspicious
    assert read_provenance(with_exif("JPEG", {}, unicode_comment(TEXT))).suspicious
    assert read_provenance(png(prompt=json.dumps(graph()))).suspicious
    assert read_provenance(samsung(12)).suspicious
    assert read_provenance(hidden_novelai()).suspicious


def test_workflow_in_make_and_model_is_no_camera() -> None:
    tags = {0x0110: "prompt:" + json.dumps(PROCESSING), 0x010F: "workflow:" + json.dumps({"nodes": [1]})}
    found = read_provenance(with_exif("WEBP", tags))
    assert [finding.claims for finding in found.findings] == ["processed"]


def test_a_thousand_texts_are_not_all_kept() -> None:
    info = PngImagePlugin.PngInfo()
    for index in range(1000):
        info.add_text(f"key{index}", "x")
    info.add_text("parameters", TEXT)
    found = read_provenance(saved(picture(), "PNG", pnginfo=info))
    assert found.format == "PNG"
