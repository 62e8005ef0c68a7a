"""Columns of the feature table: which metadata a row has, and how feature kinds become columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from morelli.artefacts import parse_json
from morelli.artefacts.schema import Each, Number, check_schema
from morelli.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from morelli.encoders import Build

FORMAT = 1
Dtype = Literal["float16", "float32"]
DTYPES: tuple[Dtype, ...] = ("float32", "float16")

COLUMNS: tuple[str, ...] = (
    "sha256",
    "perturbation",
    "uri",
    "label",
    "generator",
    "lineage",
    "source",
    "era",
    "metadata",
    "width",
    "height",
    "bytes",
    "format",
    "jpeg_quality",
    "has_icc",
    "has_exif",
    "notes",
    "phash",
)
LabelAndGenerator = tuple[int | None, str | None]
"""Label (0 real, 1 fake) and generator of an image; None where they are unknown."""
FIRST_CLASS = ("lineage", "source", "era")
"""Manifest columns that evaluation splits by, and that therefore are columns of their own."""


def metadata_schema() -> pa.Schema:
    """Arrow schema of the columns beside the vectors; unknown values are null.

    `metadata` is one JSON object of the manifest's other columns. A source is read lazily, so which
    columns it has is not known when the table is created; one JSON column takes them all, and reading
    a column by its name looks inside it.

    Example:
        >>> metadata_schema().names[:5]
        ['sha256', 'perturbation', 'uri', 'label', 'generator']
    """
    import pyarrow as pa

    types = {
        "label": pa.int8(),
        "width": pa.int32(),
        "height": pa.int32(),
        "bytes": pa.int64(),
        "jpeg_quality": pa.int16(),
        "has_icc": pa.bool_(),
        "has_exif": pa.bool_(),
        "phash": pa.uint64(),
    }
    required = {"sha256", "perturbation", "uri"}
    return pa.schema([pa.field(n, types.get(n, pa.string()), nullable=n not in required) for n in COLUMNS])


def column_of(kind: str) -> str:
    """Name of the column that holds a feature kind; Lance reads dots in names as nesting.

    Example:
        >>> column_of("layer:9"), column_of("head:11.3")
        ('layer_9', 'head_11_3')
    """
    return kind.replace(":", "_").replace(".", "_")


_SCHEMA = {"kinds": Each([Number(1, 1 << 24, whole=True)]), "build": dict, "dtype": str}


@dataclass(frozen=True)
class TableSpec:
    """What a table holds, fixed when it is created: one build, its feature kinds, their precision.

    Example:
        >>> from morelli.encoders import Build
        >>> build = Build(encoder="clip-vit-b16", weights="ab", transform="clip-224-v1", dtype="float32")
        >>> spec = TableSpec(build, {"final": (512,), "layer:9": (768,)}, "float32")
        >>> TableSpec.from_schema(spec.schema()) == spec
        True
    """

    build: Build
    kinds: Mapping[str, tuple[int, ...]]  # kind → shape of one image's array
    dtype: Dtype

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UsageError(f"features are stored as {' or '.join(DTYPES)}, not {self.dtype!r}")
        if not self.kinds:
            raise UsageError("name at least one feature kind, for example final or layer:9")

    @property
    def row_bytes(self) -> int:
        """Bytes that one image's vectors take."""
        import math

        return (4 if self.dtype == "float32" else 2) * sum(math.prod(shape) for shape in self.kinds.values())

    def schema(self) -> pa.Schema:
        """Arrow schema of the table, with the whole spec in its metadata."""
        import math

        import pyarrow as pa

        from morelli._version import __version__

        item = pa.field("item", pa.float32() if self.dtype == "float32" else pa.float16(), nullable=False)
        vectors = [
            pa.field(column_of(kind), pa.list_(item, math.prod(shape)), nullable=False)
            for kind, shape in self.kinds.items()
        ]
        return pa.schema(
            [*metadata_schema(), *vectors],
            metadata={
                "morelli.format": str(FORMAT),
                "morelli.version": __version__,
                "morelli.build": json.dumps(self.build.to_json()),
                "morelli.kinds": json.dumps({kind: list(shape) for kind, shape in self.kinds.items()}),
                "morelli.dtype": self.dtype,
            },
        )

    @classmethod
    def from_schema(cls, schema: pa.Schema) -> TableSpec:
        """Read the spec back from a table's schema.

        Raises:
            ArtifactError: the schema is not one of Morelli's, or of a later format.
        """
        from morelli.encoders import Build

        stored = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        version = stored.get("morelli.format")
        if version is None:
            raise ArtifactError("this Lance dataset is not a feature table; make one with `morelli extract`")
        if version != str(FORMAT):
            raise ArtifactError(
                f"the feature table has format {version}, this Morelli reads format {FORMAT}; "
                "update Morelli or extract again"
            )
        what = "the feature table's schema"
        facts = {name: stored.get(f"morelli.{name}", "null") for name in ("kinds", "build", "dtype")}
        found = facts | {name: parse_json(facts[name], what) for name in ("kinds", "build")}
        check_schema(found, _SCHEMA, what)
        kinds = {kind: tuple(shape) for kind, shape in found["kinds"].items()}
        dtype: Dtype = "float16" if found["dtype"] == "float16" else "float32"
        return cls(Build.from_json(found["build"]), kinds, dtype)

    def differences(self, other: TableSpec) -> list[str]:
        """Each field in which `other` differs from this spec, as a line for people."""
        mine, theirs = asdict(self.build), asdict(other.build)
        lines = [
            f"{field}: {mine[field]} in the table, {theirs[field]} now"
            for field in mine
            if mine[field] != theirs[field] and not self.build.matches(other.build)
        ]
        if dict(self.kinds) != dict(other.kinds):
            lines.append(f"kinds: {_names(self.kinds)} in the table, {_names(other.kinds)} now")
        if self.dtype != other.dtype:
            lines.append(f"stored precision: {self.dtype} in the table, {other.dtype} now")
        return lines


def _names(kinds: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{kind} ({'×'.join(map(str, shape))})" for kind, shape in kinds.items())
