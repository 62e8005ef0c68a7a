"""Layouts of published collections: what gives an image its label, generator, source and split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from morelli.errors import UsageError
from morelli.images._item import ImageItem
from morelli.images._labels import (
    FAKE,
    REAL,
    generator_of_pack,
    group_of_folders,
    is_generator_name,
    label_of_folders,
)
from morelli.images._skipped_files import SkippedFiles

_MOST_NAMES = 100
_SPLITS: Final = {
    **{"train": "train", "training": "train", "val": "validation", "valid": "validation"},
    **{"validation": "validation", "dev": "validation", "test": "test", "testing": "test"},
}
_COCO_SPLIT: Final = re.compile(r"(train|val|test)20\d\d")
_SYNTHBUSTER: Final = frozenset(
    {"dalle2", "dalle3", "firefly", "glide", "midjourney-v5", "stable-diffusion-1-3", "stable-diffusion-1-4"}
    | {"stable-diffusion-2", "stable-diffusion-xl"}
)
_RAISE: Final = re.compile(r"raise(?:[-_ ]?[1-6]k)?")
# Sets of DiffusionForensics, and the generators in each.
_FORENSICS: Final = {
    "lsun_bedroom": frozenset(
        {
            "adm",
            "ddpm",
            "iddpm",
            "pndm",
            "ldm",
            "sdv1",
            "sdv1_new",
            "sdv1_new1",
            "sdv1_new2",
            "sdv2",
            "dalle2",
        }
        | {
            "if",
            "midjourney",
            "vqdiffusion",
            "stylegan",
            "projectedgan",
            "diff-stylegan",
            "diff-projectedgan",
        }
    ),
    "imagenet": frozenset({"adm", "sdv1", "sdv1_new"}),
    "celebahq": frozenset({"sdv1", "sdv2", "dalle2", "if", "midjourney"}),
}
_COCO_NAMES: Final = frozenset({"mscoco", "ms-coco", "ms_coco", "coco", "mscoco2017", "coco2017"})


@dataclass(frozen=True)
class Place:
    """What a layout says of an image: `label` 0 real, 1 generated; `generator` of a generated image, `source`
    of a real one, `split` as train, validation or test; None where it says nothing."""

    label: int | None
    generator: str | None = None
    source: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Layout:
    """A layout: its `title`, how folders are read (`place`), and the columns by which a table has it.

    `place` gets the folders that lead to an image, the name of what was given first, and answers None for
    an image that does not fit. A table has the layout where it has all of `signature`; `columns` then
    says which column is the picture, the label, the generator and the real image's source. `certain` stands
    for `place` where the layout was not asked for by name.
    """

    name: str
    title: str
    place: Callable[[Sequence[str]], Place | None] | None = None
    signature: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(default_factory=dict)
    certain: Callable[[Sequence[str]], Place | None] | None = None


def _genimage(parts: Sequence[str]) -> Place | None:
    """``GEN/imagenet_ai_0419_sdv4/{train,val}/{ai,nature}``."""
    for at in range(len(parts) - 1, 0, -1):
        label = {"ai": FAKE, "nature": REAL}.get(parts[at].lower())
        split = _SPLITS.get(parts[at - 1].lower())
        if label is None or split is None:
            continue
        pack = parts[at - 2] if at >= 2 else ""
        generator = pack or None
        if pack.lower().startswith("imagenet"):
            generator = generator_of_pack(pack, parts[at - 3] if at >= 3 else "")
        if label == REAL:
            return Place(REAL, None, "imagenet", split)
        return Place(FAKE, generator, None, split)
    return None


def _real_fake_folders(parts: Sequence[str]) -> Place | None:
    """``[SPLIT/]GEN/[CLASS/]{0_real,1_fake}``."""
    for at in range(len(parts) - 1, -1, -1):
        label = {"0_real": REAL, "1_fake": FAKE}.get(parts[at].lower())
        if label is None:
            continue
        generator = group_of_folders(parts[: at + 1]) if label == FAKE else None
        # The outermost: ProGAN's pictures have a class named train.
        above = [name for i, name in enumerate(parts[:at]) if not _is_class(parts, i)]
        return Place(label, generator, None, split_of_folders(above[::-1]))
    return None


def _is_class(parts: Sequence[str], at: int) -> bool:
    return at > 0 and parts[at].lower() == "train" and parts[at - 1].lower() == "progan"


def _drct(parts: Sequence[str]) -> Place | None:
    """``MSCOCO/{train,val}2017`` real; ``DRCT-2M/GEN/{train,val}2017`` generated; ``DR/…`` reconstructed."""
    low = [part.lower() for part in parts]
    if "masks" in low:
        return None
    split = next((_SPLITS[m[1]] for part in reversed(low) if (m := _COCO_SPLIT.fullmatch(part))), None)
    if split is None:
        return None
    if "drct-2m" in low:
        at = low.index("drct-2m")
        named = len(parts) > at + 1 and not _COCO_SPLIT.fullmatch(low[at + 1])
        generator = parts[at + 1] if named else None
        if generator and "dr" in low[:at]:
            generator += " reconstruction"
        return Place(FAKE, generator, None, split)
    # Pictures that a generator made after COCO's captions are kept in folders with COCO's names, too.
    made = label_of_folders(parts) == FAKE or any(map(is_generator_name, parts))
    if _COCO_NAMES & set(low) and not made:
        return Place(REAL, None, "mscoco", split)
    return None


def _synthbuster(parts: Sequence[str]) -> Place | None:
    """``GEN/r000da54ft.png`` under the nine names of Synthbuster; RAISE's photographs beside it."""
    low = [part.lower() for part in parts]
    for at in range(len(parts) - 1, -1, -1):
        if low[at] in _SYNTHBUSTER:
            return Place(FAKE, parts[at])
    raised = any(_RAISE.fullmatch(part) for part in low)
    if raised and label_of_folders(parts) != FAKE and not any(map(is_generator_name, parts)):
        return Place(REAL, None, "raise")
    return None


