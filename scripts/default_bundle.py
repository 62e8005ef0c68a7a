"""Make the bundle that Morelli ships, and the page that says how good it is.

    python scripts/default_bundle.py MANIFEST... --work FOLDER

MANIFEST is a labelled collection with the columns path, label, generator, lineage, source, era and content.
Features of every delivery are kept in FOLDER, so an interrupted run goes on where it was.

What is decided here, and on what grounds:

* Every image is seen in five deliveries, drawn alike for both classes: long side 640 and JPEG Q88; small, as
  data sets deliver, with a short side of 180 to 320 pixels; re-delivered twice and three times at random
  (cropped, scaled, JPEG, WebP); and as a screenshot. The first weighs most, for most pictures come like it.
  Files as they came are scored, but train nothing: which class happened to be stored how must not be learnt.
* Generators until 2022 and later ones leave different traces. One head for both loses on each; one expert for
  each, joined, does not. `detector_search.py` says what each choice is worth.
* Calibration, the experts' shifts and the thresholds come from such held-out scores too. Thresholds are for
  images of a lineage or source never seen; the page measures them with those of the other folds.

Features are computed in bfloat16, which is several times as fast; the bundle is for float32. What that costs
is measured on one image in ten, kept in the bundle for `--precision`, and printed on the page.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch
from zlib import crc32

import numpy as np
from failure_sheet import draw, worst
from numpy.typing import NDArray

from morelli.audit import metadata_only_auc
from morelli.audit._metadata_baseline import MetadataBaseline
from morelli.detectors import Bundle, ExpertProbe, Recipe, fit_bundle, grouped_folds
from morelli.detectors._detector import verdict_thresholds
from morelli.detectors._expert_probe import expert_codes
from morelli.detectors._fit import FittedBundle
from morelli.detectors._precision import PrecisionCost
from morelli.encoders import Encoder, load_encoder
from morelli.evaluation import MeasureOptions, Predictions, measure
from morelli.evaluation._measure import Measurement
from morelli.explanation._shipped_space import save_typical
from morelli.features import Features, FeatureTable, extract
from morelli.images import ImageItem, decode, iter_source, perturbation
from morelli.metrics import roc_auc

DtypeChoice = Literal["float32", "bfloat16", "int8"]

STANDARD = "longside:640+jpeg:88"
SMALL = "align:180-320,75-100+jpeg:88+mirror:0.5"
REDELIVERED = "longside:640+jpeg:75-96+redelivered:2+mirror:0.5"
OFTEN = "longside:640+jpeg:75-96+redelivered:3+mirror:0.5"
SHOT = f"{STANDARD}+screenshot+mirror:0.5"
TRAINED = {STANDARD: 8.0, SMALL: 0.5, REDELIVERED: 1.25, OFTEN: 1.25, SHOT: 0.25}
"""Deliveries that the head is fitted on, and what each weighs among an image's."""
TABLES = {"std": STANDARD, "small": SMALL, "re2": REDELIVERED, "re3": OFTEN, "shot": SHOT, "raw": ""}
WORDS = {STANDARD: "long side 640, JPEG Q88", "": "files as they came"}
STABILITY = {
    "JPEG Q50": f"{STANDARD}+jpeg:50",
    "WebP Q60": f"{STANDARD}+webp:60",
    "half size": f"{STANDARD}+resize:0.5+jpeg:88",
    "messenger": f"{STANDARD}+social:messenger",
    "screenshot": f"{STANDARD}+screenshot",
}
SAMPLE_EVERY = 10
"""Stability and the cost of precisions are measured on one image in so many."""
LEFT_OUT = ("skimage-data",)
"""Sources of photographs that the demo and the tests judge: nothing is fitted or measured on them."""
CLASS_TOKENS = ("layer:7", "layer:8", "layer:9", "layer:10", "layer:11", "layer:12", "final")
HEADS = tuple(f"headraw:{block}.{head}" for block in range(5, 13) for head in range(1, 13))
"""What each attention head brings to the class token: a block's sum hides which head brought what."""
KINDS = (*CLASS_TOKENS, *HEADS)
YEARS = (2023,)
_EARLY, _OPEN = "text-to-image models until 2022", "Stable Diffusion, FLUX and other open models"
FAMILIES = {
    **dict.fromkeys(("progan", "stylegan1", "stylegan2", "biggan", "cyclegan", "gaugan"), "GANs"),
    **dict.fromkeys(("stylegan3", "stylegan-xl", "styleswin", "stylenerf", "stylesdf", "stylenat"), "GANs"),
    **dict.fromkeys(("pix2pix", "pix2pixhd", "cut", "bicyclegan", "sngan", "transgan", "cips"), "GANs"),
    **dict.fromkeys(("stackgan", "attngan", "dm-gan", "df-gan", "ssa-gan", "bmsg-gan"), "GANs"),
    **dict.fromkeys(("gan-stability", "lightweight-gan", "tedigan", "eg3d", "giraffe"), "GANs"),
    **dict.fromkeys(("gigagan", "infinitygan", "eigengan", "gan-flavours-keras", "ic-gan"), "GANs"),
    **dict.fromkeys(("ldm", "glide", "adm", "dalle-mini", "dalle-2", "vqgan-clip", "mindall-e"), _EARLY),
    **dict.fromkeys(("rudalle", "dalle-pytorch", "dall-e-1", "dalle2-pytorch", "cogview"), _EARLY),
    **dict.fromkeys(("karlo", "imagen-pytorch"), _EARLY),
    "deep-daze": _EARLY,
    **dict.fromkeys(("sd1", "sd2", "sd3", "sdxl", "flux.1", "flux.2", "z-image", "hunyuan"), _OPEN),
    **dict.fromkeys(("qwen-image", "kolors", "hidream", "pixart", "sana", "lumina", "omnigen"), _OPEN),
    **dict.fromkeys(("kandinsky", "stable-cascade", "deepfloyd-if"), _OPEN),
    "gpt-image": "GPT image models",
    "gemini-image": "Gemini image models",
}
EXPERT_OF = dict.fromkeys(("ldm", "ddpm", "maskdit", "rcg", "relay-diffusion", "open-magvit2"), 1)
"""Lineages whose samples, mostly of classes, faces or rooms, are like those of earlier models in any year."""
PROBE = ExpertProbe(YEARS, C=1.2e-4)
FPR, MISS_RATE = 0.05, 0.08
N_FOLDS = 20
N_DRAWS = 40
"""Many folds, so that the heads that are measured are fitted on nearly all groups, as the bundle's is."""
LISTED = Path("scripts/public_images.csv")
"""Where the images of collection 3 come from."""
LEAST_KIND = 40
"""Real kinds of fewer images have no figure of their own."""
FIGURES = {
    "auc": "AUC",
    "average_precision": "AP",
    "tpr_at_0.01_fpr": "found at 1 % false alarms",
    "tpr_at_0.05_fpr": "found at 5 % false alarms",
    "ece_mass": "ECE",
}
Array = NDArray[Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Extract what is missing, fit, measure, write bundle and page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True, help="folder of the feature tables")
    parser.add_argument("--out", type=Path, default=Path("src/morelli/detectors/default_bundle"))
    parser.add_argument("--page", type=Path, default=Path("docs/default-bundle.md"))
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)

    views = load_views(options.manifest, options.work)
    fitted = fitted_bundle(views)
    raw = FeatureTable.open(options.work / "raw.lance").load(kinds=["final"])
    baselines = {
        "": metadata_only_auc(raw, raw.groups(), folds=8),
        STANDARD: delivered_baseline(options.manifest, raw),
    }
    rows = views.take(fitted.rows)
    predictions = Predictions.from_columns(
        sha256=rows.column("sha256"),
        label=fitted.labels,
        generator=rows.column("generator"),
        lineage=rows.column("lineage"),
        source=rows.column("source"),
        perturbation=rows.column("perturbation"),
        logit=fitted.logits,
        probability=fitted.probabilities,
    )
    sections = {
        title: {spec: measured(some.select(perturbation=spec)) for spec in WORDS}
        for title, some in {
            "All generators": predictions,
            "Generators of 2023 and later": of_years(predictions, rows, late=True),
            "Generators until 2022": of_years(predictions, rows, late=False),
            **{
                f"Collection {number} alone": of_collection(predictions, rows, manifest)
                for number, manifest in enumerate(options.manifest, 1)
            },
            "Collections 1 and 2 alone": of_collection(predictions, rows, *options.manifest[:2]),
        }.items()
    }
    record = {
        "metadata_only_auc": {
            "value": baselines[""].auc,
            "low": baselines[""].interval[0],
            "high": baselines[""].interval[1],
            "level": 0.9,
        },
        "measured": {t: {WORDS[s]: as_json(m) for s, m in some.items()} for t, some in sections.items()},
    }
    bundle = replace(fitted.bundle, metrics={**fitted.bundle.metrics, **record})
    exact = sample_features(options.manifest, options.work, "float32")
    for dtype in Encoder.quick_dtypes:
        bundle = bundle.with_quick(exact, sample_features(options.manifest, options.work, dtype))
    bundle.save(options.out)
    bundle = Bundle.load(options.out)
    at = np.flatnonzero(rows.column("perturbation").astype(str) == STANDARD)
    standard = rows.take(at)
    print(save_typical(bundle, standard.take(np.flatnonzero(standard.labels == 0))))
    text = page(
        bundle,
        sections,
        baselines,
        [
            verdict_table(fitted, rows),
            stability_table(views, fitted),
            precision_lines(bundle),
            family_table(bundle),
        ],
        failures_part(
            bundle,
            standard,
            fitted.logits[at],
            options.page.parent / "images" / "default-bundle-failures.jpg",
        ),
    )
    options.page.write_text(text, encoding="utf-8")
    print(text)


