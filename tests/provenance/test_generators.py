from __future__ import annotations

import io

import pytest
from PIL import Image

from morelli.provenance import read_provenance
from morelli.provenance._source_type import SOURCE_TYPES, source_type
from tests.provenance.case import Case
from tests.provenance.cases import CASES
from tests.provenance.made import DST, jpeg_xmp, typed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_tool_is_read_right(case: Case) -> None:
    found = read_provenance(case.build())
    finding = found.strongest
    assert finding is not None
    assert (finding.kind, finding.claims, finding.strength) == (case.kind, case.claims, case.strength)
    wanted = case.tool if case.read_tool is None else case.read_tool
    assert (finding.tool or "") == wanted
    if case.version is not None:
        assert finding.version == case.version
    for name, value in case.details.items():
        assert finding.details.get(name, "") == value, name
    assert finding.place
    assert found.suspicious == (case.claims in ("generated", "edited_with_ai"))
    assert not found.notes


def test_there_are_enough_tools_and_files() -> None:
    assert len(CASES) >= 40
    assert len({case.tool for case in CASES}) >= 18


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_but_that_tool_is_found(case: Case) -> None:
    """Each file says one thing; a second finding would be a misreading."""
    found = read_provenance(case.build())
    assert [finding.kind for finding in found.findings] == [case.kind]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_pixels_alone_say_nothing(case: Case) -> None:
    with Image.open(io.BytesIO(case.build())) as image:
        copy = Image.new("RGB", image.size)
        copy.paste(image.convert("RGB"))
    buffer = io.BytesIO()
    copy.save(buffer, "PNG")
    assert read_provenance(buffer.getvalue()).claims == "none"


@pytest.mark.parametrize("term", SOURCE_TYPES)
def test_every_digital_source_type_is_known(term: str) -> None:
    found = read_provenance(jpeg_xmp(typed(term))).strongest
    assert found is not None
    assert found.claims == SOURCE_TYPES[term][0]
    assert found.details["digital source type"] == term


@pytest.mark.parametrize(
    "value",
    [
        prefix + "trainedAlgorithmicMedia"
        for prefix in (DST, DST.replace("http:", "https:"), "digsrctype:", "")
    ],
)
def test_a_source_type_is_known_in_every_spelling(value: str) -> None:
    assert source_type(value) == "trainedAlgorithmicMedia"


@pytest.mark.parametrize(
    "value", ["", "about trainedAlgorithmicMedia", "http://example.org/trainedAlgorithmicMedia"]
)
def test_other_texts_are_no_source_type(value: str) -> None:
    assert source_type(value) is None
