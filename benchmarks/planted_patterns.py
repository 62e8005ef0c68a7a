"""Are planted patterns found, localised and ranked first? And is nothing found where nothing was planted?

    python benchmarks/planted_patterns.py --photos MANIFEST.csv [--cache FOLDER] [--kinds final]

An artefact of 32 pixels is planted at a random place of every second of N real photographs, a distiller is
fitted to tell those from the others, and patterns are gathered from impacts of folds that did not see the
image. Printed for each artefact and feature kind: AUC out of fold; of the prototypes that speak for
generated the one with the largest impact (its rank among all, purity, count, corrected p-value); over its
planted images the localisation (share of relevance inside the region over the region's share of the area),
how often the most relevant patch touches the region, and how well the box overlaps it; the same
localisation of the logit's map over all planted images. `none` plants nothing and labels halves of the
photographs at random, several times: its smallest p-value should be unremarkable.

Maps are of the same folds. With `--maps full` they are of the fit to all pictures, which has seen the labels:
then clusters tell random halves apart, which the `none` lines show.

The encoder sees each picture once; with --cache features are kept, and an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from morelli.atlas.distiller import DistilledMap, Distiller
from morelli.atlas.distiller._cross import cross_distil
from morelli.atlas.patterns import find_prototypes
from morelli.atlas.patterns._find import FoundPrototypes, match_prototypes
from morelli.atlas.patterns._regions import relevant_regions
from morelli.encoders import LastBlock, load_encoder
from morelli.explanation.relevance import as_input, relevance_maps
from morelli.explanation.relevance._planted import coverage, localisation, pointing_hits
from morelli.explanation.relevance._planted import plant as plant_pattern
from morelli.images import decode, perturbation
from morelli.metrics import roc_auc

SIDE, VIEW = 32, 224
ARTEFACTS = ("checkerboard", "blurred_disc", "duplicated_patch", "soft_disc")
Array = Any


def plant(image: Image.Image, what: str, rng: np.random.Generator) -> tuple[Image.Image, tuple[int, ...]]:
    """The picture with an artefact at a random place, and x, y, width, height of the place.

    A `blurred_disc` is the photograph itself out of focus, which nobody sees where it is smooth anyway; a
    `soft_disc` is a coloured one with a blurred edge.
    """
    if what == "soft_disc":
        made = plant_pattern(image, "disc", rng)
        return made.image, (*made.box[:2], SIDE, SIDE)
    pixels = np.asarray(image).copy()
    y, x = (int(v) for v in rng.integers(0, VIEW - SIDE + 1, size=2))
    box = slice(y, y + SIDE), slice(x, x + SIDE)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    if what == "checkerboard":
        cells = ((rows // 4 + columns // 4) % 2)[..., None] * 255
        pixels[box] = (0.5 * pixels[box] + 0.5 * cells).astype(np.uint8)
    elif what == "blurred_disc":
        blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(5)))
        disc = (rows - (SIDE - 1) / 2) ** 2 + (columns - (SIDE - 1) / 2) ** 2 <= (SIDE / 2) ** 2
        pixels[box] = np.where(disc[..., None], blurred[box], pixels[box])
    else:
        v, u = y, x
        while abs(v - y) < SIDE and abs(u - x) < SIDE:
            v, u = (int(n) for n in rng.integers(0, VIEW - SIDE + 1, size=2))
        pixels[box] = np.asarray(image)[v : v + SIDE, u : u + SIDE]
    return Image.fromarray(pixels), (x, y, SIDE, SIDE)


class Pictures:
    """Features on disk: the clean photographs, then each artefact in every second of them.

    All photographs have their row; those from number `most` on are left out and can be filled in later.
    """

    def __init__(self, manifest: Path, folder: Path, kinds: list[str], most: int) -> None:
        with manifest.open(newline="") as file:
            real = [row for row in csv.DictReader(file) if row["label"] == "real"]
        real = [row for row in real if row["source"] != "art-style-images"]
        order = np.random.default_rng(0).permutation(len(real))
        self.paths = [manifest.parent / real[i]["path"] for i in order]
        self.folder = folder
        jobs = [("clean", i) for i in range(len(order))]
        jobs += [(what, i) for what in ARTEFACTS for i in range(0, len(order), 2)]
        self.what, self.photo = (np.array(part) for part in zip(*jobs, strict=True))
        self.encoder = load_encoder("clip-vit-b16")
        self.most = min(most, len(order))
        self.kinds = sorted({kind for k in kinds for kind in (k, *LastBlock(self.encoder, k).inputs)})

    def fill(self) -> None:
        """Encode what is not there yet."""
        state = self.folder / "meta.npz"
        done, self.boxes = np.zeros(len(self.what), dtype=bool), np.zeros((len(self.what), 4), dtype=int)
        if state.exists():
            with np.load(state) as known:
                done, self.boxes = known["done"], known["boxes"]
        align = perturbation("align:288,85")
        while (left := np.flatnonzero(~done & (self.photo < self.most))).size:
            rows = left[:16]
            batch = []
            for row in rows:
                i = int(self.photo[row])
                photo = decode(self.paths[i].read_bytes()).image
                picture = as_input(align(photo, np.random.default_rng(i)), VIEW)
                if self.what[row] != "clean":
                    rng = np.random.default_rng([i, len(self.what[row])])
                    picture, self.boxes[row] = plant(picture, str(self.what[row]), rng)
                batch.append(self.encoder.transform(picture))
            for kind, found in self.encoder.trace(np.stack(batch), kinds=self.kinds).items():
                self._file(kind, found)[rows] = found
            done[rows] = True
            np.savez(state, boxes=self.boxes, done=done)
            print(f"\r{len(left) - len(rows)} pictures left ", end="", flush=True)
        print()

    def _file(self, kind: str, like: Array) -> Array:
        path = self.folder / f"{kind.replace(':', '')}.npy"
        if path.exists():
            return np.lib.format.open_memmap(path, "r+")
        dtype = np.float16 if kind.startswith("tokens") else np.float32
        return np.lib.format.open_memmap(path, "w+", dtype, (len(self.what), *like.shape[1:]))

    def read(self, kind: str, rows: Array) -> Array:
        return np.load(self.folder / f"{kind.replace(':', '')}.npy", mmap_mode="r")[rows]


def distilled(pictures: Pictures, kind: str, X: Array, y: Array, seed: int) -> tuple[Any, ...]:
    """The full fit's map; impacts (n, K) and logits (n,) out of fold; each fold's map and rows."""
    crossed = cross_distil(Distiller(n_seeds=1, random_state=seed), X, y)
    build = pictures.encoder.build
    maps = [(m, np.flatnonzero(crossed.folds == f)) for f, m in enumerate(crossed.fold_maps(build, kind))]
    full = crossed.distiller.to_map(build, kind=kind)
    return full, crossed.impacts.astype(np.float32), crossed.logits, maps


def relevance(pictures: Pictures, kind: str, rows: Array, maps: list[tuple[DistilledMap, Array]]) -> Any:
    """Relevance maps of the pictures, each by the map whose rows (of `rows`) it is among."""
    block = LastBlock(pictures.encoder, kind)
    parts = []
    for one, own in maps:
        inputs = (pictures.read(k, rows[own]) for k in block.inputs)
        parts.append(relevance_maps(block, *inputs, one.values_and_gradients, one.w, pooled=True))
    back = np.argsort(np.concatenate([own for _, own in maps]))
    shown, pooled = (np.concatenate([getattr(p, n) for p in parts])[back] for n in ("maps", "pooled"))
    return shown, pooled


def measure(pictures: Pictures, what: str, kind: str, seed: int, held_out_maps: bool) -> dict[str, Any]:
    """One line of the table."""
    clean = np.flatnonzero((pictures.what == "clean") & (pictures.photo < pictures.most))
    if what == "none":
        rows, y = clean, np.random.default_rng(seed).permutation(len(clean)) % 2
    else:
        planted = np.flatnonzero((pictures.what == what) & (pictures.photo < pictures.most))
        others = clean[pictures.photo[clean] % 2 == 1]
        rows, y = np.concatenate([planted, others]), np.repeat([1, 0], [len(planted), len(others)])
    X = np.asarray(pictures.read(kind, rows), dtype=np.float32)
    full, impacts, logits, by_fold = distilled(pictures, kind, X, y, seed)
    impact_sum = full.impacts(X).astype(np.float32).sum(axis=1) + np.float32(full.bias)
    sum_error = float(np.abs(impact_sum - full.logits(X)).max())
    own = by_fold if held_out_maps else [(full, np.arange(len(rows)))]
    maps, pooled = relevance(pictures, kind, rows, own)
    found = find_prototypes(impacts, pooled, maps, y, random_state=seed)
    again = find_prototypes(impacts, pooled, maps, y, random_state=seed + 100)
    table = found.prototypes.table.to_pylist()
    line = {
        "auc": roc_auc(y, logits),
        "sum_error": sum_error,
        "prototypes": len(table),
        "smallest_p": min((row["p_value"] for row in table), default=1.0),
        "seed_jaccard": float(np.mean(match_prototypes(found, again)[1])) if table else 1.0,
    }
    return line if what == "none" else line | _found(found, maps, y, pictures.boxes[rows])


def _found(found: FoundPrototypes, maps: Array, y: Array, boxes: Array) -> dict[str, Any]:
    """How well the top prototype towards generated, and the logit's map, point at the planted places."""
    covered = np.stack([coverage((x, y, x + w, y + h)) for x, y, w, h in boxes])
    table = found.prototypes.table.to_pylist()
    top = next((row for row in table if row["sign"] > 0), table[0])
    k = top["dimension"]
    members = np.flatnonzero((found.assignment[:, k] == top["id"]) & (y == 1))
    planted = np.flatnonzero(y == 1)
    drawn = relevant_regions(maps[members, k]).boxes * VIEW
    true = boxes[members] + np.pad(boxes[members, :2], ((0, 0), (2, 0)))
    shared = np.clip(
        np.minimum(drawn[:, 2:], true[:, 2:]) - np.maximum(drawn[:, :2], true[:, :2]), 0, None
    ).prod(1)
    union = (drawn[:, 2:] - drawn[:, :2]).prod(1) + (true[:, 2:] - true[:, :2]).prod(1) - shared
    return {
        "top_rank": top["id"] + 1,
        "top_purity": top["purity_fake"],
        "top_count": top["count"],
        "top_impact": top["mean_impact"],
        "top_p": top["p_value"],
        "localisation": float(localisation(maps[members, k], covered[members]).mean()),
        "pointing": float(pointing_hits(maps[members, k], covered[members]).mean()),
        "box_iou": float((shared / union).mean()),
        "logit_localisation": float(localisation(maps[planted, -1], covered[planted]).mean()),
        "logit_pointing": float(pointing_hits(maps[planted, -1], covered[planted]).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", type=Path, required=True, help="manifest with the columns path, label, source"
    )
    parser.add_argument("--pictures", type=int, default=480, metavar="N", help="photographs (default 480)")
    parser.add_argument("--cache", type=Path, help="folder for features; a temporary one by default")
    parser.add_argument("--kinds", nargs="+", default=["final"])
    parser.add_argument("--artefacts", nargs="+", default=[*ARTEFACTS, "none"])
    parser.add_argument("--maps", choices=("full", "held"), default="held", help="fits behind the maps")
    parser.add_argument("--nulls", type=int, default=5, help="random halves for `none`")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        pictures = Pictures(args.photos, args.cache or Path(temporary), args.kinds, args.pictures)
        pictures.fill()
        for kind in args.kinds:
            for what in args.artefacts:
                for seed in range(args.nulls if what == "none" else 1):
                    line = measure(pictures, what, kind, seed, args.maps == "held")
                    shown = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in line.items()}
                    print(what, kind, f"seed {seed}:", *(f"{k} {v}" for k, v in shown.items()), flush=True)


if __name__ == "__main__":
    main()