def load_views(manifests: Sequence[Path], work: Path) -> Features:
    """All deliveries of all images, one row each, under the float32 build; what is lacking is extracted."""
    encoder = load_encoder("clip-vit-b16", dtype="bfloat16")

    def fill(name: str, spec: str, source: Sequence[Path] | list[ImageItem]) -> Path:
        def progress(done: int, total: int | None, skipped: int, failed: int) -> None:
            if done and done % 100 == 0:
                print(f"\r{name}: {done + skipped} of {total}, {failed} failed", end="", file=sys.stderr)

        extract(
            source,
            work / f"{name}.lance",
            encoder=encoder,
            kinds=KINDS,
            perturbation=spec or None,
            progress=progress,
        )
        return work / f"{name}.lance"

    tables = [fill(name, spec, list(manifests)) for name, spec in TABLES.items()]
    chosen = sample(manifests)
    for spec in STABILITY.values():
        tables.append(fill("stability", spec, chosen))
    parts = [FeatureTable.open(path).load(kinds=list(KINDS)) for path in dict.fromkeys(tables)]
    views = Features.concat(parts)
    views = views.take(np.flatnonzero(~np.isin(views.column("source").astype(str), LEFT_OUT)))
    return replace(views, build=replace(views.build, dtype="float32"))


