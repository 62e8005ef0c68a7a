"""The atlases that a server was started with, opened when first asked for, and selections made in them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.errors import MorelliError
from morelli.server._etags import etag_of
from morelli.server._paths import inside
from morelli.server._problems import ProblemError
from morelli.server._settings import ServerSettings, artefact_name
from morelli.server._well_formed import refuse_halves

if TYPE_CHECKING:
    from morelli.atlas import Atlas, Selection

KEPT_SPECS = 10_000
SUFFIX = ".atlas"
FIRST_LEVELS = (4, 5)
"""Levels that the app shows first, in a window of usual size and in a large one."""


def is_name(name: str) -> bool:
    r"""Whether an atlas in the collections' folder may be called so: nothing hidden or that leads elsewhere.

    Letters are those of all scripts, with the marks and joiners that belong to them.

    >>> is_name("हिन्दी"), is_name(".hidden"), is_name("../x"), is_name("a\n")
    (True, False, False, False)
    """
    return 0 < len(name) <= 100 and name[0] not in " .-" and all(map(_in_name, name))


def _in_name(character: str) -> bool:
    # Of format characters the two joiners only: others change in which order a name is shown.
    return (
        character.isalnum()
        or character in "_ .-\u200c\u200d"
        or unicodedata.category(character) in ("Mn", "Mc", "Me", "Pc")
    )


@dataclass(eq=False)
class Opened:
    """An atlas, the documents behind the selection keys given out, and what identifies its content."""

    atlas: Atlas
    version: str
    specs: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def select(self, spec: dict[str, Any]) -> Selection:
        """Evaluate a selection document and remember it under its key."""
        found = self.atlas.select(spec)
        with self.lock:
            self.specs[found.key] = spec
            self.specs.move_to_end(found.key)
            while len(self.specs) > KEPT_SPECS:
                self.specs.popitem(last=False)
        return found

    def selection(self, given: str | None) -> Selection | None:
        """The selection that an address names: by its key, or by its document as JSON; None for all images.

        Raises:
            ProblemError: 404, the key is not known (any more); 422, the document is none.
        """
        if not given:
            return None
        if given.lstrip().startswith("{"):
            return self.select(document(given))
        with self.lock:
            spec = self.specs.get(given)
        if spec is None:
            raise ProblemError(
                404,
                "unknown-selection",
                f"The selection {given[:32]} is not known here (any more).",
                next="POST its document to …/selections again, or put the document in its place.",
            )
        return self.select(spec)

    def tag(self, *parts: object, selection: Selection | None = None, edited: bool = False) -> str:
        """An entity tag for an answer made of `parts`; what people edit counts where it matters."""
        touched = edited or selection is not None  # merged prototypes change whom a selection holds
        edits = hashlib.sha256(json.dumps(self.atlas.edits.read()).encode()).hexdigest() if touched else ""
        tags = self.atlas.tags.stamp() if touched else None
        return etag_of(self.version, edits, tags, None if selection is None else selection.key, *parts)


class Atlases:
    """Atlases by name; their artefacts are memory-mapped, so that several processes share them."""

    def __init__(self, settings: ServerSettings) -> None:
        self._paths = {artefact_name(path): path for path in settings.atlases}
        self._roots = settings.readable
        self._collections = settings.collections
        self._open: dict[str, Opened] = {}
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Open all of them and sum up what their first views show, so that nobody waits for it.

        What is wrong with one is said when somebody asks for it.
        """
        for name in self._paths:
            with contextlib.suppress(MorelliError, ProblemError):
                atlas = self.get(name).atlas
                atlas.info()
                for level in FIRST_LEVELS:
                    atlas.tile(min(level, atlas.record.levels))
                atlas.prototypes()
                atlas.dimensions()
                atlas.columns()

    @property
    def names(self) -> list[str]:
        """Their names: those that the server was given, then those in the collections' folder."""
        return [*self._paths, *(one for one in self._collected() if one not in self._paths)]

    def _collected(self) -> list[str]:
        if self._collections is None:
            return []
        found = (path.name.removesuffix(SUFFIX) for path in self._collections.glob(f"*{SUFFIX}"))
        return sorted(name for name in found if self._path(name) is not None)

    def _path(self, name: str) -> Path | None:
        """Folder of an atlas; of one in the collections' folder only a finished one that lies inside."""
        if name in self._paths or self._collections is None or not is_name(name):
            return self._paths.get(name)
        path = self._collections / f"{name}{SUFFIX}"
        whole = (path / "atlas.json").is_file() and inside(path, [self._collections])
        return path if whole else None

    def get(self, name: str) -> Opened:
        """An atlas, opened again when it was built again or added to.

        Raises:
            ProblemError: 404.
            ArtifactError: it is damaged.
        """
        from morelli.atlas import Atlas

        path = self._path(name)
        if path is None:
            raise ProblemError(
                404,
                "unknown-atlas",
                f"There is no atlas {name!r}.",
                next="GET /api/v1/atlases lists those there are.",
            )
        with self._lock:
            try:
                version = hashlib.sha256((path / "atlas.json").read_bytes()).hexdigest()
            except OSError:
                version = ""  # `open` says what is wrong
            opened = self._open.get(name)
            if opened is None or opened.version != version:
                opened = self._open[name] = Opened(Atlas.open(path, images=self._roots), version)
            return opened


def document(text: str) -> dict[str, Any]:
    """A selection document.

    Raises:
        ProblemError: 422, it is no JSON object.
    """
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProblemError(
            422, "invalid-selection", "The selection is no JSON object.", next='Everything is {"and": []}.'
        )
    refuse_halves(found)
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def off_numbers(text: str) -> Sequence[int]:
    """Dimensions from an address.

    >>> off_numbers("1,5"), off_numbers("")
    ((1, 5), ())
    """
    return tuple(int(one) for one in text.split(",") if one)
