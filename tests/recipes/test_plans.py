"""The recipes that come with the program, and what is refused in a recipe file."""

from __future__ import annotations

import json

import pytest

from morelli.encoders import encoder_card
from morelli.errors import ArtifactError, UsageError
from morelli.images.layouts import LAYOUTS
from morelli.recipes.plans import plan, plans


@pytest.mark.parametrize("one", plans(), ids=lambda one: one.name)
def test_a_shipped_recipe_is_whole(one):
    assert encoder_card(one.encoder).licence
    assert one.shipped
    assert one.unmeasured
    for part in one.collections:
        assert part.licence
        assert part.page
        assert part.layout in LAYOUTS or part.label_from == "folders"
        assert part.real > 0 < part.fake


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UsageError, match="Did you mean genimage"):
        plan("genimages")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data.update(encoder=3), "encoder"),
        (lambda data: data["fit"].update(detector="forest"), "detector"),
        (lambda data: data.update(collections=[]), "at least one"),
        (lambda data: data["collections"][0].update(repository="../x", files="*"), "owner/name"),
        (lambda data: data["collections"][0].update(repository="a/b"), "which shards"),
        (lambda data: data["collections"][0].update(eras={"(": "2022"}), "regular expression"),
        (lambda data: data["features"].update(blocks=1e9), "blocks"),
    ],
)
def test_a_damaged_recipe_names_the_field(tmp_path, change, says):
    data = json.loads(json.dumps(dict(plan("own-folders").document)))
    change(data)
    (tmp_path / "mine.json").write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match=says):
        plan(tmp_path / "mine.json")


def test_a_file_is_a_recipe_too_but_not_one_that_came_with_the_program(tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps(dict(plan("openfake").document)))
    found = plan(tmp_path / "mine.json")
    assert (found.name, found.shipped) == ("mine", False)
    assert found.scaled(7).collections[0].fake == 7
    with pytest.raises(UsageError, match="does not exist"):
        plan(tmp_path / "other.json")