def image_folds(views: Features, n_folds: int = N_FOLDS) -> Array:
    """Fold of every row (n,), the same for all views of an image, whichever views there are."""
    sha = views.column("sha256").astype(str)
    _, first, image = np.unique(sha, return_index=True, return_inverse=True)
    groups = views.groups().astype(str)
    return grouped_folds(views.labels[first], groups[first], n_folds, 0)[image]


def is_late(features: Features) -> Array:
    """Whether each image (n,) is of a generator of 2023 or later."""
    codes, _ = expert_codes(features.labels, features.column("era").tolist(), YEARS)
    return np.asarray(codes == 2)


def kind_of(features: Features) -> Array:
    """Kind of every image (n,): content, and the source where contents are told by it."""
    kinds = []
    for source, metadata in zip(features.column("source"), features.column("metadata"), strict=True):
        content = json.loads(metadata).get("content", "unknown")
        # Older collections describe contents in words of their own; there the source is the kind.
        kinds.append(str(source) if "(" in content or content in ("objects", "mixed") else content)
    return np.array(kinds)


def fitted_bundle(views: Features) -> FittedBundle:
    """The bundle fitted on everything, with held-out logits of every view."""
    print("fitting", file=sys.stderr, flush=True)
    n = len(np.unique(views.column("sha256").astype(str)))
    return fit_bundle(
        views,
        Recipe(
            name="default",
            kinds=KINDS,
            estimator=PROBE,
            calibration="platt",
            calibration_weight="image",
            fpr=FPR,
            miss_rate=MISS_RATE,
            new_groups=True,
            scored=tuple(WORDS),
            trained=TRAINED,
            banked=(STANDARD,),
            bank_kinds=("final",),
            bank_uris=False,
            n_folds=N_FOLDS,
            n_draws=N_DRAWS,
            families=FAMILIES,
            expert_of=EXPERT_OF,
            licence="Apache-2.0 (the encoder's weights keep their own licence)",
            notes=(f"Fitted on features of {n:,} images that are not part of Morelli; no image is shipped.",),
        ),
        folds=image_folds(views),
        command="python scripts/default_bundle.py MANIFEST... --work FOLDER",
    )


