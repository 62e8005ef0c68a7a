"""Each parser on damaged, hostile and random input: no error, no hang, bounded memory."""

from __future__ import annotations

import io
import json
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from morelli.provenance import read_provenance
from morelli.provenance._containers._boxes import read_boxes
from morelli.provenance._containers._gif import read_gif
from morelli.provenance._containers._jpeg import read_jpeg, read_samsung_trailer
from morelli.provenance._containers._png import read_png
from morelli.provenance._containers._tiff import read_tiff
from morelli.provenance._containers._webp import read_webp
from morelli.provenance._exif import read_exif, utf16
from morelli.provenance._finding import plain
from morelli.provenance._generators._comfyui import read_comfyui
from morelli.provenance._generators._parameters import parse_parameters
from morelli.provenance._generators._places import parse_object
from morelli.provenance._iim import read_iim, read_photoshop
from morelli.provenance._metadata import MOST_TEXT, MOST_TEXTS, Metadata
from morelli.provenance._xmp import IPTC_EXT, read_xmp
from tests.provenance.case import Case
from tests.provenance.cases import CASES
from tests.provenance.made import BLOCK, graph, hidden_novelai, png, png_chunk, samsung, typed, xmp

HEADS: dict[str, tuple[Callable[[bytes, Metadata], None], bytes]] = {
    "JPEG": (read_jpeg, b"\xff\xd8\xff\xe1"),
    "PNG": (read_png, b"\x89PNG\r\n\x1a\n"),
    "WEBP": (read_webp, b"RIFF\xff\xff\xff\0WEBP"),
    "AVIF": (read_boxes, b"\0\0\0\x14ftypavif\0\0\0\0avif\0\0\0\0meta\0\0\0\0"),
    "GIF": (read_gif, b"GIF89a\1\0\1\0\0\0\0\x21"),
    "TIFF": (read_tiff, b"II*\0\x08\0\0\0"),
}
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SHORT = st.binary(max_size=600)


@pytest.mark.parametrize("format", HEADS)
@MANY
@given(tail=SHORT)
def test_containers_take_any_bytes(format: str, tail: bytes) -> None:
    read, head = HEADS[format]
    read(head + tail, Metadata(format))


_BUILT: dict[str, bytes] = {}


def built(case: Case) -> bytes:
    """The file, built once: some differ in length from build to build, and an example must be repeatable."""
    if case.name not in _BUILT:
        _BUILT[case.name] = case.build()
    return _BUILT[case.name]


@MANY
@given(data=st.data())
def test_whole_files_take_any_damage(data: st.DataObject) -> None:
    """Real files with bytes changed, cut or moved: findings or none, never an error."""
    case = data.draw(st.sampled_from(CASES))
    body = bytearray(built(case))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    found = read_provenance(bytes(body[:cut]) if data.draw(st.booleans()) else bytes(body))
    json.dumps(found.to_json())
    assert found.sentence


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_files_cut_anywhere_raise_nothing(case: Case) -> None:
    body = case.build()
    for cut in range(0, len(body), max(1, len(body) // 80)):
        read_provenance(body[:cut])


@MANY
@given(SHORT)
def test_exif_takes_any_bytes(tail: bytes) -> None:
    for head in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"Exif\0\0II*\0\x08\0\0\0"):
        exif = read_exif(head + tail, "EXIF")
        if exif is not None:
            for tag in [*exif.main, *exif.sub]:
                exif.text(tag)
                exif.number(tag)
            exif.comment()


@MANY
@given(SHORT)
def test_iim_takes_any_bytes(tail: bytes) -> None:
    read_iim(b"\x1c\x02" + tail)
    read_photoshop(b"8BIM\x04\x04\0\0" + tail)


@MANY
@given(SHORT)
def test_samsungs_trailer_takes_any_bytes(body: bytes) -> None:
    size = struct.pack("<I", len(body) + 4)
    for data in (body + b"SEFT", b"SEFH" + body + size + b"SEFT"):
        read_samsung_trailer(data)


@MANY
@given(st.text(max_size=400))
def test_xmp_takes_any_text(text: str) -> None:
    read_xmp(text.encode("utf-8", "replace"), "XMP")
    read_xmp(xmp(children=text).replace(b"\xef\xbb\xbf", b""), "XMP")


@MANY
@given(st.text(max_size=400))
def test_parameter_blocks_take_any_text(text: str) -> None:
    parse_parameters(text, "")
    found = parse_parameters(f"{text}\n{BLOCK}", "")
    assert found is not None
    assert found.details["seed"] == "123456"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)
NAMES = st.sampled_from(["KSampler", "SaveImage", "LoadImage", "VAEDecode", "Note", ""])
NODE = st.fixed_dictionaries(
    {
        "class_type": NAMES | JSON,
        "inputs": st.dictionaries(
            st.sampled_from(["images", "latent_image", "samples", "seed", "positive", "text"]),
            JSON | st.tuples(st.sampled_from("123456"), st.integers(0, 2)).map(list),
            max_size=4,
        )
        | JSON,
    }
)


