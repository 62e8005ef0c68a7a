"""What a recipe says: the collections, how many images of each, the encoder, how to fit and to measure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from morelli.artefacts import parse_json, read_json
from morelli.artefacts.schema import Each, Number, OneOf, check_schema
from morelli.errors import ArtifactError, UsageError

_MANY = Number(1, 10**8, whole=True)
_COLLECTION = {
    "name": str,
    "page": str,
    "licence": str,
    "real": Number(0, 10**8, whole=True),
    "fake": Number(0, 10**8, whole=True),
    "repository?": (str, None),
    "files?": (str, None),
    "layout?": (str, None),
    "label_from?": (OneOf(("folders",)), None),
    "per_generator?": (_MANY, None),
    "per_source?": (_MANY, None),
    "per_shard?": _MANY,
    "era_column?": (str, None),
    "eras?": Each(str),
}
_PLAN = {
    "format": OneOf(("morelli-recipe",)),
    "version": Number(1, 1, whole=True),
    "title": str,
    "encoder": str,
    "collections": [_COLLECTION],
    "features": {"first": Number(0, 1), "last": Number(0, 1), "blocks": Number(0, 64, whole=True)},
    "align": {"side": Number(16, 8192, whole=True), "quality": Number(1, 100, whole=True)},
    "fit": {
        "detector": OneOf(("probe", "experts", "neighbors")),
        "years?": [Number(1900, 2100, whole=True)],
        "k?": Number(1, 1000, whole=True),
        "fpr": Number(0, 1, inside=True),
        "miss_rate": Number(0, 1, inside=True),
        "new_groups": bool,
        "folds": Number(2, 100, whole=True),
    },
    "evaluate": [OneOf(("lineage", "transfer", "era", "family", "source"))],
    "unmeasured": str,
}
_REPOSITORY = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Collection:
    """One collection and the part of it that is taken.

    Attributes:
        name, page, licence: what it is called, where it is described, on which terms it is given.
        real, fake: images of each class at most.
        repository: data set on the Hugging Face hub, `owner/name`; None where it has to be on this machine.
        files: pattern of its shards, Parquet or tar; None for a folder of images.
        layout, label_from: as for `morelli.images.iter_source`.
        per_generator, per_source: images of one generator, or of one source of real images, at most.
        per_shard: images of one shard at most, so that the part is spread over many.
        era_column: column with the year in which a generator appeared, where the collection has one.
        eras: pattern of a generator's name (a regular expression) → year or span; the first that is found.
    """

    name: str
    page: str
    licence: str
    real: int
    fake: int
    repository: str | None = None
    files: str | None = None
    layout: str | None = None
    label_from: Literal["folders"] | None = None
    per_generator: int | None = None
    per_source: int | None = None
    per_shard: int = 500
    era_column: str | None = None
    eras: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A recipe as it is written down. `document` is the JSON value that it was read from.

    Attributes:
        name: what it is called by.
        shipped: whether it came with the program. Only such a recipe may name repositories to fetch from
            without being asked again.
    """

    name: str
    title: str
    encoder: str
    collections: tuple[Collection, ...]
    features: Mapping[str, float]
    align: Mapping[str, int]
    fit: Mapping[str, Any]
    evaluate: tuple[str, ...]
    unmeasured: str
    document: Mapping[str, Any] = field(repr=False, compare=False)
    shipped: bool = False

    def scaled(self, images: int) -> Plan:
        """The plan with at most this many images of each class in every collection.

        Example:
            >>> {c.real for c in plan("own-folders").scaled(10).collections}
            {10}
        """
        document = {
            **self.document,
            "collections": [
                {**one, "real": min(one["real"], images), "fake": min(one["fake"], images)}
                for one in self.document["collections"]
            ],
        }
        return _plan(self.name, document, self.name, shipped=self.shipped)


def plans() -> tuple[Plan, ...]:
    """The recipes that come with the program, by name.

    Example:
        >>> [one.name for one in plans()]
        ['community-forensics', 'drct', 'genimage', 'openfake', 'own-folders']
    """
    folder = files("morelli.recipes") / "shipped"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json"))
    return tuple(
        _plan(
            name.removesuffix(".json"),
            parse_json((folder / name).read_bytes(), name),
            name,
            shipped=True,
        )
        for name in names
    )


def plan(name: str | Path) -> Plan:
    """The recipe of this name, or in this JSON file.

    Raises:
        UsageError: there is none.
        ArtifactError: the file is no recipe; the text names the field.
    """
    text = str(name)
    if text.endswith(".json"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(
                f"{path} does not exist; a recipe is one of `morelli recipe list`, or a JSON file."
            )
        return _plan(path.stem, read_json(path, what="recipe"), path, shipped=False)
    known = {one.name: one for one in plans()}
    if text in known:
        return known[text]
    near = get_close_matches(text, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(
        f"There is no recipe {text!r}.{hint} There are {', '.join(known)}; a .json file works too."
    )


def _plan(name: str, data: Any, file: str | Path, *, shipped: bool) -> Plan:
    check_schema(data, _PLAN, file)
    collections = tuple(
        Collection(**{key: one[key] for key in one if f"{key}?" in _COLLECTION or key in _COLLECTION})
        for one in data["collections"]
    )
    titles = [one.name for one in collections]
    if not collections or len(set(titles)) < len(titles):
        raise ArtifactError(f"{file}: `collections` must be at least one, each with a name of its own")
    for one in collections:
        if one.repository is not None and not _REPOSITORY.fullmatch(one.repository):
            raise ArtifactError(f"{file}: {one.repository!r} is no repository of the form owner/name")
        if one.repository is not None and one.files is None:
            raise ArtifactError(f"{file}: {one.name} has a repository, but `files` does not say which shards")
        for pattern in one.eras:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ArtifactError(
                    f"{file}: {pattern!r} in `eras` is no regular expression ({error})"
                ) from error
    return Plan(
        name,
        data["title"],
        data["encoder"],
        collections,
        data["features"],
        data["align"],
        data["fit"],
        tuple(data["evaluate"]),
        data["unmeasured"],
        data,
        shipped,
    )
