"""One image, whatever its form: the verdict, what it rests on, and what it says when something is missing."""

from __future__ import annotations

import json
import os
import sys
import zlib
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import morelli
from morelli.detectors import Bundle, NearestNeighborDetector, Recipe, fit_bundle
from morelli.encoders import load_encoder
from morelli.errors import (
    BuildMismatchError,
    ImageError,
    MissingPartError,
    UnknownDimensionError,
    UsageError,
)
from morelli.features import Features
from morelli.images import Limits, decode, iter_source
from morelli.inspection import STABILITY_PERTURBATIONS, Inspection, Inspector, StoredCase, percent
from morelli.inspection._inspect import _plain
from morelli.server import ServerSettings
from tests.server.running import running
from tests.small_detector import DIMENSIONS
from tests.small_models import save_tiny_clip


def stored_case(inspector: Inspector, file: Path) -> StoredCase:
    """The steps between, for a caller that encodes by itself."""
    prepared = inspector.prepare(file.read_bytes(), file.name, Limits())
    found = inspector.encoder.trace(prepared.pixels[None], kinds=inspector.kinds)
    return inspector.stored(prepared, {kind: array[0] for kind, array in found.items()})


def test_a_path_bytes_a_picture_and_an_array_are_one_image(inspector: Inspector, file: Path) -> None:
    image = Image.open(file)
    pixels = np.asarray(image.convert("RGB"))
    found = [inspector.inspect(one) for one in (file, str(file), file.read_bytes(), image, pixels)]
    np.testing.assert_allclose([one.probability for one in found], found[0].probability, atol=1e-6)
    assert [one.name for one in found] == [file.name, file.name, "picture", file.name, "picture"]
    assert found[0].case.facts.sha256 == found[2].case.facts.sha256
    assert found[3].case.facts.format == found[4].case.facts.format == "PNG"
    grey = np.asarray(image.convert("L"))
    assert inspector.inspect(grey).probability == pytest.approx(
        inspector.inspect(Image.fromarray(grey)).probability, abs=1e-6
    )


def test_a_bright_picture_is_not_judged_without_a_word(inspector: Inspector, file: Path) -> None:
    buffer = BytesIO()
    decode(file.read_bytes()).image.save(buffer, "PNG")
    plain = buffer.getvalue()
    chunk = b"cICP" + bytes([9, 16, 0, 1])
    bright = plain[:33] + b"\0\0\0\4" + chunk + zlib.crc32(chunk).to_bytes(4, "big") + plain[33:]
    said = "The picture has a high dynamic range and was judged as its tone-mapped version"
    assert said in inspector.inspect(bright).sentence
    assert said not in inspector.inspect(plain).sentence


def test_what_was_found_hangs_together(inspector: Inspector, file: Path) -> None:
    found = inspector.inspect(file)
    verdict = inspector.verdict(stored_case(inspector, file))
    assert (found.verdict, found.reasons) == (verdict.verdict, list(verdict.reasons))
    assert found.probability == pytest.approx(verdict.probability, abs=1e-6)
    assert found.interval[0] <= found.probability <= found.interval[1]
    assert found.evidence is not None and found.distilled is not None
    assert found.reading is not None and found.logit_map is not None
    for evidence in (found.evidence, found.reading):
        assert evidence.logit == found.case.logit == verdict.logit
        total = evidence.bias + sum(one.logit for one in evidence.parts)
        assert total == pytest.approx(found.case.logit, abs=1e-5)
        assert f"{found.probability:.2f}" in evidence.sentences[-1]
    assert found.logit_map.shape == (4, 4) and found.logit_map.min() < 0 < found.logit_map.max()
    other = found.distilled
    assert sum(other.impacts) + other.bias == pytest.approx(other.logit, abs=1e-9)
    assert found.relevance is not None and found.relevance.shape == (DIMENSIONS + 1, 4, 4)
    assert (found.relevance >= 0).all() and found.relevance.max() > 0
    assert found.neighbors.fake[0].label == "fake" and found.neighbors.real[0].label == "real"
    for text in (file.name, found.case.facts.sha256, "not proof"):
        assert text in found.sentence
    seen = np.asarray(Image.open(BytesIO(found.picture)), dtype=float)
    exact = decode(file.read_bytes()).image.resize((64, 64), Image.Resampling.BICUBIC)
    assert np.abs(seen - np.asarray(exact, dtype=float)).mean() < 8
    assert found.stability is None


