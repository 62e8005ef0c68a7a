"""What people say of verdicts in Check: kept in a file or a feature table, and what it would change."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from morelli.artefacts import locked, write_file
from morelli.detectors import Ensemble
from morelli.features import Features, FeatureTable
from morelli.server import _models as m
from morelli.server._problems import ProblemError

if TYPE_CHECKING:
    from morelli.inspection import Inspector, StoredCase

Label = Literal["real", "fake", "unknown"]
NUMBERS: dict[Label, int | None] = {"real": 0, "fake": 1, "unknown": None}
NAMES: dict[int | None, Label] = {0: "real", 1: "fake", None: "unknown"}
_WAIT = 10.0


def store_feedback(
    path: Path, inspector: Inspector, stored: StoredCase, body: m.FeedbackRequest
) -> m.FeedbackAnswer:
    """Keep what a case is said to be, in place of what was said of it before.

    A path that ends in ``.lance``, in whatever case, is a feature table: its row holds what the detector and
    its bank read of the picture, so that `morelli bank add` and `morelli fit` take it. Any other is a file
    with one JSON a line. Neither holds the picture.

    Raises:
        ProblemError: 422, an edited picture for a table.
        BuildMismatchError: a table of another build or of other kinds.
        ArtifactError: somebody else is writing there.
    """
    label = NUMBERS[body.label]
    if path.suffix.lower() == ".lance":
        if stored.edits:
            raise ProblemError(
                422,
                "invalid-request",
                "The picture was edited here, and the table takes pictures as they came.",
                next="Say it of the picture before the edits.",
            )
        if isinstance(inspector.bundle, Ensemble):
            raise ProblemError(
                422,
                "invalid-request",
                "A table holds features of one encoder, and an ensemble of several judges here.",
                next="Start the server with a feedback file that ends in .jsonl.",
            )
        before, kept = _into_table(path, _labelled(inspector, stored, label, body.note), body.note)
        kind: Literal["file", "table"] = "table"
    else:
        before, kept = _into_file(path, _line(inspector, stored, label, body.note))
        kind = "file"
    return m.FeedbackAnswer(
        stored=kind,
        place=path.name,
        replaced=before,
        kept=kept,
        difference=_difference(inspector, stored, label),
    )


def _line(inspector: Inspector, stored: StoredCase, label: int | None, note: str) -> dict[str, Any]:
    verdict, bundle = inspector.verdict(stored), inspector.bundle
    return {
        "time": int(time.time()),
        "sha256": stored.facts.sha256,
        "edits": stored.edits,
        "label": label,
        "note": note,
        "verdict": verdict.verdict,
        "probability": verdict.probability,
        "bundle": bundle.digest or bundle.name,
    }


def _labelled(inspector: Inspector, stored: StoredCase, label: int | None, note: str = "") -> Features:
    """The case as one row of a table, with all that the detector and its bank read."""
    facts = stored.facts
    return Features.from_arrays(
        {kind: stored.features.vectors[kind] for kind in inspector.bundle.kinds},
        labels=[label],
        build=stored.features.build,
        sha256=[facts.sha256],
        uri=[stored.name],
        width=[facts.width],
        height=[facts.height],
        note=[note or None],
    )


def _into_table(path: Path, row: Features, note: str) -> tuple[Label | None, int]:
    """Put a row in, or give the one that is there its label and note; what it was before, and how many.

    Feedback without a note leaves an earlier note where it is.
    """
    sha256, label = str(row.column("sha256")[0]), row.column("label")[0]
    with locked(path.with_name(f"{path.name}.feedback"), wait=_WAIT):
        if not path.exists():
            shapes = {kind: array.shape[1:] for kind, array in row.vectors.items()}
            FeatureTable.create(path, row.build, shapes, "float16")
        table = FeatureTable.open(path)
        known = table.labels()
        identity = (bytes.fromhex(sha256), "")
        if identity in known:
            table.relabel(sha256, label, {"note": note} if note else None)
            return NAMES[known[identity]], len(table)
        table.append(row)
        return None, len(table)


def _into_file(path: Path, line: dict[str, Any]) -> tuple[Label | None, int]:
    """Write a line in place of the former one about the same picture; lines of others stay byte for byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path, wait=_WAIT):
        kept, before = [], None
        # Bytes, since what others wrote may be no UTF-8 and hold other characters that end a line.
        for text in path.read_bytes().split(b"\n") if path.exists() else ():
            try:
                found = json.loads(text)
                same = all(found.get(key) == line[key] for key in ("sha256", "edits"))
                earlier = NAMES.get(found.get("label"))
            except (ValueError, TypeError, AttributeError, RecursionError):
                same = False  # not written here, so not taken away here
            if same:
                before = earlier
            elif text.strip():
                kept.append(text)
        write_file(path, b"".join(text + b"\n" for text in [*kept, json.dumps(line).encode()]))
        return before, len(kept) + 1


def _difference(inspector: Inspector, stored: StoredCase, label: int | None) -> m.Difference | None:
    """The case judged with the detector's bank as it is, and with the case in it under its label."""
    bundle = inspector.bundle
    bank = bundle.bank
    if isinstance(bundle, Ensemble) or bank is None or label is None or stored.edits:
        return None
    before = _bank_distances(inspector, stored)
    sha256 = stored.facts.sha256
    if sha256 in bank.label_of:
        known: Literal["real", "fake"] = "fake" if bank.label_of[sha256] else "real"
        return m.Difference(before=before, after=None, known_as=known, refit=False)
    grown = bundle.with_bank_added(_labelled(inspector, stored, label))
    after = _bank_distances(replace(inspector, bundle=grown), stored)
    return m.Difference(before=before, after=after, known_as=None, refit=bundle.neighbor_rule is None)


def _bank_distances(inspector: Inspector, stored: StoredCase) -> m.BankDistances:
    verdict, near = inspector.verdict(stored), inspector.neighbors(stored, 1)
    return m.BankDistances(
        verdict=verdict.verdict,
        probability=verdict.probability,
        nearest_real=near.real[0].distance if near.real else None,
        nearest_fake=near.fake[0].distance if near.fake else None,
    )
