"""Concepts from texts, through the text tower of the same checkpoint or out of a bank on disk.

Images and texts of a CLIP-like encoder lie in two cones apart from each other (the modality gap, Liang et
al. 2203.02053), so a text is no direction among images by itself. A pair of opposites is used as the
difference of its ends, where the gap cancels; a single text as its difference from the mean of a corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morelli.errors import SourceError, UsageError, WeightsError
from morelli.explanation._residuals import normalize_rows
from morelli.explanation.concepts._antonyms import ANTONYMS, TEMPLATES
from morelli.explanation.concepts._bank import Concept, ConceptBank

if TYPE_CHECKING:
    from collections.abc import Callable

    from morelli.encoders import Build, Encoder, TextBank, TextTower


def require_text_tower(
    encoder: Encoder, progress: Callable[[str, float | None], None] | None = None
) -> TextTower:
    """The encoder's text tower, fetched where its weights come without one and another's serves them.

    Raises:
        WeightsError: there is none; the text says which concepts can be had without one.
    """
    try:
        return encoder.require_text() if progress is None else encoder.require_text(progress)
    except WeightsError as error:
        raise WeightsError(
            f"Texts cannot become concepts. {error} "
            "Without a text tower there are edits of real photographs (morelli concepts build PHOTOS --from "
            "edits), example folders (--from examples), and text banks made elsewhere with the same encoder "
            "(--from bank FILE.npz). Or give weights with both towers: --encoder FOLDER in the hub's format."
        ) from error


def read_text_list(path: str | Path) -> list[str | tuple[str, str]]:
    """Texts of a file, one a line; a line with a tab or ` | ` is a pair of opposites.

    Empty lines and lines that begin with # are left out.

    Raises:
        SourceError: the file cannot be read or holds nothing.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"The list of texts {path} cannot be read: {error}") from error
    found: list[str | tuple[str, str]] = []
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        ends = [part.strip() for part in text.replace("\t", " | ").split(" | ") if part.strip()]
        found.append((ends[0], ends[1]) if len(ends) == 2 else " ".join(ends))
    if not found:
        raise SourceError(f"The list {path} holds no text; write one a line, opposites as `one | other`.")
    return list(dict.fromkeys(found))


def text_concepts(
    encoder: Encoder,
    texts: Sequence[str | tuple[str, str]] | None = None,
    *,
    templates: Sequence[str] = TEMPLATES,
    progress: Callable[[str, float | None], None] | None = None,
) -> ConceptBank:
    """Concepts from texts; a pair is one direction from its second end to its first.

    Args:
        encoder: an encoder with a text tower, see `Encoder.require_text`.
        texts: single texts and pairs; None: our own pairs of opposites.
        templates: prompts with one ``{}`` each; embeddings are averaged over them.
        progress: called where the text tower has to be fetched; lines on standard error by default.

    Single texts are centred by the mean of all single texts; a lone single text has nothing to be
    centred by and is refused.

    Raises:
        WeightsError: there is no text tower. UsageError: no text, or a lone single text.
    """
    tower = require_text_tower(encoder, progress)
    wanted = list(dict.fromkeys(ANTONYMS if texts is None else texts))
    if not wanted:
        raise UsageError("No text was given; name some, or leave `texts` out for the pairs that come along.")
    if any("{}" not in template for template in templates) or not templates:
        raise UsageError("Every prompt template needs a {} for the text.")
    words = list(dict.fromkeys(w for one in wanted for w in ((one,) if isinstance(one, str) else one)))
    row = {word: i for i, word in enumerate(words)}
    per_template = [normalize_rows(tower.encode([t.format(w) for w in words])) for t in templates]
    E = normalize_rows(np.mean(per_template, axis=0))
    singles = [one for one in wanted if isinstance(one, str)]
    if len(singles) == 1:
        raise UsageError(
            f"One single text ({singles[0]!r}) cannot be centred; give more, or a pair `one | other`."
        )
    centre = E[[row[one] for one in singles]].mean(axis=0) if singles else np.zeros(E.shape[1])
    vectors = [E[row[o]] - centre if isinstance(o, str) else E[row[o[0]]] - E[row[o[1]]] for o in wanted]
    concepts = [_concept(one, wanted, len(templates)) for one in wanted]
    metadata = {"templates": list(templates), "texts": len(wanted), "centred_by": len(singles)}
    return ConceptBank.of(concepts, vectors, kind="final", build=encoder.build, metadata=metadata)


def _concept(one: str | tuple[str, str], all_: Sequence[str | tuple[str, str]], n: int) -> Concept:
    if isinstance(one, str):
        return Concept(one, f"not {one}", "text", "text, centred by the mean of all single texts", n=n)
    firsts = [other for other in all_ if not isinstance(other, str) and other[0] == one[0]]
    # "a photograph" has several opposites; its name then says which one is meant.
    name = one[0] if len(firsts) == 1 else f"{one[0]} rather than {one[1]}"
    return Concept(name, one[1], "antonyms", f"text {one[0]!r} minus text {one[1]!r}", n=2 * n)


def vocabulary_concepts(
    encoder: Encoder,
    *,
    whole_words: bool = True,
    least_letters: int = 3,
    template: str = "{}",
    progress: Callable[[str, float | None], None] | None = None,
) -> ConceptBank:
    """One concept per entry of the text tower's own vocabulary (49,408 in CLIP), centred by their mean.

    The corpus that RAVE ranks by ⟨t, r⟩ (2406.15035's first author). `whole_words` leaves out fragments,
    `least_letters` the shorter ones, and anything but letters is left out. `progress`: see `text_concepts`.
    """
    tower = require_text_tower(encoder, progress)
    words = [
        word
        for word in tower.vocabulary(whole_words=whole_words)
        if len(word) >= least_letters and word.isalpha()
    ]
    words = list(dict.fromkeys(words))
    if len(words) < 2:
        raise UsageError(f"The vocabulary has {len(words)} words of at least {least_letters} letters.")
    E = normalize_rows(tower.encode([template.format(word) for word in words]))
    return _centred(words, E, encoder.build, "text", {"vocabulary": len(words), "template": template})


def concepts_of_text_bank(
    bank: TextBank, *, build: Build | None = None, metadata: dict[str, Any] | None = None
) -> ConceptBank:
    """Concepts of text embeddings made elsewhere, centred by their mean.

    A name that occurs several times (one list of classes per source) becomes one concept, its mean.
    `build` is the image build that the bank belongs to, where the caller knows it.
    """
    names = list(dict.fromkeys(bank.names))
    if len(names) < 2:
        raise UsageError("A text bank of one text cannot be centred; concepts need at least two.")
    of = np.array([names.index(name) for name in bank.names])
    E = normalize_rows(np.stack([bank.vectors[of == i].mean(axis=0) for i in range(len(names))]))
    return _centred(names, E, build, "text bank", metadata or {})


def _centred(
    names: Sequence[str], E: NDArray[Any], build: Build | None, source: Any, metadata: dict[str, Any]
) -> ConceptBank:
    moved = E - E.mean(axis=0)
    keep = np.linalg.norm(moved, axis=1) > 1e-6
    concepts = [
        Concept(name, f"not {name}", source, "text, centred by the mean of all texts", n=1)
        for name, kept in zip(names, keep, strict=True)
        if kept
    ]
    return ConceptBank.of(concepts, moved[keep], kind="final", build=build, metadata=metadata)
