"""Explaining a generator: planted edits are named first, nothing is named where there is nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from morelli.encoders import Encoder, load_encoder
from morelli.errors import BuildMismatchError, UsageError
from morelli.explanation import concept_tests, explain_generator
from morelli.explanation._decomposition import decompose
from morelli.explanation._generator_explanation import explain_rows
from morelli.explanation.concepts import ConceptBank, edit_banks
from morelli.explanation.concepts._edits import edit
from morelli.features import Features
from morelli.images import decode
from morelli.palette import GENERATED, rgb
from morelli.reports import explanation_sentences
from morelli.reports._explanation_text import explanation_markdown
from morelli.reports.plots._explanation import plot_explanation

Change = Callable[[Image.Image], Image.Image]


def crops(photos: list[tuple[str, Image.Image]], count: int, side: int, seed: int) -> list[Image.Image]:
    rng = np.random.default_rng(seed)
    out = []
    for number in range(count):
        _, image = photos[number % len(photos)]
        left, top = (int(rng.integers(0, extent - side)) for extent in image.size)
        out.append(image.crop((left, top, left + side, top + side)))
    return out


def encode(images: list[Image.Image], encoder: Encoder, kind: str = "final") -> np.ndarray:
    batches = [np.stack([encoder.transform(x) for x in images[i : i + 8]]) for i in range(0, len(images), 8)]
    return np.concatenate([encoder.trace(batch, kinds=[kind])[kind] for batch in batches])


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def halves(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(n)
    return order[: n // 2], order[n // 2 :]


def false_positives(plain: np.ndarray, bank: ConceptBank, splits: int, permutations: int) -> int:
    """In how many splits into halves something is found at 0.01, which takes 100 permutations or more."""
    found = 0
    for seed in range(splits):
        a, b = halves(len(plain), seed)
        tests = concept_tests(
            plain[a], plain[b], bank.directions, permutations=permutations, random_state=seed
        )
        found += bool((tests.p_family < 0.01).any())
    return found


@dataclass(frozen=True)
class SmallWorld:
    """A small encoder, a bank made on some crops of photographs, other crops and their embeddings."""

    encoder: Encoder
    bank: ConceptBank
    images: list[Image.Image]
    plain: np.ndarray


KIND = "layer:2"  # a random encoder keeps little but colour, and that best in its early blocks


@pytest.fixture(scope="module")
def small_world(tiny_clip_dir: Path, photos: list[tuple[str, Image.Image]]) -> SmallWorld:
    encoder = load_encoder(str(tiny_clip_dir))
    keys = ("brightness", "tint", "haze", "vignette", "blur", "noise", "jpeg")
    edits = [edit(key) for key in keys]
    bank = edit_banks(crops(photos, 45, 96, seed=1), encoder, kinds=[KIND], edits=edits)[KIND]
    others = crops(photos, 240, 96, seed=2)
    return SmallWorld(encoder, bank, others, encode(others, encoder, KIND))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("magenta cast", lambda image: edit("tint")(image, 0.12)),
        ("green cast", lambda image: edit("tint")(image, -0.12)),
        ("hazy", lambda image: edit("haze")(image, 0.25)),
        ("dark corners", lambda image: edit("vignette")(image, 0.6)),
    ],
)
def test_a_planted_edit_is_named_first(name: str, change: Change, small_world: SmallWorld) -> None:
    a, b = halves(len(small_world.images), 0)
    edited = encode([change(small_world.images[i]) for i in a], small_world.encoder, KIND)
    found = explain_rows(edited, small_world.plain[b], small_world.bank, permutations=1000, draws=200)
    assert found.named, [(f.name, f.p_family) for f in found.findings]
    first = found.named[0]
    assert first.name == name
    assert first.p_family < 0.01
    assert first.effect > 0
    assert first.interval[0] < first.cosine < first.interval[1]


def test_two_untouched_halves_are_told_apart_by_nothing(small_world: SmallWorld) -> None:
    assert false_positives(small_world.plain, small_world.bank, splits=100, permutations=400) <= 5


PHOTOGRAPHS = 64
BANKED = (
    *("saturation", "sharpening", "jpeg", "brightness", "contrast", "blur", "noise", "tint"),
    *("grid", "haze", "vignette", "posterise"),
)


@dataclass(frozen=True)
class RealPlanted:
    """With real CLIP: banks by kind from photographs of two sets; a third set, and its first half edited."""

    banks: dict[str, ConceptBank]
    rows: dict[str, dict[str, np.ndarray]]


@pytest.fixture(scope="session")
def real_planted(shared_data: Path, real_encoder: Encoder) -> RealPlanted:
    def pictures(folder: str, count: int, rng: np.random.Generator) -> list[Image.Image]:
        files = sorted((shared_data / "aigi-dev" / "real" / folder).iterdir())
        chosen = [files[i] for i in rng.permutation(len(files))[:count]]
        out = []
        for file in chosen:
            image = decode(file.read_bytes()).image
            factor = 288 / min(image.size)
            size = (round(image.width * factor), round(image.height * factor))
            out.append(image.resize(size, Image.Resampling.LANCZOS))
        return out

    # The edits are far larger than what 8 bits or bfloat16 round, which take a part of the time.
    quickest = [one for one in real_encoder.quick_dtypes if real_encoder.obstacle_to_quick(one) is None][-1:]
    encoder = real_encoder.quick(None, (), quickest[0]) if quickest else real_encoder
    kinds = ["final", "layer:8"]
    planted = pictures("bsds500", PHOTOGRAPHS, np.random.default_rng(0))
    edited, _ = halves(PHOTOGRAPHS, 0)
    changes: dict[str, Change] = {
        "plain": lambda image: image,
        "more saturated": lambda image: ImageEnhance.Color(image).enhance(1.3),
        "sharpened": lambda image: image.filter(ImageFilter.SHARPEN),
        "JPEG-compressed": lambda image: jpeg(image, 40),
    }
    rows: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in kinds}
    for name, change in changes.items():
        chosen = planted if name == "plain" else [planted[i] for i in edited]
        pixels = [encoder.transform(change(image)) for image in chosen]
        found = [encoder.trace(np.stack(pixels[i : i + 8]), kinds=kinds) for i in range(0, len(pixels), 8)]
        for kind in kinds:
            rows[kind][name] = np.concatenate([part[kind] for part in found])
    rng = np.random.default_rng(5)
    others = [*pictures("imagenet", 3, rng), *pictures("coco", 3, rng)]
    # Every variant of every photograph is encoded; these are the planted edits and what resembles them.
    edits = [edit(key) for key in BANKED]
    return RealPlanted(edit_banks(others, encoder, kinds=kinds, edits=edits), rows)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.encoder
def test_real_clip_names_planted_edits_and_nothing_else(real_planted: RealPlanted) -> None:
    """Half of the photographs, edited, against the other half. A middle block registers all three edits; the
    final embedding, which keeps little of colour, is held to the one that it registers with so few images."""
    for kind, names in {
        "layer:8": ("more saturated", "sharpened", "JPEG-compressed"),
        "final": ("JPEG-compressed",),
    }.items():
        bank, rows = real_planted.banks[kind], real_planted.rows[kind]
        for name in names:
            _, other = halves(PHOTOGRAPHS, 0)
            found = explain_rows(rows[name], rows["plain"][other], bank, permutations=1000, draws=100)
            assert found.named, (kind, name)
            assert found.named[0].name == name, (kind, name)
            assert found.named[0].p_family < 0.01
        assert false_positives(rows["plain"], bank, splits=100, permutations=200) <= 5


def test_the_filter_tells_a_small_shift_from_what_images_vary_along_anyway() -> None:
    """A concept along which photographs vary much has a large cosine by accident; the score knows."""
    rng = np.random.default_rng(0)
    d = 30
    scales = np.r_[3.0, np.full(d - 1, 0.05)]
    base = np.r_[np.zeros(d - 1), 8.0]
    first, second = (base + rng.normal(size=(60, d)) * scales for _ in range(2))
    first[:, 5] += 0.1
    tests = concept_tests(first, second, np.eye(d), permutations=500)
    assert int(np.argmax(np.abs(tests.cosine))) == 0
    assert int(np.argmax(np.abs(tests.score))) == 5
    assert tests.p_family[5] < 0.01
    assert tests.p_family[0] > 0.05


def test_corrected_p_values_are_at_least_the_plain_ones_and_at_most_bonferroni() -> None:
    rng = np.random.default_rng(0)
    base = np.r_[np.zeros(9), 6.0]
    first, second = base + rng.normal(size=(40, 10)), base + rng.normal(size=(50, 10))
    first[:, 2] += 0.8
    tests = concept_tests(first, second, np.eye(10), permutations=999)
    assert (tests.p_family >= tests.p - 1e-12).all()
    assert tests.p_family.min() <= 10 * tests.p.min() + 1e-12
    order = np.argsort(-np.abs(tests.score))
    assert (np.diff(tests.p_family[order]) >= 0).all()


def test_decomposition_finds_the_parts_of_a_sum() -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(20, 64))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    vector = 2 * directions[3] - 1.5 * directions[11]
    terms = decompose(vector, directions)
    assert [(t.row, t.sign) for t in terms] == [(3, 1), (11, -1)]
    np.testing.assert_allclose([t.weight for t in terms], [2, 1.5], atol=1e-8)
    assert terms[-1].explained == pytest.approx(1)
    explained = [t.explained for t in decompose(rng.normal(size=64), directions)]
    assert explained == sorted(explained)
    assert explained[-1] < 0.6


@pytest.fixture
def labelled() -> tuple[Features, ConceptBank]:
    """Real images of four sources and two generators, the concept `dotted` planted in one of them."""
    rng = np.random.default_rng(4)
    d, n = 16, 160
    base = np.r_[np.zeros(d - 1), 5.0]
    X = base + rng.normal(size=(n, d))
    labels = np.r_[np.zeros(100, int), np.ones(60, int)]
    generator = [None] * 100 + ["gan"] * 40 + ["adm"] * 20
    X[100:140, 3] += 1.5
    sources = [f"camera {i // 25}" for i in range(100)] + [None] * 60
    features = Features.from_arrays(
        X,
        labels=labels,
        generator=generator,
        source=sources,
        lineage=generator,
        uri=[f"image {i}.png" for i in range(n)],
        format=["JPEG"] * 100 + ["PNG"] * 60,
        width=[640] * 100 + [256] * 60,
        height=[480] * 100 + [256] * 60,
    )
    return features, ConceptBank.of(["striped", "dotted", "round"], np.eye(d)[[0, 3, 7]])


def test_an_image_under_two_perturbations_counts_once(labelled: tuple[Features, ConceptBank]) -> None:
    features, bank = labelled
    again = Features.concat([features, features])
    with pytest.raises(UsageError, match="each image may count once"):
        explain_generator(again, "gan", bank, permutations=100)


def test_an_explanation_says_what_how_sure_and_what_else_it_could_be(
    labelled: tuple[Features, ConceptBank],
) -> None:
    features, bank = labelled
    found = explain_generator(features, "gan", bank, permutations=500, draws=200, metadata_auc=0.97)
    assert [f.name for f in found.named] == ["dotted"]
    top = found.named[0]
    assert top.cosine > 0.7
    assert top.sources_beyond == 0
    assert all(uri.split(".")[0].removeprefix("image ").isdigit() for uri, _ in top.telling)
    assert found.parts[0].name == "dotted"
    assert found.explained > 5 * found.explained_by_chance / 2
    assert 0 < found.noise < 1
    # Formats and shapes differ as planted, and both warnings are stated.
    text = " ".join(explanation_sentences(found))
    assert "100% of gan but 0% of real images are PNG" in text
    assert "square" in text
    assert "0.97" in text
    assert "--perturb align" in text
    firsts = {int(t.uri.split()[1].split(".")[0]) for t in found.telling if t.label == "first"}
    assert firsts <= set(range(100, 140))
    document = json.loads(json.dumps(found.to_json()))
    assert document["named"] == ["dotted"]
    assert "| **dotted** |" in explanation_markdown(found)


def test_features_that_were_levelled_are_not_sent_back_to_be_levelled(
    labelled: tuple[Features, ConceptBank],
) -> None:
    features, bank = labelled
    columns = {name: features.column(name) for name in ("generator", "source", "format", "width", "height")}
    levelled = Features.from_arrays(
        features.matrix(), features.labels, perturbation=["align:288,85"] * len(features), **columns
    )
    found = explain_generator(levelled, "gan", bank, permutations=200, draws=50, metadata_auc=0.97)
    text = " ".join(explanation_sentences(found))
    assert "went through align:288,85" in text
    assert "--perturb" not in text


def test_generator_against_generator_and_nothing_to_say(labelled: tuple[Features, ConceptBank]) -> None:
    features, bank = labelled
    pair = explain_generator(features, "adm", bank, against="gan", permutations=500, draws=100)
    assert [f.name for f in pair.named] == ["not dotted"]
    assert pair.second == "gan"
    assert pair.named[0].sources_beyond is None
    quiet = explain_generator(features, "adm", bank, permutations=500, draws=100)
    assert not quiet.named
    assert "Nothing in this bank of 3 concepts" in explanation_sentences(quiet)[0]


def test_what_cannot_be_explained_is_refused(labelled: tuple[Features, ConceptBank]) -> None:
    features, bank = labelled
    with pytest.raises(UsageError, match=r"'dalle'.*gan \(40\)"):
        explain_generator(features, "dalle", bank)
    with pytest.raises(BuildMismatchError, match="16 values"):
        explain_generator(features, "gan", ConceptBank.of(["a"], np.eye(3)[:1]))
    with pytest.raises(UsageError, match="layer:4"):
        explain_generator(features, "gan", ConceptBank.of(["a"], np.eye(16)[:1], kind="layer:4"))
    with pytest.raises(UsageError, match="10 of each"):
        explain_generator(features.take(np.r_[:100, 100:105]), "gan", bank)


def test_intervals_keep_sources_together() -> None:
    """Images of one source resemble each other: resampling whole sources must widen the interval."""
    rng = np.random.default_rng(0)
    d = 12
    base = np.r_[np.zeros(d - 1), 6.0]
    source = np.repeat(np.arange(6), 20)
    second = base + rng.normal(size=(6, d))[source] + 0.3 * rng.normal(size=(120, d))
    first = base + rng.normal(size=(80, d))
    bank = ConceptBank.of(["a"], np.eye(d)[:1])

    def width(groups: np.ndarray | None) -> float:
        found = explain_rows(first, second, bank, groups=(None, groups), permutations=100, draws=400)
        low, high = found.findings[0].interval
        return high - low

    assert width(source) > 1.5 * width(None)


def test_the_plot_is_a_picture_with_something_on_it(
    tmp_path: Path, labelled: tuple[Features, ConceptBank]
) -> None:
    features, bank = labelled
    found = explain_generator(features, "gan", bank, permutations=200, draws=100)
    with Image.open(plot_explanation(found, tmp_path / "gan.png")) as drawn:
        assert min(drawn.size) > 200
        pixels = np.asarray(drawn.convert("RGB"))
    drawn_bars = (np.abs(pixels.astype(int) - rgb(GENERATED)) < 12).all(axis=-1)
    assert drawn_bars.sum() > 200
