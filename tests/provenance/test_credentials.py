from __future__ import annotations

import http.server
import io
import pickle
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import c2pa
import pillow_heif
import pytest
from PIL import Image

from morelli.errors import UsageError
from morelli.provenance import Finding, TrustList, read_provenance
from tests.provenance.made import DST, jpeg_xmp, picture, saved, typed
from tests.provenance.signing import FORMATS, chain, created, manifest, sign

TRUSTED = TrustList(chain().root)


def plain_file(format: str) -> bytes:
    if format == "HEIF":
        buffer = io.BytesIO()
        pillow_heif.from_pillow(picture()).save(buffer, quality=60)
        return buffer.getvalue()
    return saved(picture(), format)


@cache
def signed(format: str = "JPEG", term: str | None = "trainedAlgorithmicMedia") -> bytes:
    return sign(plain_file(format), format, created(term))


def credentials(data: bytes, trust: TrustList | None = None) -> Finding:
    found = [one for one in read_provenance(data, trust=trust).findings if one.kind == "content_credentials"]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("format", FORMATS)
def test_signed_files_of_every_format(format: str) -> None:
    unknown, trusted = credentials(signed(format)), credentials(signed(format), TRUSTED)
    assert (unknown.claims, unknown.strength) == ("generated", "signed_unknown")
    assert (trusted.claims, trusted.strength) == ("generated", "signed_trusted")
    assert (trusted.tool, trusted.version) == ("Some Model", "3")
    assert trusted.details["signer"] == "Morelli tests"
    assert trusted.details["claim generator"] == "Test Generator 1.2"
    assert trusted.details["source type"] == "trainedAlgorithmicMedia"
    assert read_provenance(signed(format)).format == format


@pytest.mark.parametrize("format", FORMATS)
def test_unsigned_files_carry_no_credentials(format: str) -> None:
    assert read_provenance(plain_file(format)).findings == ()


def test_a_foreign_trust_list_leaves_the_signer_unknown() -> None:
    assert credentials(signed(), TrustList(chain("somebody else").root)).strength == "signed_unknown"


@pytest.mark.parametrize(
    ("term", "claims"),
    [
        ("trainedAlgorithmicMedia", "generated"),
        ("compositeWithTrainedAlgorithmicMedia", "edited_with_ai"),
        ("compositeSynthetic", "edited_with_ai"),
        ("digitalCapture", "captured"),
        ("computationalCapture", "captured"),
        ("digitalCreation", "processed"),
        ("algorithmicMedia", "processed"),
        (None, "processed"),
    ],
)
def test_what_the_creation_says(term: str | None, claims: str) -> None:
    assert credentials(signed(term=term)).claims == claims


@pytest.mark.parametrize(
    ("term", "claims"),
    [
        ("trainedAlgorithmicMedia", "edited_with_ai"),
        ("compositeWithTrainedAlgorithmicMedia", "edited_with_ai"),
        ("humanEdits", "captured"),
        (None, "captured"),
    ],
)
def test_an_edited_photograph_is_not_a_generated_one(term: str | None, claims: str) -> None:
    """A captured parent, opened and changed: generative fill makes an edit, cropping leaves a capture."""
    edit = {"action": "c2pa.edited"} | ({"digitalSourceType": DST + term} if term else {})
    data = sign(
        plain_file("JPEG"),
        "JPEG",
        manifest([edit]),
        ingredients=[("parentOf", signed(term="digitalCapture"))],
    )
    assert credentials(data, TRUSTED).claims == claims


def test_a_generated_picture_stays_generated_through_edits() -> None:
    edits = manifest([{"action": "c2pa.resized"}, {"action": "c2pa.converted"}])
    data = sign(plain_file("JPEG"), "JPEG", edits, ingredients=[("parentOf", signed())])
    found = credentials(data, TRUSTED)
    assert (found.claims, found.strength) == ("generated", "signed_trusted")
    assert found.details["ingredients"] == "1"


def test_a_generated_part_makes_a_composite() -> None:
    placed = manifest([{"action": "c2pa.created", "digitalSourceType": DST + "digitalCreation"}])
    data = sign(plain_file("JPEG"), "JPEG", placed, ingredients=[("componentOf", signed())])
    assert credentials(data, TRUSTED).claims == "edited_with_ai"


def test_a_photograph_shown_to_a_generator_does_not_make_a_photograph() -> None:
    data = sign(
        plain_file("JPEG"), "JPEG", created(), ingredients=[("inputTo", signed(term="digitalCapture"))]
    )
    assert credentials(data, TRUSTED).claims == "generated"


def test_a_parent_whose_manifest_is_broken_hands_nothing_on() -> None:
    data = sign(
        plain_file("JPEG"),
        "JPEG",
        manifest([{"action": "c2pa.edited"}]),
        ingredients=[("parentOf", changed())],
    )
    assert credentials(data, TRUSTED).claims == "processed"


def changed() -> bytes:
    data = bytearray(signed())
    data[-40] ^= 0x55  # in the scan, behind every segment
    return bytes(data)


def test_a_changed_picture_breaks_the_credentials() -> None:
    found = credentials(changed(), TRUSTED)
    assert (found.claims, found.strength) == ("none", "weak")
    assert found.details["would claim"] == "generated"
    assert "assertion.dataHash.mismatch" in found.details["failures"]
    assert not read_provenance(changed(), trust=TRUSTED).suspicious


def test_credentials_moved_to_another_picture_count_for_nothing() -> None:
    data, other = signed(), saved(picture().rotate(180), "JPEG")
    at = data.index(b"\xff\xeb")
    end = at
    while data[end : end + 2] == b"\xff\xeb":
        end += 2 + int.from_bytes(data[end + 2 : end + 4], "big")
    assert credentials(other[:2] + data[at:end] + other[2:], TRUSTED).claims == "none"