def _certain_synthbuster(parts: Sequence[str]) -> Place | None:
    """`_synthbuster` where a folder says so: ``firefly`` alone may hold pictures of fireflies."""
    low = [part.lower() for part in parts]
    if any("synthbuster" in part for part in low):
        return _synthbuster(parts)
    place = _synthbuster(parts) if any(_RAISE.fullmatch(part) and part != "raise" for part in low) else None
    return place if place is not None and place.label == REAL else None


def _diffusion_forensics(parts: Sequence[str]) -> Place | None:
    """``[images/]SPLIT/SET/{real,GEN}`` or ``SET/SPLIT/{real,GEN}``; no label for reconstructions."""
    low = [part.lower() for part in parts]
    at = next((k for k in range(len(low) - 1, -1, -1) if low[k] in _FORENSICS), None)
    if at is None:
        return None
    below = next((k for k in range(at + 1, len(low)) if low[k] not in _SPLITS), None)
    if below is None or (low[below] != "real" and low[below] not in _FORENSICS[low[at]]):
        return None
    if {"dire", "recons", "recon", "reconstructions"} & set(low[:at]):
        return Place(None)
    split = split_of_folders(parts)
    return (
        Place(REAL, None, parts[at], split)
        if low[below] == "real"
        else Place(FAKE, parts[below], None, split)
    )


def _by_names(parts: Sequence[str]) -> Place | None:
    """Folders named real, fake and the like, as ``--label-from folders`` reads them."""
    label = label_of_folders(parts)
    if label is None:
        return None
    group = group_of_folders(parts)
    if label == FAKE:
        return Place(FAKE, group, None, split_of_folders(parts))
    return Place(REAL, None, group, split_of_folders(parts))


def split_of_folders(parts: Sequence[str]) -> str | None:
    """The split that the innermost folder with a split's name says: train, validation or test.

    Example:
        >>> split_of_folders(["set", "val", "dogs"]), split_of_folders(["set"])
        ('validation', None)
    """
    return next((_SPLITS[part.lower()] for part in reversed(parts) if part.lower() in _SPLITS), None)


