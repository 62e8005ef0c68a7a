"""Precision: bfloat16 with images near a threshold in float32, int8, refused where the cost is not known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import morelli
from morelli.detectors import Bundle
from morelli.encoders import Encoder, load_encoder
from morelli.errors import ArtifactError, BuildMismatchError, UsageError
from morelli.features import Features, FeatureTable, extract
from morelli.inspection import Inspector


@pytest.fixture(scope="module")
def encoder(tiny_clip_dir: Path) -> Encoder:
    return load_encoder(tiny_clip_dir, device="cpu")


def extracted(dtype: str, tiny_clip_dir: Path, collection: Path, place: Path) -> Features:
    """The collection's features in a quicker dtype; skips where the processor does not have it."""
    if (obstacle := load_encoder(tiny_clip_dir, device="cpu").obstacle_to_quick(dtype)) is not None:
        pytest.skip(obstacle)
    quick = load_encoder(tiny_clip_dir, device="cpu", dtype=dtype)
    extract(collection, place, encoder=quick, kinds=("final", "layer:3"))
    return FeatureTable.open(place).load(kinds=["final", "layer:3"])


@pytest.fixture(scope="module")
def quick_features(
    tiny_clip_dir: Path, collection: Path, tmp_path_factory: pytest.TempPathFactory
) -> Features:
    return extracted("bfloat16", tiny_clip_dir, collection, tmp_path_factory.mktemp("quick") / "b.lance")


@pytest.fixture(scope="module")
def int8_features(
    tiny_clip_dir: Path, collection: Path, tmp_path_factory: pytest.TempPathFactory
) -> Features:
    return extracted("int8", tiny_clip_dir, collection, tmp_path_factory.mktemp("quick") / "i.lance")


@pytest.fixture(scope="module")
def measured(bundle_dir: Path, features: Features, quick_features: Features) -> Bundle:
    return Bundle.load(bundle_dir).with_quick(features, quick_features)


def pixels_of(encoder: Encoder, collection: Path, most: int = 24) -> np.ndarray:
    from PIL import Image

    files = sorted(collection.rglob("*.png"))[:most]
    return np.stack([encoder.transform(Image.open(file).convert("RGB")) for file in files])


