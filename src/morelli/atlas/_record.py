"""`atlas.json`: what an atlas holds, what it was made from, and the hash of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
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
        document["digest"] = _digest(document)
        text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False)
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
            if not isinstance(data, dict):
                raise TypeError("it holds no JSON object")
            if data.pop("format") != FORMAT:
                raise ArtifactError(f"{path} is no atlas of Morelli's")
            version = data.pop("format_version")
            if version != VERSION:
                raise ArtifactError(
                    f"{path} has format {version}, this Morelli reads {VERSION}; update, or build again"
                )
            stated = data.pop("digest", None)
            if stated is not None and stated != _digest(
                {"format": FORMAT, "format_version": version, **data}
            ):
                raise ArtifactError(
                    f"{path} was changed or damaged after it was written (its digest differs); restore it "
                    "from a copy, or build the atlas again"
                )
            _require_types(data)
            data["build"] = Build.from_json(data["build"])
            data["thresholds"] = tuple(data["thresholds"])
            data["sources"] = tuple(data["sources"])
            data["unreadable"] = tuple(tuple(pair) for pair in data["unreadable"])
            return cls(**data)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ArtifactError(f"{path} is damaged ({error}); build the atlas again") from error


def _digest(document: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the document's canonical JSON without its own `digest`."""
    rest = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _require_types(data: Mapping[str, Any]) -> None:
    """Raise TypeError where a field that names files, or counts, is of another type."""
    for name in ("images", "labelled", "added", "dimensions", "patches", "levels"):
        if type(data[name]) is not int or data[name] < 0:
            raise TypeError(f"{name} is no number")
    versions, files = data["versions"], data["files"]
    if not isinstance(versions, dict) or not all(
        name in ("images", "pixels") and type(number) is int for name, number in versions.items()
    ):
        raise TypeError("versions are no numbers of tables")
    if "images" not in versions:
        raise TypeError("the version of images is missing")
    if not isinstance(files, dict) or not all(
        isinstance(digest, str) and _is_inside(file) for file, digest in files.items()
    ):
        raise TypeError("files are no paths within the atlas with their digests")


def _is_inside(file: str) -> bool:
    """True of a path that stays within the folder, written as `Path.as_posix` does."""
    path = PurePosixPath(file)
    return (
        not path.is_absolute()
        and ".." not in path.parts
        and not set("\\:\0") & set(file)
        and path.as_posix() == file
    )
