"""`atlas.json`: what an atlas holds, what it was made from, and the hash of every file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any, Self

from morelli.artefacts import document_digest, read_json, write_file
from morelli.artefacts.schema import COUNT, Each, Number, check_schema
from morelli.encoders import Build
from morelli.errors import ArtifactError

FORMAT = "morelli-atlas"
VERSION = 1
MANIFEST = "atlas.json"
_LARGEST = 256 << 20
_SCHEMA = {
    "name": str,
    "build": dict,
    "kind": str,
    "perturbation": str,
    "images": COUNT,
    "labelled": COUNT,
    "added": COUNT,
    "dimensions": Number(1, 1 << 20, whole=True),
    "patches": COUNT,
    "levels": Number(0, 16, whole=True),
    "thresholds": [Number(0, 1)],
    "projection": str,
    "held_out": str,
    "versions": {"images": COUNT, "pixels?": COUNT},
    "audit": dict,
    "distiller": dict,
    "sources": [dict],
    "files": Each(str),
    "command": str,
    "version": str,
    "seed": int,
    "unreadable": [[str]],
}


@dataclass(frozen=True)
class AtlasRecord:
    """The document of an atlas.

    Attributes:
        name: what people call it.
        build: what made the features.
        kind: the feature kind that was distilled.
        perturbation: delivery of the images, empty for as they are.
        images: number of rows; `labelled` of them have a label, `added` came after the first build.
        dimensions, patches: K and P; `patches` is 0 where there are no maps.
        levels: the finest level of the pyramid.
        versions: number of the Lance version of `images` and `pixels` that belongs to this record. An
            addition that was cut short leaves newer ones, which are ignored and taken back by the next.
        thresholds: probabilities (real, ai) at and beyond which a verdict is not inconclusive.
        projection: method of the layout.
        held_out: how scores were kept from images that the distiller was fitted on.
        audit: file facts alone: AUC, interval, number of images; empty without both labels.
        distiller: options of the fit and figures of it.
        sources: path as given, digest and number of images of every feature table.
        files: path within the atlas → SHA-256. Atlases written before have none of their tables' files.
        command, version, seed: how it was made.
        unreadable: (uri, reason) of images whose file could not be read for maps and thumbnails.
    """

    name: str
    build: Build
    kind: str
    perturbation: str
    images: int
    labelled: int
    added: int
    dimensions: int
    patches: int
    levels: int
    thresholds: tuple[float, float]
    projection: str
    held_out: str
    versions: Mapping[str, int] = field(default_factory=dict)
    audit: Mapping[str, Any] = field(default_factory=dict)
    distiller: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    version: str = ""
    seed: int = 0
    unreadable: tuple[tuple[str, str], ...] = ()

    @property
    def cells(self) -> str:
        """Name of the folder that holds the cells of exactly these images."""
        return f"cells-{self.images}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, format and version first."""
        return {"format": FORMAT, "format_version": VERSION, **asdict(self), "build": self.build.to_json()}

    def write(self, folder: Path) -> None:
        """Write `atlas.json` whole or not at all; last of all files, since it says that the rest is there."""
        document = self.to_json()
        document["digest"] = document_digest(document)
        text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
        write_file(folder / MANIFEST, text)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the document of an atlas.

        Raises:
            ArtifactError: there is none, it is damaged, or of a later version.
        """
        path = folder / MANIFEST
        if not path.is_file():
            what = "is not finished; run `morelli atlas build` again" if folder.is_dir() else "is not there"
            if (folder / "_versions").is_dir():
                what = "is a feature table and no atlas; make one of it with `morelli atlas build`"
            raise ArtifactError(f"{folder} {what} ({MANIFEST} is missing)")
        try:
            return cls._of(read_json(path, largest=_LARGEST, what="atlas"), path)
        except ArtifactError as error:
            reason = str(error).removeprefix(f"{path}: ")
            if reason.startswith(str(path)):
                raise
            raise ArtifactError(f"{path} is damaged ({reason}); build the atlas again") from error

    @classmethod
    def _of(cls, data: Any, path: Path) -> Self:
        """The record of a JSON value that was read from `path`."""
        if not isinstance(data, dict):
            raise ArtifactError(f"{path}: it holds no JSON object")
        if data.get("format") != FORMAT:
            raise ArtifactError(f"{path} is no atlas of Morelli's")
        version = data.get("format_version")
        if version != VERSION or isinstance(version, bool):
            raise ArtifactError(
                f"{path} has format {ascii(version)[:20]}, this Morelli reads {VERSION}; update, or "
                "build again"
            )
        stated = data.get("digest")
        if stated is not None and stated != document_digest(data):
            raise ArtifactError(
                f"{path} was changed or damaged after it was written (its digest differs); restore it "
                "from a copy, or build the atlas again"
            )
        check_schema(data, _SCHEMA, path)
        outside = [file for file in data["files"] if not _is_inside(file)]
        if outside:
            raise ArtifactError(f"{path}: it names a file outside the atlas: {outside[0]!r}")
        if set(data["versions"]) - {"images", "pixels"}:
            raise ArtifactError(f"{path}: versions must be of images and pixels")
        if len(data["thresholds"]) != 2 or any(len(pair) != 2 for pair in data["unreadable"]):
            raise ArtifactError(f"{path}: thresholds and unreadable must be pairs")
        if not data["thresholds"][0] <= data["thresholds"][1]:
            raise ArtifactError(f"{path}: thresholds must be ordered")
        known = {one.name for one in fields(cls)}
        try:
            build = Build.from_json(data["build"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{path}: build: {error}") from error
        return cls(
            **{name: value for name, value in data.items() if name in known}
            | {
                "build": build,
                "thresholds": tuple(data["thresholds"]),
                "sources": tuple(data["sources"]),
                "unreadable": tuple(tuple(pair) for pair in data["unreadable"]),
            }
        )


def _is_inside(file: str) -> bool:
    """True of a path that stays within the folder, written as `Path.as_posix` does."""
    path = PurePosixPath(file)
    return (
        file.isprintable()
        and not path.is_absolute()
        and ".." not in path.parts
        and not set("\\:") & set(file)
        and path.as_posix() == file
    )
