"""What the audit makes of its figures: findings in plain sentences, the gravest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from morelli.audit._associations import Association, Rule, percent
from morelli.audit._duplicates import DuplicateGroup
from morelli.audit._facts import Unreadable
from morelli.audit._fair_subset import FairSubset
from morelli.audit._metadata_baseline import MetadataBaseline
from morelli.audit._statements import STATEMENTS, contradicting, statements_by_class

Severity = Literal["high", "medium", "low", "info"]
_ORDER = {"high": 0, "medium": 1, "low": 2, "info": 3}


@dataclass(frozen=True)
class Finding:
    """One thing that users of the data should know: what it is, how grave, and what to do about it."""

    severity: Severity
    code: str
    sentence: str
    advice: str


def find(
    table: pa.Table,
    *,
    failed: Sequence[Unreadable],
    duplicates: Sequence[DuplicateGroup],
    facts: Sequence[Association],
    rules: Sequence[Rule],
    baseline: MetadataBaseline | None,
    with_bytes: MetadataBaseline | None,
    fair: FairSubset | None,
) -> list[Finding]:
    """All findings, ordered by severity and then in the order of this function."""
    found = [
        *_classes(table),
        *_shortcut(baseline, with_bytes),
        *_rules(rules),
        *_leaks(duplicates),
        *_statements(table),
        *_contradictions(table),
        *_unreadable(table, failed),
        *_history(facts),
        *_sources(table),
        *_fair(fair, table),
    ]
    return sorted(found, key=lambda finding: _ORDER[finding.severity])


def _classes(table: pa.Table) -> list[Finding]:
    counts = Counter(table.column("label").to_pylist())
    found = []
    if counts[None]:
        found.append(
            Finding(
                "medium" if counts[0] and counts[1] else "high",
                "unlabelled",
                f"{counts[None]:,} of {table.num_rows:,} images have no label.",
                "Give a manifest with the columns path and label, or name the folders real and fake and read "
                "labels from folders; comparisons of the classes leave these images out.",
            )
        )
    for value, word in ((0, "real"), (1, "generated")):
        if not counts[value] and counts[1 - value]:
            found.append(
                Finding(
                    "high",
                    "one_class",
                    f"There are no {word} images: nothing can be said about how the classes differ.",
                    f"Audit the {word} images together with the others, as they will be used together.",
                )
            )
    if counts[0] and counts[1]:
        ratio = max(counts[0], counts[1]) / min(counts[0], counts[1])
        if ratio >= 3:
            found.append(
                Finding(
                    "low",
                    "imbalance",
                    f"The classes are unequal: {counts[0]:,} real, {counts[1]:,} generated.",
                    "Report balanced accuracy, AUC and average precision with the class sizes beside them.",
                )
            )
    return found


def _shortcut(baseline: MetadataBaseline | None, with_bytes: MetadataBaseline | None) -> list[Finding]:
    if baseline is None:
        return []
    low, high = baseline.interval
    figure = f"AUC {baseline.auc:.2f} (90 % interval {low:.2f}–{high:.2f})"
    chief = [name for name, loss in baseline.importances.items() if loss >= 0.01][:3]
    by = f", chiefly by {_listed([_FACTS.get(name, name) for name in chief])}" if chief else ""
    note = f" ({baseline.note})" if baseline.note else ""
    extra = ""
    if with_bytes is not None and abs(with_bytes.auc - baseline.auc) >= 0.02:
        extra = f" With bytes per pixel it reaches {with_bytes.auc:.2f}."
    if baseline.auc >= 0.6:
        severity: Severity = "high" if baseline.auc >= 0.75 else "medium"
        return [
            Finding(
                severity,
                "format_shortcut",
                f"A classifier that never sees a pixel separates the classes by file facts alone: {figure}"
                f"{by}{note}.{extra}",
                "A detector's figures on these files show little unless they stand well above this. Write an "
                "aligned copy (`--align`) and report on it, or use the fair subset.",
            )
        ]
    found = [
        Finding(
            "info",
            "no_format_shortcut",
            f"File facts alone do not separate the classes: {figure}{note}.",
            "Print this figure beside every detector's.",
        )
    ]
    if with_bytes is not None and with_bytes.auc >= 0.6:
        found.append(
            Finding(
                "medium",
                "bytes_shortcut",
                f"Bytes per pixel still separate the classes: AUC {with_bytes.auc:.2f}. The codec is the "
                "same, so what differs is the pictures: their smoothness, noise or subject.",
                "No re-encoding removes this. Match the classes by content, or state the figure.",
            )
        )
    return found


def _rules(rules: Sequence[Rule]) -> list[Finding]:
    """The telling rules; of rules that draw the same line only the first."""
    found: list[Finding] = []
    seen: set[tuple[float, frozenset[float]]] = set()
    for rule in rules:
        line = frozenset((round(rule.share_real, 2), round(1 - rule.share_real, 2)))
        key = (round(rule.balanced_accuracy, 2), line)
        if key in seen or len(found) == 6:
            continue
        seen.add(key)
        accuracy = rule.balanced_accuracy
        found.append(
            Finding(
                "high" if accuracy >= 0.8 else "medium" if accuracy >= 0.7 else "low",
                "one_line_rule",
                rule.sentence(),
                "Align both classes to one format, size and quality, or match the classes on this fact.",
            )
        )
    return found


def _leaks(duplicates: Sequence[DuplicateGroup]) -> list[Finding]:
    found = []
    texts: tuple[tuple[str, Severity, str, str], ...] = (
        (
            "class",
            "high",
            "occur in both classes",
            "Remove the wrong copies, or keep the copies together when splitting: no detector can be right "
            "on both, unless it reads the file format.",
        ),
        (
            "split",
            "high",
            "occur in more than one split",
            "Keep all copies of a picture in one split; scores on the test split are flattered by them.",
        ),
        (
            "generator",
            "medium",
            "occur under more than one generator",
            "Check which generator made them; keep them together when splitting by generator.",
        ),
        (
            "source",
            "medium",
            "occur under more than one source",
            "Keep them together when splitting by source.",
        ),
        ("folder", "low", "occur in more than one folder", "Keep them together when splitting."),
    )
    rest = list(duplicates)
    for word, severity, phrase, advice in texts:
        own = [group for group in rest if word in group.across]
        rest = [group for group in rest if word not in group.across]
        if own:
            found.append(Finding(severity, f"duplicates_across_{word}", _copies(own, phrase), advice))
    if rest:
        found.append(
            Finding(
                "low",
                "duplicates_within",
                _copies(rest, "occur more than once within one folder"),
                "Keep one of each, or keep the copies together when splitting.",
            )
        )
    return found


def _statements(table: pa.Table) -> list[Finding]:
    """Generator metadata or credentials that one class alone carries."""
    by_class = statements_by_class(table)
    if not {"real", "generated"} <= set(by_class):
        return []
    found = []
    for kind, code in (("generator", "generator_metadata_leak"), ("credentials", "credentials_leak")):
        carrying = [name for name in ("real", "generated") if by_class[name].share(kind)]
        if len(carrying) != 1:
            continue
        (name,) = carrying
        own, other = by_class[name], "real" if name == "generated" else "generated"
        share = own.share(kind)
        advice = (
            "Whatever reads the files can tell these images by that, without a pixel. Remove the metadata of "
            "both classes before sharing or comparing (`--align` writes copies without any)."
        )
        if name == "real" and kind == "generator":
            advice = f"Check their labels first: they say themselves that a generator had a part. {advice}"
        found.append(
            Finding(
                "high" if share >= 0.2 else "medium" if share >= 0.02 else "low",
                code,
                f"{getattr(own, kind):,} of {own.files:,} {name} images ({percent(share)}) carry "
                f"{STATEMENTS[kind]}, and no {other} image does, such as {_first_with(table, kind, name)}.",
                advice,
            )
        )
    return found


def _contradictions(table: pa.Table) -> list[Finding]:
    """Labels that the files themselves contradict."""
    found = []
    for label, name, claim in ((0, "real", "generation by AI"), (1, "generated", "to come from a camera")):
        uris = contradicting(table, label)
        if uris:
            verb, files = ("claims", "file") if len(uris) == 1 else ("claim", "files")
            more = f" and {len(uris) - 5:,} more" if len(uris) > 5 else ""
            found.append(
                Finding(
                    "high",
                    "label_contradiction",
                    f"{len(uris):,} {files} labelled {name} {verb} {claim}: {', '.join(uris[:5])}{more}.",
                    "Look at these images and correct the labels or the collection; `morelli provenance "
                    "FILE` shows what each file says. A statement without a signature can be wrong, too.",
                )
            )
    return found


def _first_with(table: pa.Table, kind: str, name: str) -> str:
    label = int(name == "generated")
    rows = zip(*(table.column(c).to_pylist() for c in ("uri", "label", "statements")), strict=True)
    return next(str(uri) for uri, value, words in rows if value == label and kind in words.split())


def _copies(groups: Sequence[DuplicateGroup], phrase: str) -> str:
    exact = sum(group.exact for group in groups)
    first = groups[0].uris
    kind = f"{exact} byte for byte, {len(groups) - exact} encoded or resized again"
    plural = "s" if len(groups) > 1 else ""
    verb = phrase if plural else phrase.replace("occur ", "occurs ", 1)
    return (
        f"{len(groups)} picture{plural} {verb} ({kind}; {sum(len(group.uris) for group in groups)} files), "
        f"such as {first[0]} and {first[1]}."
    )


def _unreadable(table: pa.Table, failed: Sequence[Unreadable]) -> list[Finding]:
    if not failed:
        return []
    reasons = Counter(entry.reason for entry in failed).most_common(3)
    listed = _listed([f"{count} {reason.replace('_', ' ')}" for reason, count in reasons])
    labels = table.column("label").to_pylist()
    rates = []
    for value in (0, 1):
        bad = sum(entry.label == value for entry in failed)
        rates.append(bad / max(1, bad + labels.count(value)))
    uneven = abs(rates[0] - rates[1]) >= 0.02
    tail = (
        f" They are {percent(rates[0])} of the real and {percent(rates[1])} of the generated files."
        if uneven
        else ""
    )
    return [
        Finding(
            "medium" if uneven else "low",
            "unreadable",
            f"{len(failed):,} files cannot be read ({listed}).{tail}",
            "They are listed; fetch them again or take them out of the manifest.",
        )
    ]


def _history(facts: Sequence[Association]) -> list[Finding]:
    for fact in facts:
        if fact.fact == "scale":
            strong = fact.auc >= 0.6
            return [
                Finding(
                    "medium" if strong else "info",
                    "resampling_history",
                    "These are aligned copies, but how far each original was shrunk or enlarged still "
                    f"separates the classes with AUC {fact.auc:.2f} (median factor "
                    f"{fact.real['median']:.2f} for real, {fact.fake['median']:.2f} for generated images).",
                    "A picture enlarged from 256 pixels is not a picture shrunk from 4000: a detector may "
                    "read this history from the pixels. Compare images of like original size, or say so.",
                )
            ]
    return []


def _sources(table: pa.Table) -> list[Finding]:
    found = []
    labels = np.asarray([-1 if value is None else value for value in table.column("label").to_pylist()])
    for value, names, word, other in (
        (0, ("source",), "real images", "camera or collection"),
        (1, ("lineage", "generator"), "generated images", "generator"),
    ):
        rows = np.flatnonzero(labels == value)
        for name in names:
            known = [text for text in table.column(name).take(pa.array(rows)).to_pylist() if text]
            if not known:
                continue
            top, count = Counter(known).most_common(1)[0]
            if count / len(rows) > 0.6:
                found.append(
                    Finding(
                        "medium",
                        "one_source",
                        f"{percent(count / len(rows))} of the {word} come from one {name}, {top}.",
                        f"A detector may learn that {other} instead of the class; add others, and report by "
                        f"{name}.",
                    )
                )
            break
        else:
            if len(rows):
                found.append(
                    Finding(
                        "low",
                        "no_groups",
                        f"The {word} name no {_listed(names, 'or')}.",
                        f"Add the column {names[0]} to the manifest: without it a split cannot keep images "
                        "of one origin together, and scores are flattered.",
                    )
                )
    return found


def _fair(fair: FairSubset | None, table: pa.Table) -> list[Finding]:
    if fair is None:
        return []
    share = len(fair.rows) / max(1, table.num_rows)
    if not fair.rows:
        return [
            Finding(
                "medium",
                "no_fair_subset",
                "No real and generated image share format, size, shape and quality: there is no fair subset.",
                "Only an aligned copy (`--align`) can put the classes on a level.",
            )
        ]
    reached = "too few to be scored"
    if fair.baseline is not None:
        low, high = fair.baseline.interval
        reached = (
            f"the metadata-only AUC is {fair.baseline.auc:.2f} there (90 % interval {low:.2f}–{high:.2f}, "
            f"{fair.baseline.groups} groups)"
        )
    return [
        Finding(
            "info",
            "fair_subset",
            f"A fair subset keeps {len(fair.rows):,} images ({percent(share)}) of "
            f"{_number(fair.generators, 'generator')} and {_number(fair.sources, 'real source')}, matched by "
            f"format, size, shape and quality; {reached}.",
            "Its rows are listed; score detectors on it beside the whole.",
        )
    ]


def _number(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


_FACTS = {
    "format": "file format",
    "size": "size",
    "shape": "shape",
    "jpeg_quality": "JPEG quality",
    "quantisation": "JPEG tables",
    "subsampling": "chroma subsampling",
    "mode": "pixel mode",
    "has_exif": "EXIF",
    "has_icc": "colour profile",
    "has_alpha": "alpha channel",
    "bytes_per_pixel": "bytes per pixel",
}


def _listed(words: Sequence[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


__all__ = ["Finding", "Severity", "find"]
