"""Tags of images: in bulk, in one step, by content and not by place, and no change of anybody is lost."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from morelli.atlas import Atlas
from morelli.errors import ArtifactError, ChangedMeanwhileError, UsageError

FAKE: dict[str, Any] = {"and": [{"column": "label", "in": ["fake"]}]}


def test_tags_select_combine_and_vanish_with_their_last_image(own_atlas: Atlas) -> None:
    fake = own_atlas.select(FAKE)
    own_atlas.tag_images(fake, ["odd", "check me"], [])
    some = own_atlas.select({"rows": fake.rows[:3].tolist()})
    own_atlas.tag_images(some, ["nice"], ["odd"])
    odd = own_atlas.select({"column": "tag", "in": ["odd"]})
    assert odd.rows.tolist() == fake.rows[3:].tolist()
    assert own_atlas.rows(some)[0]["tags"] == ["check me", "nice"]
    none = own_atlas.select({"column": "tag", "in": [None]})
    assert none.rows.tolist() == np.flatnonzero(own_atlas.collection.labels == 0).tolist()
    assert own_atlas.select({"column": "tag", "in": ["unknown"]}).counts["count"] == 0
    own_atlas.tag_images(fake, [], ["nice"])
    assert list(own_atlas.tags.masks()) == ["check me", "odd"]
    column = own_atlas.columns(some)[0]
    assert column["name"] == "tag" and [one["selected"] for one in column["names"]] == [3, 0]
    assert column["missing"] == 60 and column["missing_selected"] == 0


def test_tags_follow_the_image_and_not_its_row(own_atlas: Atlas) -> None:
    own_atlas.tag_images(own_atlas.select({"rows": [5]}), ["fifth"], [])
    assert own_atlas.tags.read() == {"fifth": [own_atlas.rows(limit=6)[5]["sha256"]]}


def test_names_that_cannot_be_a_tag_change_nothing(own_atlas: Atlas) -> None:
    for name in ("", "  ", "a;b", "a\nb", "x" * 101):
        with pytest.raises(UsageError, match="A tag has"):
            own_atlas.tag_images(own_atlas.select(FAKE), ["good", name], [])
    assert own_atlas.tags.stamp() is None


def test_spaces_around_a_name_are_no_part_of_it(own_atlas: Atlas) -> None:
    fake = own_atlas.select(FAKE)
    own_atlas.tag_images(fake, [" spaced ", "kept"], [])
    assert list(own_atlas.tags.masks()) == ["kept", "spaced"]
    own_atlas.tag_images(fake, [], [" spaced "])
    assert list(own_atlas.tags.masks()) == ["kept"]


def test_other_images_than_the_caller_saw_are_refused(own_atlas: Atlas) -> None:
    with pytest.raises(ChangedMeanwhileError, match="60 images"):
        own_atlas.tag_images(own_atlas.select(FAKE), ["x"], [], count=59)
    own_atlas.tag_images(own_atlas.select(FAKE), ["x"], [], count=60)


def test_changes_at_the_same_time_are_all_kept(own_atlas: Atlas) -> None:
    others = [Atlas.open(own_atlas.path) for _ in range(4)]

    def work(number: int) -> None:
        for row in range(number, 20, 4):
            others[number].tag_images(others[number].select({"rows": [row]}), ["seen"], [])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert own_atlas.select({"column": "tag", "in": ["seen"]}).rows.tolist() == list(range(20))


def test_a_damaged_file_is_named(own_atlas: Atlas) -> None:
    own_atlas.tags.path.write_text('{"tags": {"x": [1]}}')
    with pytest.raises(ArtifactError, match=r"tags\.json"):
        own_atlas.rows()
