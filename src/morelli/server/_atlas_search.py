"""From what somebody looks for to a direction among an atlas's embeddings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.encoders import Encoder
from morelli.server import _models as m
from morelli.server._problems import ProblemError

if TYPE_CHECKING:
    from morelli.atlas import Atlas
    from morelli.explanation.concepts import ConceptBank
    from morelli.server._state import ServerState

Direction = NDArray[Any]
PROMPT = "a photo of {}"
_WORD = re.compile(r"\w+")
PICTURES = "Nearest by the encoder's embedding (cosine): what is shown weighs more than how it was made."


def search_direction(state: ServerState, atlas: Atlas, body: m.SearchQuery) -> tuple[Direction, str, str]:
    """The direction (d,), by what it was found, and what the search is worth, in one line.

    Raises:
        ProblemError: 422, not exactly one thing is asked for; 404, a case is forgotten or a row is not there;
            409, the atlas has no embeddings, or words cannot be searched for.
    """
    embeddings = atlas.require_embeddings()
    given = [name for name in ("image", "case", "text", "selection") if getattr(body, name) is not None]
    if len(given) != 1:
        raise ProblemError(
            422, "invalid-request", "A search is for exactly one of image, case, text and selection."
        )
    if body.image is not None:
        if body.image >= len(atlas):
            raise ProblemError(404, "unknown-row", f"There is no image {body.image}.", next="Ask for one.")
        return embeddings.of(np.array([body.image])), "image", PICTURES
    if body.selection is not None:
        return embeddings.of(atlas.select(body.selection).rows), "selection", PICTURES
    if body.case is not None:
        case = state.cases.get(body.case)
        atlas.record.build.require_same(case.features.build, what="the picture's encoder")
        return case.features.matrix(atlas.record.kind)[0], "case", PICTURES
    assert body.text is not None
    if not body.text.strip():
        raise ProblemError(422, "invalid-request", "There is no word in the text to search for.")
    return _of_text(state, atlas, body.text.strip())


def _of_text(state: ServerState, atlas: Atlas, text: str) -> tuple[Direction, str, str]:
    inspector = state.loaded
    encoder = None if inspector is None else inspector.encoder
    if isinstance(encoder, Encoder) and _reads_texts(encoder, atlas):
        tower = encoder.require_text()
        found = tower.encode([text, PROMPT.format(text)])
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return (
            found.mean(axis=0),
            "text",
            "By the encoder's own text tower: it knows things better than styles.",
        )
    banks = [bank for bank in _banks(state.settings.concepts) if _fits(bank, atlas)]
    names = [name for bank in banks for name in bank.names]
    chosen = words_in(names, text)
    if not chosen:
        known = f"It knows {', '.join(sorted(names)[:40])}." if names else "No concept bank fits this atlas."
        raise ProblemError(
            409,
            "no-text-tower",
            f"The encoder has no text tower here, and no concept is called {text[:60]!r}. {known}",
            next="Search for one of these, by a picture, or in file names and metadata; or start the server "
            "with --weights that hold both towers.",
        )
    directions = np.concatenate([bank.directions for bank in banks])
    used = ", ".join(names[i] for i in chosen[:5]) + (" …" if len(chosen) > 5 else "")
    note = f"No text tower here: images are ordered by the concepts {used}; other words cannot be found."
    return directions[chosen].mean(axis=0), "concepts", note


def _reads_texts(encoder: Encoder, atlas: Atlas) -> bool:
    """Whether the checkpoint at hand has a text tower; nothing is fetched for a search."""
    same = encoder.build.fingerprint == atlas.record.build.fingerprint
    return encoder.card.text_tower and same and atlas.record.kind == "final"


def _fits(bank: ConceptBank, atlas: Atlas) -> bool:
    same = bank.build is None or bank.build.fingerprint == atlas.record.build.fingerprint
    embeddings = atlas.require_embeddings()
    return same and bank.kind == atlas.record.kind and bank.directions.shape[1] == embeddings.vectors.shape[1]


@lru_cache(maxsize=4)
def _banks(paths: tuple[Path, ...]) -> tuple[ConceptBank, ...]:
    """The banks that the server was started with, or the one that comes along."""
    from morelli.explanation.concepts import ConceptBank, default_concepts_path

    return tuple(ConceptBank.load(path) for path in paths or (default_concepts_path(),))


def words_in(names: Sequence[str], text: str) -> list[int]:
    """Places of the names that hold all words of a text, whatever the case; else of those that hold any.

    >>> words_in(["less saturated", "more blurred", "less blurred"], "blurred LESS")
    [2]
    >>> words_in(["less saturated", "more blurred", "less blurred"], "a red car")
    []
    """
    words = set(_WORD.findall(text.lower()))
    for fits in (words.issubset, words.intersection):
        found = [i for i, name in enumerate(names) if words and fits(_WORD.findall(name.lower()))]
        if found:
            return found
    return []
