"""Carrying a recipe out: collect, align, extract, fit, evaluate; each step recognised and resumed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.artefacts import dump_json, locked, read_json, write_file
from morelli.artefacts.schema import check_schema
from morelli.artefacts.text import markdown_page
from morelli.errors import ArtifactError, UsageError
from morelli.recipes._collect import MANIFEST, collect
from morelli.recipes._page import page
from morelli.recipes._shards import shards_of
from morelli.recipes._steps import Step, Steps, file_hash, short_digest
from morelli.recipes.plans import Collection, Plan

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.encoders import Encoder
    from morelli.features import FeatureTable

RECORD, PAGE = "recipe.json", "RECIPE.md"
_WORK = "work"
_ORIGIN = "origin.json"
_READ = ("sha256", "perturbation", "label", "generator", "lineage", "source", "era")
"""Columns of a table that a fit reads: besides the label what is kept together, named, and dated."""

OnProgress = Callable[[str, int, int | None], None]
"""Called with what is being done, how many are done, and of how many where that is known."""


@dataclass(frozen=True)
class Outcome:
    """What a recipe made.

    Attributes:
        folder: with ``bundle/``, ``report/``, ``RECIPE.md``, ``recipe.json`` and the steps' own ``work/``.
        bundle: the detector.
        steps: in their order; `ran` is False for those that were recognised.
    """

    folder: Path
    bundle: Bundle
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class _Job:
    """What every step of a run needs."""

    plan: Plan
    folder: Path
    steps: Steps
    seed: int
    command: str
    workers: int | None
    on_progress: OnProgress


def run_plan(
    plan: Plan,
    out: str | Path,
    *,
    encoder: Encoder,
    data: Mapping[str, Path] | None = None,
    fetch: bool = False,
    seed: int = 0,
    command: str = "",
    workers: int | None = None,
    on_step: Callable[[str, bool], None] | None = None,
    on_progress: OnProgress | None = None,
) -> Outcome:
    """Build a detector as a recipe says, into a folder.

    The folder gets ``bundle/`` (with its model card), ``report/``, ``RECIPE.md``, ``recipe.json`` and
    ``work/``, where each step keeps its output. A run that was ended is carried on; a step whose inputs and
    output are unchanged is not done again. ``bundle/`` and ``report/`` are replaced whole or not at all.

    Args:
        plan: from `morelli.recipes.plans.plan`.
        out: a new folder, or one of an earlier run.
        encoder: from `load_encoder`; it need not be the one that the plan names.
        data: collection's name → folder on this machine that has it, instead of the hub.
        fetch: whether the hub may be asked for collections.
        seed: of the parts that are taken, of folds and of draws.
        command: how it was called, for the records.
        workers: threads that read and decode.
        on_step: called with a step's name, and whether an earlier run's output was recognised.
        on_progress: called while a step runs.

    Raises:
        UsageError: a collection is not at hand and may not be fetched, or `out` holds something else.
        SourceError: a collection cannot be read.
    """
    folder = _checked_folder(Path(out))
    given = _known_data(plan, data or {})
    (folder / _WORK).mkdir(parents=True, exist_ok=True)
    with locked(folder / RECORD):
        steps = Steps(folder / _WORK, on_step or (lambda name, again: None))
        on_progress = on_progress or (lambda what, done, total: None)
        job = _Job(plan, folder, steps, seed, command, workers, on_progress)
        manifests = [_collect(job, one, given.get(one.name), fetch=fetch) for one in plan.collections]
        aligned = _align(job, manifests)
        table = _extract(job, aligned, encoder)
        bundle = _fit(job, table, encoder)
        _evaluate(job, table, aligned)
        record = {
            "format": "morelli-recipe-run",
            "version": 1,
            "name": plan.name,
            "plan": dict(plan.document),
            "seed": seed,
            "command": command,
            "build": encoder.build.to_json(),
            "steps": [step.to_json() for step in steps.finished],
        }
        write_file(folder / PAGE, markdown_page(page(plan, encoder, bundle, steps.finished)), lock=False)
        write_file(folder / RECORD, dump_json(record, indent=1), lock=False)
    return Outcome(folder, bundle, tuple(steps.finished))


def feature_kinds(plan: Plan, encoder: Encoder) -> tuple[str, ...]:
    """The kinds that a recipe reads of this encoder: `final`, and class and mean tokens of some blocks.

    The recipe gives the blocks as shares of the depth, since encoders differ in theirs; encoders without a
    class token give the mean alone.
    """
    rule, layers = plan.features, encoder.layers
    first, last = max(1, ceil(rule["first"] * layers)), max(1, floor(rule["last"] * layers))
    names = ("layer", "mean") if encoder.card.class_token else ("mean",)
    blocks = sorted({round(float(block)) for block in np.linspace(first, last, int(rule["blocks"]))})
    return ("final", *(f"{name}:{block}" for name in names for block in blocks))


def _checked_folder(folder: Path) -> Path:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder for what the recipe makes.")
    own = (folder / RECORD).is_file() or (folder / _WORK).is_dir()
    if folder.is_dir() and any(folder.iterdir()) and not own:
        raise UsageError(f"{folder} holds something else than a recipe's results; name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _known_data(plan: Plan, data: Mapping[str, Path]) -> dict[str, Path]:
    names = [one.name for one in plan.collections]
    unknown = sorted(set(data) - set(names))
    if unknown:
        raise UsageError(f"{plan.name} has no collection {', '.join(unknown)}; it has {', '.join(names)}.")
    return dict(data)


def _collect(job: _Job, collection: Collection, data: Path | None, *, fetch: bool) -> Path:
    """Take a collection's part; its manifest."""
    place = "hub" if data is None else _state_of(data)
    inputs = {"collection": collection, "seed": job.seed, "place": place}
    slug = re.sub(r"[^a-z0-9]+", "-", collection.name.lower()).strip("-") or "collection"
    folder = job.steps.folder / f"collect-{slug}-{short_digest(inputs)}"
    manifest = folder / MANIFEST

    def work() -> tuple[str, Mapping[str, Any]]:
        shards = shards_of(collection, data, fetch=fetch, commit=_commit(folder))
        folder.mkdir(parents=True, exist_ok=True)
        # A run that is carried on stays with the state of the repository that it began with.
        write_file(folder / _ORIGIN, dump_json({"origin": shards.origin}), lock=False)
        what = f"taking {collection.name}"
        taken = collect(
            collection,
            shards,
            folder,
            seed=job.seed,
            on_progress=lambda done, total: job.on_progress(what, done, total),
        )
        generators = {row["generator"] for row in taken.rows if row["label"] == "fake"} - {""}
        sources = {row["source"] for row in taken.rows if row["label"] == "real"} - {""}
        facts = {
            "collection": collection.name,
            "origin": shards.origin,
            "licence": collection.licence,
            "real": taken.labels["real"],
            "fake": taken.labels["fake"],
            "generators": len(generators),
            "sources": len(sources),
            "failed": taken.failed,
        }
        return str(file_hash(manifest)), facts

    job.steps.run(f"collect-{slug}", inputs, work, lambda: file_hash(manifest))
    return manifest


