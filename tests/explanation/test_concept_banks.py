"""Concept banks: their four sources, what is kept on disk, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageStat

from morelli.detectors import Bundle, default_bundle_path
from morelli.encoders import Build, Encoder, TextBank, load_encoder
from morelli.errors import ArtifactError, BuildMismatchError, SourceError, UsageError, WeightsError
from morelli.explanation.concepts import (
    ConceptBank,
    concepts_of_text_bank,
    default_concepts_path,
    edit_banks,
    example_concepts,
    read_text_list,
    text_concepts,
    vocabulary_concepts,
)
from morelli.explanation.concepts._antonyms import ANTONYMS
from morelli.explanation.concepts._edits import EDITS, edit

BUILD = Build(encoder="clip-vit-b16", weights="ab", transform="clip-224-v1", dtype="float32")


@pytest.fixture(scope="module")
def encoder(tiny_clip_dir: Path) -> Encoder:
    return load_encoder(str(tiny_clip_dir))


def crops(photos: list[tuple[str, Image.Image]], count: int, side: int = 96) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    out = []
    for number in range(count):
        _, image = photos[number % len(photos)]
        left, top = (int(rng.integers(0, extent - side)) for extent in image.size)
        out.append(image.crop((left, top, left + side, top + side)))
    return out


def test_a_bank_survives_the_disk_and_notices_any_change(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bank = ConceptBank.of(["red", "round"], rng.normal(size=(2, 5)), kind="layer:3", build=BUILD)
    again = ConceptBank.load(bank.save(tmp_path / "b"))
    assert again.concepts == bank.concepts
    assert (again.kind, again.build) == ("layer:3", BUILD)
    np.testing.assert_array_equal(again.directions, bank.directions)

    weights = tmp_path / "b" / "directions.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="changed"):
        ConceptBank.load(tmp_path / "b")
    manifest = tmp_path / "b" / "concepts.json"
    bank.save(tmp_path / "b")
    document = json.loads(manifest.read_text())
    document["concepts"].pop()
    manifest.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="damaged"):
        ConceptBank.load(tmp_path / "b")
    with pytest.raises(ArtifactError, match="morelli concepts build"):
        ConceptBank.load(tmp_path / "nothing")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="no concept bank"):
        bank.save(tmp_path / "mine")


def test_a_bank_refuses_what_has_no_direction_and_other_spaces() -> None:
    with pytest.raises(UsageError, match="grey"):
        ConceptBank.of(["grey"], np.zeros((1, 4)))
    with pytest.raises(UsageError, match="more than once"):
        ConceptBank.of(["a", "a"], np.eye(2))
    bank = ConceptBank.of(["a", "b"], np.eye(2), build=BUILD)
    with pytest.raises(BuildMismatchError, match="2"):
        bank.check(BUILD, 3)
    other = Build(encoder="clip-vit-b16", weights="cd", transform="clip-224-v1", dtype="float32")
    with pytest.raises(BuildMismatchError, match="weights"):
        bank.check(other, 2)
    with pytest.raises(UsageError, match="no concept 'c'"):
        bank.index("c")
    joined = bank.joined(ConceptBank.of(["a"], [[1.0, 1.0]], source="text"))
    assert joined.names == ("a", "b", "a (text)")
    assert bank.select(["b"]).names == bank.select(np.array([False, True])).names == ("b",)


@pytest.mark.parametrize("one", EDITS, ids=lambda one: one.key)
def test_edits_change_pictures_purely_and_keep_their_size(
    one: object, photos: list[tuple[str, Image.Image]]
) -> None:
    change = edit(one.key)  # type: ignore[attr-defined]
    picture = crops(photos, 2, 90)[1]
    before = picture.tobytes()
    first = change(picture, rng=np.random.default_rng(3))
    assert picture.tobytes() == before
    assert first.size == picture.size
    assert first.mode == "RGB"
    assert first.tobytes() == change(picture, rng=np.random.default_rng(3)).tobytes()
    assert np.abs(np.asarray(first, dtype=float) - np.asarray(picture, dtype=float)).mean() > 0.5


def test_edits_do_to_the_measured_attribute_what_they_say(photos: list[tuple[str, Image.Image]]) -> None:
    picture = crops(photos, 1, 160)[0]

    def saturation(image: Image.Image) -> float:
        return ImageStat.Stat(image.convert("HSV")).mean[1]

    def roughness(image: Image.Image) -> float:
        grey = np.asarray(image.convert("L"), dtype=float)
        return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())

    def spread(image: Image.Image) -> float:
        return float(np.asarray(image.convert("L"), dtype=float).std())

    def level(image: Image.Image) -> float:
        return float(np.asarray(image, dtype=float).mean())

    def redness(image: Image.Image) -> float:
        mean = ImageStat.Stat(image).mean
        return mean[0] - mean[2]

    for key, measure in [
        ("saturation", saturation),
        ("contrast", spread),
        ("brightness", level),
        ("warmth", redness),
    ]:
        change = edit(key)
        assert measure(change(picture, -change.strength)) < measure(picture) < measure(change(picture)), key
    for key in ("sharpening", "noise", "grain", "grid"):
        assert roughness(edit(key)(picture)) > roughness(picture), key
    for key in ("blur", "smoothing", "upsampling", "depth-of-field"):
        assert roughness(edit(key)(picture)) < roughness(picture), key
    mirrored = np.asarray(edit("symmetry")(picture))
    np.testing.assert_array_equal(mirrored, mirrored[:, ::-1])
    flat = np.asarray(edit("posterise")(picture))
    assert len(np.unique(flat)) <= 6


def test_edit_banks_point_where_the_edit_moves_other_pictures(
    encoder: Encoder, photos: list[tuple[str, Image.Image]]
) -> None:
    some = [edit(key) for key in ("brightness", "tint", "frame")]
    pictures = crops(photos, 20)
    banks = edit_banks(pictures[:12], encoder, kinds=["final", "layer:2"], edits=some)
    assert {kind: bank.dim for kind, bank in banks.items()} == {"final": 32, "layer:2": 64}
    assert banks["final"].build == encoder.build
    for kind, bank in banks.items():
        for row, one in enumerate(some):
            pair = [encoder.transform(image) for p in pictures[12:] for image in (p, one(p))]
            rows = encoder.trace(np.stack(pair), kinds=[kind])[kind]
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            shift = (rows[1::2] - rows[::2]).mean(axis=0)
            cosines = bank.directions @ shift / np.linalg.norm(shift)
            assert int(np.argmax(cosines)) == row, (kind, one.key, cosines)
            assert cosines[row] > 0.5
    again = edit_banks(pictures[:12], encoder, edits=some)["final"]
    np.testing.assert_array_equal(again.directions, banks["final"].directions)
    with pytest.raises(UsageError, match="4 photographs"):
        edit_banks(pictures[:2], encoder)
    with pytest.raises(UsageError, match="one vector"):
        edit_banks(pictures[:4], encoder, kinds=["tokens"])


def test_texts_run_through_the_tower_of_the_folder(encoder: Encoder) -> None:
    bank = text_concepts(encoder)
    assert len(bank) == len(ANTONYMS) >= 60
    assert set(bank.source) == {"antonyms"}
    assert bank.kind == "final"
    assert bank.dim == encoder.dim
    tower = encoder.require_text()
    pair = tower.encode(["bright", "dark"])
    pair /= np.linalg.norm(pair, axis=1, keepdims=True)
    plain = text_concepts(encoder, [("bright", "dark")], templates=["{}"])
    difference = pair[0] - pair[1]
    np.testing.assert_allclose(plain.directions[0], difference / np.linalg.norm(difference), atol=1e-5)
    assert plain.concepts[0].opposite == "dark"

    singles = text_concepts(encoder, ["fog", "rain", "snow"], templates=["{}"])
    scaled = singles.directions * np.array([c.extent for c in singles.concepts])[:, None]
    np.testing.assert_allclose(scaled.sum(axis=0), 0, atol=1e-5)
    with pytest.raises(UsageError, match="centred"):
        text_concepts(encoder, ["fog"])
    with pytest.raises(UsageError, match="template"):
        text_concepts(encoder, templates=["no place"])


def test_the_vocabulary_is_read_from_the_tokenizer(encoder: Encoder) -> None:
    tower = encoder.require_text()
    assert "the" in tower.vocabulary()
    assert not any("<|" in word or "</w>" in word for word in tower.vocabulary(whole_words=False))
    bank = vocabulary_concepts(encoder, least_letters=1)
    assert {"a", "z", "the"} <= set(bank.names)
    assert "!" not in bank.names
    scaled = bank.directions * np.array([c.extent for c in bank.concepts])[:, None]
    np.testing.assert_allclose(scaled.sum(axis=0), 0, atol=1e-4)


def test_without_a_text_tower_the_way_out_is_named(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    blind = Encoder(
        encoder.build,
        encoder.card.__class__(**{**encoder.card.__dict__, "text_tower": False}),
        encoder.transform,
        tower=encoder.tower,
        checkpoint=encoder.checkpoint,
        device=encoder.device,
    )
    with pytest.raises(WeightsError, match=r"no text tower.*--from edits.*--from bank"):
        text_concepts(blind)


def test_text_lists(tmp_path: Path) -> None:
    listed = tmp_path / "texts.txt"
    listed.write_text("# looks\nfoggy\n\nwet | dry\nlong\tshort\nfoggy\n")
    assert read_text_list(listed) == ["foggy", ("wet", "dry"), ("long", "short")]
    listed.write_text("# nothing\n")
    with pytest.raises(SourceError, match="no text"):
        read_text_list(listed)
    with pytest.raises(SourceError, match="cannot be read"):
        read_text_list(tmp_path / "missing.txt")


def test_opposites_differ_in_both_ends() -> None:
    assert len(set(ANTONYMS)) == len(ANTONYMS)
    assert all(a != b and a.strip() == a and b.strip() == b for a, b in ANTONYMS)


def test_text_banks_are_centred_and_repeated_names_joined() -> None:
    rng = np.random.default_rng(0)
    offset = 5 * rng.normal(size=16)
    vectors = rng.normal(size=(6, 16)) + offset
    bank = concepts_of_text_bank(TextBank.of(["cat", "dog", "sky", "sea", "cat", "sun"], vectors))
    assert bank.names == ("cat", "dog", "sky", "sea", "sun")
    assert np.abs(bank.directions @ (offset / np.linalg.norm(offset))).max() < 0.9
    scaled = bank.directions * np.array([c.extent for c in bank.concepts])[:, None]
    np.testing.assert_allclose(scaled.sum(axis=0), 0, atol=1e-5)


@pytest.mark.shared
def test_the_text_bank_of_real_clip_becomes_concepts(shared_data: Path) -> None:
    bank = concepts_of_text_bank(TextBank.load(shared_data / "text_bank.npz"))
    assert bank.dim == 512
    cosine = bank.directions @ bank.directions.T
    cat = bank.index("cat")
    nearest = [bank.names[i] for i in np.argsort(-cosine[cat])[1:4]]
    assert "dog" in nearest
    # The gap is gone: concepts no longer all point the same way.
    assert abs(float(cosine[~np.eye(len(bank), dtype=bool)].mean())) < 0.05


def test_examples_give_the_direction_between_them() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=20)
    without = base + 0.3 * rng.normal(size=(40, 20))
    axis = np.eye(20)[3]
    with_it = base + 0.3 * rng.normal(size=(40, 20)) + 1.5 * axis
    bank = example_concepts({("dotted", "plain"): (with_it, without)}, build=BUILD)
    assert float(bank.directions[0] @ axis) > 0.8
    assert bank.concepts[0].opposite == "plain"
    assert bank.concepts[0].reliability is not None
    assert bank.concepts[0].reliability > 0.8
    noise = example_concepts({"nothing": (without[:20], without[20:])})
    assert noise.concepts[0].reliability is not None
    assert noise.concepts[0].reliability < 0.5
    with pytest.raises(UsageError, match="each side needs"):
        example_concepts({"few": (with_it[:2], without)})


def test_the_bank_that_comes_along_fits_the_bundle_that_comes_along() -> None:
    bank = ConceptBank.load(default_concepts_path())
    bank.check(Bundle.load(default_bundle_path()).build, 512)
    assert bank.kind == "final" and len(bank) >= 15
    assert set(bank.source) == {"edit"} and {"sharpened", "JPEG-compressed"} <= set(bank.names)
    assert all(c.reliability is not None and c.reliability >= 0.3 for c in bank.concepts)
    assert sum(file.stat().st_size for file in default_concepts_path().iterdir()) < 200_000
