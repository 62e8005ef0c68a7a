"""An evaluation as one record: everything its numbers depend on, and the call that makes them.

`morelli evaluate` makes a `Run` and executes it; `morelli reproduce` reads it back and executes it again.
There is one path from a record to its predictions, so what is recorded is what was done.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from morelli.detectors import Ensemble
from morelli.errors import ArtifactError, UsageError
from morelli.evaluation._detector_specs import (
    bundle_candidates,
    candidates_of,
    distinct,
    images_seen,
    refitted,
    with_kinds,
)
from morelli.evaluation._fit_warnings import noting_fits
from morelli.evaluation._predictions import Predictions
from morelli.evaluation._protocols import evaluate, evaluate_possible
from morelli.evaluation._refits import Candidate
from morelli.evaluation._tables import detector_features, load_labelled
from morelli.evaluation.protocols import ERA, FAMILY, FIXED, LINEAGE, SHORT, SOURCE, UNIVFD

if TYPE_CHECKING:
    from morelli.features import Features

Kind = Literal["features", "robustness", "external", "table"]
Refit = Literal["auto", "always", "never"]


@dataclass(frozen=True)
class Input:
    """One thing that a run reads: what it is for, where it lay, and what it was.

    `digest` (hex) is of the content: a bundle's own hash, the SHA-256 of a predictions file, or that of
    the images' hashes, labels and vectors of a feature table; None for a folder of images.
    """

    role: str
    path: str
    digest: str | None = None


@dataclass(frozen=True)
class Run:
    """What was asked for; `inputs` with role features, train, held_in, bundle, images or predictions.

    more_features: the same images by the other encoders of an ensemble; the digest of features covers them.

    detectors: specs as `candidates_of` reads them. refit: what becomes of bundles that have seen the tested
    images: ``auto`` fits their recipe again on every split, ``never`` scores them as they are.
    perturbation: which one to read where the table holds several; None for the only one.
    """

    kind: Kind = "features"
    inputs: tuple[Input, ...] = ()
    detectors: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    refit: Refit = "auto"
    real_groups: Literal["source", "image"] = "source"
    seed: int = 0
    least: int = 10
    perturbation: str | None = None
    set_column: str = "set"
    external: str | None = None
    external_name: str | None = None
    scores: Literal["probability", "logit"] = "probability"
    label_from: str | None = None
    layout: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    leaks: bool = True
    versions: Mapping[str, str] = field(default_factory=dict)

    def paths(self, role: str) -> list[Path]:
        """Where the inputs of a role lie."""
        return [Path(i.path) for i in self.inputs if i.role == role]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Run:
        """A run out of its JSON; raises ArtifactError where something is missing, or of another type."""
        try:
            given = {f.name: values[f.name] for f in fields(cls) if f.name in values}
            wrong = [name for name, value in given.items() if not _IS_FIELD[name](value)]
            if wrong:
                raise ArtifactError(f"the record of the run is damaged: {', '.join(wrong)} cannot be read")
            given["inputs"] = tuple(Input(**i) for i in given.get("inputs", ()))
            for name in ("detectors", "protocols"):
                given[name] = tuple(given.get(name, ()))
            return cls(**given)
        except (KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"the record of the run is damaged: {error}") from error


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)


def _is_inputs(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(v, Mapping)
        and {"role", "path"} <= set(v) <= {"role", "path", "digest"}
        and all(_is_text_or_none(v[key]) if key == "digest" else _is_text(v[key]) for key in v)
        for v in value
    )


_IS_FIELD: dict[str, Callable[[Any], bool]] = {
    "kind": lambda value: value in get_args(Kind),
    "inputs": _is_inputs,
    "detectors": _is_texts,
    "protocols": _is_texts,
    "refit": lambda value: value in get_args(Refit),
    "real_groups": lambda value: value in ("source", "image"),
    "seed": _is_number,
    "least": _is_number,
    "perturbation": _is_text_or_none,
    "set_column": _is_text,
    "external": _is_text_or_none,
    "external_name": _is_text_or_none,
    "scores": lambda value: value in ("probability", "logit"),
    "label_from": _is_text_or_none,
    "layout": _is_text_or_none,
    "image_column": _is_text_or_none,
    "label_column": _is_text_or_none,
    "leaks": lambda value: isinstance(value, bool),
    "versions": lambda value: isinstance(value, Mapping),
}
"""What the value of each field of a run has to be in a file: a report may come from anybody."""


@dataclass(frozen=True, eq=False)
class Executed:
    """The predictions of a run, the run with what it found out about its inputs, and the features it read."""

    predictions: Predictions
    run: Run
    features: Features | None


def execute(run: Run) -> Executed:
    """Make the predictions that `run` describes.

    Raises ArtifactError for an input that is not there, UsageError for a request that cannot be met.
    """
    run = replace(run, versions=versions())
    if run.kind == "table":
        path = _one(run, "predictions")
        predictions = Predictions.read(path)
        inputs = tuple(
            replace(i, digest=file_digest(path)) if i.role == "predictions" else i for i in run.inputs
        )
        return Executed(predictions, replace(run, inputs=inputs), None)
    if run.kind == "external":
        return Executed(_external(run), run, None)
    if run.kind == "robustness":
        return _robustness(run)
    return _features(run)


def _features(run: Run) -> Executed:
    protocols = [SHORT.get(p, p) for p in run.protocols]
    unknown = sorted(set(protocols) - set(SHORT.values()))
    if unknown:
        raise UsageError(f"unknown protocols {unknown}; choose from {list(SHORT)}")
    if not protocols:
        raise UsageError(f"name at least one protocol: {', '.join(SHORT)}")
    plain = distinct([c for spec in run.detectors for c in candidates_of(spec, seed=run.seed)])
    bundles = {name: bundle for name, (_, bundle) in _bundles(run).items()}
    if not plain and not bundles:
        raise UsageError("no detector to evaluate: give --detector, --bundle, or both")
    features, wanted = detector_features(
        _one(run, "features"), run.paths("more_features"), run.perturbation, plain, bundles.values()
    )
    seen = {name: images_seen(bundle, features) for name, bundle in bundles.items()}
    candidates, made, notes = bundle_candidates(bundles, seen, features, refit=run.refit, seed=run.seed)
    everything = distinct([*plain, *candidates])
    if not everything:
        raise UsageError("; ".join(notes))
    whole = with_kinds(features, made)
    parts, record = [], {}
    held_out = [p for p in protocols if p not in (FIXED, UNIVFD)]
    if held_out:
        with noting_fits(notes):
            done, refused = evaluate_possible(
                whole, everything, held_out, real_groups=run.real_groups, seed=run.seed, least=run.least
            )
        if not done and len(held_out) == len(protocols):
            raise UsageError("; ".join(refused.values()))
        parts += done
        record = {k: v for one in reversed(done) for k, v in one.run.items()}
        notes += [f"{name} cannot be done with these images: {why}" for name, why in refused.items()]
        protocols = [name for name in protocols if name not in refused]
        held_out = [name for name in held_out if name not in refused]
    if FIXED in protocols:
        fixed = [Candidate(name, bundle) for name, bundle in bundles.items()]
        if not fixed:
            raise UsageError("the protocol `fixed` scores bundles as they are: give --bundle")
        parts.append(evaluate(whole, fixed, [FIXED], real_groups=run.real_groups, seed=run.seed))
        record = {**parts[-1].run, **record}
    if UNIVFD in protocols:
        plain_or_fixed = [*plain, *(Candidate(n, b) for n, b in bundles.items())]
        with noting_fits(notes):
            rows, trained = _univfd(run, features, plain_or_fixed, sorted(wanted))
        parts.append(rows)
        record = {**rows.run, **record, "trained_on": trained}
    kept = {k: v for k, v in seen.items() if v is not None}
    record = {
        **record,
        "protocols": protocols,
        "build": features.build.to_json(),
        "delivery": sorted({str(p) for p in features.column("perturbation")}),
        "bundles": {name: bundle.digest for name, bundle in bundles.items()},
        "seen": kept,
        "notes": notes,
    }
    if run.leaks:
        record["leaks"] = leaks(features, held_out, real_groups=run.real_groups, seed=run.seed)
    kinds = sorted(wanted)
    return Executed(Predictions.concat(parts, run=record), _digested(run, features, kinds), features)


def _digested(run: Run, features: Features, kinds: Sequence[str]) -> Run:
    """The run with the digests of what it read."""
    from morelli.evaluation._protocols import features_digest

    result = []
    for one in run.inputs:
        if one.role == "features":
            result.append(replace(one, digest=features_digest(features, kinds)))
        elif one.role in ("train", "held_in"):
            part = load_labelled(Path(one.path), kinds, None)
            result.append(replace(one, digest=features_digest(part, kinds)))
        elif one.role == "bundle":
            result.append(replace(one, digest=_bundle_at(one.path).digest))
        else:
            result.append(one)
    return replace(run, inputs=tuple(result))


def _univfd(
    run: Run, test: Features, candidates: Sequence[Candidate], kinds: Sequence[str]
) -> tuple[Predictions, list[str] | None]:
    """UnivFD's protocol, and the generators that the detectors were trained on (None: not known)."""
    from morelli.evaluation._univfd_protocol import univfd

    if all(c.fixed for c in candidates) and not run.paths("train"):
        nothing = test.take(np.empty(0, dtype=np.int64))
        rows = univfd(nothing, test, candidates, held_in=nothing, set_column=run.set_column, seed=run.seed)
        return rows, _published_training(candidates)
    train = load_labelled(_one(run, "train"), kinds, None)
    inside = run.paths("held_in")
    held_in: Any = load_labelled(inside[0], kinds, None) if inside else 0.2
    rows = univfd(train, test, candidates, held_in=held_in, set_column=run.set_column, seed=run.seed)
    names = train.column("generator")[train.labels == 1]
    return rows, sorted({str(n) for n in names if n is not None})


