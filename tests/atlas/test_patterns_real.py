"""Patterns with the real encoder: an artefact planted in photographs is found, and its removal undoes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from morelli.atlas.distiller import DistilledMap, Distiller
from morelli.atlas.patterns import PatternOptions, find_prototypes, measure_counterfactuals
from morelli.atlas.patterns._edit_region import edit_region, inpaint
from morelli.atlas.patterns._find import FoundPrototypes
from morelli.encoders import LastBlock
from morelli.errors import UsageError
from morelli.explanation.relevance import relevance_maps
from morelli.explanation.relevance._maps import RelevanceMaps
from morelli.explanation.relevance._planted import coverage, localisation, plant, pointing_hits
from tests.wheel_photos import COLOUR, GREY, load_photos

if TYPE_CHECKING:
    from morelli.encoders import Encoder

EACH = 24


@dataclass(frozen=True)
class Planted:
    images: list[Image.Image]
    labels: Any
    boxes: Any  # (n, 4) fractions, of the planted ones
    map: DistilledMap
    maps: RelevanceMaps
    embedding: Any
    found: FoundPrototypes


@pytest.fixture(scope="module")
def planted(real_encoder: Encoder) -> Planted:
    """Crops of photographs, a checkerboard at a random place of every second one."""
    rng = np.random.default_rng(0)
    photos = [image for _, image in load_photos(COLOUR) + load_photos(GREY)]
    images, boxes = [], []
    for i in range(2 * EACH):
        photo = photos[int(rng.permutation(len(photos))[0])]
        side = int(min(photo.size) * rng.uniform(0.5, 1))
        x, y = (int(rng.integers(0, length - side + 1)) for length in photo.size)
        crop = photo.crop((x, y, x + side, y + side)).resize((224, 224), Image.Resampling.BICUBIC)
        if i < EACH:
            made = plant(crop, "checkerboard", rng)
            crop = made.image
            boxes.append(np.array(made.box) / 224)
        images.append(crop)
    labels = np.repeat([1, 0], EACH)
    block = LastBlock(real_encoder)
    batch = np.stack([real_encoder.transform(image) for image in images])
    traced = real_encoder.trace(batch, kinds=["final", *block.inputs])
    distiller = Distiller(6, n_seeds=1).fit(traced["final"], labels)
    distilled = distiller.to_map(real_encoder.build)
    maps = relevance_maps(
        block,
        *(traced[kind] for kind in block.inputs),
        distilled.values_and_gradients,
        distilled.w,
        pooled=True,
    )
    found = find_prototypes(
        distilled.impacts(traced["final"]),
        maps.pooled,
        maps.maps,
        labels,
        options=PatternOptions(per_image=1.5, components=16),
    )
    return Planted(images, labels, np.array(boxes), distilled, maps, traced["final"], found)


@pytest.mark.encoder
def test_the_planted_pattern_is_the_top_prototype_of_its_class_and_its_maps_point_at_it(
    planted: Planted,
) -> None:
    table = planted.found.prototypes.table.to_pylist()
    top = next(row for row in table if row["sign"] == 1)
    assert top["mean_impact"] == max(row["mean_impact"] for row in table) and top["purity_fake"] > 0.8
    carry = planted.found.assignment[:, top["dimension"]] == top["id"]
    members = np.flatnonzero(carry & (planted.labels == 1))
    covered = np.stack([coverage(tuple(planted.boxes[i] * 224)) for i in members])
    maps = planted.maps.maps[members, top["dimension"]]
    assert localisation(maps, covered).mean() >= 5
    assert pointing_hits(maps, covered).mean() >= 0.9
    boxes = {one["row"]: one for one in top["exemplars"] if planted.labels[one["row"]] == 1}
    hit = []
    for row, box in boxes.items():
        x0, y0, x1, y1 = planted.boxes[row]
        hit.append(box["x0"] < x1 and box["x1"] > x0 and box["y0"] < y1 and box["y1"] > y0)
    assert np.mean(hit) >= 0.9


@pytest.mark.encoder
def test_impacts_and_bias_sum_to_the_logit(planted: Planted) -> None:
    impacts = planted.map.impacts(planted.embedding)
    logits = planted.map.logits(planted.embedding)
    np.testing.assert_allclose(impacts.sum(axis=1) + planted.map.bias, logits, atol=1e-5)


@pytest.mark.encoder
def test_without_the_pattern_the_verdict_falls_and_without_another_place_it_does_not(
    real_encoder: Encoder, planted: Planted
) -> None:
    rows = np.arange(4)
    found = measure_counterfactuals(
        real_encoder,
        planted.map.logits,
        [planted.images[i] for i in rows],
        planted.boxes[rows],
        how="inpaint",
        places=3,
    )
    np.testing.assert_allclose(found.before[:, 0], planted.map.logits(planted.embedding[rows]), atol=0.02)
    assert (found.change[:, 0] < 0).all()
    assert found.effect.mean() < -3 * abs(found.elsewhere.mean())
    # Four images and four places each: no p-value can be less than 1 in 256.
    assert found.p_value() < 0.01


@pytest.mark.parametrize("how", ["blur", "inpaint", "replace", "mean"])
def test_an_edit_changes_its_region_and_nothing_else(photos: list[tuple[str, Image.Image]], how: Any) -> None:
    image = photos[0][1].resize((224, 224))
    mask = np.zeros((14, 14), dtype=bool)
    mask[3:6, 8:10] = True
    edited = np.asarray(edit_region(image, mask, how, rng=np.random.default_rng(1)))
    inside = mask.repeat(16, axis=0).repeat(16, axis=1)
    before = np.asarray(image)
    assert (edited[~inside] == before[~inside]).all()
    assert (edited[inside] != before[inside]).any(axis=1).mean() > 0.8
    box = edit_region(image, (8 / 14, 3 / 14, 10 / 14, 6 / 14), how, rng=np.random.default_rng(1))
    assert (np.asarray(box) == edited).all()


def test_inpainting_continues_what_surrounds_the_hole() -> None:
    y, x = np.mgrid[:64, :64].astype(np.float32)
    ramp = np.stack([2 * x + y, 3 * y, 100 + 0 * x], axis=-1)
    mask = np.zeros((64, 64), dtype=bool)
    mask[20:36, 24:44] = True
    holed = np.where(mask[..., None], 0, ramp)
    # A linear ramp is harmonic, so the exact continuation is known.
    assert np.abs(inpaint(holed, mask) - ramp)[mask].max() < 6
    assert np.abs(inpaint(holed, np.ones_like(mask)) - holed.mean(axis=(0, 1))).max() < 1e-3


def test_regions_that_are_none_are_refused(photos: list[tuple[str, Image.Image]]) -> None:
    image = photos[0][1].resize((64, 64))
    with pytest.raises(UsageError, match="no pixel"):
        edit_region(image, (0.5, 0.5, 0.5, 0.9))
    with pytest.raises(UsageError, match="how is one of"):
        edit_region(image, (0, 0, 1, 1), "erase")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="box of four"):
        edit_region(image, np.zeros((3, 3)))
