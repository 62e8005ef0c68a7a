"""Make the distilled map and the forget-to-spell projection that Morelli ships, and the page about them.

    python scripts/default_distilled.py TABLE [TABLE …] --work FOLDER

Each TABLE holds the features `final` of one delivery of the same labelled images, whose files can still be
read where it says, such as `std.lance` and `raw.lance` that `default_bundle.py --work` makes. Words are drawn
on photographs of the first. Features of pictures with words are kept in FOLDER, so an interrupted run goes on
where it was.

Kept apart for the test of forget-to-spell: words, typefaces and whole sources of photographs. The projection
that ships is the one that was tested. Its size is half the embedding, as in ASAP; the weight of invariance
was chosen by these figures (0.1 to 30 were tried), the rest of the distiller was not touched.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from default_bundle import LEFT_OUT
from numpy.typing import NDArray

from morelli.atlas.distiller import DistilledMap, Distiller
from morelli.atlas.distiller._cross import cross_distil
from morelli.atlas.distiller._overlay_features import overlay_features
from morelli.atlas.distiller._overlays import Overlays
from morelli.atlas.distiller._spelling import Spelling
from morelli.audit import metadata_only_auc
from morelli.detectors import LinearProbe, cross_fit, fit_calibration, grouped_folds
from morelli.encoders import Encoder, encoder_for_build
from morelli.evaluation import MeasureOptions, Predictions, measure
from morelli.features import Features, FeatureTable
from morelli.images import decode, iter_source, perturbation

TESTED = ("coco", "ade20k", "art-style-images", "urban100")
"""Real sources whose photographs the estimate does not see."""
ESTIMATE, TEST, CHUNK = 540, 120, 40
FIGURES = {"auc": "AUC", "average_precision": "AP", "tpr_at_0.05_fpr": "found at 5 % false alarms"}
WAYS = ("without forget-to-spell", "projection", "projection and invariance")
Floats = NDArray[Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Encode what is missing, estimate, measure, fit, write map, projection and page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True, help="folder of features with words")
    parser.add_argument("--out", type=Path, default=Path("src/morelli/atlas/distiller/default_map"))
    parser.add_argument("--page", type=Path, default=Path("docs/distiller.md"))
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)

    parts = [without_left_out(FeatureTable.open(path).load(kinds=["final"])) for path in options.tables]
    words = Words.of(parts[0], options.work)
    # Features in bfloat16 are of the same build, as in the default bundle.
    parts = [replace(part, build=replace(part.build, dtype="float32")) for part in parts]
    first = parts[0]
    spelling = words.spelling(first)
    plain = Spelling(spelling.basis, record=spelling.record)
    ways = dict(zip(WAYS, (None, plain, spelling), strict=True))
    tested = words.test(first, ways)
    print(*tested, sep="\n", flush=True)

    X, y, groups = first.matrix("final"), first.labels.astype(int), first.groups()
    probe = cross_fit(LinearProbe(C="cv"), X, y, groups, 5, 0)
    ranked = [row("linear probe", first, probe.logits)]
    print(ranked[-1], flush=True)
    for name in WAYS:
        ranked.append(row(f"distiller, {name}", first, words.out_of_fold(first, first, name)))
        print(ranked[-1], flush=True)
    seen = cross_distil(Distiller(spelling=spelling), X, y, groups)
    ranked.append(row("the last, had its projection seen the photographs of the fold", first, seen.logits))
    print(ranked[-1], flush=True)

    views = Features.concat([part.take(np.arange(len(part))) for part in parts])
    y = views.labels.astype(int)
    logits = words.out_of_fold(first, views, WAYS[-1])
    fitted = Distiller(spelling=spelling).fit(views.matrix("final"), y, groups=views.groups())
    deliveries = views.column("perturbation")
    shipped = []
    for name in sorted(set(deliveries)):
        rows = np.flatnonzero(deliveries == name)
        shipped.append(row(name or "as they are", views.take(rows), logits[rows]))
    print(*shipped, sep="\n", flush=True)
    base = metadata_only_auc(first, first.groups(), folds=8)
    files = f"AUC {base.auc:.3f} [{base.interval[0]:.3f}, {base.interval[1]:.3f}]"
    made = fitted.to_map(
        views.build,
        "final",
        calibration=fit_calibration(logits, y),
        record={
            "command": "python scripts/default_distilled.py",
            "deliveries": sorted(set(deliveries)),
            "images": [int((y == 0).sum()), int((y == 1).sum())],
            "held_out": shipped,
            "format_and_size_alone": files,
            "words": tested,
            "spelling": dict(spelling.record),
            "stability": [round(float(v), 3) for v in fitted.stability_],
        },
    )
    made.save(options.out)
    spelling.save(options.out, views.build, "final")
    options.page.write_text(page(made, tested, ranked, shipped, files, len(y)), encoding="utf-8")


def without_left_out(features: Features) -> Features:
    """Without the photographs that the demo and the tests judge."""
    return features.take(np.flatnonzero(~np.isin(features.column("source").astype(str), LEFT_OUT)))


class Words:
    """Features of photographs without, with words, and with blocks; those of the estimate and of the test."""

    def __init__(self, rows: dict[str, NDArray[np.int64]], features: dict[str, Floats]) -> None:
        self.rows, self.features = rows, features

    @classmethod
    def of(cls, features: Features, work: Path) -> Words:
        """Encode what `work` lacks."""
        source, real = features.column("source"), features.labels == 0
        rng = np.random.default_rng(0)
        held = np.isin(source, TESTED)
        rows = {
            "est": rng.permutation(np.flatnonzero(real & ~held))[:ESTIMATE],
            "test": rng.permutation(np.flatnonzero(real & held))[:TEST],
        }
        overlays = dict(zip(("est", "test"), Overlays().split(np.random.default_rng(0)), strict=True))
        encoder: Encoder | None = None
        found = {}
        for seed, part in enumerate(("est", "test"), start=1):
            for sign, letters in (("w", True), ("b", False)):
                pieces = []
                for start in range(0, len(rows[part]), CHUNK):
                    file = work / f"{part}{sign}-{start}.npz"
                    some = rows[part][start : start + CHUNK]
                    if not file.is_file():
                        encoder = encoder or encoder_for_build(features.build)
                        moved = overlay_features(
                            encoder,
                            (picture(uri) for uri in features.column("uri")[some]),
                            overlays[part],
                            letters=letters,
                            delivery=delivery(features),
                            seed=1000 * seed + start,
                        )
                        np.savez(file, rows=some, X=moved)
                    with np.load(file, allow_pickle=False) as kept:
                        if not np.array_equal(kept["rows"], some):
                            raise SystemExit(f"{file} is of other photographs; name another --work")
                        pieces.append(kept["X"])
                found[part + sign] = np.concatenate(pieces)
        return cls(rows, found)

    def spelling(self, features: Features, known: NDArray[np.bool_] | None = None) -> Spelling:
        """The closed form from the estimate's part; N from all images but the sources of the test.

        known: (n,) rows that may be looked at; all when None.
        """
        X = features.matrix("final")
        known = np.ones(len(X), dtype=bool) if known is None else known
        some = known[self.rows["est"]]
        return Spelling.from_overlays(
            X[self.rows["est"][some]],
            self.features["estw"][some],
            self.features["estb"][some],
            natural=X[known & ~np.isin(features.column("source"), TESTED)],
            record={"held_out_sources": list(TESTED)},
        )

    def out_of_fold(self, features: Features, views: Features, way: str) -> Floats:
        """Logits (n,) of `views` where a fold's images are seen by neither distiller nor projection.

        features: of the table whose photographs words are on.
        """
        X, y, groups = views.matrix("final"), views.labels.astype(int), views.groups()
        folds, logits = grouped_folds(y, groups, 5, 0), np.zeros(len(y))
        for fold in range(int(folds.max()) + 1):
            rest = folds != fold
            spelling = None
            if way != WAYS[0]:
                out = views.column("sha256")[~rest]
                spelling = self.spelling(features, ~np.isin(features.column("sha256"), out))
            model = Distiller(spelling=spelling, invariance=10.0 if way == WAYS[-1] else 0.0)
            model.fit(X[rest], y[rest], groups=groups[rest])
            logits[~rest] = model.decision_function(X[~rest])
        return logits

    def test(self, features: Features, ways: dict[str, Spelling | None]) -> list[str]:
        """Rows of a table: how far words move the logit of distillers that saw none of the test's sources."""
        X, y = features.matrix("final"), features.labels.astype(int)
        seen, groups = ~np.isin(features.column("source"), TESTED), features.groups()
        clean, found, lines = X[self.rows["test"]], {}, []
        rng = np.random.default_rng(0)
        draws = rng.integers(0, len(clean), (2000, len(clean)))
        for name, spelling in ways.items():
            model = Distiller(spelling=spelling).fit(X[seen], y[seen], groups=groups[seen])
            words, blocks = (model.decision_function(self.features[f"test{s}"]) for s in "wb")
            moves = np.abs(words - model.decision_function(clean))
            spread = float(model.decision_function(X[seen]).std())
            found[name] = (moves, np.abs(words - blocks), spread)
            before, lettering, wide = found[WAYS[0]]
            ratio = before.mean() / moves.mean()
            low, high = np.quantile(before[draws].mean(1) / moves[draws].mean(1), (0.05, 0.95))
            lines.append(
                f"| {name} | {moves.mean():.3f} | {moves.mean() / spread:.3f} | {found[name][1].mean():.3f} "
                f"| {ratio:.2f} [{low:.1f}, {high:.1f}] | {ratio * spread / wide:.2f} "
                f"| {lettering.mean() / found[name][1].mean():.2f} |"
            )
        return lines