@MANY
@given(st.dictionaries(st.sampled_from("123456"), NODE | JSON, max_size=6))
def test_graphs_of_any_form_are_read(nodes: dict[str, object]) -> None:
    """Circles, missing nodes and wrong types included."""
    metadata = Metadata("PNG")
    metadata.add_text("prompt", json.dumps(nodes), "PNG text 'prompt'")
    read_comfyui(metadata)


@MANY
@given(JSON)
def test_workflows_of_any_form_are_read(value: object) -> None:
    for record in (
        {"nodes": value},
        {"definitions": {"subgraphs": value}},
        {"nodes": [{"type": "KSampler", "mode": value}]},
    ):
        metadata = Metadata("PNG")
        metadata.add_text("workflow", json.dumps(record), "PNG text 'workflow'")
        read_comfyui(metadata)


@MANY
@given(
    st.sampled_from(
        ["parameters", "invokeai_metadata", "sd-metadata", "Comment", "AIGC", "prompt", "workflow"]
    ),
    JSON,
)
def test_json_records_of_any_form_are_read(key: str, value: object) -> None:
    for record in (
        value,
        {"image": value, "sui_image_params": value, "ContentProducer": value, "seed": value},
    ):
        read_provenance(png(**{key.replace("-", "__"): json.dumps(record), "Software": "NovelAI"}))


@MANY
@given(st.text(max_size=50))
def test_both_orders_of_utf16_are_told_apart(text: str) -> None:
    said = "Steps: 20, Seed: 1, " + text
    assert utf16(said.encode("utf-16-be", "replace")) == said.encode("utf-16-be", "replace").decode(
        "utf-16-be"
    )
    assert utf16(said.encode("utf-16-le", "replace")) == said.encode("utf-16-le", "replace").decode(
        "utf-16-le"
    )


def test_chinese_prompts_do_not_turn_the_order() -> None:
    text = "黄昏的灯塔与大海，油画风格，细节丰富" * 20 + "\nSteps: 20, Size: 64x64, Seed: 1"
    assert utf16(text.encode("utf-16-be")) == text