def _commit(folder: Path) -> str | None:
    """The commit of the repository that an earlier run began with."""
    path = folder / _ORIGIN
    if not path.is_file():
        return None
    found = read_json(path, what="recipe's folder")
    check_schema(found, {"origin": str}, path)
    origin: str = found["origin"]
    return origin.rpartition("@")[2] if origin.startswith("hub:") else None


def _state_of(data: Path) -> str:
    """A hash of the names, sizes and times below a folder, so that a changed folder is read again."""
    if not data.is_dir():
        raise UsageError(f"{data} is no folder.")
    state = hashlib.sha256(str(data.resolve()).encode("utf-8", "surrogateescape"))
    for root, folders, names in os.walk(data):
        folders.sort()
        for name in sorted(names):
            path = Path(root, name)
            try:
                stat = path.stat()
            except OSError:
                continue
            line = f"{path.relative_to(data)}\0{stat.st_size}\0{stat.st_mtime_ns}\n"
            state.update(line.encode("utf-8", "surrogateescape"))
    return state.hexdigest()


def _align(job: _Job, manifests: Sequence[Path]) -> Path:
    """Deliver both classes alike; the manifest of the copies."""
    from morelli.audit import AlignRecipe, align

    recipe = AlignRecipe(side=int(job.plan.align["side"]), quality=int(job.plan.align["quality"]))
    inputs = {"manifests": [file_hash(path) for path in manifests], "align": recipe.id}
    folder = job.steps.folder / f"align-{short_digest(inputs)}"

    def work() -> tuple[str, Mapping[str, Any]]:
        made = align(
            [str(path) for path in manifests],
            folder,
            recipe,
            workers=job.workers,
            progress=lambda done, total: job.on_progress("aligning", done, total),
        )
        facts = {
            "recipe": recipe.id,
            "copies": made.written + made.reused,
            "failed": len(made.failed),
        }
        return str(file_hash(made.manifest)), facts

    job.steps.run("align", inputs, work, lambda: file_hash(folder / MANIFEST))
    return folder / MANIFEST


def _extract(job: _Job, manifest: Path, encoder: Encoder) -> FeatureTable:
    """Run the copies through the encoder once."""
    from morelli.features import FeatureTable, extract

    kinds = feature_kinds(job.plan, encoder)
    inputs = {"manifest": file_hash(manifest), "build": encoder.build.fingerprint, "kinds": kinds}
    path = job.steps.folder / f"features-{short_digest(inputs)}.lance"

    def output() -> str | None:
        try:
            return _rows_hash(FeatureTable.open(path)) if path.exists() else None
        except ArtifactError:
            return None

    def advance(done: int, total: int | None, skipped: int, failed: int) -> None:
        job.on_progress("extracting", done + skipped + failed, total)

    def work() -> tuple[str, Mapping[str, Any]]:
        report = extract(
            str(manifest),
            path,
            encoder=encoder,
            kinds=kinds,
            dtype="float32",
            workers=job.workers,
            progress=advance,
        )
        table = FeatureTable.open(path)
        return _rows_hash(table), {"rows": len(table), "failed": len(report.failed), "kinds": kinds}

    job.steps.run("extract", inputs, work, output)
    return FeatureTable.open(path)


