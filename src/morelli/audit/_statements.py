"""What the files of each class say of themselves: generator metadata, Content Credentials, camera data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import pyarrow as pa

from morelli.provenance import read_provenance

STATEMENTS: Final[Mapping[str, str]] = {
    "generator": "generator metadata",
    "credentials": "Content Credentials",
    "camera": "camera data",
}
_CLASSES: Final = ((0, "real"), (1, "generated"), (None, "unlabelled"))
_GENERATION: Final = frozenset({"generated", "edited_with_ai"})
_ORIGINS: Final = _GENERATION | {"captured"}


@dataclass(frozen=True)
class ClassStatements:
    """How many of a class's `files` carry each kind of statement; the shares lie in 0 to 1."""

    files: int
    generator: int
    credentials: int
    camera: int

    def share(self, statement: str) -> float:
        """Share of the files that carry one of `STATEMENTS`; 0 of none."""
        count: int = getattr(self, statement)
        return count / max(1, self.files)

    def to_json(self) -> dict[str, Any]:
        """The counts, and the shares below `shares`."""
        return {**asdict(self), "shares": {name: self.share(name) for name in STATEMENTS}}


class FileStatements(NamedTuple):
    """What a file says of itself.

    `kinds`: of statements, in the order of `STATEMENTS`, joined by spaces. `claim`: "generated",
    "edited_with_ai" or "captured", the first that is more than a weak hint; "" where there is none.
    """

    kinds: str
    claim: str


def file_statements(data: bytes) -> FileStatements:
    """What the file `data` says of itself.

    Generator metadata are statements outside of Content Credentials (parameters, graphs, IPTC types) that a
    generator made or changed the picture. Unreadable metadata say nothing.

    Example:
        >>> file_statements(b"no image")
        FileStatements(kinds='', claim='')
    """
    try:
        findings = read_provenance(data).findings
    except Exception:  # an audit reports files as they come; a reader's defect is no fact about one
        return FileStatements("", "")
    found = set()
    for one in findings:
        if one.kind == "content_credentials":
            found.add("credentials")
        elif one.kind == "camera":
            found.add("camera")
        elif one.claims in _GENERATION:
            found.add("generator")
    kinds = " ".join(name for name in STATEMENTS if name in found)
    claims = (one.claims for one in findings if one.strength != "weak" and one.claims in _ORIGINS)
    return FileStatements(kinds, next(claims, ""))


def contradicting(table: pa.Table, label: int) -> list[str]:
    """The images of a class, 0 real or 1 generated, whose files claim to be of the other."""
    rows = zip(*(table.column(name).to_pylist() for name in ("uri", "label", "claim")), strict=True)
    other = _GENERATION if label == 0 else {"captured"}
    return [str(uri) for uri, own, claim in rows if own == label and claim in other]


def statements_by_class(table: pa.Table) -> dict[str, ClassStatements]:
    """Counts for each class that has files: ``real``, ``generated``, ``unlabelled``."""
    labels = table.column("label").to_pylist()
    statements = [text.split() for text in table.column("statements").to_pylist()]
    found = {}
    for label, name in _CLASSES:
        own = [words for value, words in zip(labels, statements, strict=True) if value == label]
        if own:
            counts = {kind: sum(kind in words for words in own) for kind in STATEMENTS}
            found[name] = ClassStatements(len(own), **counts)
    return found
