"""What is evaluated: detectors by a short name (``knn:1,3,5,9``, ``probe@layer:8+final``), and bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.detectors import Ensemble
from morelli.errors import UsageError
from morelli.evaluation._refits import Candidate

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.features import Features

FORMS = "knn:1,3,5,9 (or knn-majority:5), probe, univfd; with @layer:8+final for other feature kinds"


def candidates_of(spec: str, *, seed: int = 0) -> list[Candidate]:
    """The detectors that `spec` names.

    ``knn:K[,K…]`` nearest neighbours by mean similarity, ``knn-majority:K`` by majority vote, ``probe`` a
    logistic regression whose C is chosen inside each training set, ``univfd`` the paper's own training of
    its linear layer. ``@KIND[+KIND…]`` names the feature kinds, `final` without it.

    >>> [c.name for c in candidates_of("knn:1,3")], candidates_of("probe@layer:8+final")[0].kinds
    (['knn:1', 'knn:3'], ('layer:8', 'final'))
    """
    from morelli.detectors import LinearProbe, NearestNeighborDetector, UnivFDProbe

    base, _, where = spec.partition("@")
    kinds = tuple(where.split("+")) if where else ("final",)
    name, _, argument = base.partition(":")
    suffix = f"@{where}" if where else ""
    if name in ("knn", "knn-majority"):
        voting: Any = "majority" if name == "knn-majority" else "mean_similarity"
        return [
            Candidate(f"{name}:{k}{suffix}", NearestNeighborDetector(k=k, voting=voting), kinds)
            for k in _numbers(argument or "5", spec)
        ]
    if name == "probe" and not argument:
        return [Candidate(f"probe{suffix}", LinearProbe(random_state=seed), kinds)]
    if name == "univfd" and not argument:
        return [Candidate(f"univfd{suffix}", UnivFDProbe(random_state=seed), kinds)]
    raise UsageError(f"no detector is called {spec!r}; choose {FORMS}")


def _numbers(text: str, spec: str) -> list[int]:
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or min(values) < 1:
        raise UsageError(f"{spec!r} needs whole numbers from 1 on after the colon, such as knn:1,3,5,9")
    return values


def images_seen(bundle: Bundle | Ensemble, features: Features) -> int | None:
    """How many of the images a bundle was fitted on, as far as its bank tells; None if it cannot tell."""
    from morelli.detectors import training_hash

    sha = features.column("sha256").astype(str)
    seen = None
    members = bundle.members if isinstance(bundle, Ensemble) else (bundle,)
    ids = [one.bank.ids for one in members if one.bank is not None]
    if ids:
        seen = int(np.isin(sha, np.concatenate([np.asarray(one, dtype=str) for one in ids])).sum())
    if not seen and bundle.training.get("hash") == training_hash(sha, features.labels):
        return len(features)
    return seen


def refitted(
    bundle: Bundle, name: str, vectors: Mapping[str, Any], *, seed: int = 0
) -> tuple[Candidate, dict[str, Any]]:
    """The bundle's recipe as a detector that every split fits again, and feature kinds that it needs made.

    vectors: kind → (n, d). A recipe that scales an image's joined features to unit length reads a kind of
    its own, which the second value holds. Calibration and thresholds are not refitted: they are part of
    the bundle and not of its ranking.

    Raises UsageError for a bundle without a recipe that can be fitted (an imported head).
    """
    from morelli.detectors import Recipe

    try:
        estimator = Recipe.from_json(bundle.recipe).estimator
    except UsageError as error:
        raise UsageError(
            f"the bundle {name} has no recipe that could be fitted without the tested images "
            f"(its estimator: {bundle.recipe.get('estimator')}); evaluate it as it is on images that it has "
            "not seen"
        ) from error
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=seed)
    kinds = tuple(bundle.head_kinds or bundle.kinds)
    if not bundle.unit:
        return Candidate(name, estimator, kinds), {}
    joined = np.concatenate([np.asarray(vectors[k]).reshape(len(vectors[k]), -1) for k in kinds], axis=1)
    length = np.linalg.norm(joined, axis=1, keepdims=True)
    unit = np.divide(joined, length, out=np.zeros_like(joined), where=length > 0)
    kind = f"unit({'+'.join(kinds)})"
    return Candidate(name, estimator, (kind,)), {kind: unit}


def bundle_candidates(
    bundles: Mapping[str, Bundle | Ensemble],
    seen: Mapping[str, int | None],
    features: Features,
    *,
    refit: str,
    seed: int,
) -> tuple[list[Candidate], dict[str, Any], list[str]]:
    """What becomes of each bundle: candidates, the kinds that they need made, and notes for the reader.

    seen: images of `features` that each was fitted on, None where it does not say. refit: ``auto``,
    ``always`` or ``never``, see `Run`. A bundle that cannot be fitted again is left out, with a note.
    """
    candidates: list[Candidate] = []
    made: dict[str, Any] = {}
    notes: list[str] = []
    for name, bundle in bundles.items():
        known = seen[name]
        if refit == "always" or (refit == "auto" and known):
            obstacle = _obstacle_to_refit(bundle, features)
            if isinstance(bundle, Ensemble) or obstacle is not None:
                notes.append(
                    f"{name} was fitted on {known or 'none'} of these {len(features)} images and cannot be "
                    f"fitted without them ({obstacle}), so it is left out; --refit never scores it as it is"
                )
                continue
            candidate, extra = refitted(bundle, f"{name} refitted", features.vectors, seed=seed)
            candidates.append(candidate)
            made |= extra
            notes.append(
                f"{name} was fitted on {known or 'none'} of these {len(features)} images, so its recipe was "
                f"fitted again on the training side of every split ({candidate.name}); calibration and "
                "thresholds of the bundle do not enter these figures"
            )
            continue
        candidates.append(Candidate(name, bundle))
        if known:
            notes.append(
                f"{name} was fitted on {known} of these {len(features)} images and scored as it is: "
                "its figures are not held out"
            )
        elif known is None:
            notes.append(f"{name} does not say which images it was fitted on; it was scored as it is")
    return candidates, made, notes


def _obstacle_to_refit(bundle: Bundle | Ensemble, features: Features) -> str | None:
    """Why an ensemble, or a bundle of experts, cannot be fitted on these images; None where it can."""
    from morelli.detectors import ExpertProbe

    if isinstance(bundle, Ensemble):
        return "`morelli ensemble` measures an ensemble held out; its model card has the figures"
    if bundle.recipe.get("estimator") != "ExpertProbe":
        return None
    years = tuple(int(year) for year in bundle.recipe.get("parameters", {}).get("years", ()))
    try:
        ExpertProbe(years).expert_names(features.labels, features.column("era").tolist())
    except UsageError:
        spans = ", ".join(str(year) for year in years)
        return f"it needs generators of before and after {spans}, which the column era would tell apart"
    return None


def with_kinds(features: Features, extra: Mapping[str, Any]) -> Features:
    """The features with further kinds beside their own."""
    return replace(features, vectors={**features.vectors, **extra}) if extra else features


def distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates; UsageError where two share a name."""
    names = [c.name for c in candidates]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UsageError(f"two detectors are called {', '.join(twice)}; name each once")
    return list(candidates)
