"""`atlas.json`: what an atlas holds, what it was made from, and the hash of every file that is no table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from morelli.encoders import Build
from morelli.errors import ArtifactError

FORMAT = "morelli-atlas"
VERSION = 1
MANIFEST = "atlas.json"


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
        files: path within the atlas → SHA-256, of files that are not tables.
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
        text = json.dumps(self.to_json(), indent=1, sort_keys=True, allow_nan=False)
        part = folder / f".{MANIFEST}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(folder / MANIFEST)

    @classmethod
    def read(cls, folder: Path) -> AtlasRecord:
        """Read the document of an atlas.

        Raises:
            ArtifactError: there is none, it is damaged, or of a later version.
        """
        path = folder / MANIFEST
        if not path.is_file():
            what = "is not finished; run `morelli atlas build` again" if folder.is_dir() else "is not there"
            raise ArtifactError(f"{folder} {what} ({MANIFEST} is missing)")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data.pop("format") != FORMAT:
                raise ArtifactError(f"{path} is no atlas of Morelli's")
            version = data.pop("format_version")
            if version != VERSION:
                raise ArtifactError(
                    f"{path} has format {version}, this Morelli reads {VERSION}; update, or build again"
                )
            data["build"] = Build.from_json(data["build"])
            data["thresholds"] = tuple(data["thresholds"])
            data["sources"] = tuple(data["sources"])
            data["unreadable"] = tuple(tuple(pair) for pair in data["unreadable"])
            return cls(**data)
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{path} is damaged ({error}); build the atlas again") from error


def file_hashes(folder: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of the files in an atlas that match, by their path within it."""
    found = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in found}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