def of_years(predictions: Predictions, rows: Features, *, late: bool) -> Predictions:
    """All real images, and the generated ones of these years."""
    return kept(predictions, (rows.labels == 0) | (is_late(rows) == late))


def of_collection(predictions: Predictions, rows: Features, *manifests: Path) -> Predictions:
    """The images of these collections."""
    return kept(predictions, below(rows, *manifests))


def below(rows: Features, *manifests: Path) -> Array:
    """Whether each image (n,) lies in the folder of one of these manifests."""
    folders = tuple(f"{manifest.resolve().parent}/" for manifest in manifests)
    return np.array([str(uri).startswith(folders) for uri in rows.column("uri")])


def kept(predictions: Predictions, keep: Array | list[bool]) -> Predictions:
    """The rows (n,) that are to be kept."""
    import pyarrow as pa

    return Predictions(predictions.table.filter(pa.array(keep)), {})


def measured(rows: Predictions) -> Measurement:
    """Metrics with 90 % intervals, lineages and real sources drawn as wholes."""
    return measure(rows, MeasureOptions(rounds=1000), each_group=False)


def verdict_table(fitted: FittedBundle, rows: Features) -> str:
    """How often each verdict is given, with thresholds from the other folds."""
    z, y, folds = fitted.logits, fitted.labels, fitted.folds
    codes = np.unique(fitted.groups, return_inverse=True)[1]
    spec = rows.column("perturbation").astype(str)

    def words(groups: Array | None) -> Array:
        verdicts = np.zeros(len(z), dtype=int)
        for fold in np.unique(folds):
            rest, here = folds != fold, folds == fold
            ai, real = verdict_thresholds(
                z[rest], y[rest], fitted.bundle.calibration, fpr=FPR, miss_rate=MISS_RATE,
                groups=None if groups is None else groups[rest],
            )  # fmt: skip
            verdicts[here] = np.where(z[here] > ai.logit, 1, np.where(z[here] <= real.logit, -1, 0))
        return verdicts

    lines = [
        "| thresholds for | delivery | real called AI | by source | generated called real | by lineage "
        "| no answer |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, groups in (
        ("new images and new lineages or sources (the bundle)", codes),
        ("new images", None),
    ):
        verdicts = words(groups)
        for delivery, name in WORDS.items():
            at = spec == delivery
            real, fake = at & (y == 0), at & (y == 1)

            def share(kind: Array, word: int, verdicts: Array = verdicts) -> str:
                each = [(verdicts[kind & (codes == c)] == word).mean() for c in np.unique(codes[kind])]
                return f"{100 * (verdicts[kind] == word).mean():.1f} % | {100 * np.mean(each):.1f} %"

            lines.append(
                f"| {title} | {name} | {share(real, 1)} | {share(fake, -1)} "
                f"| {100 * (verdicts[at] == 0).mean():.0f} % |"
            )
    return "\n".join(lines)


