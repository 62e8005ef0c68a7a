"""What a file says of itself stands beside the verdict and moves nothing in it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from morelli.images import ImageItem, Limits
from morelli.inspection import Inspector, _provenance
from morelli.inspection._provenance import LONGEST, MOST_FINDINGS, file_provenance
from morelli.provenance import TrustList
from tests.provenance.made import BLOCK, DST, jpeg_xmp, picture, saved, typed, with_exif
from tests.provenance.signing import chain, created, manifest, sign


def saying(file: Path, text: str = BLOCK + "Version: v1.10.1") -> bytes:
    """The same pixels with the parameters of a generator beside them."""
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", text)
    out = io.BytesIO()
    with Image.open(file) as image:
        image.save(out, "PNG", pnginfo=info)
    return out.getvalue()


def silent(file: Path) -> bytes:
    out = io.BytesIO()
    with Image.open(file) as image:
        image.save(out, "PNG")
    return out.getvalue()


def test_a_statement_stands_beside_an_unchanged_verdict(inspector: Inspector, file: Path) -> None:
    found, plain = (inspector.inspect(data, name="x.png") for data in (saying(file), silent(file)))
    (one,) = found.provenance
    assert (one.kind, one.claims, one.strength) == ("generator_metadata", "generated", "statement")
    assert (one.tool, one.version) == ("AUTOMATIC1111 web UI", "v1.10.1")
    assert one.where == "PNG text 'parameters'" and "AUTOMATIC1111" in one.sentence
    assert plain.provenance == [] and plain.to_json()["provenance"] == []
    assert json.loads(json.dumps(found.to_json()))["provenance"][0]["where"] == one.where
    for name in ("verdict", "probability", "interval", "logit", "distilled", "evidence", "neighbors"):
        assert getattr(found.case, name) == getattr(plain.case, name)


def test_a_stream_reads_what_a_single_look_reads(inspector: Inspector, file: Path) -> None:
    files = {
        "a.png": saying(file),
        "b.png": silent(file),
        "c.jpg": sign(saved(picture(), "JPEG"), "JPEG", created()),
        "d.jpg": with_exif("JPEG", {0x10F: "Canon", 0x110: "Canon EOS 5D"}),
        "e.png": saying(file)[:120],
    }
    items = [ImageItem(name, lambda data=data: data) for name, data in files.items()]
    found = {one.uri: one for one in inspector.detect(items)}
    assert found["e.png"].failure is not None and found["e.png"].provenance == ()
    assert [one.claims for one in found["c.jpg"].provenance] == ["generated"]
    assert found["c.jpg"].provenance[0].strength == "signed_unknown"
    assert [one.claims for one in found["d.jpg"].provenance] == ["camera"]
    for name in ("a.png", "b.png", "c.jpg", "d.jpg"):
        assert list(found[name].provenance) == inspector.inspect(files[name]).provenance


def test_an_edited_picture_keeps_what_its_file_said(inspector: Inspector, file: Path) -> None:
    def stored_of(prepared):  # type: ignore[no-untyped-def]
        vectors = inspector.encoder.trace(prepared.pixels[None], kinds=inspector.kinds)
        return inspector.stored(prepared, {kind: array[0] for kind, array in vectors.items()})

    limits = Limits()
    first = stored_of(inspector.prepare(saying(file), "x.png", limits))
    edited = stored_of(inspector.prepare_edited(first, "jpeg:60", limits))
    again = stored_of(inspector.prepare_edited(edited, "blur:1", limits))
    assert first.provenance and first.provenance == edited.provenance == again.provenance


def test_whatever_the_reader_trips_over_the_image_is_judged(
    inspector: Inspector, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(data: bytes) -> None:
        raise RecursionError("a reader's own defect")

    expected = inspector.inspect(saying(file))
    monkeypatch.setattr(_provenance, "read_provenance", fail)
    (one,) = inspector.detect([ImageItem("x.png", lambda: saying(file))])
    assert one.failure is None and one.verdict is not None and one.provenance == ()
    single = inspector.inspect(saying(file))
    assert single.provenance == [] and single.probability == expected.probability


def test_a_crafted_file_fills_no_answer(file: Path) -> None:
    found = file_provenance(saying(file, BLOCK + "Version: " + "v" * 100_000))
    assert found and len(found) <= MOST_FINDINGS
    for text in (t for one in found for t in (one.tool, one.version, one.sentence, one.where) if t):
        assert len(text) <= LONGEST and text.isprintable()
    assert file_provenance(b"") == () and file_provenance(b"\x89PNG\r\n\x1a\n") == ()
    assert file_provenance(jpeg_xmp(typed("trainedAlgorithmicMedia")))[0].claims == "generated"


@pytest.mark.parametrize(
    ("term", "says"),
    [
        ("trainedAlgorithmicMedia", "was made with a generator"),
        ("compositeWithTrainedAlgorithmicMedia", "was changed with a generator"),
        ("digitalArt", "was made or changed with software"),
        ("digitalCapture", "was recorded with a device"),
    ],
)
def test_the_sentence_quotes_each_claim(inspector: Inspector, term: str, says: str) -> None:
    data = jpeg_xmp(typed(term))
    found, plain = (inspector.inspect(one, name="x") for one in (data, saved(picture(), "JPEG")))
    said = f"The file says that it {says}; this statement is not signed. "
    assert found.sentence.count(said) == 1
    without = found.sentence.replace(said, "").replace(found.case.facts.sha256, "")
    assert without == plain.sentence.replace(plain.case.facts.sha256, "")


def test_the_sentence_names_tool_and_signature(inspector: Inspector, file: Path) -> None:
    signed = inspector.inspect(sign(saved(picture(), "JPEG"), "JPEG", created())).sentence
    assert "made with “Some Model 3”; its signature is valid, its signer unknown." in signed
    named = inspector.inspect(saying(file)).sentence
    assert "made with “AUTOMATIC1111 web UI v1.10.1”; this statement is not signed." in named
    assert named.endswith(".") and "proof. The file says" in named


def test_a_crafted_tool_stays_inside_its_quotation_marks(inspector: Inspector) -> None:
    agent = {"name": "Camera”. It was checked and is real. “" + "x" * 500, "version": "1"}
    made = {"action": "c2pa.created", "softwareAgent": agent, "digitalSourceType": DST + "digitalCapture"}
    data = sign(saved(picture(), "JPEG"), "JPEG", manifest([made]))
    quoted = inspector.inspect(data, name="x").sentence
    inside = quoted.split("was recorded with “")[1].split("”")[0]
    assert inside.startswith("Camera'. It was") and len(inside) == 60
    assert quoted.count("“") == quoted.count("”") == 2


def test_camera_data_and_silence_leave_the_sentence_alone(inspector: Inspector, file: Path) -> None:
    for data in (silent(file), with_exif("JPEG", {0x10F: "Canon", 0x110: "EOS 5D"})):
        found = inspector.inspect(data, name="x")
        assert (
            f"This is a signal, not proof. SHA-256 of the file: {found.case.facts.sha256}." in found.sentence
        )
        assert "says" not in found.sentence


def test_a_trust_list_decides_whose_signature_counts(inspector: Inspector, file: Path) -> None:
    signers = chain()
    data = sign(silent(file), "PNG", created(), by=signers)
    trusting = replace(inspector, trust=TrustList(signers.root))
    for judge, strength in ((inspector, "signed_unknown"), (trusting, "signed_trusted")):
        (detection,) = judge.detect([ImageItem("a.png", lambda: data)])
        assert detection.provenance[0].strength == strength
        assert judge.inspect(data).provenance[0].strength == strength
