"""Webdataset samples: consecutive members of a tar that share a key, and their sidecars."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from morelli.errors import ImageError
from morelli.images._files import is_image_name, read_part
from morelli.images._item import ImageItem, problem_item
from morelli.images._labels import (
    REAL,
    UNKNOWN,
    contradiction,
    is_label_column,
    label_in_column,
    label_of,
)

SIDECARS = (".cls", ".json", ".txt")
MOST_SIDECAR = 1 << 20
"""A larger sidecar is no label and no caption; it is passed over."""

MOST_SAMPLE = 64
"""Images of one sample; a shard of one endless sample is cut here, so that memory stays bounded."""

_MOST_SIDECARS = 4 << 20
_MOST_KEYS = 100_000
_KNOWN = frozenset({"label", "generator", "lineage", "source", "era", "family", "split"})
_SUFFIXES = (".jpg", ".png", ".jpeg", ".webp", ".JPG", ".PNG")
_NUMBERS = ("0", "1", "0.0", "1.0")


@dataclass
class Sample:
    """Consecutive members that share a key (webdataset: the name up to its first dot).

    Names with further dots (``v1.0_0001.jpg``) share a key without belonging together: a sidecar
    counts for the images whose name begins with the sidecar's name up to its last dot.
    """

    key: str = ""
    images: list[tuple[ImageItem, str]] = field(default_factory=list)
    sidecars: dict[tuple[str, str], bytes] = field(default_factory=dict)
    size: int = 0

    def takes(self, name: str) -> bool:
        """True where the member `name` belongs to this sample, or may."""
        if key_of(name) != self.key:
            return False
        if split_suffix(name) in self.sidecars or any(name == own for _, own in self.images):
            return False  # a second sample of the same name
        if len(self.images) < MOST_SAMPLE and self.size < _MOST_SIDECARS:
            return True
        # A full sample is cut between two images, not between an image and its sidecars.
        stem = split_suffix(name)[0]
        return bool(self.images) and len(self.images) < 2 * MOST_SAMPLE and _belongs(self.images[-1][1], stem)

    def add_sidecar(self, name: str, data: bytes) -> None:
        """Keep a sidecar for the images of the same name."""
        self.sidecars[split_suffix(name)] = data
        self.size += len(data) + len(name)


@dataclass
class SplitSamples:
    """Keys of samples that came in two parts, pictures here and labels there, which are not read then."""

    pictures: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)

    def note(self, sample: Sample) -> None:
        """Take a finished sample."""
        labels = any(suffix in (".cls", ".json") for _, suffix in sample.sidecars)
        kept = self.labels if labels and not sample.images else self.pictures
        if bool(sample.images) != labels and len(kept) < _MOST_KEYS:
            kept.add(sample.key)

    def both(self) -> list[str]:
        """Those of which both parts were met."""
        return sorted(self.pictures & self.labels)


def finished(
    sample: Sample, is_label: Callable[[], bool], label: int | None = None, *, column: str | None = None
) -> Iterator[tuple[ImageItem, str]]:
    """The images of a sample, with the label and metadata that its sidecars give.

    `is_label` is asked whether the shard's bare numbers 0 and 1 stand for real and fake; else they are
    the class indices of another task, kept in the metadata. So is a bare number in a ``.cls`` where the
    caller knows the `label`. `column`: the key of labels in ``.json``, instead of ``label``.
    """
    for item, name in sample.images:
        # The sidecar with the longer name is about fewer images, and decides.
        own = {
            suffix: data
            for (stem, suffix), data in sorted(sample.sidecars.items(), key=lambda pair: len(pair[0][0]))
            if _belongs(name, stem)
        }
        try:
            found, generator, metadata = _read(own, is_label, label is None, column)
        except ValueError as error:
            yield problem_item(item.uri, "bad_sidecar", f"{item.uri}: {error}"), name
            continue
        if item.problem is None:
            item = replace(item, label=found, generator=generator, metadata=metadata)  # noqa: PLW2901
        yield item, name


def _read(
    sidecars: Mapping[str, bytes], is_label: Callable[[], bool], class_numbers: bool, column: str | None
) -> tuple[int | None, str | None, dict[str, str]]:
    label: int | None = None
    generator: str | None = None
    metadata: dict[str, str] = {}
    if ".txt" in sidecars:
        metadata["text"] = sidecars[".txt"].decode("utf-8", "replace").strip()
    if ".json" in sidecars:
        found_keys = _object(sidecars[".json"])
        for name, value in found_keys.items():
            low = str(name).lower()
            key = low if low in _KNOWN and low not in found_keys else name
            if name == column and value is not None:
                label = label_in_column(str(value), column)
                if label is None and str(value).strip().lower() not in UNKNOWN:
                    raise ValueError(f"its {column} {value!r} is not understood; use real/0 or fake/1")
            elif key == "label" and column is None and value is not None:
                label = _label(str(value), is_label)
                if label is None and isinstance(value, str | int | float) and _is_known(str(value)):
                    metadata["label"] = str(value)
            elif key == "generator" and value and isinstance(value, str | int | float):
                generator = str(value)
            elif isinstance(value, str | int | float | bool):
                metadata[str(key)] = str(value)
    if ".cls" in sidecars:
        text = sidecars[".cls"].decode("utf-8", "replace").strip()
        found = _label(text, is_label if class_numbers else lambda: False)
        if found is None:
            if _is_known(text):
                metadata["cls"] = text  # a class index of another task
        elif label is not None and found != label:
            raise ValueError(f"its .cls {text!r} and the label of its .json contradict each other")
        else:
            label = found
    if column is None and (other := contradiction(label, metadata, generator)) is not None:
        raise ValueError(
            f"its label means {'real' if label == REAL else 'generated'} and {other} the opposite"
        )
    return label, generator, metadata


def speaks_of_another_task(name: str, data: bytes) -> bool:
    """True for a sidecar whose label is neither real nor fake: its shard's 0 and 1 are classes, too."""
    if name.lower().endswith(".cls"):
        text = data.decode("utf-8", "replace")
    else:
        try:
            text = str(_object(data).get("label") or "")
        except ValueError:
            return False
    return _is_known(text) and label_of(text) is None


