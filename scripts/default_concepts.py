"""Make the concept bank that Morelli ships: edits of the photographs inside package files.

    python scripts/default_concepts.py
    python scripts/default_concepts.py --only-compare MANIFEST
    python scripts/default_concepts.py --typical F.lance
    python scripts/default_concepts.py --typical-parts MANIFEST MANIFEST

Each concept is the mean shift of CLIP ViT-B/16's final embedding when one attribute of a photograph is
changed. The photographs travel in the wheels of scikit-image, scikit-learn and matplotlib, so anybody can
make the same bank; none of them is shipped. Reliability is the cosine between directions of two halves
of the photographs; edits that they hardly agree on are left out. With `--compare` a second bank is made
from real images of a labelled collection (one of each source in turn), and the cosine between the two is
printed: what other photographs would give. With `--typical` the real images of a feature table become what
the shipped detector's evidence compares with; only their mean and spread are kept. `--typical-parts` keeps
the same for readings: means, over real images delivered alike, of what each expert gets from each patch,
block and MLP.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from demo_images import PHOTOGRAPHS
from PIL import Image

from morelli.detectors import Bundle, default_bundle_path
from morelli.encoders import Encoder, load_encoder
from morelli.encoders.direct_paths import DirectParts
from morelli.explanation import shipped_space
from morelli.explanation._shipped_space import save_typical
from morelli.explanation._typical_parts import TypicalParts
from morelli.explanation.concepts import ConceptBank, default_concepts_path, edit_banks
from morelli.explanation.deciding import expert_parts
from morelli.features import Features, FeatureTable
from morelli.images import decode, iter_source, perturbation

DELIVERY = "longside:640+jpeg:88"
"""How typical real images are delivered, as the shipped detector's were."""
LEAST_RELIABLE = 0.3
"""Edits whose direction two halves of the photographs agree on less than this are left out: no two sets of
photographs would name the same thing by them."""
MORE = {"matplotlib/mpl-data/sample_data": ["grace_hopper.jpg"], "skimage/data": ["brick.png"]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, save, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=default_concepts_path())
    parser.add_argument("--compare", type=Path, metavar="MANIFEST", help="a labelled collection")
    parser.add_argument("--only-compare", type=Path, metavar="MANIFEST", help="the same, with the bank as is")
    parser.add_argument("--photographs", type=int, default=40, help="how many of the collection")
    parser.add_argument("--typical", type=Path, metavar="F.lance", help="keep what is typical of its reals")
    parser.add_argument("--typical-parts", type=Path, nargs="+", metavar="MANIFEST", help="their collections")
    parser.add_argument("--reals", type=int, default=400, help="how many of them, in all")
    options = parser.parse_args(arguments)
    if options.typical_parts is not None:
        typical_parts(options.typical_parts, options.reals)
        return
    if options.typical is not None:
        bundle = Bundle.load(default_bundle_path())
        source = FeatureTable.open(options.typical)
        reals = source.load(kinds=list(bundle.head_kinds), where="label = 0")
        print(f"{save_typical(bundle, reals)}: mean and spread of {len(reals)} real images")
        return
    loaded = load_encoder("clip-vit-b16", dtype="float32")
    if options.only_compare is None:
        bank = made_of(wheel_photographs(), loaded)
        bank = bank.select([c.name for c in bank.concepts if (c.reliability or 0) >= LEAST_RELIABLE])
        bank.save(options.out)
        size = sum(file.stat().st_size for file in options.out.iterdir())
        print(f"{options.out}: {bank}, {size / 1024:.0f} kB, {bank.metadata['images']} photographs")
    else:
        bank = ConceptBank.load(options.out)
    manifest = options.compare or options.only_compare
    other = made_of(collected(manifest, options.photographs), loaded) if manifest else None
    print(table(bank, other))


def wheel_photographs() -> list[Image.Image]:
    """The photographs of the demo and two more, in a fixed order."""
    found = []
    for catalogue in (PHOTOGRAPHS, MORE):
        for place, names in catalogue.items():
            package, _, rest = place.partition("/")
            for name in names:
                with Image.open(str(files(package) / rest / name)) as image:
                    found.append(image.convert("RGB"))
    return found


def collected(manifest: Path, count: int) -> list[Image.Image]:
    """At most `count` real images of a collection, its sources in turn."""
    sources = defaultdict(list)
    for item in iter_source(manifest):
        if item.label == 0:
            sources[item.metadata.get("source", "")].append(item)
    rng = np.random.default_rng(0)
    mixed = [[items[i] for i in rng.permutation(len(items))] for items in sources.values()]
    deepest = max(map(len, mixed))
    turns = [items[turn] for turn in range(deepest) for items in mixed if turn < len(items)]
    return [decode(item.read()).image for item in turns[:count]]


def typical_parts(manifests: Sequence[Path], count: int) -> None:
    """Keep the means of the parts of real images, the same number of each collection, delivered alike."""
    bundle, encoder = Bundle.load(default_bundle_path()), load_encoder("clip-vit-b16", dtype="float32")
    space = shipped_space(bundle)
    assert space is not None and bundle.head is not None
    deliver, rng = perturbation(DELIVERY), np.random.default_rng(0)
    images = [image for path in manifests for image in collected(path, count // len(manifests))]

    def parts() -> Iterator[DirectParts]:
        for done, image in enumerate(images):
            print(f"\r{done} of {len(images)} real images", end="", file=sys.stderr, flush=True)
            pixels = encoder.transform(deliver(image, rng))
            vectors = encoder.trace(pixels[None], kinds=bundle.head_kinds)
            yield expert_parts(bundle, Features.from_arrays(vectors, build=encoder.build), encoder, pixels)

    found = TypicalParts.of(parts())
    # Both sums of a logit start at what the mean of all typical images gets, not at that of these few.
    off = np.atleast_2d(bundle.head.weights) @ space.reference - found.total
    print(f"\n{found.starting_at(found.total + off).save(bundle, len(images))}: constants moved by {off}")


def made_of(photographs: Sequence[Image.Image], loaded: Encoder) -> ConceptBank:
    """The bank of all edits on these photographs."""

    def progress(done: int, total: int) -> None:
        print(f"\r{done} of {total} photographs", end="", file=sys.stderr, flush=True)

    return edit_banks(photographs, loaded, progress=progress)["final"]


def table(bank: ConceptBank, other: ConceptBank | None) -> str:
    """Every concept with its reliability and, with another bank, the cosine between the two directions."""
    lines = ["| concept | opposite | reliability |" + (" cosine with the other bank |" if other else "")]
    lines.append("|---|---|---|" + "---|" * (other is not None))
    between = (bank.directions * other.select(bank.names).directions).sum(axis=1) if other else None
    for row, one in enumerate(bank.concepts):
        cells = [one.name, one.opposite, f"{one.reliability:.2f}"]
        cells += [f"{between[row]:.2f}"] if between is not None else []
        lines.append("| " + " | ".join(cells) + " |")
    if between is not None:
        lines += ["", f"Median cosine {np.median(between):.2f}, lowest {between.min():.2f}."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
