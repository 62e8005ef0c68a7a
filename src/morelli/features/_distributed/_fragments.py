"""Fragments that workers wrote: taken whole, or without the rows that an earlier shard has already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from morelli.errors import ArtifactError

if TYPE_CHECKING:
    from morelli.features._table import FeatureTable


def fragments_of(table: FeatureTable, described: str, kept: Sequence[int], rows: int) -> list[Any]:
    """The fragment of a worker's description as Lance commits it, with the rows `kept` out of `rows` alone.

    Empty where no row is kept. Files that are not needed are removed.

    Raises:
        ArtifactError: the file is not in the table's folder.
    """
    from lance.file import LanceFileReader
    from lance.fragment import FragmentMetadata, write_fragments

    found = FragmentMetadata.from_json(described)
    path = table.path / "data" / json.loads(described)["files"][0]["path"]
    if not path.is_file():
        raise ArtifactError(
            f"a worker wrote {path}, which is not here: the table's folder must be one for all machines, "
            "such as one on a network file system"
        )
    if len(kept) == rows:
        return [found]
    fragments = []
    if kept:
        part = LanceFileReader(str(path)).read_all().to_table().take(list(kept))
        schema = table.arrow_schema
        part = part.replace_schema_metadata(schema.metadata).cast(schema)
        fragments = write_fragments(part, table.path, schema=schema)
    path.unlink()
    return list(fragments)
