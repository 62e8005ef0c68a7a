"""The folder layout of UnivFD's 19 test sets, read as it is published."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from morelli.errors import SourceError

if TYPE_CHECKING:
    from morelli.images import ImageItem

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

# The release's 19 sets and the families that the paper averages over. Folder names as in its dataset.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "GAN": ("progan", "cyclegan", "biggan", "stylegan", "gaugan", "stargan"),
    "deepfake": ("deepfake",),
    "low-level vision": ("seeingdark", "san"),
    "perceptual loss": ("crn", "imle"),
    "diffusion": (
        "guided",
        "ldm_200",
        "ldm_200_cfg",
        "ldm_100",
        "glide_100_27",
        "glide_50_27",
        "glide_100_10",
    ),
    "autoregressive": ("dalle",),
}
# Sets that come without reals are paired with these folders of reals.
REAL_PARTNERS: Mapping[str, str] = {"guided": "imagenet"}
DEFAULT_PARTNER = "laion"


@dataclass(frozen=True)
class UnivFDSet:
    """One test set: its reals and fakes, sorted by path."""

    name: str
    reals: tuple[Path, ...]
    fakes: tuple[Path, ...]


def univfd_sets(
    root: str | Path, *, sample: Sequence[int] | None = None, seed: int = 0
) -> tuple[UnivFDSet, ...]:
    """Read the 19-set folder layout: ``root/<set>/[class/]{0_real,1_fake}/…``.

    Class folders (as in ProGAN, CycleGAN and StyleGAN sets) may lie between the set and its two
    folders. A folder with fakes only is paired with the release's folder of reals (``imagenet`` for
    ``guided``, ``laion`` else, or the only folder that holds nothing but reals); such folders of reals
    are no sets themselves.

    sample: None takes every file. ``(1000, 100)`` follows the published code: 1000 images of each class,
    or 100 of each as soon as one class has fewer than 1000. The files are shuffled (`seed`, again for
    each set) and cut; the published code starts from the file system's order, here it is sorted.

    Raises SourceError where the layout is not there.
    """
    root = Path(root)
    if not root.is_dir():
        raise SourceError(f"{root} is no folder; give the folder that holds progan/, cyclegan/, …")
    found = {d.name: (_files(d, "0_real"), _files(d, "1_fake")) for d in sorted(root.iterdir()) if d.is_dir()}
    real_only = {name: reals for name, (reals, fakes) in found.items() if reals and not fakes}
    sets = []
    for name, (own_reals, fakes) in found.items():
        if not fakes:
            continue
        reals = own_reals
        if not reals:
            partner = REAL_PARTNERS.get(name, DEFAULT_PARTNER)
            if partner not in real_only and len(real_only) == 1:
                partner = next(iter(real_only))
            if partner not in real_only:
                raise SourceError(
                    f"{root / name} has 1_fake but no 0_real, and there is no {partner}/0_real to "
                    "pair it with"
                )
            reals = real_only[partner]
        sets.append(UnivFDSet(name, *sample_files(reals, fakes, sample, seed)))
    if not sets:
        raise SourceError(f"{root} holds no set: a set is a folder with 0_real and 1_fake in it")
    return tuple(sets)


def _files(folder: Path, kind: str) -> tuple[Path, ...]:
    inside = (p for p in folder.rglob("*") if kind in p.relative_to(folder).parts[:-1])
    return tuple(sorted(p for p in inside if p.suffix.lower() in SUFFIXES and p.is_file()))


def sample_files(
    reals: Sequence[Path], fakes: Sequence[Path], sample: Sequence[int] | None, seed: int = 0
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The published rule of counts; see `univfd_sets`. A class with fewer than the fallback keeps all."""
    if sample is None:
        return tuple(reals), tuple(fakes)
    most, fallback = sample
    count = most if min(len(reals), len(fakes)) >= most else fallback
    shuffler = random.Random(seed)
    chosen = []
    for files in (list(reals), list(fakes)):
        shuffler.shuffle(files)
        chosen.append(tuple(sorted(files[:count])))
    return chosen[0], chosen[1]


def univfd_items(sets: Sequence[UnivFDSet], root: str | Path | None = None) -> Iterator[ImageItem]:
    """The sets as images for `morelli.features.extract`, each file once; uris relative to `root`.

    The column ``set`` names each image's set; a real image that several sets share carries all their
    names, joined by commas, and `univfd` counts it in each.
    """
    from morelli.images import Limits, file_item

    names: dict[Path, list[str]] = {}
    for each in sets:
        for path in (*each.reals, *each.fakes):
            names.setdefault(path, []).append(each.name)
    seen: set[Path] = set()
    for each in sets:
        for label, files in ((0, each.reals), (1, each.fakes)):
            for path in files:
                if path in seen:
                    continue
                seen.add(path)
                uri = str(path.relative_to(root)) if root is not None else str(path)
                yield replace(
                    file_item(str(path), uri, Limits()),
                    label=label,
                    generator=each.name if label else None,
                    metadata={"set": ",".join(names[path])},
                )
