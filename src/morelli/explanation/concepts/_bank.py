"""The concept bank: named unit directions in one feature space, whatever they were made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morelli.artefacts import Format, read_folder, write_folder
from morelli.artefacts.schema import COUNT
from morelli.artefacts.targets import check_folder_target
from morelli.errors import ArtifactError, BuildMismatchError, UsageError

if TYPE_CHECKING:
    from morelli.encoders import Build

ConceptSource = Literal["text", "antonyms", "text bank", "edit", "examples", "given"]
TENSORS = "directions.safetensors"


def _files_of_version_1(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {TENSORS: {"sha256": document.get("sha256")}}


_FORM = Format(
    name="morelli-concepts",
    what="concept bank",
    manifest="concepts.json",
    version=2,
    again="build it again with `morelli concepts build`",
    schema={
        "kind": str,
        "build": (dict, None),
        "concepts": [
            {
                "name": str,
                "opposite": str,
                "source?": str,
                "description?": str,
                "extent?": (float, None),
                "reliability?": (float, None),
                "n?": COUNT,
            }
        ],
        "metadata": dict,
    },
    files_of=_files_of_version_1,
)


@dataclass(frozen=True)
class Concept:
    """What is known of one direction.

    Attributes:
        name: what the positive end is called: "more saturated".
        opposite: what the negative end is called: "less saturated".
        source: what the direction was made from.
        description: one sentence: how it was made.
        extent: length of the difference that was scaled to 1, in units of unit embeddings; None unknown.
        reliability: cosine between the directions of two random halves of the material, None unknown.
        n: how many images (or prompt texts) the direction rests on; 0 unknown.
    """

    name: str
    opposite: str
    source: ConceptSource = "given"
    description: str = ""
    extent: float | None = None
    reliability: float | None = None
    n: int = 0

    def end(self, sign: float) -> str:
        """The name of the positive (sign ≥ 0) or negative end."""
        return self.name if sign >= 0 else self.opposite


@dataclass(frozen=True, eq=False)
class ConceptBank:
    """Named unit directions (m, d) float32 in the space of one feature kind of one encoder build.

    A direction is compared with differences of embeddings (a residual, an image minus the mean), never
    with an embedding itself, so where its origin lies does not matter. `build` None: unknown, anything of
    the right length is taken.

    Example:
        >>> bank = ConceptBank.of(["red", "round"], [[2.0, 0, 0], [0, 1.0, 1.0]])
        >>> bank.names, bank.concepts[0].opposite, bank.directions[0].tolist()
        (('red', 'round'), 'not red', [1.0, 0.0, 0.0])
    """

    concepts: tuple[Concept, ...]
    directions: NDArray[np.float32]
    kind: str = "final"
    build: Build | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = self.directions
        if rows.ndim != 2 or len(rows) != len(self.concepts) or not len(rows):
            raise UsageError(
                f"A concept bank needs one direction per concept and at least one; got {len(self.concepts)} "
                f"concepts and directions of shape {rows.shape}."
            )
        if not np.isfinite(rows).all() or np.abs(np.linalg.norm(rows, axis=1) - 1).max() > 1e-3:
            raise UsageError("The directions of a concept bank have length 1; make the bank with `of`.")
        names = self.names
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise UsageError(f"Concept names must differ; more than once there are {', '.join(twice[:5])}.")

    @classmethod
    def of(
        cls,
        names: Sequence[str | Concept],
        vectors: ArrayLike,
        *,
        kind: str = "final",
        build: Build | None = None,
        source: ConceptSource = "given",
        metadata: Mapping[str, Any] | None = None,
    ) -> Self:
        """A bank of vectors (m, d) of any length, which become `extent` where a concept knows none.

        Raises:
            UsageError: a vector is zero or not finite, or the numbers of names and vectors differ.
        """
        rows = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
        if rows.ndim != 2 or len(rows) != len(names):
            raise UsageError(f"{len(names)} names were given for vectors of shape {rows.shape}.")
        lengths = np.linalg.norm(rows, axis=1)
        if not np.isfinite(rows).all() or (lengths == 0).any():
            bad = [str(n) for n, x in zip(names, lengths, strict=True) if not np.isfinite(x) or x == 0]
            raise UsageError(f"These concepts have no direction (zero or not finite): {', '.join(bad[:5])}.")
        concepts = [
            name if isinstance(name, Concept) else Concept(name, f"not {name}", source) for name in names
        ]
        known = tuple(
            c if c.extent is not None else replace(c, extent=float(x))
            for c, x in zip(concepts, lengths, strict=True)
        )
        unit = (rows / lengths[:, None]).astype(np.float32)
        return cls(known, unit, kind, build, dict(metadata or {}))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the positive ends."""
        return tuple(concept.name for concept in self.concepts)

    @property
    def source(self) -> tuple[str, ...]:
        """What each direction was made from."""
        return tuple(concept.source for concept in self.concepts)

    @property
    def dim(self) -> int:
        """Length d of the directions."""
        return int(self.directions.shape[1])

    def __len__(self) -> int:
        return len(self.concepts)

    def __repr__(self) -> str:
        made = self.build.encoder if self.build is not None else "unknown encoder"
        return f"ConceptBank({len(self)} concepts, {self.kind} of {made}, d = {self.dim})"

    def index(self, name: str) -> int:
        """Row of the concept called `name`, at either end.

        Raises:
            UsageError: there is none; the text lists names that resemble it.
        """
        for row, concept in enumerate(self.concepts):
            if name in (concept.name, concept.opposite):
                return row
        from difflib import get_close_matches

        near = get_close_matches(name, self.names, n=5, cutoff=0.3) or list(self.names[:5])
        raise UsageError(f"The bank has no concept {name!r}; there are {', '.join(near)}, …")

    def select(self, which: Sequence[str] | NDArray[Any]) -> Self:
        """The bank of these concepts, by name, row number or mask, in that order."""
        listed = list(which)
        if listed and isinstance(listed[0], str):
            rows = np.array([self.index(str(name)) for name in listed])
        else:
            rows = np.arange(len(self))[np.asarray(which)]
        return replace(self, concepts=tuple(self.concepts[i] for i in rows), directions=self.directions[rows])

    def joined(self, other: ConceptBank) -> ConceptBank:
        """Both banks as one; a concept of `other` that is called as one here is named with its source.

        Raises:
            BuildMismatchError, UsageError: the spaces differ.
        """
        if self.kind != other.kind:
            raise UsageError(f"The banks are of two kinds, {self.kind} and {other.kind}.")
        if self.build is not None and other.build is not None:
            self.build.require_same(other.build, what="the other concept bank")
        if self.dim != other.dim:
            raise BuildMismatchError(f"The banks have directions of {self.dim} and {other.dim} values.")
        taken = set(self.names)
        more = tuple(
            replace(c, name=f"{c.name} ({c.source})") if c.name in taken else c for c in other.concepts
        )
        return ConceptBank(
            (*self.concepts, *more),
            np.concatenate([self.directions, other.directions]),
            self.kind,
            self.build or other.build,
            {"joined": [dict(self.metadata), dict(other.metadata)]},
        )

    def check(self, build: Build | None, dim: int) -> None:
        """Raise `BuildMismatchError` unless features of `build` and length `dim` live in this space."""
        if self.build is not None and build is not None:
            build.require_same(self.build, what="the concept bank")
        if dim != self.dim:
            raise BuildMismatchError(
                f"The features have {dim} values and the concepts of this bank {self.dim}: they belong to "
                f"another encoder or feature kind than {self.kind}. Build the bank with the same encoder."
            )

    def save(self, path: str | Path) -> Path:
        """Write a folder with `concepts.json` and `directions.safetensors`; an older bank is replaced.

        Raises:
            UsageError: something that is no concept bank stands at `path`.
            ArtifactError: another program is writing there.
        """
        document = {
            "kind": self.kind,
            "build": self.build.to_json() if self.build is not None else None,
            "concepts": [asdict(concept) for concept in self.concepts],
            "metadata": dict(self.metadata),
        }
        write_folder(path, _FORM, document, tensors={TENSORS: {"directions": self.directions}})
        return Path(path)

    @staticmethod
    def check_target(path: str | Path) -> None:
        """Raise UsageError where `save` could not write: ask before the bank is made, not after it."""
        check_folder_target(path, _FORM)

    @classmethod
    def load(cls, path: str | Path) -> ConceptBank:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            ArtifactError: a file is missing, was changed, or does not fit the manifest.
        """
        from morelli.encoders import Build

        found = read_folder(path, _FORM)
        document = found.document
        known = {item.name for item in fields(Concept)}
        try:
            directions = found.tensors[TENSORS]["directions"].astype(np.float32, copy=False)
            concepts = tuple(
                Concept(**{k: v for k, v in entry.items() if k in known}) for entry in document["concepts"]
            )
            build = Build.from_json(document["build"]) if document["build"] is not None else None
            return ConceptBank(concepts, directions, document["kind"], build, document["metadata"])
        except (KeyError, UsageError) as error:
            raise ArtifactError(f"The concept bank {path} is damaged ({error}); {_FORM.again}.") from error


def default_concepts_path() -> Path:
    """Where the concept bank that comes with Morelli lies: edits, in `final` of CLIP ViT-B/16."""
    return Path(__file__).parents[1] / "default_concepts"
