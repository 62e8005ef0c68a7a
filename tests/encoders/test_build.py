from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morelli.encoders import Build, encoder_cards
from morelli.encoders._cards import DEFAULT_ENCODER, Source, encoder_card
from morelli.errors import ArtifactError, BuildMismatchError, UsageError

BUILD = Build("clip-vit-b16", "2d2d" * 16, "clip-224-bicubic-crop-v1", "float32")


def test_the_fingerprint_is_fixed_for_ever():
    # Stored features and bundles carry it: a changed formula would orphan all of them.
    assert BUILD.fingerprint == "62fbefffa1375faf"


@given(field=st.sampled_from(["encoder", "weights", "transform", "dtype"]), text=st.text(min_size=1))
def test_every_field_counts(field, text):
    changed = replace(BUILD, **{field: getattr(BUILD, field) + text})
    assert changed.fingerprint != BUILD.fingerprint
    assert Build.from_json(json.loads(json.dumps(changed.to_json()))) == changed


def test_an_edited_build_is_refused():
    data = {**BUILD.to_json(), "dtype": "bfloat16"}
    with pytest.raises(ArtifactError, match="fingerprint"):
        Build.from_json(data)
    with pytest.raises(ArtifactError, match="transform"):
        Build.from_json({"encoder": "a", "weights": "b", "dtype": "float32"})


def test_a_mismatch_names_the_fields():
    other = replace(BUILD, weights="0" * 64)
    BUILD.require_same(BUILD, what="the table")
    with pytest.raises(BuildMismatchError, match=r"the bundle .*weights is 0000") as error:
        BUILD.require_same(other, what="the bundle")
    assert "transform is" not in str(error.value)


def test_every_card_is_whole_and_its_transform_exists():
    from morelli.images.transforms import transform_from_id

    cards = encoder_cards()
    assert cards[0].name == "clip-vit-b16"
    assert {"clip-vit-b32", "clip-vit-l14", "clip-vit-l14-336"} <= {card.name for card in cards}
    assert {"clip", "siglip", "dinov2", "dinov3"} <= {card.family for card in cards}
    for card in cards:
        assert transform_from_id(card.transform).size == card.image_size
        assert card.heads == 0 or card.width % card.heads == 0
        assert card.sources
        assert card.licence
        assert len(card.training_cutoff) == 7
        assert encoder_card(card.name) is card


def test_a_name_can_only_give_one_build():
    for card in encoder_cards():
        if len(card.sources) > 1:
            assert card.sha256 is not None
            assert {source.sha256 for source in card.sources} == {card.sha256}
    # Nor do two names mean one repository, or one name another's repository.
    places = [source.id for card in encoder_cards() for source in card.sources]
    hubs = [card.hub_id for card in encoder_cards() if card.hub_id is not None]
    assert len(set(places)) == len(places)
    assert sorted(hubs) == sorted(place.removeprefix("hub:") for place in places if place.startswith("hub:"))


def test_a_card_with_two_builds_cannot_be_made():
    card = encoder_card("clip-vit-b16")
    (pinned,) = card.sources
    other_place = Source("hub", "someone/copy", sha256=pinned.sha256)
    assert replace(card, sources=(other_place, pinned)).sha256 == pinned.sha256
    for other in (replace(other_place, sha256=None), replace(other_place, sha256="0" * 64)):
        for sources in ((other, pinned), (pinned, other)):
            with pytest.raises(UsageError, match="one build"):
                replace(card, sources=sources)
    with pytest.raises(UsageError, match="one build"):
        replace(card, sources=(Source("hub", "a/b"), Source("hub", "c/d")))


def test_the_default_is_the_build_that_everything_shipped_was_fitted_on():
    from morelli.atlas.distiller import DistilledMap, default_map_path
    from morelli.detectors import Bundle, default_bundle_path
    from morelli.explanation.concepts import ConceptBank, default_concepts_path

    bundle = Bundle.load(default_bundle_path())
    card = encoder_card(DEFAULT_ENCODER)
    assert (bundle.build.encoder, bundle.build.weights) == (card.name, card.sha256)
    assert bundle.build.fingerprint == "7d982e376b18b885"
    assert DistilledMap.load(default_map_path()).build == bundle.build
    assert ConceptBank.load(default_concepts_path()).build == bundle.build


def test_a_former_name_of_the_same_weights_matches_and_nothing_else():
    shipped = replace(BUILD, weights=encoder_card("clip-vit-b16").sha256)
    old, new = (replace(BUILD, encoder=name) for name in ("clip-vit-b16", "clip-vit-b16-openai"))
    assert shipped.present_name == "clip-vit-b16"
    assert old.present_name == new.present_name == "clip-vit-b16-openai"
    assert old.matches(new)
    assert new.matches(old)
    old.require_same(new, what="the bundle")
    for other in (
        shipped,
        replace(shipped, encoder="clip-vit-b16-openai"),
        replace(new, dtype="bfloat16"),
        replace(new, transform="clip-224-bilinear-crop-v1"),
        replace(new, encoder="clip-vit-b32"),
    ):
        assert not old.matches(other)
        assert not other.matches(old)
    with pytest.raises(BuildMismatchError, match="those of the model hub are clip-vit-b16-openai now"):
        old.require_same(shipped, what="the bundle")


def test_a_misspelt_name_is_answered_with_the_near_one():
    with pytest.raises(UsageError, match="Did you mean clip-vit-b16"):
        encoder_card("clip-vit-b61")
