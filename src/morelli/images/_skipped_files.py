"""The files and folders that a walk over a source met and did not read, counted for the summary."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from itertools import islice

_MOST = 100_000
_MOST_LOOKS = 1_000


@dataclass
class SkippedFiles:
    """What was met on the way to the images and not read, by its path; each counts once.

    `left` is what systems leave, `unread` the manifests and archives inside a folder, `apart` the pictures of
    a tar whose labels lie elsewhere in it, `outputs` what this program wrote, see
    `morelli.artefacts.outputs`. `against` are pictures that are read, with a label that the name of their
    folder contradicts, and `renamed` those whose name in an archive an earlier one has.
    `sidecars` are files beside pictures of their name that state a label.
    """

    left: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    apart: set[str] = field(default_factory=set)
    outputs: set[str] = field(default_factory=set)
    against: set[str] = field(default_factory=set)
    renamed: set[str] = field(default_factory=set)
    sidecars: set[str] = field(default_factory=set)
    looks: int = 0

    def add_left(self, path: str) -> None:
        """Count what a system left."""
        if len(self.left) < _MOST:
            self.left.add(path)

    def add_unread(self, path: str) -> None:
        """Count a manifest or an archive that is not entered."""
        if len(self.unread) < _MOST:
            self.unread.add(path)

    def add_split_sample(self, path: str) -> None:
        """Count a picture whose sidecars do not lie beside it."""
        if len(self.apart) < _MOST:
            self.apart.add(path)

    def add_output(self, path: str) -> None:
        """Count a file or a folder that this program wrote."""
        if len(self.outputs) < _MOST:
            self.outputs.add(path)

    def add_against(self, uri: str) -> None:
        """Count a picture whose label says the opposite of its folder."""
        if len(self.against) < _MOST:
            self.against.add(uri)

    def add_renamed(self, uris: Set[str]) -> None:
        """Count members of an archive whose name an earlier member has."""
        self.renamed |= set(islice(uris, _MOST - len(self.renamed)))

    def may_look(self) -> bool:
        """Whether one more file may be looked into for a label; so many are enough to say it."""
        self.looks += 1
        return self.looks <= _MOST_LOOKS

    def add_sidecar(self, path: str) -> None:
        """Count a file that states the label of a picture beside it."""
        self.sidecars.add(path)

    def merge(self, other: SkippedFiles) -> None:
        """Add what another one counted."""
        self.left |= other.left
        self.unread |= other.unread
        self.apart |= other.apart
        self.outputs |= other.outputs
        self.against |= other.against
        self.renamed |= other.renamed
        self.sidecars |= other.sidecars