def kinds_table(bundle: Bundle, rows: Features, z: Array) -> str:
    """Verdicts by kind of real image and by generator, at the bundle's own thresholds.

    Args:
        rows: of the standard delivery, n of them. z: their held-out logits (n,).
    """
    y, ai, real = rows.labels, bundle.ai.logit, bundle.real.logit
    lines = ["| real images | images | called AI | called real | no answer |", "|---|---|---|---|---|"]
    names = kind_of(rows)
    generator = rows.column("generator").astype(str)
    for title, group, label in (("real", names, 0), ("generated", generator, 1)):
        found, counts = np.unique(group[y == label], return_counts=True)
        if title == "generated":
            lines += [
                "",
                "| generator | images | called AI | called real | no answer |",
                "|---|---|---|---|---|",
            ]
        table = []
        for name, count in zip(found, counts, strict=True):
            if count >= (LEAST_KIND if label == 0 else 10):
                scores = z[(group == name) & (y == label)]
                table.append((float((scores > ai).mean()), float((scores <= real).mean()), name, count))
        for over, under, name, count in sorted(table, reverse=label == 0):
            lines.append(
                f"| {name} | {count} | {100 * over:.0f} % | {100 * under:.0f} % "
                f"| {100 * max(0.0, 1 - over - under):.0f} % |"
            )
    return "\n".join(lines)


def failures_part(bundle: Bundle, rows: Features, z: Array, sheet: Path) -> str:
    """Verdicts by kind and generator, then the worst as pictures, which are written to `sheet`.

    Args:
        rows: of the standard delivery, n of them. z: their held-out logits (n,).
    """
    shown = draw(worst(rows, z, bundle, LISTED), bundle, sheet)
    return "\n".join(
        [
            kinds_table(bundle, rows, z),
            "",
            "## Failures as pictures",
            "",
            "The worst held-out verdicts, one a source, among images of collection 3 whose repositories",
            "state a licence that lets them be shown, without photographs that may hold people.",
            "",
            f"![Contact sheet of wrong verdicts](images/{sheet.name})",
            "",
            shown,
        ]
    )


def stability_table(views: Features, fitted: FittedBundle) -> str:
    """AUC and verdicts of each further delivery beside the standard one of the same images."""
    spec, sha = views.column("perturbation").astype(str), views.column("sha256").astype(str)
    z = fitted.held_out_logits
    ai, real = fitted.bundle.ai.logit, fitted.bundle.real.logit
    some = np.isin(sha, sha[spec == next(iter(STABILITY.values()))])

    def of(delivery: str) -> tuple[Array, Array]:
        rows = np.flatnonzero(some & (spec == delivery))
        rows = rows[np.argsort(sha[rows])]
        return z[rows], views.labels[rows]

    before, y = of(STANDARD)
    word = np.where(before > ai, 1, np.where(before <= real, -1, 0))
    lines = [
        "| delivery | images | AUC | change | confident verdicts that flip to the other confident one |",
        "|---|---|---|---|---|",
        f"| {WORDS[STANDARD]} | {len(y)} | {roc_auc(y, before):.3f} | | |",
    ]
    for name, delivery in STABILITY.items():
        after, _ = of(delivery)
        now = np.where(after > ai, 1, np.where(after <= real, -1, 0))
        flips = (now == -word)[word != 0].mean()
        change = roc_auc(y, after) - roc_auc(y, before)
        lines.append(
            f"| then {name} | {len(y)} | {roc_auc(y, after):.3f} | {change:+.3f} | {100 * flips:.1f} % |"
        )
    return "\n".join(lines)


def sample(manifests: Sequence[Path]) -> list[ImageItem]:
    """One image in `SAMPLE_EVERY`, by file name: the same ones however many are added to a manifest."""
    items = (item for manifest in manifests for item in iter_source(manifest))
    return [item for item in items if crc32(Path(item.uri).name.encode()) % SAMPLE_EVERY == 0]


