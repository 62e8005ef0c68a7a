"""What can be asked of a case: pictures, relevance, neighbours, edits, reports; and how long it is there."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from morelli.atlas.distiller import DistilledMap
from morelli.encoders import load_encoder
from morelli.images import as_seen, decode
from morelli.palette import GENERATED, REAL, rgb
from morelli.reports.plots import relevance_png
from morelli.reports.plots._relevance import relevance_layer
from morelli.server import ServerSettings
from tests.provenance.made import DST
from tests.provenance.signing import manifest, sign
from tests.server.conftest import DIMENSIONS, png
from tests.server.running import API, Running, running


@pytest.fixture(scope="module")
def case(server: Running, picture: bytes) -> dict:  # type: ignore[type-arg]
    return server.upload(("photo.png", picture)).json()["cases"][0]


def test_a_case_is_the_same_again(server: Running, case: dict) -> None:  # type: ignore[type-arg]
    assert server.get(f"/cases/{case['id']}").json() == case


def test_the_judged_picture_is_what_the_encoder_saw(
    server: Running,
    case: dict,  # type: ignore[type-arg]
    picture: bytes,
    tiny_clip_dir: Path,
) -> None:
    transform = load_encoder(tiny_clip_dir).transform
    pixels = transform(decode(picture).image)
    exact = as_seen(pixels, transform)
    np.testing.assert_array_equal(transform(exact), pixels)  # nothing of the normalisation is left in it
    answer = server.get(f"/cases/{case['id']}/image")
    assert answer.headers["content-type"] == "image/jpeg"
    shown = np.asarray(Image.open(BytesIO(answer.content)), dtype=float)
    assert np.abs(shown - np.asarray(exact, dtype=float)).mean() < 5


def test_the_whole_picture_can_be_seen_too(server: Running, case: dict) -> None:  # type: ignore[type-arg]
    answer = server.get(f"/cases/{case['id']}/image", params={"view": "whole", "size": 100})
    assert max(Image.open(BytesIO(answer.content)).size) == 100


def test_pictures_are_not_sent_twice(server: Running, case: dict) -> None:  # type: ignore[type-arg]
    first = server.get(f"/cases/{case['id']}/image")
    again = server.get(f"/cases/{case['id']}/image", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert server.get(f"/cases/{case['id']}/image", headers={"if-none-match": '"x"'}).status_code == 200


def test_relevance_is_the_explanation_rooms(
    server: Running,
    case: dict,
    picture: bytes,
    tiny_clip_dir: Path,
    distilled_dir: Path,  # type: ignore[type-arg]
) -> None:
    from morelli.encoders import LastBlock
    from morelli.explanation.relevance import relevance_maps

    encoder, distilled = load_encoder(tiny_clip_dir), DistilledMap.load(distilled_dir)
    block = LastBlock(encoder, "final")
    found = encoder.trace(encoder.transform(decode(picture).image)[None], kinds=block.inputs)
    direct = relevance_maps(
        block,
        found[block.inputs[0]],
        found[block.inputs[1]],
        distilled.values_and_gradients,
        distilled.w,
        towards="own",
    ).square()[0]
    signed = np.frombuffer(server.get(f"/cases/{case['id']}/relevance").content, dtype="<f4")
    reading = server.get(f"/cases/{case['id']}/reading").json()
    picture = sum(part["logit"] for part in reading["parts"] if part["name"].startswith("Picture"))
    assert signed.min() < 0 and signed.sum() == pytest.approx(picture, abs=1e-4)
    for index, dimension in enumerate([*map(str, range(DIMENSIONS)), "logit"]):
        answer = server.get(f"/cases/{case['id']}/relevance", params={"dimension": dimension})
        rows, columns = map(int, answer.headers["x-shape"].split(","))
        map_ = np.frombuffer(answer.content, dtype="<f4").reshape(rows, columns)
        assert (map_ >= 0).all()
        np.testing.assert_allclose(map_, direct[index], rtol=1e-3, atol=1e-6)


def test_a_relevance_picture_is_a_layer_or_an_overlay(server: Running, case: dict) -> None:  # type: ignore[type-arg]
    stored = Image.open(BytesIO(server.get(f"/cases/{case['id']}/relevance.png?size=96&dimension=1").content))
    layer = np.asarray(stored.convert("RGBA"))
    assert layer.shape == (96, 96, 4)
    assert layer[..., 3].max() > 150
    assert tuple(layer[0, 0, :3]) in {rgb(GENERATED), rgb(REAL)}
    assert (layer[..., :3] == layer[0, 0, :3]).all()
    both = np.asarray(
        Image.open(BytesIO(server.get(f"/cases/{case['id']}/relevance.png?size=96").content)).convert("RGBA")
    )
    assert {tuple(colour) for colour in both[both[..., 3] > 60][:, :3]} == {rgb(GENERATED), rgb(REAL)}
    over = Image.open(BytesIO(server.get(f"/cases/{case['id']}/relevance.png?size=96&overlay=true").content))
    assert (over.mode, over.size) == ("RGB", (96, 96))


@pytest.mark.parametrize("towards_generated", [True, False])
def test_a_stored_layer_shows_what_the_layer_is(towards_generated: bool) -> None:
    relevance = np.random.default_rng(0).random((14, 14)).astype(np.float32)
    layer = relevance_layer(relevance, 112, towards_generated=towards_generated)
    stored = relevance_png(relevance, 112, towards_generated=towards_generated)
    assert np.array_equal(np.asarray(Image.open(BytesIO(stored)).convert("RGBA")), np.asarray(layer))


@pytest.mark.parametrize("dimension", [str(DIMENSIONS), "999"])
def test_a_dimension_that_is_not_there_is_a_problem(server: Running, case: dict, dimension: str) -> None:  # type: ignore[type-arg]
    answer = server.get(f"/cases/{case['id']}/relevance", params={"dimension": dimension})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:morelli:problem:unknown-dimension")


def test_neighbours_are_the_nearest_first(server: Running, case: dict) -> None:  # type: ignore[type-arg]
    found = server.get(f"/cases/{case['id']}/neighbors", params={"k": 5}).json()
    for side in ("fake", "real"):
        assert len(found[side]) == 5
        distances = [one["distance"] for one in found[side]]
        assert distances == sorted(distances)
        assert found[side][:3] == case["neighbors"][side]


def test_an_image_of_the_bank_finds_itself(server: Running, collection: Path) -> None:
    path = next(iter(sorted((collection / "fake").rglob("*.png"))))
    found = server.upload((path.name, path.read_bytes())).json()["cases"][0]
    nearest = found["neighbors"]["fake"][0]
    assert nearest["id"] == found["id"]
    assert nearest["distance"] == pytest.approx(0, abs=1e-3)


def test_without_concepts_the_next_step_is_said(server: Running, case: dict) -> None:  # type: ignore[type-arg]
    answer = server.get(f"/cases/{case['id']}/concepts")
    assert answer.status_code == 409
    assert "morelli concepts build" in answer.json()["next"]


def test_concepts_take_the_bundles_logit_apart(
    settings: ServerSettings,
    case: dict,
    picture: bytes,
    collection: Path,
    table,
    tiny_clip_dir: Path,
    tmp_path: Path,  # type: ignore[no-untyped-def, type-arg]
) -> None:
    from morelli.explanation.concepts import edit_banks
    from morelli.explanation.concepts._edits import EDITS

    pictures = [Image.open(path).convert("RGB") for path in sorted((collection / "real").rglob("*.png"))[:6]]
    bank = edit_banks(
        pictures, load_encoder(tiny_clip_dir), edits=EDITS[:4], kinds=["layer:3"], random_state=0
    )["layer:3"]
    bank.save(tmp_path / "edits.concepts")
    with running(replace(settings, concepts=(tmp_path / "edits.concepts",), reference=table.path)) as server:
        id = server.upload(("a.png", picture)).json()["cases"][0]["id"]
        found = server.get(f"/cases/{id}/concepts").json()
    assert found["of"] == "concepts" and found["parts"]
    total = found["bias"] + sum(part["logit"] for part in found["parts"]) + found["rest"]
    assert total == pytest.approx(found["logit"], abs=1e-6)
    assert found["logit"] == pytest.approx(case["logit"], abs=1e-3)


def test_what_if_judges_the_edited_original(server: Running, case: dict, picture: bytes) -> None:  # type: ignore[type-arg]
    asked = {"edits": [{"name": "blur", "value": 4}, {"name": "jpeg", "value": 30}], "off": [0]}
    found = server.post(f"/cases/{case['id']}/whatif", json=asked).json()
    assert (found["edits"], found["off"]) == ("blur:4+jpeg:30", [0])
    before, after = found["before"], found["after"]
    assert before == case
    assert after["edits"] == "blur:4+jpeg:30" and after["derived_from"] == case["id"]
    assert after["logit"] != before["logit"]
    on = [impact for k, impact in enumerate(after["distilled"]["impacts"]) if k != 0]
    assert after["distilled"]["logit"] == pytest.approx(sum(on) + after["distilled"]["bias"], abs=1e-9)
    assert server.get(f"/cases/{after['id']}/relevance").status_code == 200
    repeated = server.post(f"/cases/{case['id']}/whatif", json=asked).json()["after"]
    assert repeated["probability"] == pytest.approx(after["probability"], abs=1e-6)


@pytest.fixture
def passing(server: Running, photos: list[tuple[str, Image.Image]]) -> dict[str, Any]:
    """A case of its own, which may be deleted."""
    found: dict[str, Any] = server.upload(("root.png", png(photos[1][1].crop((5, 5, 133, 133))))).json()
    case: dict[str, Any] = found["cases"][0]
    return case


def test_edits_of_an_edited_picture_are_edits_of_its_original(
    server: Running, passing: dict[str, Any]
) -> None:
    root = passing

    def edited(id: str, name: str, value: float) -> dict[str, Any]:
        asked = {"edits": [{"name": name, "value": value}]}
        found: dict[str, Any] = server.post(f"/cases/{id}/whatif", json=asked).json()["after"]
        return found

    first = edited(root["id"], "jpeg", 50)
    second = edited(first["id"], "blur", 3)
    third = edited(second["id"], "jpeg", 80)
    chain = ["jpeg:50", "jpeg:50+blur:3", "jpeg:50+blur:3+jpeg:80"]
    assert [one["edits"] for one in (first, second, third)] == chain
    assert {one["derived_from"] for one in (first, second, third)} == {root["id"]}
    assert root["id"][:8] in third["sentence"]
    ids = [one["id"] for one in (root, first, second, third)]
    assert len(set(ids)) == 4
    stable = server.get(f"/cases/{second['id']}", params={"stability": True}).json()["stability"]
    assert not any("blur:3" in one["delivery"] for one in stable["deliveries"])

    def there() -> list[int]:
        return [server.get(f"/cases/{id}").status_code for id in ids]

    # What was computed from a picture goes with it, and nothing else does.
    assert server.client.delete(API + f"/cases/{ids[2]}").status_code == 204
    assert there() == [200, 200, 404, 404]
    edited(ids[1], "blur", 3)
    assert there() == [200, 200, 200, 404]
    assert server.client.delete(API + f"/cases/{ids[0]}").status_code == 204
    assert there() == [404, 404, 404, 404]


def test_a_picture_forgotten_while_it_is_edited_leaves_nothing(
    server: Running, passing: dict[str, Any]
) -> None:
    stored = server.state.cases.get(passing["id"])
    late = replace(stored, id="0" * 64, edits="blur:2", derived_from=passing["id"])
    assert server.state.cases.forget(passing["id"])
    server.state.cases.put(late)
    assert server.get(f"/cases/{late.id}").status_code == 404


def test_what_if_without_edits_only_switches(server: Running, case: dict) -> None:  # type: ignore[type-arg]
    found = server.post(f"/cases/{case['id']}/whatif", json={"off": list(range(DIMENSIONS))}).json()
    assert found["after"]["id"] == case["id"]
    assert found["after"]["probability"] == case["probability"]
    assert found["after"]["evidence"] == case["evidence"]
    assert found["after"]["distilled"]["logit"] == pytest.approx(found["after"]["distilled"]["bias"])


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"edits": [{"name": "jpeg", "value": 1000}]}, 422),
        ({"edits": [{"name": "sharpen", "value": 1}]}, 422),
        ({"edits": [{"name": "jpeg", "value": "60+blur:3"}]}, 422),
        ({"edits": [{"name": "jpeg", "value": 60}] * 9}, 422),
        ({"off": [DIMENSIONS]}, 422),
        ({"off": [-1]}, 422),
        ({"colour": 1}, 422),
        ([], 422),
    ],
)
def test_what_cannot_be_is_a_problem(server: Running, case: dict, asked: object, status: int) -> None:  # type: ignore[type-arg]
    answer = server.post(f"/cases/{case['id']}/whatif", json=asked)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["next"]


def test_stability_spans_ordinary_deliveries(server: Running, case: dict) -> None:  # type: ignore[type-arg]
    found = server.get(f"/cases/{case['id']}", params={"stability": True}).json()
    stability = found["stability"]
    assert len(stability["deliveries"]) == 7
    assert stability["low"] <= found["probability"] <= stability["high"]
    words = {found["verdict"], *(one["verdict"] for one in stability["deliveries"])}
    assert stability["flips"] == ({"ai", "real"} <= words)


def test_every_question_about_a_case_takes_both_rates(server: Running, case: dict) -> None:  # type: ignore[type-arg]
    rates = {"base_rate": 0.3, "fpr": 0.01}
    strict = server.get(f"/cases/{case['id']}", params=rates).json()
    assert strict["thresholds"] != case["thresholds"]
    report = server.get(f"/cases/{case['id']}/report", params={"format": "json", **rates})
    assert report.json() == strict
    found = server.post(f"/cases/{case['id']}/whatif", json={"edits": [], "off": [], **rates}).json()
    assert found["before"] == strict
    assert found["after"]["thresholds"] == strict["thresholds"]


def test_a_report_opens_anywhere_and_escapes_what_came_from_outside(server: Running, picture: bytes) -> None:
    name = "<script>alert(1)</script><img src=x onerror=alert(1)>.png"
    case = server.upload((name, picture)).json()["cases"][0]
    answer = server.get(f"/cases/{case['id']}/report")
    page = answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "<script" not in page and "<img src=x" not in page and "<b>D4" not in page
    assert set(re.findall(r'(?:src|href)="([^:"]*:[^;"]*)', page)) <= {"data:image/jpeg", "data:image/png"}
    for needed in (case["versions"]["weights"], case["versions"]["bundle_digest"], case["facts"]["sha256"]):
        assert needed in page
    data = server.get(f"/cases/{case['id']}/report", params={"format": "json", "download": True})
    assert json.loads(data.text) == case
    assert data.headers["content-disposition"].startswith("attachment")


def test_what_the_file_says_is_in_every_answer(server: Running, picture: bytes) -> None:
    agent = {"name": "<script>alert(1)</script>", "version": "3"}
    made = {
        "action": "c2pa.created",
        "softwareAgent": agent,
        "digitalSourceType": f"{DST}trainedAlgorithmicMedia",
    }
    case = server.upload(("says.png", sign(picture, "PNG", manifest([made])))).json()["cases"][0]
    (one,) = case["provenance"]
    assert (one["kind"], one["claims"]) == ("content_credentials", "generated")
    assert (one["strength"], one["where"]) == ("signed_unknown", "PNG caBX chunk")
    assert "The file says that it was made with “<script>alert(1)</script> 3”" in case["sentence"]
    assert server.get(f"/cases/{case['id']}").json() == case
    page = server.get(f"/cases/{case['id']}/report").text
    assert (
        "What the file says of itself" in page and "made by a generator" in page and "unknown signer" in page
    )
    assert "<script" not in page and "&lt;script&gt;" in page
    question = {"edits": [{"name": "jpeg", "value": 60}], "off": []}
    edited = server.post(f"/cases/{case['id']}/whatif", json=question).json()
    assert edited["after"]["provenance"] == case["provenance"]


def test_a_silent_file_has_no_such_part(server: Running, case: dict) -> None:  # type: ignore[type-arg]
    assert case["provenance"] == [] and "The file says" not in case["sentence"]
    assert "What the file says" not in server.get(f"/cases/{case['id']}/report").text


def test_the_least_used_cases_make_room(with_limits, photos: list[tuple[str, Image.Image]]) -> None:  # type: ignore[no-untyped-def]
    from tests.server.conftest import png

    crops = [png(photos[0][1].crop((k, k, k + 64, k + 64))) for k in range(0, 80, 8)]
    with running(with_limits(case_bytes=200_000)) as server:
        ids = [server.upload((f"{k}.png", crop)).json()["cases"][0]["id"] for k, crop in enumerate(crops)]
        assert server.state.cases.bytes <= 200_000
        states = [server.get(f"/cases/{id}").status_code for id in ids]
    assert states[0] == 404 and states[-1] == 200


def test_unused_cases_are_forgotten_with_time(with_limits, picture: bytes) -> None:  # type: ignore[no-untyped-def]
    with running(with_limits(case_seconds=0.0)) as server:
        id = server.upload(("a.png", picture)).json()["cases"][0]["id"]
        assert server.get(f"/cases/{id}").status_code == 404


def test_feedback_is_noted_without_the_picture(server: Running, case: dict, settings: ServerSettings) -> None:  # type: ignore[type-arg]
    assert settings.feedback is not None
    settings.feedback.write_text('{"sha256": "of somebody else"}\nno JSON\n')
    for label, number, before in (("fake", 1, None), ("real", 0, "fake")):
        answer = server.post("/feedback", json={"case": case["id"], "label": label, "note": "mine"}).json()
        assert (answer["stored"], answer["place"], answer["replaced"], answer["kept"]) == (
            "file",
            "feedback.jsonl",
            before,
            3,
        )
        *others, last = settings.feedback.read_text().splitlines()
        assert others == ['{"sha256": "of somebody else"}', "no JSON"]
        noted = json.loads(last)
        assert (noted["sha256"], noted["label"], noted["note"]) == (case["id"], number, "mine")
    assert server.post("/feedback", json={"label": "real"}).status_code == 422


def test_a_server_without_a_map_says_what_it_lacks(settings: ServerSettings, picture: bytes) -> None:
    with running(replace(settings, distilled=None, feedback=None)) as server:
        found = server.upload(("a.png", picture)).json()["cases"][0]
        assert found["distilled"] is None and found["evidence"]["logit"] == found["logit"]
        assert server.get(f"/cases/{found['id']}/relevance").status_code == 200
        answers = [
            server.get(f"/cases/{found['id']}/relevance", params={"dimension": "logit"}),
            server.post(f"/cases/{found['id']}/whatif", json={"off": [0]}),
            server.post("/feedback", json={"case": found["id"], "label": "real"}),
        ]
        assert [one.status_code for one in answers] == [409, 409, 409]
        assert server.get(f"/cases/{found['id']}/report").status_code == 200