def peak(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def bomb(kind: bytes) -> bytes:
    """A PNG text chunk that unpacks to 100 megabytes."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()
    head = b"parameters\0" + (b"\0" if kind == b"zTXt" else b"\1\0\0\0")
    body = png()
    return body[:33] + png_chunk(kind, head + packed) + body[33:]


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_compressed_texts_are_bounded(kind: bytes) -> None:
    data = bomb(kind)
    assert peak(lambda: read_provenance(data)) < 12 * MOST_TEXT


def test_the_hidden_text_is_bounded() -> None:
    import gzip

    import numpy as np

    packed = gzip.compress(bytes(100 << 20))
    pixels = np.full((1200, 1200, 4), 255, np.uint8)
    bits = np.unpackbits(
        np.frombuffer(b"stealth_pngcomp" + struct.pack(">I", 8 * len(packed)) + packed, np.uint8)
    )
    alpha = np.full(1200 * 1200, 255, np.uint8)
    alpha[: len(bits)] = 0xFE | bits
    pixels[..., 3] = alpha.reshape(1200, 1200).T
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    assert peak(lambda: read_provenance(buffer.getvalue())) < 60 << 20


def test_deep_json_is_no_error() -> None:
    assert parse_object('{"a":' * 100_000) is None
    assert parse_object("[" * 100_000) is None
    assert parse_object('{"a": ' + "9" * 100_000 + "}") is None
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    assert read_provenance(png(prompt=deep, workflow=deep, parameters=deep)).findings == ()


def test_a_circle_in_a_graph_ends() -> None:
    nodes = graph()
    nodes["4"]["inputs"]["model"] = ["3", 0]
    nodes["5"]["inputs"]["samples"] = ["5", 0]
    assert read_provenance(png(prompt=json.dumps(nodes))).claims == "generated"


def test_a_long_graph_is_read_in_time() -> None:
    nodes = {str(i): {"class_type": "Reroute", "inputs": {"image": [str(i + 1), 0]}} for i in range(30_000)}
    nodes["0"]["class_type"] = "SaveImage"
    read_provenance(png(prompt=json.dumps(nodes)))


def test_xml_bombs_and_external_entities_are_refused() -> None:
    laughs = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))
    for packet in (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x>&l9;</x>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><x/>',
    ):
        assert read_xmp(packet.encode(), "XMP").properties == {}


def test_deep_and_wide_packets_end() -> None:
    read_xmp(b"<a>" * 2_000_000, "XMP")
    read_xmp(b"<r>" + b"<a/>" * 1_000_000 + b"</r>", "XMP")


def test_a_truncated_packet_keeps_what_it_said() -> None:
    packet = xmp(typed("trainedAlgorithmicMedia"), "<dc:title>x</dc:title>")
    cut = packet[: packet.index(b"<dc:title>") + 5]
    assert read_xmp(cut, "XMP").first(IPTC_EXT, "DigitalSourceType").endswith("trainedAlgorithmicMedia")


@pytest.mark.parametrize("wrapper", ["x:xmpmeta", "x:xapmeta", None])
def test_the_packets_wrapper_may_have_any_name_or_be_missing(wrapper: str | None) -> None:
    packet = xmp(typed("trainedAlgorithmicMedia")).decode()
    if wrapper is None:
        packet = packet[packet.index("<rdf:RDF") : packet.index("</x:xmpmeta>")]
    else:
        packet = packet.replace("x:xmpmeta", wrapper)
    assert read_xmp(packet.encode(), "XMP").first(IPTC_EXT, "DigitalSourceType")


def test_texts_are_counted() -> None:
    metadata = Metadata("PNG")
    for index in range(10 * MOST_TEXTS):
        metadata.add_text(str(index), "x", "")
    assert len(metadata.texts) == MOST_TEXTS


def test_a_gif_of_many_empty_comments_ends() -> None:
    metadata = Metadata("GIF")
    read_gif(b"GIF89a\1\0\1\0\0\0\0" + b"\x21\xfe\0" * 1_000_000, metadata)
    assert len(metadata.texts) == MOST_TEXTS


def test_random_trailers_and_repeats() -> None:
    random.seed(0)
    for _ in range(200):
        read_samsung_trailer(samsung(1)[: -random.randint(1, 60)] + b"SEFT")
    read_provenance(hidden_novelai(height=100))


def test_control_characters_leave_no_finding() -> None:
    hostile = BLOCK.replace("v1-5", "\x1b[2Jv1-5\u202e") + "Version: v1.10.1"
    (finding,) = read_provenance(png(parameters=hostile)).findings
    assert all(c.isprintable() or c == "\n" for text in finding.details.values() for c in text)
    assert finding.sentence.isprintable()
    assert plain("x" * 5000).endswith("…")


def test_many_packed_texts_are_bounded_together() -> None:
    packed = b"parameters\0\0" + zlib.compress(bytes(2 << 20), 9)
    body = png()
    data = body[:33] + png_chunk(b"zTXt", packed) * 5000 + body[33:]
    assert peak(lambda: read_provenance(data)) < 40 << 20


def test_many_saving_nodes_behind_a_long_chain_are_bounded() -> None:
    nodes = {str(i): {"class_type": "Reroute", "inputs": {"image": [str(i + 1), 0]}} for i in range(8000)}
    nodes |= {f"s{i}": {"class_type": "SaveImage", "inputs": {"images": ["0", 0]}} for i in range(8000)}
    assert read_provenance(png(prompt=json.dumps(nodes))).claims == "processed"


def test_many_trailer_blocks_are_bounded() -> None:
    block = b"\0\0\xa1\x0b" + struct.pack("<I", 1) + b"x" + bytes(1 << 20)
    entries = b"".join(b"\0\0\xa1\x0b" + struct.pack("<II", len(block), len(block)) for _ in range(5000))
    directory = b"SEFH" + struct.pack("<II", 107, 5000) + entries
    data = block + directory + struct.pack("<I", len(directory)) + b"SEFT"
    assert peak(lambda: read_samsung_trailer(data)) < 8 << 20


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def test_many_large_items_are_bounded() -> None:
    count = 5000
    entries = b"".join(
        box(b"infe", b"\2\0\0\0" + struct.pack(">HH", i, 0) + b"Exif\0\0") for i in range(count)
    )
    places = b"".join(struct.pack(">HHHII", i, 0, 1, 0, 1 << 22) for i in range(count))
    meta = (
        bytes(4)
        + box(b"iinf", bytes(4) + struct.pack(">H", count) + entries)
        + box(b"iloc", bytes(4) + b"\x44\x00" + struct.pack(">H", count) + places)
    )
    data = box(b"ftyp", b"avif\0\0\0\0avif") + box(b"meta", meta) + bytes(4 << 20)
    assert peak(lambda: read_provenance(data)) < 60 << 20


@pytest.mark.parametrize("width", [0, 1, 96, 2**31 - 1, 2**32 - 1])
@pytest.mark.parametrize("height", [0, 1, 119, 120, 160, 2**32 - 1])
def test_a_header_that_states_a_wrong_size_is_no_error(width: int, height: int) -> None:
    data = bytearray(hidden_novelai())
    data[16:24] = struct.pack(">II", width, height)
    found = read_provenance(bytes(data))
    # The hidden text runs down the columns, so that it is read at the right size alone.
    assert found.suspicious == ((width, height) == (96, 160))