def _published_training(candidates: Sequence[Candidate]) -> list[str] | None:
    known = {str(c.detector.recipe.get("estimator", "")) for c in candidates}
    return ["progan"] if known == {"UnivFD published head"} else None


def _robustness(run: Run) -> Executed:
    from morelli.evaluation._protocols import features_digest
    from morelli.evaluation._robustness import sweep
    from morelli.features import FeatureTable

    plain = distinct([c for spec in run.detectors for c in candidates_of(spec, seed=run.seed)])
    bundles = {name: bundle for name, (_, bundle) in _bundles(run).items()}
    if not plain and not bundles:
        raise UsageError("no detector to evaluate: give --detector, --bundle, or both")
    if joined := [name for name, bundle in bundles.items() if isinstance(bundle, Ensemble)]:
        raise UsageError(
            f"{', '.join(joined)}: a sweep reads one table of one encoder, an ensemble needs several; "
            "evaluate it with `morelli evaluate run`, or sweep its members"
        )
    table = FeatureTable.open(_one(run, "features"))
    kinds = sorted({k for c in plain for k in c.kinds} | {k for b in bundles.values() for k in b.kinds})
    clean = table.load(kinds, where="perturbation = '' AND label IS NOT NULL")
    if not len(clean):
        raise UsageError(
            f"{table.path} has no clean images (perturbation '') with a label, which a sweep starts from"
        )
    seen = {name: images_seen(bundle, clean) for name, bundle in bundles.items()}
    made = {
        name: refitted(bundle, f"{name} refitted", clean.vectors, seed=run.seed)
        for name, bundle in bundles.items()
        if not isinstance(bundle, Ensemble)
        if run.refit == "always" or (run.refit == "auto" and seen[name])
    }
    for name, (_, extra) in made.items():
        if extra:
            raise UsageError(f"{name} scales joined features, which a sweep cannot refit; use --refit never")
    candidates = [made[n][0] if n in made else Candidate(n, b) for n, b in bundles.items()]
    predictions = sweep(table, distinct([*plain, *candidates]), seed=run.seed)
    every = table.load(kinds)
    notes = [f"{n} has seen these images, so its recipe was fitted again in every fold" for n in made]
    if left_out := predictions.run.get("left_out", {}):
        lacking = ", ".join(f"{spec} ({count:,})" for spec, count in left_out.items())
        notes.append(
            f"images without features under a delivery are in none, so that all are of the same: {lacking}"
        )
    record = {
        **predictions.run,
        "protocols": ["robustness"],
        "candidates": {c.name: c.describe() for c in [*plain, *candidates]},
        "features": features_digest(every, kinds),
        "bundles": {name: bundle.digest for name, bundle in bundles.items()},
        "seen": {k: v for k, v in seen.items() if v is not None},
        "notes": notes,
    }
    predictions = Predictions(predictions.table, record)
    inputs = [
        replace(i, digest=features_digest(every, kinds))
        if i.role == "features"
        else replace(i, digest=_bundle_at(i.path).digest)
        if i.role == "bundle"
        else i
        for i in run.inputs
    ]
    return Executed(predictions, replace(run, inputs=tuple(inputs)), clean)