def may_be_sidecar(path: str, is_there: Callable[[str], bool] = os.path.lexists) -> bool:
    """Whether a file lies beside a picture of its name and may state a label, which is read in tars alone."""
    stem, suffix = split_suffix(path)
    pictures = [stem] if is_image_name(stem) else [f"{stem}{one}" for one in _SUFFIXES]
    return suffix in (".cls", ".json") and any(map(is_there, pictures))


def states_label(path: str, read: Callable[[str, int], bytes] = read_part) -> bool:
    """Whether a sidecar states a label; `read` gives so many bytes of it at most."""
    if split_suffix(path)[1] == ".cls":
        return True
    try:
        data = read(path, MOST_SIDECAR + 1)
        return len(data) <= MOST_SIDECAR and any(map(is_label_column, _object(data)))
    except (OSError, ValueError, ImageError):
        return False


def _is_known(label: str) -> bool:
    """Whether a label is more than a way to write "unknown", of which -1 is that of class numbers."""
    return label.strip().lower() not in UNKNOWN | {"-1", "-1.0"}


def is_sidecar(name: str) -> bool:
    """True for a name that ends as a sidecar's does."""
    return split_suffix(name)[1] in SIDECARS


def key_of(name: str) -> str:
    """The key of a member: its name up to the first dot after the last slash."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.split(".", 1)[0]


def split_suffix(name: str) -> tuple[str, str]:
    """A member's name up to its last dot, and the lower-case suffix from there.

    >>> split_suffix("a.b/v1.0_0001.CLS"), split_suffix("a.b/0001")
    (('a.b/v1.0_0001', '.cls'), ('a.b/0001', ''))
    """
    folder, slash, base = name.rpartition("/")
    stem, dot, suffix = base.rpartition(".")
    return (folder + slash + stem, dot + suffix.lower()) if dot else (name, "")


def _belongs(name: str, stem: str) -> bool:
    return name == stem or name.startswith(stem + ".")


def _label(text: str, is_label: Callable[[], bool]) -> int | None:
    label = label_of(text)
    if label is not None and text.strip() in _NUMBERS and not is_label():
        return None
    return label


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its .json is not readable: {error}") from error
    if not isinstance(found, dict):
        raise ValueError("its .json is not an object")  # noqa: TRY004 - of the sidecar's content
    return found