def sample_features(manifests: Sequence[Path], work: Path, dtype: DtypeChoice) -> Features:
    """Features of the sample in the standard delivery, kept in `work` like the others."""
    place = work / f"{'exact' if dtype == 'float32' else dtype}.lance"
    encoder = load_encoder("clip-vit-b16", dtype=dtype)
    # Where a processor has AMX, OpenVINO multiplies an int8 graph in bfloat16 unless the rest is in float32:
    # the cost of int8 elsewhere would be understated.
    with patch("morelli.encoders._openvino_tower.computes_in", return_value=dtype != "int8"):
        extract(sample(manifests), place, encoder=encoder, kinds=KINDS, perturbation=STANDARD)
    return FeatureTable.open(place).load(kinds=list(KINDS))


def precision_lines(bundle: Bundle) -> str:
    """What bfloat16 and int8 cost, as `--precision` knows it."""
    some, int8 = (bundle.quick_costs[dtype] for dtype in Encoder.quick_dtypes)

    def twice(cost: PrecisionCost) -> str:
        return f"{100 * cost.again:.0f} %"

    return "\n".join(
        [
            f"Against float32 features, on {some.images} images of the standard delivery:",
            "",
            "| `--precision` | logits differ by, median | at most | AUC | verdict words that change | "
            "images computed twice |",
            "|---|---|---|---|---|---|",
            *(
                f"| `{name}`: {how} | {cost.median_logit:.3f} | {cost.largest_logit:.3f} | {cost.auc:+.4f} | "
                f"{100 * changed:.1f} % | {again} |"
                for name, how, cost, changed, again in (
                    ("auto", "bfloat16, float32 near a threshold", some, some.screened_changed, twice(some)),
                    ("fast", "int8, float32 near a threshold", int8, int8.screened_changed, twice(int8)),
                    ("fastest", "int8", int8, int8.changed, "–"),
                )
            ),
        ]
    )


def family_table(bundle: Bundle) -> str:
    """How often the family of a generated image is named, and rightly."""
    assert bundle.attribution is not None
    found = bundle.attribution.figures
    lines = [
        f"Of {found['images']:,} generated images (both deliveries), lineages of known families left out by "
        "source and those of",
        f"no known family as wholes, a family is named for {100 * found['named']:.0f} %, correctly in "
        f"{100 * found['right']:.0f} % of these cases.",
        f"Of {found['unknown_images']:,} images of no known family one is named for "
        f"{100 * found['unknown_named']:.0f} %. Calibration error of the",
        f"likeliest family's probability: {found['ece']:.3f}. A family is named",
        f"from a probability of {bundle.attribution.least:.2f}, for images called AI-generated; here all "
        "generated images count.",
        "A family that was named rightly less often than that is named for no image, though its row is here.",
        "",
        "| family | images | found | named so | rightly |",
        "|---|---|---|---|---|",
    ]
    for name, one in found["families"].items():
        right = "–" if one["right"] is None else f"{100 * one['right']:.0f} %"
        share = 100 * one["found"] / one["images"]
        lines.append(f"| {name} | {one['images']:,} | {share:.0f} % | {one['named']:,} | {right} |")
    return "\n".join(lines)


def delivered_baseline(manifests: Sequence[Path], raw: Features) -> MetadataBaseline:
    """The metadata-only classifier on what the standard delivery leaves of a file's facts: its shape."""
    import pyarrow as pa

    change: Callable[..., Any] = perturbation("longside:640")
    sizes = {}
    for item in (one for manifest in manifests for one in iter_source(manifest)):
        decoded = decode(item.read())
        sizes[decoded.facts.sha256] = change(decoded.image, np.random.default_rng(0)).size
    table = pa.table(
        {
            "label": raw.labels,
            "width": [sizes[s][0] for s in raw.column("sha256")],
            "height": [sizes[s][1] for s in raw.column("sha256")],
        }
    )
    return metadata_only_auc(table, raw.groups(), folds=8)


def as_json(measurement: Measurement) -> dict[str, Any]:
    """The figures of the page as plain values."""
    return {words: measurement.metrics[name].to_json() for name, words in FIGURES.items()}


