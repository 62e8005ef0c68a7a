"""`morelli.load` of an ensemble: one inspector over several encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import morelli
from morelli.detectors import Bundle, Ensemble, load_detector
from morelli.encoders import EncoderSet, InferenceWorkers, load_encoder
from morelli.errors import MissingPartError, UsageError
from morelli.images import decode
from morelli.inspection import Inspector
from tests.small_ensemble import ensemble_dir, naflex_dir, naflex_features, naflex_table

__all__ = ["ensemble_dir", "naflex_dir", "naflex_features", "naflex_table"]


@pytest.fixture(scope="module")
def both(ensemble_dir: Path, naflex_dir: Path, tiny_clip_dir: Path) -> Inspector:
    return morelli.load(ensemble_dir, weights=[naflex_dir, tiny_clip_dir], device="cpu", offline=True)


def test_features_of_several_encoders_are_those_of_each(both: Inspector, file: Path) -> None:
    """Side by side in one row, through one pass of each; also with several passes at once."""
    assert isinstance(both.encoder, EncoderSet)
    image = decode(file.read_bytes()).image
    row = both.encoder.transform(image)
    found = both.encoder.trace(np.stack([row, row]), kinds=both.kinds)
    assert set(found) == set(both.kinds)
    for encoder in both.encoder.encoders:
        before = encoder.build.qualified("")
        kinds = [kind.removeprefix(before) for kind in both.kinds if kind.startswith(before)]
        own = encoder.trace(encoder.transform(image)[None], kinds=kinds)
        assert kinds
        for kind in kinds:
            assert np.allclose(found[before + kind][1], own[kind][0], atol=1e-5)
    with InferenceWorkers(both.encoder) as workers:
        passes = [workers.trace([row], both.kinds) for _ in range(3)]
        for one in passes:
            assert all(np.allclose(v[0], found[kind][0], atol=1e-5) for kind, v in one.result().items())
    with pytest.raises(UsageError, match="No encoder of"):
        both.encoder.trace(row[None], kinds=["final"])
    with pytest.raises(UsageError, match="A batch of shape"):
        both.encoder.trace(row[None, :-1], kinds=both.kinds)


def test_an_ensemble_and_its_encoders_can_be_got_ready(ensemble_dir: Path, both: Inspector) -> None:
    assert isinstance(both.encoder, EncoderSet)
    both.encoder.get_ready(both.kinds)
    with pytest.raises(UsageError, match="No encoder of"):
        both.encoder.get_ready(["final"])
    fresh = Ensemble.load(ensemble_dir)
    fresh.get_ready()
    banks = [one.bank for one in fresh.members if one.bank is not None]
    assert banks
    assert all("index" in vars(bank) for bank in banks)


def test_an_inspection_says_what_each_member_says(
    both: Inspector, inspector: Inspector, bundle_dir: Path, file: Path
) -> None:
    found = both.inspect(file, stability=True).case
    assert found.ensemble is not None
    assert [one.name for one in found.ensemble.members] == ["small", "other"]
    assert found.ensemble.members[0].probability == pytest.approx(
        inspector.inspect(file).case.probability, abs=1e-5
    )
    assert found.stability is not None
    assert len(found.stability.deliveries) > 3
    assert found.neighbors.fake
    assert found.evidence is None
    assert found.distilled is None
    assert not found.readable
    (streamed,) = both.detect(file)
    assert streamed.verdict is not None
    assert streamed.verdict.probability == pytest.approx(found.probability, abs=1e-5)
    assert inspector.inspect(file).case.ensemble is None


def test_a_disagreement_is_in_the_sentence(both: Inspector, file: Path) -> None:
    from dataclasses import replace

    ensemble = both.bundle
    assert isinstance(ensemble, Ensemble)
    wide = replace(ensemble, disagreement=replace(ensemble.disagreement, limit=0.0))
    case = replace(both, bundle=wide).inspect(file).case
    assert case.ensemble is not None
    assert case.ensemble.unusual
    assert "The members disagree: small " in case.sentence
    assert "wider apart than on 95 % of images" in case.sentence
    assert "members disagree" not in both.inspect(file).case.sentence or ensemble.disagreement.limit < 0.5


def test_what_only_one_encoder_has_is_missing(both: Inspector, file: Path, collection: Path) -> None:
    prepared = both.prepare(file.read_bytes(), "one.png", limits=_limits())
    stored = both.stored(prepared, both._encode([prepared])[0])
    assert stored.seen.ndim == 3
    for ask in (both.reading, both.relevance, both.concept_evidence):
        with pytest.raises(MissingPartError):
            ask(stored)
    assert len(both.neighbors(stored, 4).fake) == 4
    with pytest.raises(UsageError, match="An ensemble judges on one machine"):
        both.detect(collection, engine="ray")


def test_loading_says_what_does_not_fit(
    ensemble_dir: Path, bundle_dir: Path, distilled_dir: Path, tiny_clip_dir: Path, naflex_dir: Path
) -> None:
    weights = [tiny_clip_dir, naflex_dir]
    with pytest.raises(UsageError, match="belong to one encoder"):
        morelli.load(ensemble_dir, weights=weights, distilled=distilled_dir, offline=True)
    with pytest.raises(UsageError, match="has one encoder"):
        morelli.load(bundle_dir, weights=weights, offline=True)
    with pytest.raises(UsageError, match="not measured"):
        morelli.load(ensemble_dir, weights=weights, offline=True, precision="fast")
    assert isinstance(load_detector(bundle_dir), Bundle)


def test_a_set_takes_each_build_once(tiny_clip_dir: Path) -> None:
    encoder = load_encoder(tiny_clip_dir)
    with pytest.raises(UsageError, match="each of another build"):
        EncoderSet([encoder, encoder])


def _limits():  # type: ignore[no-untyped-def]
    from morelli.images import Limits

    return Limits()