def test_images_near_a_threshold_are_exact_and_the_others_quick(
    measured: Bundle, encoder: Encoder, collection: Path
) -> None:
    cost = measured.quick_costs["bfloat16"]
    assert 0 < cost.median_logit <= cost.near_logit <= cost.largest_logit
    pixels = pixels_of(encoder, collection)
    exact = encoder.trace(pixels, kinds=measured.kinds)
    logits = measured.logits(Features.from_arrays(exact, build=measured.build))
    # A threshold in the middle of these images: some are near it, most are not.
    middle = float(np.sort(logits)[len(logits) // 2])
    bundle = replace(
        measured, ai=replace(measured.ai, logit=middle), real=replace(measured.real, logit=middle)
    )
    judge = Inspector(encoder, bundle)
    fast, fastest = judge.at_precision("fast").encoder, judge.at_precision("fastest").encoder
    screened = fast.trace(pixels, kinds=measured.kinds)
    quick = fastest.trace(pixels, kinds=measured.kinds)
    (kind, *_) = measured.head_kinds
    as_exact = (screened[kind] == exact[kind]).all(axis=1)
    assert as_exact[np.argmin(np.abs(logits - middle))]
    assert 0 < as_exact.sum() < len(as_exact)
    assert (screened[kind][~as_exact] == quick[kind][~as_exact]).all()
    assert fast.build == fastest.build == encoder.build
    assert (encoder.precision, fastest.precision) == ("float32", "bfloat16")
    assert fast.precision == "bfloat16, float32 near thresholds"


def test_two_detectors_on_one_encoder_both_have_their_images_exact(
    measured: Bundle, tiny_clip_dir: Path, collection: Path
) -> None:
    def moved(name: str, logit: float) -> Bundle:
        ends = [replace(one, logit=logit) for one in (measured.ai, measured.real)]
        return replace(measured, name=name, ai=ends[0], real=ends[1], bank=None)

    def judge(first: Bundle, **more: Bundle) -> Inspector:
        return morelli.load(
            first, weights=tiny_clip_dir, device="cpu", offline=True, precision="fast", **more
        )

    encoder = load_encoder(tiny_clip_dir, device="cpu")
    pixels = pixels_of(encoder, collection)
    (kind, *_) = measured.head_kinds
    exact = encoder.trace(pixels, kinds=measured.kinds)
    logits = np.sort(measured.logits(Features.from_arrays(exact, build=measured.build)))
    low, high = moved("low", float(logits[5])), moved("high", float(logits[17]))

    def exactly(inspector: Inspector) -> set[int]:
        found = inspector.passes.trace(pixels, kinds=measured.kinds)[kind]
        # Rounding of another batch size is far below that of bfloat16.
        apart = np.abs(found - exact[kind]).max(axis=1)
        return set(np.flatnonzero(apart < 1e-4).tolist())

    both, one, other = (exactly(found) for found in (judge(low, beside=high), judge(low), judge(high)))
    assert one and other and one != other and both == one | other
    unmeasured = replace(high, quick_costs={})
    with pytest.raises(UsageError, match="high does not say what bfloat16 costs"):
        judge(low, beside=unmeasured)


def test_a_vector_does_not_depend_on_the_batch(measured: Bundle, encoder: Encoder, collection: Path) -> None:
    fast = Inspector(encoder, measured).at_precision("fast").encoder
    pixels = pixels_of(encoder, collection, 9)
    together = fast.trace(pixels, kinds=measured.kinds)
    for row in range(len(pixels)):
        alone = fast.trace(pixels[row : row + 1], kinds=measured.kinds)
        for kind in measured.kinds:
            np.testing.assert_allclose(alone[kind][0], together[kind][row], rtol=1e-2, atol=1e-2)


def test_no_image_gives_no_rows(measured: Bundle, encoder: Encoder, collection: Path) -> None:
    fast = Inspector(encoder, measured).at_precision("fast").encoder
    found = fast.trace(pixels_of(encoder, collection, 1)[:0], kinds=measured.kinds)
    assert {len(array) for array in found.values()} == {0}


def test_answers_say_what_was_used(measured: Bundle, encoder: Encoder, file: Path) -> None:
    judge = Inspector(encoder, measured)
    case = judge.at_precision("fastest").inspect(file).case
    assert (case.versions.dtype, case.versions.precision) == ("float32", "bfloat16")
    exact = judge.at_precision("exact").inspect(file).case
    assert exact.versions.precision == "float32"
    assert abs(exact.logit - case.logit) <= measured.quick_costs["bfloat16"].largest_logit * 2


def test_auto_is_exact_where_the_cost_is_unknown_or_too_high(measured: Bundle, encoder: Encoder) -> None:
    plain = replace(measured, quick_costs={})
    assert Inspector(encoder, plain).at_precision("auto").encoder is encoder
    with pytest.raises(UsageError, match="does not say what bfloat16 costs"):
        Inspector(encoder, plain).at_precision("fast")
    cost = measured.quick_costs["bfloat16"]
    dear = replace(measured, quick_costs={"bfloat16": replace(cost, screened_changed=0.02)})
    assert Inspector(encoder, dear).at_precision("auto").encoder is encoder
    cheap = replace(measured, quick_costs={"bfloat16": replace(cost, screened_changed=0.0, auc=0.0)})
    assert Inspector(encoder, cheap).at_precision("auto").encoder.precision.startswith("bfloat16")


def test_auto_is_int8_only_where_bfloat16_is_out_of_reach(
    measured: Bundle,
    features: Features,
    int8_features: Features,
    encoder: Encoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = measured.with_quick(features, int8_features)
    kept = {dtype: replace(cost, screened_changed=0.0, auc=0.0) for dtype, cost in both.quick_costs.items()}

    def chosen(**other: float) -> str:
        costs = {dtype: replace(cost, **other) for dtype, cost in kept.items()}
        return Inspector(encoder, replace(both, quick_costs=costs)).at_precision("auto").encoder.precision

    assert chosen() == "bfloat16, float32 near thresholds"
    monkeypatch.setattr("morelli.encoders._runtime.computes_in", lambda dtype: dtype != "bfloat16")
    assert chosen() == "int8, float32 near thresholds"
    assert chosen(screened_changed=0.006) == chosen(auc=-0.003) == "float32"


def test_the_costs_travel_with_the_bundle(
    measured: Bundle, features: Features, int8_features: Features, tmp_path: Path
) -> None:
    both = measured.with_quick(features, int8_features)
    assert list(both.quick_costs) == ["bfloat16", "int8"]
    both.save(tmp_path / "b")
    assert Bundle.load(tmp_path / "b").quick_costs == both.quick_costs
    assert Bundle.load(tmp_path / "b").with_fpr(0.2).quick_costs == both.quick_costs


@pytest.fixture
def no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with instructions for int8 and none for tiles, on which int8 is the quicker format."""
    monkeypatch.setattr("morelli.encoders._runtime._processor_flags", lambda: {"avx512_vnni"})


def test_fast_and_fastest_are_bfloat16_on_tiles(
    measured: Bundle,
    features: Features,
    int8_features: Features,
    encoder: Encoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("morelli.encoders._runtime._processor_flags", lambda: {"amx_int8", "amx_bf16"})
    judge = Inspector(encoder, measured.with_quick(features, int8_features))
    assert judge.at_precision("fastest").encoder.precision == "bfloat16"
    assert judge.at_precision("fast").encoder.precision == "bfloat16, float32 near thresholds"
    bundle = replace(measured, quick_costs={}).with_quick(features, int8_features)
    only_int8 = replace(judge, bundle=bundle)
    assert only_int8.at_precision("fastest").encoder.precision == "int8"


@pytest.mark.usefixtures("no_tiles")
def test_fastest_is_int8_where_its_cost_is_known(
    measured: Bundle, features: Features, int8_features: Features, encoder: Encoder, collection: Path
) -> None:
    assert Inspector(encoder, measured).at_precision("fastest").encoder.precision == "bfloat16"
    judge = Inspector(encoder, measured.with_quick(features, int8_features))
    fastest = judge.at_precision("fastest").encoder
    assert (fastest.precision, fastest.build) == ("int8", encoder.build)
    assert judge.at_precision("fast").encoder.precision == "int8, float32 near thresholds"
    pixels = pixels_of(encoder, collection, 9)
    exact, quick = (one.trace(pixels, kinds=measured.kinds) for one in (encoder, fastest))
    for kind in measured.kinds:
        a, b = exact[kind], quick[kind]
        cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        # Rounded to 8 bits, not the same and not something else.
        assert cosine.min() > 0.98 and not np.array_equal(a, b)


def test_fast_in_int8_keeps_verdicts(
    measured: Bundle, features: Features, int8_features: Features, encoder: Encoder, collection: Path
) -> None:
    bundle = replace(measured, quick_costs={}).with_quick(features, int8_features)
    fast = Inspector(encoder, bundle).at_precision("fast").encoder
    assert fast.precision == "int8, float32 near thresholds"
    pixels = pixels_of(encoder, collection)
    screened, exact = (one.trace(pixels, kinds=bundle.kinds) for one in (fast, encoder))
    verdicts = [
        [one.verdict for one in bundle.verdicts(Features.from_arrays(found, build=bundle.build))]
        for found in (screened, exact)
    ]
    assert verdicts[0] == verdicts[1]


def test_a_vector_in_int8_does_not_depend_on_batch_or_threads(
    encoder: Encoder, int8_features: Features, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = pixels_of(encoder, collection, 7)
    fastest = encoder.quick(None, (), "int8")
    together = fastest.trace(pixels, kinds=["final"])["final"]
    alone = np.concatenate([fastest.trace(pixels[i : i + 1], kinds=["final"])["final"] for i in range(7)])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    single = encoder.quick(None, (), "int8").trace(pixels, kinds=["final"])["final"]
    for other in (alone, single):
        cosine = (together * other).sum(axis=1)
        cosine /= np.linalg.norm(together, axis=1) * np.linalg.norm(other, axis=1)
        # The rest is in bfloat16, which adds up in another order for another shape.
        assert cosine.min() > 0.9999


def test_int8_is_refused_where_openvino_does_not_compute(tiny_clip_dir: Path) -> None:
    with pytest.raises(UsageError, match="Only OpenVINO computes in int8"):
        load_encoder(tiny_clip_dir, dtype="int8", runtime="torch")


def test_features_that_do_not_fit_are_refused(
    measured: Bundle, features: Features, quick_features: Features
) -> None:
    with pytest.raises(UsageError, match="--dtype bfloat16"):
        measured.with_quick(features, features)
    elsewhere = replace(quick_features, build=replace(quick_features.build, transform="other-v1"))
    with pytest.raises(BuildMismatchError):
        measured.with_quick(features, elsewhere)
    rows = np.arange(len(features))
    with pytest.raises(UsageError, match="no image in common"):
        measured.with_quick(features.take(rows[:0]), quick_features)


def test_a_damaged_cost_is_refused() -> None:
    from morelli.detectors._precision import PrecisionCost

    whole = PrecisionCost(9, 0.1, 0.2, 0.15, 0.0, 0.0, 0.0, 0.1, None).to_json()
    assert PrecisionCost.from_json(whole).auc is None
    for name, value in (("near_logit", None), ("changed", "few"), ("again", float("nan")), ("images", True)):
        with pytest.raises(ArtifactError, match=name):
            PrecisionCost.from_json(whole | {name: value})
    with pytest.raises(UsageError, match="unknown"):
        from morelli.inspection._precision import at_precision

        at_precision(None, None, "quick")  # type: ignore[arg-type]