def page(
    bundle: Bundle,
    sections: dict[str, dict[str, Measurement]],
    baselines: dict[str, MetadataBaseline],
    parts: list[str],
    kinds: str,
) -> str:
    """The documentation page, all of it printed by this command."""
    training = bundle.training
    lines = [
        "# The default bundle",
        "",
        "This page is written by `python scripts/default_bundle.py`. The bundle reads the class tokens of",
        "blocks 7 to 12, what the attention heads of blocks 5 to 12 bring to them, and the final embedding",
        f"of CLIP ViT-B/16, all in one forward pass. It was fitted on {training['n_real']:,} real",
        f"images and {training['n_fake']:,} generated ones, of {training['n_groups_real']} sources and "
        f"{training['n_groups_fake']} lineages, each image in five deliveries.",
        "",
        f"Every figure is held out: lineages and real sources as wholes, in {N_FOLDS} folds. Intervals",
        "are 90 %, from 1,000 bootstrap rounds that draw whole lineages and sources. ECE is over 15 bins of",
        "equal mass. The last column is a forest on format and size (of files as they came) or on the shape",
        "alone (of the standard delivery, which leaves nothing else).",
        "",
        "Collections 1 and 2 cannot be handed on. Collection 3 can be gathered again: the list of its "
        "images,",
        "their public repositories and the evidence for each label is `scripts/public_images.csv`, which",
        "`python scripts/collect_images.py` turns into a folder. Its reals are of many cameras and phones,",
        "and of the kinds that were flagged wrongly before: portraits, faces, weddings, products, stock-like",
        "photographs, posters, paintings and renders by people. Its generated images are above all",
        "photo-like ones, by commercial generators, open models and local set-ups. LDM, MaskDiT, RCG and "
        "Relay",
        "Diffusion, mostly samples of classes, faces or rooms, count for the expert of earlier generators in",
        "any year (`Recipe.expert_of`): at that of newer ones they cost photo-like pictures more than they",
        "gave. That choice, C and the weights of the deliveries were made on held-out figures, which flatter",
        "by as much.",
        "",
    ]
    for title, some in sections.items():
        lines += [f"## {title}", "", "| delivery | " + " | ".join(FIGURES.values()) + " | files alone |"]
        lines.append("|---" * (len(FIGURES) + 2) + "|")
        for spec, measurement in some.items():
            base = baselines[spec]
            cells = [str(measurement.metrics[name]) for name in FIGURES]
            lines.append(
                f"| {WORDS[spec]} | {' | '.join(cells)} | "
                f"AUC {base.auc:.3f} [{base.interval[0]:.3f}, {base.interval[1]:.3f}] |"
            )
        lines.append("")
    lines += [
        "## Verdicts",
        "",
        f"Thresholds promise at most {100 * FPR:.0f} % false alarms and {100 * MISS_RATE:.0f} % misses, over "
        "both deliveries together; at the",
        f"bundle's own, held-out scores give {100 * bundle.ai.observed:.1f} % and "
        f"{100 * bundle.real.observed:.1f} %. In this table each fold is judged by thresholds fitted",
        "on the other folds, and a row is of one delivery, so that some rows lie a little above the promise.",
        "By source and by lineage, each counts the same.",
        "",
        parts[0],
        "",
        "## Other deliveries",
        "",
        f"One image in {SAMPLE_EVERY}, at the bundle's thresholds.",
        "",
        parts[1],
        "",
        parts[2],
        "",
        "## Which family of generators",
        "",
        parts[3],
        "",
        "## What each choice is worth",
        "",
        "[The search over detectors](detector-search.md) compares this detector with others,",
        "on the same images, with the choice among them made inside the folds. That this bundle reads",
        f"attention heads, what its deliveries weigh and its penalty (C {PROBE.C:g}) were chosen before, on",
        "figures like those above.",
        "",
        "## Where it fails",
        "",
        "Held-out verdicts on the standard delivery, at the bundle's thresholds, worst first.",
        "",
        kinds,
        "",
        "## What this says, and what it does not",
        "",
        "The collection was gathered from public repositories. Real sources that one finds in such places",
        "recur, so a camera or a newsroom that nobody collected from may do worse. Generators that come",
        "after these images are not measured here. A file's format and size alone separate the collection as",
        "it came (last column); figures of the standard delivery are the ones to quote.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