def test_the_server_gives_the_same_answer(
    inspector: Inspector, file: Path, bundle_dir: Path, distilled_dir: Path, tiny_clip_dir: Path
) -> None:
    settings = ServerSettings(
        bundle=bundle_dir, distilled=distilled_dir, weights=tiny_clip_dir, device="cpu", offline=True
    )
    with running(settings) as server:
        (case,) = server.upload((file.name, file.read_bytes())).json()["cases"]
        relevance = server.get(f"/cases/{case['id']}/relevance").content
        others = server.get(f"/cases/{case['id']}/relevance", params={"dimension": "logit"}).content
        reading = server.get(f"/cases/{case['id']}/reading").json()
        page = server.get(f"/cases/{case['id']}/report").text
        report = server.get(f"/cases/{case['id']}/report", params={"format": "json"}).json()
    found = inspector.inspect(file)
    assert json.loads(json.dumps(found.to_json())) == _about(case)
    assert found.relevance is not None and found.logit_map is not None
    for content, direct in ((relevance, found.logit_map), (others, found.relevance[-1])):
        np.testing.assert_allclose(np.frombuffer(content, "<f4").reshape(4, 4), direct, rtol=1e-3, atol=1e-5)
    assert json.loads(json.dumps(_plain(asdict(found.reading)))) == _about(reading)
    # One probability and one logit, wherever they are read.
    assert report == case
    assert {one["logit"] for one in (case, case["evidence"], reading)} == {case["logit"]}
    assert page.count(f"<b>{case['logit']:+.3f}</b>") == 2
    assert f"Probability {percent(case['probability'])}, interval" in page
    assert [key for key in _keys(case) if "probability" in key] == ["probability"]


def _keys(value: object) -> list[str]:
    """All names in a document, each as often as it occurs."""
    if isinstance(value, dict):
        return [*value, *(key for one in value.values() for key in _keys(one))]
    return [key for one in value for key in _keys(one)] if isinstance(value, list) else []


def _about(value: object) -> object:
    """Numbers to compare as `pytest.approx` does: passes of another number of threads round otherwise."""
    if isinstance(value, dict):
        return {name: _about(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_about(one) for one in value]
    return pytest.approx(value, rel=1e-4, abs=1e-4) if isinstance(value, float) else value


def test_rates_move_the_answer(
    inspector: Inspector, bundle_dir: Path, file: Path, tiny_clip_dir: Path
) -> None:
    usual, rare = inspector.inspect(file), inspector.inspect(file, base_rate=0.01)
    assert rare.probability < usual.probability and rare.case.base_rate == 0.01
    strict = inspector.inspect(file, fpr=0.01)
    assert strict.case.thresholds.ai >= usual.case.thresholds.ai
    loaded = morelli.load(
        Bundle.load(bundle_dir), base_rate=0.01, fpr=0.01, weights=tiny_clip_dir, device="cpu", offline=True
    )
    both = loaded.inspect(file)
    assert both.probability == pytest.approx(rare.probability, abs=1e-6)
    assert both.case.thresholds.ai == pytest.approx(
        inspector.inspect(file, base_rate=0.01, fpr=0.01).case.thresholds.ai, abs=1e-9
    )


def test_stability_is_judged_when_asked_for(inspector: Inspector, file: Path) -> None:
    found = inspector.inspect(file, stability=True)
    assert found.stability is not None
    assert [one.delivery for one in found.stability.deliveries] == list(STABILITY_PERTURBATIONS)
    assert found.stability.low <= found.probability <= found.stability.high
    again = inspector.inspect(file, stability=True)
    assert again.stability == found.stability


def test_deliveries_are_judged_at_the_rates_that_were_asked_for(
    inspector: Inspector, bundle_dir: Path, tiny_clip_dir: Path, collection: Path
) -> None:
    strict = morelli.load(
        bundle_dir, base_rate=0.3, fpr=0.01, weights=tiny_clip_dir, device="cpu", offline=True
    )
    moved = 0
    for picture in sorted((collection / "fake").rglob("*.png"))[::12]:
        asked = inspector.inspect(picture, base_rate=0.3, fpr=0.01, stability=True)
        assert asked.stability == strict.inspect(picture, stability=True).stability
        moved += asked.stability != inspector.inspect(picture, base_rate=0.3, stability=True).stability
    assert moved


def test_a_case_shows_itself(inspector: Inspector, file: Path) -> None:
    found = inspector.inspect(file.read_bytes(), name="<b>x.png")
    assert repr(found) == f"<Inspection {found}>" and "\n" not in str(found)
    assert str(found).startswith("<b>x.png: ") and str(found).endswith(" %)")
    page = found._repr_html_()
    assert "&lt;b&gt;x.png" in page and "<b>x.png" not in page and "data:image/jpeg;base64," in page
    assert "small" in repr(inspector)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (3, "not int"),
        (None, "not NoneType"),
        (Path("nowhere") / "x.png", "cannot be read"),
        (np.zeros((4, 4, 3), np.float32), "uint8"),
        (np.zeros((4, 4, 5), np.uint8), "(4, 4, 5)"),
        (np.zeros((0, 4, 3), np.uint8), "(0, 4, 3)"),
    ],
)
def test_what_is_no_image_is_refused_with_the_next_step(
    inspector: Inspector, given: object, says: str
) -> None:
    with pytest.raises(UsageError) as error:
        inspector.inspect(given)  # type: ignore[arg-type]
    assert says in str(error.value)


