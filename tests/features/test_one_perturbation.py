"""A table that holds its images under several perturbations is read under one of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from morelli.encoders import Build
from morelli.errors import UsageError
from morelli.features import Features, FeatureTable

BUILD = Build("external", "00", "t", "float32")


def table_of(folder: Path, perturbations: list[str]) -> FeatureTable:
    """A table of three images under each of these perturbations."""
    table = FeatureTable.create(folder / "F.lance", BUILD, {"final": 4})
    for number, name in enumerate(perturbations):
        rows = Features.from_arrays(
            np.eye(3, 4) + number,
            labels=[0, 1, None],
            build=BUILD,
            sha256=[f"{image:064x}" for image in range(3)],
            perturbation=[name] * 3,
        )
        table.append(rows)
    return table


def test_one_of_several_has_to_be_chosen(tmp_path: Path) -> None:
    table = table_of(tmp_path, ["", "jpeg:70", "align:288,85"])
    assert table.perturbations == ["", "align:288,85", "jpeg:70"]
    with pytest.raises(UsageError, match=r"\(clean, align:288,85, jpeg:70\); choose one with --perturbation"):
        table.one_perturbation()
    with pytest.raises(UsageError, match="no images of the perturbation blur:2; it has clean, align"):
        table.one_perturbation("blur:2")
    for asked, held in (("clean", ""), ("", ""), ("jpeg:70", "jpeg:70")):
        found = table.load(where=table.one_perturbation(asked, "label IS NOT NULL"))
        assert found.labels.tolist() == [0, 1]
        assert set(found.column("perturbation")) == {held}


def test_the_only_one_needs_no_choice(tmp_path: Path) -> None:
    table = table_of(tmp_path, ["align:288,85"])
    assert table.one_perturbation() is None
    assert len(table.load(where=table.one_perturbation(where="label = 1"))) == 1
    with pytest.raises(UsageError, match="no images of the perturbation clean; it has align:288,85"):
        table.one_perturbation("clean")


def test_a_quote_in_an_id_ends_no_filter(tmp_path: Path) -> None:
    table = table_of(tmp_path, ["", "it's"])
    assert len(table.load(where=table.one_perturbation("it's"))) == 3