def picture(uri: str) -> Any:
    """The picture at `uri`."""
    (item,) = iter_source(uri)
    return decode(item.read(), name=uri).image


def delivery(features: Features) -> Any:
    """What was done to all images of the table; None where nothing was."""
    (name,) = set(features.column("perturbation"))
    return perturbation(name) if name else None


def row(name: str, features: Features, logits: Floats) -> str:
    """A row of the table of ranking, with 90 % intervals that draw whole lineages and sources."""
    columns = {
        name: features.column(name) for name in ("sha256", "generator", "lineage", "source", "perturbation")
    }
    made = Predictions.from_columns(
        label=features.labels, logit=logits, probability=1 / (1 + np.exp(-logits)), **columns
    )
    metrics = measure(made, MeasureOptions(rounds=1000), each_group=False).metrics
    return f"| {name} | " + " | ".join(str(metrics[key]) for key in FIGURES) + " |"


def page(  # noqa: PLR0917 - the parts of one page
    made: DistilledMap, tested: list[str], ranked: list[str], shipped: list[str], files: str, rows: int
) -> str:
    """The documentation page."""
    n_real, n_fake = made.record["images"]
    head = "| | " + " | ".join(FIGURES.values()) + " |\n" + "|---" * (len(FIGURES) + 1) + "|"
    return TEXT.format(
        tested="\n".join(tested),
        ranked="\n".join([head, *ranked]),
        shipped="\n".join([head, *shipped]),
        files=files,
        rows=f"{rows:,}",
        n_real=f"{n_real:,}",
        n_fake=f"{n_fake:,}",
        estimate=ESTIMATE,
        test=TEST,
    )


TEXT = (Path(__file__).parent / "distiller_page.txt").read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