def test_a_broken_file_has_its_reason(inspector: Inspector, file: Path) -> None:
    data = file.read_bytes()
    for broken, reason in (
        (b"", "empty"),
        (b"no picture", "not_an_image"),
        (data[: len(data) // 2], "truncated"),
    ):
        with pytest.raises(ImageError) as error:
            inspector.inspect(broken)
        assert error.value.reason == reason
    with pytest.raises(ImageError) as error:
        inspector.inspect(data, limits=Limits(max_pixels=10))
    assert error.value.reason == "too_many_pixels"


def test_a_part_that_was_not_loaded_is_named(inspector: Inspector, file: Path) -> None:
    bare = Inspector(inspector.encoder, replace(inspector.bundle, bank=None))
    found = bare.inspect(file)
    assert isinstance(found, Inspection)
    assert (found.distilled, found.relevance) == (None, None)
    assert found.evidence is not None and [one.name for one in found.evidence.parts] == ["Block 3"]
    stored = stored_case(bare, file)
    asked = {
        "no-distilled-map": lambda: bare.relevance(stored),
        "no-bank": lambda: bare.neighbors(stored, 3),
        "no-concepts": lambda: bare.concept_evidence(stored),
    }
    for code, ask in asked.items():
        with pytest.raises(MissingPartError) as error:
            ask()
        assert error.value.code == code and error.value.next in str(error.value)
    with pytest.raises(MissingPartError):
        bare.case(stored, off=[0])
    whole = stored_case(inspector, file)
    with pytest.raises(UnknownDimensionError, match="0 to 3"):
        inspector.case(whole, off=[4])
    with pytest.raises(UnknownDimensionError, match="0 to 3"):
        inspector.dimension_relevance(whole, "4")


def test_nearest_neighbours_have_no_sum(inspector: Inspector, file: Path, features: Features) -> None:
    recipe = Recipe(
        name="near", kinds=("final",), estimator=NearestNeighborDetector(k=3), bank_kinds=("final",)
    )
    near = Inspector(inspector.encoder, fit_bundle(features, recipe).bundle)
    found = near.inspect(file)
    assert (found.evidence, found.reading, found.logit_map, found.case.readable) == (None, None, None, False)
    with pytest.raises(MissingPartError) as error:
        near.reading(stored_case(near, file))
    assert error.value.code == "no-reading"


def test_another_encoder_is_refused(inspector: Inspector, tmp_path: Path) -> None:
    other = load_encoder(save_tiny_clip(tmp_path / "other", seed=5))
    with pytest.raises(BuildMismatchError, match="weights"):
        Inspector(other, inspector.bundle)


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no UTF-8 are Linux's")
@pytest.mark.parametrize("name", [b"no-utf8-\xff.png", b"red\x1b[31m.png", "gnp\u202e.png".encode()])
def test_a_strange_file_name_is_shown_as_escapes(
    inspector: Inspector, file: Path, tmp_path: Path, name: bytes
) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.write_bytes(file.read_bytes())
    found = inspector.inspect(path)
    (listed,) = iter_source(tmp_path)
    assert found.name == Path(listed.uri).name
    with Image.open(path) as opened:
        assert inspector.inspect(opened).name == found.name
    for text in (str(found), found.sentence, json.dumps(found.to_json(), ensure_ascii=False)):
        assert text.isprintable()
    with pytest.raises(UsageError, match="cannot be read"):
        inspector.inspect("nul\0.png")