def _external(run: Run) -> Predictions:
    from morelli.evaluation._external import predict_external
    from morelli.images import iter_source

    if not run.external:
        raise UsageError("an external run needs the command that scores images")
    label_from: Any = run.label_from
    items = iter_source(
        [str(p) for p in run.paths("images")],
        label_from=label_from,
        layout=run.layout,
        image_column=run.image_column,
        label_column=run.label_column,
    )
    rows = predict_external(run.external, items, name=run.external_name, scores=run.scores)
    record = {"morelli": versions()["morelli"], "protocols": ["external"], "command": run.external}
    return Predictions(rows.table, record)


def leaks(
    features: Features, protocols: Sequence[str], *, real_groups: Any = "source", seed: int = 0
) -> dict[str, dict[str, int]]:
    """What of each protocol's test images stands on its training side too, summed over splits, by reason.

    Only protocols whose splits keep lineages apart are looked at; the matrix trains on half of a generator on
    purpose. `lineage` and `source` count test images of a name that is in training.
    """
    from morelli.audit import leak_report
    from morelli.evaluation import _splits

    makers = {
        LINEAGE: lambda: _splits.lineage_splits(features, real_groups=real_groups, seed=seed),
        FAMILY: lambda: _splits.family_splits(features, real_groups=real_groups, seed=seed),
        ERA: lambda: _splits.era_splits(features, real_groups=real_groups, seed=seed),
        SOURCE: lambda: _splits.source_splits(features, seed=seed),
    }
    kind = "final" if "final" in features.vectors else None
    result: dict[str, dict[str, int]] = {}
    for protocol in protocols:
        if protocol not in makers:
            continue
        counts: dict[str, int] = {"splits": 0}
        for split in makers[protocol]():
            found = leak_report(
                features, split.train, split.test, kind=kind, source=real_groups == "source", max_pairs=0
            )
            counts["splits"] += 1
            for reason, n in found.counts.items():
                counts[reason] = counts.get(reason, 0) + n
        result[protocol] = counts
    return result


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    from platform import python_version

    from morelli._version import __version__

    found = {"morelli": __version__, "python": python_version()}
    for name in ("numpy", "scipy", "scikit-learn", "pyarrow", "pylance"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from error


def _one(run: Run, role: str) -> Path:
    found = run.paths(role)
    if not found:
        hint = {"train": "; the protocol univfd needs --train TABLE, the one generator to learn from"}
        raise UsageError(f"this evaluation needs {role}{hint.get(role, '')}")
    return found[0]


def _bundle_at(path: str) -> Bundle | Ensemble:
    from morelli.detectors import default_bundle_path, load_detector

    return load_detector(default_bundle_path() if path == "default" else path)


def _bundles(run: Run) -> dict[str, tuple[str, Bundle | Ensemble]]:
    """Bundles by the name that tables show: their own, and their folder's where two share it."""
    loaded = [(i.path, _bundle_at(i.path)) for i in run.inputs if i.role == "bundle"]
    names = [b.name for _, b in loaded]
    result: dict[str, tuple[str, Bundle | Ensemble]] = {}
    for path, bundle in loaded:
        name = bundle.name if names.count(bundle.name) == 1 else f"{bundle.name} ({Path(path).name})"
        if name in result:
            raise UsageError(f"two bundles are called {name}; give one of them only")
        result[name] = (path, bundle)
    return result


if TYPE_CHECKING:
    from morelli.detectors import Bundle
