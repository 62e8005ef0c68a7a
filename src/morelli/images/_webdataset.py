"""Webdataset samples: consecutive members of a tar that share a key, and their sidecars."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from morelli.images._item import ImageItem, problem_item
from morelli.images._labels import label_of

SIDECARS = (".cls", ".json", ".txt")
MOST_SIDECAR = 1 << 20
"""A larger sidecar is no label and no caption; it is passed over."""

MOST_SAMPLE = 64
"""Images of one sample; a shard of one endless sample is cut here, so that memory stays bounded."""


@dataclass
class Sample:
    """Consecutive members that share a key (webdataset: the name up to its first dot)."""

    key: str = ""
    images: list[tuple[ImageItem, str]] = field(default_factory=list)
    sidecars: dict[str, bytes] = field(default_factory=dict)


def finished(sample: Sample) -> Iterator[tuple[ImageItem, str]]:
    """The images of a sample, with the label and metadata that its sidecars give."""
    if not sample.images:
        return
    try:
        label, generator, metadata = _sidecars(sample)
    except ValueError as error:
        for item, name in sample.images:
            yield problem_item(item.uri, "bad_sidecar", f"{item.uri}: {error}"), name
        return
    for item, name in sample.images:
        if item.problem is None:
            item = replace(item, label=label, generator=generator, metadata=metadata)  # noqa: PLW2901
        yield item, name


def _sidecars(sample: Sample) -> tuple[int | None, str | None, dict[str, str]]:
    label: int | None = None
    generator: str | None = None
    metadata: dict[str, str] = {}
    if ".txt" in sample.sidecars:
        metadata["text"] = sample.sidecars[".txt"].decode("utf-8", "replace").strip()
    if ".json" in sample.sidecars:
        try:
            found = json.loads(sample.sidecars[".json"])
        except (ValueError, RecursionError) as error:
            raise ValueError(f"its .json is not readable: {error}") from error
        if not isinstance(found, dict):
            raise ValueError("its .json is not an object")
        for key, value in found.items():
            if key == "label" and value is not None:
                label = label_of(str(value))
                if label is None:
                    raise ValueError(f"label {value!r} in its .json is not understood; use real/0 or fake/1")
            elif key == "generator" and value:
                generator = str(value)
            elif isinstance(value, str | int | float | bool):
                metadata[str(key)] = str(value)
    if ".cls" in sample.sidecars:
        text = sample.sidecars[".cls"].decode("utf-8", "replace").strip()
        found_label = label_of(text)
        if found_label is None:
            metadata["cls"] = text  # a class index of another task
        else:
            label = found_label
    return label, generator, metadata


def key_of(name: str) -> str:
    """The key of a member: its name up to the first dot after the last slash."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.split(".", 1)[0]