def _rows_hash(table: FeatureTable) -> str:
    """SHA-256 over the content, perturbation, label and origin of every row, in any order."""
    rows = table.metadata(_READ).to_pylist()
    lines = sorted(dump_json([row[name] for name in _READ]) for row in rows)
    return hashlib.sha256(b"".join(lines)).hexdigest()


def _fit(job: _Job, table: FeatureTable, encoder: Encoder) -> Bundle:
    """Fit and calibrate the detector, and write its bundle."""
    from morelli.detectors import Bundle, Recipe, fit_bundle
    from morelli.evaluation import versions

    plan, folder = job.plan, job.folder / "bundle"
    kinds = feature_kinds(plan, encoder)
    licences = "; ".join(f"{one.name}: {one.licence}" for one in plan.collections)
    recipe = Recipe(
        name=plan.name,
        kinds=kinds,
        estimator=_estimator(plan, job.seed),
        bank_kinds=("final",),
        fpr=float(plan.fit["fpr"]),
        miss_rate=float(plan.fit["miss_rate"]),
        new_groups=bool(plan.fit["new_groups"]),
        n_folds=int(plan.fit["folds"]),
        seed=job.seed,
        licence=f"Fitted on images of {licences}. Encoder: {encoder.card.licence}.",
        notes=(f"Made by the recipe {plan.name}: {plan.title}.", plan.unmeasured),
    )
    inputs = {
        "rows": _rows_hash(table),
        "build": encoder.build.fingerprint,
        "recipe": recipe.to_json(),
        "licence": recipe.licence,
        "notes": recipe.notes,
        "morelli": versions()["morelli"],
    }

    def output() -> str | None:
        try:
            return Bundle.load(folder).digest if folder.exists() else None
        except ArtifactError:
            return None

    def work() -> tuple[str, Mapping[str, Any]]:
        features = table.load(kinds=list(kinds), where="label IS NOT NULL")
        made = fit_bundle(features, recipe, command=job.command).bundle
        made.save(folder, overwrite=True)
        figures = {name: made.metrics[name] for name in ("auc", "tpr_at_5_percent_fpr", "ece")}
        return str(Bundle.load(folder).digest), {"figures": figures, "training": made.training["hash"]}

    job.steps.run("fit", inputs, work, output)
    return Bundle.load(folder)


def _estimator(plan: Plan, seed: int) -> Any:
    from morelli.detectors import ExpertProbe, LinearProbe, NearestNeighborDetector

    name = plan.fit["detector"]
    if name == "neighbors":
        return NearestNeighborDetector(k=int(plan.fit.get("k", 5)))
    if name == "experts":
        return ExpertProbe(tuple(int(year) for year in plan.fit.get("years", [2023])), random_state=seed)
    return LinearProbe(random_state=seed)


def _evaluate(job: _Job, table: FeatureTable, manifest: Path) -> None:
    """Measure the recipe by protocols, beside file facts, and write the report."""
    from morelli.artefacts import check_results
    from morelli.audit import audit
    from morelli.evaluation import Input, MeasureOptions, Run, execute
    from morelli.images import iter_source
    from morelli.reports import report_folder, write_report

    report = job.folder / "report"
    inputs = {
        "rows": _rows_hash(table),
        # Not the bundle's own digest: that holds the time at which it was written.
        "fit": short_digest(job.steps.finished[-1].inputs),
        "manifest": file_hash(manifest),
        "protocols": job.plan.evaluate,
        "seed": job.seed,
    }

    def output() -> str | None:
        try:
            if report.is_dir():
                check_results(report)
        except ArtifactError:
            return None
        return file_hash(report / "report.json")

    def work() -> tuple[str, Mapping[str, Any]]:
        report_folder(report)
        job.on_progress("auditing", 0, None)
        found = audit(str(manifest), seed=job.seed)
        run = Run(
            kind="features",
            inputs=(Input("features", str(table.path)), Input("bundle", str(job.folder / "bundle"))),
            protocols=job.plan.evaluate,
            seed=job.seed,
        )
        written = write_report(
            execute(run),
            report,
            options=MeasureOptions(seed=job.seed),
            name=job.plan.title,
            command=job.command,
            images=lambda: list(iter_source(str(manifest))),
            audit=found.to_json(),
            progress=lambda what: job.on_progress(what, 0, None),
        )
        facts = {
            "predictions": written.predictions_sha256,
            "file_facts_auc": None if found.baseline is None else found.baseline.auc,
        }
        return str(file_hash(report / "report.json")), facts

    job.steps.run("evaluate", inputs, work, output)