LAYOUTS: Final[Mapping[str, Layout]] = {
    one.name: one
    for one in (
        Layout("genimage", "GenImage", _genimage),
        Layout("drct", "DRCT-2M", _drct),
        Layout("forensynths", "ForenSynths", _real_fake_folders),
        Layout("univfd", "UnivFD", _real_fake_folders),
        Layout("aigcdetect", "AIGCDetect", _real_fake_folders),
        Layout("synthbuster", "Synthbuster", _synthbuster, certain=_certain_synthbuster),
        Layout("diffusionforensics", "DiffusionForensics", _diffusion_forensics),
        Layout(
            "communityforensics",
            "Community Forensics",
            signature=frozenset({"image_name", "image_data", "model_name"}),
            columns={
                **{"image": "image_data", "label": "label", "generator": "model_name"},
                **{"source": "real_source", "name": "image_name"},
            },
        ),
        Layout(
            "openfake",
            "OpenFake",
            signature=frozenset({"image", "label", "model", "prompt"}),
            columns={"image": "image", "label": "label", "generator": "model"},
        ),
        Layout("folders", "folders by name", _by_names),
    )
}
"""The layouts by name, the most particular first."""

# One rule reads the three layouts of 0_real and 1_fake.
_AUTO: Final = ("genimage", "drct", "forensynths", "synthbuster", "diffusionforensics", "folders")
_AUTO_TITLES: Final = {"forensynths": "ForenSynths, UnivFD or AIGCDetect"}


def checked_layout(name: str | None) -> str | None:
    """`name` if there is such a layout, or "auto"; raises UsageError otherwise."""
    if name is None or name == "auto" or name in LAYOUTS:
        return name
    raise UsageError(f"there is no layout {name!r}; use auto, {', '.join(LAYOUTS)}")


def place_of(name: str, parts: Sequence[str]) -> tuple[str, Place] | None:
    """The title of the layout and what it says of an image below these folders; None where it does not fit.

    Args:
        name: of `LAYOUTS`, or "auto": the first of them that fits.
        parts: folders that lead to the image; the first is the name of what was given.

    Example:
        >>> place_of("auto", ["GenImage", "Midjourney", "imagenet_midjourney", "val", "ai"])
        ('GenImage', Place(label=1, generator='Midjourney', source=None, split='validation'))
    """
    for each in _AUTO if name == "auto" else (name,):
        read = (LAYOUTS[each].certain if name == "auto" else None) or LAYOUTS[each].place
        found = read(parts) if read is not None else None
        if found is not None:
            return (
                _AUTO_TITLES.get(each, LAYOUTS[each].title) if name == "auto" else LAYOUTS[each].title
            ), found
    return None


def table_layout(columns: Iterable[str], name: str | None) -> Layout | None:
    """The layout that a table with these columns has; of two, the one that asks for more columns."""
    have = set(columns)
    fitting = [
        one
        for one in LAYOUTS.values()
        if one.signature and one.signature <= have and name in (None, "auto", one.name)
    ]
    return max(fitting, key=lambda one: len(one.signature), default=None)


