"""Prototypes: the centres of a collection's patterns, with what is known of each, and their file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from morelli.artefacts import Format, parse_json, read_file, read_folder, write_folder
from morelli.artefacts.tensors import pack_tensors, unpack_tensors
from morelli.atlas.patterns._clusters import nearest_centre
from morelli.atlas.patterns._presence import Presence
from morelli.atlas.patterns._space import PatternSpace
from morelli.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[Any]
PatchFeatures = Array | Callable[[Array, int], Array]
"""Patch features of patterns: an array (n, K, D), memory maps included, or, for what does not fit in memory,
a function of row numbers (m,) and a dimension that returns (m, D)."""

FORMAT = "morelli-prototypes"
VERSION = 1
TABLE = "prototypes.arrow"
TENSORS = "prototypes.safetensors"
CHUNK = 100_000
FORM = Format(
    name=FORMAT,
    what="set of prototypes",
    manifest="prototypes.json",
    version=2,
    oldest=2,
    again="build the atlas again",
    suffixes=(".safetensors", ".arrow"),
    known_by=(TABLE,),
)


def prototype_schema() -> pa.Schema:
    """Columns of `Prototypes.table`, one row a prototype; `docs/patterns.md` says what each means."""
    import pyarrow as pa

    generator = pa.struct(
        [("name", pa.string()), ("count", pa.int32()), ("share", pa.float32()), ("lift", pa.float32())]
    )
    exemplar = pa.struct(
        [
            ("row", pa.int64()), ("x0", pa.float32()), ("y0", pa.float32()), ("x1", pa.float32()),
            ("y1", pa.float32()), ("distance", pa.float32()),
        ]
    )  # fmt: skip
    columns: list[tuple[str, Any]] = [("id", pa.int16()), ("dimension", pa.int16()), ("sign", pa.int8())]
    columns += [("name", pa.string()), ("description", pa.string()), ("count", pa.int64())]
    numbers = (
        "coverage", "purity_fake", "purity_low", "purity_high", "share_fake", "share_real", "mean_impact",
        "impact_low", "impact_high", "interval_level", "excess", "p_value", "p_raw", "stability", "surprise",
        "area", "centre_x", "centre_y",
    )  # fmt: skip
    columns += [(name, pa.float32()) for name in numbers]
    columns += [("file_confound", pa.string())]
    columns += [("generators", pa.list_(generator)), ("exemplars", pa.list_(exemplar))]
    return pa.schema(columns)


@dataclass(frozen=True, eq=False)
class Prototypes:
    """m prototypes of a collection's patterns, the strongest first.

    Attributes:
        table: one row a prototype, columns as in `prototype_schema`.
        centres: (c, q) float32 in the space of their dimension.
        owner: (c,) prototype of each centre; the patterns of a dimension without structure of their own
            are one prototype of several centres.
        radius: (c,) float32: a pattern further from its nearest centre belongs to none.
        spaces: one `PatternSpace` per dimension (K).
        presence: the rule that says which images carry a pattern of which dimension.
        options: how they were found, as plain JSON values.
    """

    table: pa.Table
    centres: NDArray[np.float32]
    owner: NDArray[np.int64]
    radius: NDArray[np.float32]
    spaces: tuple[PatternSpace, ...]
    presence: Presence
    options: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        return f"Prototypes({len(self)} of {len(self.spaces)} dimensions)"

    @property
    def dimension(self) -> NDArray[np.int64]:
        """Dimension (m,) of each prototype."""
        return np.asarray(self.table.column("dimension").to_numpy(), dtype=np.int64)

    @property
    def sign(self) -> NDArray[np.int64]:
        """1 where a prototype (m,) speaks for generated, −1 where for real."""
        return np.asarray(self.table.column("sign").to_numpy(), dtype=np.int64)

    def to_arrow(self) -> pa.Table:
        """The table; its schema's metadata holds format, version and options."""
        document = {"format": FORMAT, "version": VERSION, "options": self.options}
        return self.table.replace_schema_metadata({b"morelli": json.dumps(document).encode()})

    @classmethod
    def from_arrow(cls, table: pa.Table, tensors: dict[str, Array]) -> Self:
        """From `to_arrow` and `tensors`.

        Raises:
            ArtifactError: they are not of this format or do not fit each other.
        """
        if "interval_level" not in table.column_names:  # what was always the level before it was kept
            levels = np.full(table.num_rows, 0.95, np.float32)
            table = table.append_column("interval_level", [levels])
        missing = set(prototype_schema().names) - set(table.column_names)
        if missing:
            raise ArtifactError(f"The prototypes lack {', '.join(sorted(missing))}; build the atlas again.")
        try:
            document = parse_json((table.schema.metadata or {})[b"morelli"], "The prototypes' metadata")
            if document["format"] != FORMAT or document["version"] != VERSION:
                raise ArtifactError(f"The prototypes are not of version {VERSION}; build the atlas again.")
            presence = Presence(tensors["typical"], float(tensors["threshold"][0]))
            spaces = tuple(map(PatternSpace, tensors["means"], tensors["bases"]))
            made = cls(
                table,
                tensors["centres"],
                tensors["owner"],
                tensors["radius"],
                spaces,
                presence,
                document["options"],
            )
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ArtifactError(f"The prototypes are damaged ({error}); build the atlas again.") from error
        fits = len(made.centres) == len(made.radius) == len(made.owner)
        if not fits or set(made.owner.tolist()) != set(range(table.num_rows)):
            raise ArtifactError("The prototypes' table and centres do not fit; build the atlas again.")
        return made

    def tensors(self) -> dict[str, Array]:
        """The arrays beside the table, by name."""
        return {
            "centres": self.centres,
            "owner": self.owner,
            "radius": self.radius,
            "typical": self.presence.typical,
            "threshold": np.array([self.presence.threshold]),
            "means": np.stack([space.mean for space in self.spaces]),
            "bases": np.stack([space.basis for space in self.spaces]),
        }

    def save(self, folder: str | Path) -> Path:
        """Write the folder whole or not at all; older prototypes there are replaced.

        Raises:
            UsageError: something else stands at `folder`.
        """
        import pyarrow as pa

        tensors = self.tensors()
        table = self.to_arrow()
        # Version 1 had no manifest and kept the tensors' digest here.
        digest = hashlib.sha256(pack_tensors(tensors)).hexdigest()
        known = {b"sha256": digest.encode(), b"manifest": FORM.manifest.encode()}
        table = table.replace_schema_metadata({**table.schema.metadata, **known})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        others = {TABLE: sink.getvalue().to_pybytes()}
        write_folder(folder, FORM, {}, tensors={TENSORS: tensors}, others=others)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            ArtifactError: a file is missing, damaged or was changed.
        """
        import pyarrow as pa

        folder = Path(folder)
        former = not os.path.lexists(folder / FORM.manifest) and (folder / TABLE).is_file()
        try:
            if former:
                data = read_file(folder / TENSORS, what=FORM.what)
                content = read_file(folder / TABLE, what=FORM.what)
                tensors = unpack_tensors(data, folder / TENSORS)
            else:
                found = read_folder(folder, FORM)
                if set(found.tensors) != {TENSORS} or set(found.paths) != {TABLE}:
                    raise ArtifactError(f"{folder / FORM.manifest} must list {TABLE} and {TENSORS}")
                tensors = found.tensors[TENSORS]
                content = read_file(folder / TABLE, what=FORM.what)
                if hashlib.sha256(content).hexdigest() != found.document["files"][TABLE]["sha256"]:
                    raise ArtifactError(f"{folder / TABLE} was changed while it was read; try again")
            with pa.ipc.open_file(content) as reader:
                table = reader.read_all()
            table.validate(full=True)
        except (pa.ArrowException, OSError) as error:
            raise ArtifactError(
                f"{folder / TABLE} cannot be read ({error}); build the atlas again"
            ) from error
        if former:
            if b"manifest" in (table.schema.metadata or {}):
                raise ArtifactError(f"{folder / FORM.manifest} is missing; build the atlas again")
            stated = (table.schema.metadata or {}).get(b"sha256", b"").decode("ascii", "replace")
            if hashlib.sha256(data).hexdigest() != stated:
                raise ArtifactError(
                    f"{folder / TENSORS} was changed since it was written; build the atlas again"
                )
        return cls.from_arrow(table, tensors)

    def with_columns(self, **columns: Any) -> Self:
        """The same with other values in some columns of the table, such as `name`."""
        import pyarrow as pa

        table = self.table
        for name, values in columns.items():
            at = table.schema.get_field_index(name)
            if at < 0:
                raise UsageError(f"Prototypes have no column {name!r}; there are {table.column_names}.")
            table = table.set_column(
                at, table.schema.field(at), pa.array(values, table.schema.field(at).type)
            )
        return replace(self, table=table)

    def assign(self, impacts: Array, pooled: PatchFeatures) -> NDArray[np.int16]:
        """Prototype of each image's pattern of each dimension, (n, K) int16, −1 where there is none.

        Args:
            impacts: (n, K) value × head weight.
            pooled: patch features of the patterns, (n, K, D) or a function.
        """
        n, dimensions = impacts.shape
        if dimensions != len(self.spaces):
            raise UsageError(
                f"The prototypes are of {len(self.spaces)} dimensions, the impacts of {dimensions}."
            )
        found = np.full((n, dimensions), -1, dtype=np.int16)
        for start in range(0, n, CHUNK):
            rows = np.arange(start, min(start + CHUNK, n))
            signs = self.presence.signs(impacts[rows])
            for k, sign in {(k, s) for k in range(dimensions) for s in (-1, 1)}:
                own = np.flatnonzero(((self.dimension == k) & (self.sign == sign))[self.owner])
                some = rows[signs[:, k] == sign]
                if len(own) and len(some):
                    Z = self.spaces[k](patch_features(pooled, some, k))
                    best, distance = nearest_centre(Z, self.centres[own])
                    found[some, k] = np.where(distance <= self.radius[own][best], self.owner[own][best], -1)
        return found


def patch_features(pooled: PatchFeatures, rows: Array, dimension: int) -> NDArray[np.float32]:
    """Patch features (m, D) float32 of some rows and one dimension."""
    found = pooled(rows, dimension) if callable(pooled) else pooled[rows, dimension]
    return np.asarray(found, dtype=np.float32)
