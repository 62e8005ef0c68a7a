from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morelli.encoders import Build, encoder_card, encoder_cards
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
    from morelli.images import transform_from_id

    cards = encoder_cards()
    assert cards[0].name == "clip-vit-b16"
    assert {"clip-vit-b32", "clip-vit-l14", "clip-vit-l14-336"} <= {card.name for card in cards}
    assert {"clip", "siglip", "dinov2", "dinov3"} <= {card.family for card in cards}
    for card in cards:
        assert transform_from_id(card.transform).size == card.image_size
        assert card.width % card.heads == 0
        assert card.sources
        assert card.licence
        assert len(card.training_cutoff) == 7
        assert encoder_card(card.name) is card


def test_a_misspelt_name_is_answered_with_the_near_one():
    with pytest.raises(UsageError, match="Did you mean clip-vit-b16"):
        encoder_card("clip-vit-b61")