def test_re_saving_removes_everything() -> None:
    with Image.open(io.BytesIO(signed())) as image:
        assert read_provenance(saved(image, "JPEG")).findings == ()


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_manifests_raise_nothing(format: str) -> None:
    data = signed(format)
    for cut in range(0, len(data), max(1, len(data) // 60)):
        for finding in read_provenance(data[:cut]).findings:
            assert finding.claims == "none" or finding.kind == "content_credentials"


@pytest.mark.parametrize("format", FORMATS)
def test_garbled_manifests_raise_nothing_and_claim_nothing_false(format: str) -> None:
    data = bytearray(signed(format))
    start = data.index(b"c2pa")
    for at in range(start, min(start + 12_000, len(data)), 211):
        garbled = bytearray(data)
        garbled[at] ^= 0xFF
        for finding in read_provenance(bytes(garbled), trust=TRUSTED).findings:
            assert finding.kind == "content_credentials"
            # Either the byte is not covered and all is well, or nothing is claimed.
            assert finding.claims in ("generated", "none")
            if finding.claims == "none":
                assert finding.strength == "weak"


def test_a_manifest_of_zeros_is_reported() -> None:
    data = bytearray(signed())
    at = data.index(b"c2pa") + 8
    data[at : at + 4000] = bytes(4000)
    found = credentials(bytes(data))
    assert found.claims == "none"
    assert "cannot be read" in found.sentence or "do not fit" in found.sentence


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A local server that would deliver a manifest, and the requests that reached it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/manifest.c2pa", asked
        running.shutdown()
        thread.join()


def test_a_remote_manifest_is_reported_and_not_fetched(server: tuple[str, list[str]]) -> None:
    address, asked = server
    data = sign(plain_file("JPEG"), "JPEG", created(), remote=address)
    found = credentials(data, TRUSTED)
    assert (found.claims, found.strength) == ("none", "weak")
    assert found.details["address"] == address
    assert asked == []
    # The library's own settings would have asked: the test can fail.
    with pytest.raises(c2pa.C2paError):
        c2pa.Reader("image/jpeg", io.BytesIO(data))
    assert asked == ["/manifest.c2pa"]


def test_an_embedded_manifest_beside_a_remote_address_is_read_offline(server: tuple[str, list[str]]) -> None:
    address, asked = server
    data = sign(jpeg_xmp(f'dcterms:provenance="{address}"'), "JPEG", created())
    assert credentials(data, TRUSTED).claims == "generated"
    assert asked == []


def test_no_socket_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket", refuse)
    monkeypatch.setattr("socket.create_connection", refuse)
    for format in FORMATS:
        assert read_provenance(signed(format), trust=TRUSTED, pixels=True).claims == "generated"


def test_many_threads_read_at_once() -> None:
    files = [signed("JPEG"), signed("PNG"), changed(), plain_file("JPEG")] * 8
    alone = [read_provenance(data, trust=TRUSTED) for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: read_provenance(data, trust=TRUSTED), files))
    assert [one.findings for one in together] == [one.findings for one in alone]


def test_signed_metadata_and_a_statement_stand_side_by_side() -> None:
    data = sign(jpeg_xmp(typed("trainedAlgorithmicMedia")), "JPEG", created())
    found = read_provenance(data, trust=TRUSTED)
    assert [one.kind for one in found.findings] == ["content_credentials", "iptc"]
    assert found.sentence == found.findings[0].sentence


def test_trust_lists_are_checked_when_loaded(tmp_path: Path) -> None:
    good, broken, other = tmp_path / "good.pem", tmp_path / "broken.pem", tmp_path / "other.txt"
    good.write_text(chain().root)
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    other.write_text("nothing")
    assert credentials(signed(), TrustList.load(good)).strength == "signed_trusted"
    for path, words in (
        (broken, "cannot be read"),
        (other, "holds no certificate"),
        (tmp_path / "no", "cannot be"),
    ):
        with pytest.raises(UsageError, match=words):
            TrustList.load(path)


@pytest.mark.parametrize(
    ("agent", "tool", "version"),
    [
        ("Adobe Firefly", "Adobe Firefly", None),
        ({"name": "GPT-4o"}, "GPT-4o", None),
        ({"name": "Some Model", "version": "2.1"}, "Some Model", "2.1"),
        (None, "ChatGPT", "1.0"),
    ],
)
def test_the_acting_program_is_named_before_the_one_that_wrote_the_claim(
    agent: object, tool: str, version: str | None
) -> None:
    action = {"action": "c2pa.created", "digitalSourceType": DST + "trainedAlgorithmicMedia"}
    definition = manifest(
        [action | ({"softwareAgent": agent} if agent else {})],
        claim_version=1 if agent == "Adobe Firefly" else 2,
    )
    definition["claim_generator_info"] = [{"name": "ChatGPT", "version": "1.0"}]
    found = credentials(sign(plain_file("PNG"), "PNG", definition))
    assert (found.claims, found.tool, found.version) == ("generated", tool, version)
    assert found.details["claim generator"].startswith("ChatGPT")


def test_findings_travel_between_processes() -> None:
    found = read_provenance(signed(), trust=TRUSTED)
    assert pickle.loads(pickle.dumps(found)) == found


def test_without_the_library_the_credentials_are_named_and_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = credentials(signed())
    assert (found.claims, found.strength) == ("none", "weak")
    assert "could not be loaded" in found.sentence