class SourceReport:
    """What was understood of a source, counted while `iter_source` gives its images.

    `classes` are the images whose label is a class of another task, which is kept in their metadata; `passed`
    holds what was met beside them and not read.

    Example:
        >>> report = SourceReport()
        >>> report.sentence()
        'no image'
    """

    def __init__(self) -> None:
        self.images = self.unlabelled = self.real = self.generated = self.classes = 0
        self.layouts: Counter[str] = Counter()
        self.generators: set[str] = set()
        self.class_names: set[str] = set()
        self.splits: Counter[str] = Counter()
        self.passed = SkippedFiles()

    def count(self, item: ImageItem) -> None:
        """Count an image; what cannot be used does not count."""
        if item.problem is not None:
            return
        self.images += 1
        self.unlabelled += item.label is None
        if (
            item.label is None
            and (stated := item.metadata.get("label", item.metadata.get("cls"))) is not None
        ):
            self.classes += 1
            if len(self.class_names) < _MOST_NAMES:
                self.class_names.add(stated[:40])
        self.real += item.label == REAL
        self.generated += item.label == FAKE
        if item.layout is not None:
            self.layouts[item.layout] += 1
        if item.generator and item.label == FAKE:
            self.generators.add(item.generator)
        if split := item.metadata.get("split"):
            self.splits[split] += 1

    def merge(self, other: SourceReport) -> None:
        """Add what another report counted."""
        self.images += other.images
        self.unlabelled += other.unlabelled
        self.classes += other.classes
        self.real += other.real
        self.generated += other.generated
        self.layouts += other.layouts
        self.generators |= other.generators
        self.class_names |= other.class_names
        self.splits += other.splits
        self.passed.merge(other.passed)

    def passed_over(self) -> str:
        """What was met and not read, in one line; empty where there is nothing.

        Example:
            >>> report = SourceReport()
            >>> report.passed.add_unread("set/metadata.csv")
            >>> report.passed_over()
            'not read: 1 manifest or archive inside a folder (set/metadata.csv); give it by its name'
        """
        found = []
        if left := len(self.passed.left):
            found.append(f"{left:,} left by systems (Thumbs.db and the like)")
        if unread := sorted(self.passed.unread):
            more = ", …" if len(unread) > 2 else ""
            words = "manifests and archives" if len(unread) > 1 else "manifest or archive"
            inside = [name for name in unread if "::" in name]
            place = "a folder" if not inside else "an archive" if inside == unread else "folders and archives"
            step = "unpack and give" if inside else "give"
            which = "them by their names" if len(unread) > 1 else "it by its name"
            listed = f"{', '.join(unread[:2])}{more}"
            found.append(f"{len(unread):,} {words} inside {place} ({listed}); {step} {which}")
        if outputs := sorted(self.passed.outputs):
            more = ", …" if len(outputs) > 2 else ""
            found.append(f"{len(outputs):,} of Morelli's own outputs ({', '.join(outputs[:2])}{more})")
        if sidecars := sorted(self.passed.sidecars):
            listed = f"{', '.join(sidecars[:2])}{', …' if len(sidecars) > 2 else ''}"
            found.append(
                f"labels beside pictures, in {len(sidecars):,} of their files ({listed}); give a manifest "
                "with the columns path and label"
            )
        if apart := len(self.passed.apart):
            found.append(
                f"labels of {apart:,} pictures of a tar, which lie apart from them; write the files of each "
                "sample one after the other (tar --sort=name)"
            )
        return f"not read: {'; '.join(found)}" if found else ""

    def same_names(self) -> str:
        """How many members of archives share a name with an earlier one, in one line; empty where none does.

        Example:
            >>> report = SourceReport()
            >>> report.passed.add_renamed({"s.zip::a (2).png"})
            >>> report.same_names()
            'a name is given twice in an archive: 1 image is called by a number in it (s.zip::a (2).png)'
        """
        renamed = sorted(self.passed.renamed)
        if not renamed:
            return ""
        images = f"{len(renamed):,} images are" if len(renamed) > 1 else "1 image is"
        listed = f"{', '.join(renamed[:2])}{', …' if len(renamed) > 2 else ''}"
        return f"a name is given twice in an archive: {images} called by a number in it ({listed})"

    def contradictions(self) -> str:
        """How many labels say the opposite of the folders' names, in one line; empty where none does.

        Example:
            >>> report = SourceReport()
            >>> report.passed.add_against("real/a.png")
            >>> report.contradictions()
            'labels of 1 image say the opposite of its folder (real/a.png): check which number is which class'
        """
        against = sorted(self.passed.against)
        if not against:
            return ""
        several = len(against) > 1
        images, folder = ("images", "their folders") if several else ("image", "its folder")
        listed = f"{', '.join(against[:2])}{', …' if len(against) > 2 else ''}"
        counted = f"labels of {len(against):,} {images} say the opposite of {folder} ({listed})"
        return f"{counted}: check which number is which class"

    def _not_understood(self) -> str:
        names = ", ".join(map(repr, sorted(self.class_names)[:2]))
        return (
            f" ({names}{', …' if len(self.class_names) > 2 else ''}: neither real nor fake)" if names else ""
        )

    def sentence(self) -> str:
        """What was understood, in one line."""
        if not self.images:
            return "no image"
        titles = "; ".join(
            title if count == self.images else f"{title} ({count:,} images)"
            for title, count in self.layouts.most_common()
        )
        found = [f"{self.real:,} real", f"{self.generated:,} generated"]
        if self.generators:
            many = len(self.generators)
            found.append(f"{many:,} generator{'s' if many > 1 else ''}")
        if self.splits:
            found.append("splits " + ", ".join(f"{name} {n:,}" for name, n in sorted(self.splits.items())))
        found.append(
            f"{self.unlabelled:,} of {self.images:,} images without a label{self._not_understood()}"
            if self.unlabelled
            else "all labelled"
        )
        return f"layout {titles}: {', '.join(found)}" if titles else f"labels: {', '.join(found)}"
