"""A bundle whose recipe cannot be fitted on the tested images is left out with its reason."""

from __future__ import annotations

import numpy as np
import pytest

from morelli.detectors import Bundle, default_bundle_path
from morelli.evaluation._detector_specs import bundle_candidates
from morelli.features import Features


@pytest.mark.parametrize("eras", [[None, None, None, None], [None, None, "2019", "2025"]])
def test_experts_without_an_era_are_left_out_and_the_rest_goes_on(eras: list[str | None]) -> None:
    bundle = Bundle.load(default_bundle_path())
    rng = np.random.default_rng(0)
    vectors = {
        kind: rng.normal(size=(4, 512 if kind == "final" else 768)).astype(np.float32)
        for kind in bundle.kinds
    }
    features = Features.from_arrays(vectors, labels=[0, 0, 1, 1], era=eras, build=bundle.build)
    candidates, made, notes = bundle_candidates(
        {"default": bundle}, {"default": 4}, features, refit="always", seed=0
    )
    if eras[2] is None:
        assert (candidates, made) == ([], {})
        assert "fitted on 4 of these 4 images" in notes[0]
        assert "generators of before and after 2023" in notes[0] and "--refit never" in notes[0]
    else:
        assert [one.name for one in candidates] == ["default refitted"]
