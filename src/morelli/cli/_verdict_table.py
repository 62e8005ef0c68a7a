"""Verdicts on the terminal: the table, and the counts under it."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from morelli.cli._console import printable
from morelli.cli._outputs import CLAIMS, LABELS, STRENGTHS, flat, record

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from morelli.inspection import Detection

# A mark of its own for each verdict: colour alone says nothing to a log file or to colour-blind eyes.
VERDICTS = {
    "ai": ("▲", "AI-generated", "dark_orange3"),
    "real": ("●", "real", "dodger_blue1"),
    "inconclusive": ("◆", "inconclusive", "yellow3"),
    "out_of_domain": ("□", "out of domain", "grey58"),
}

AGREEMENT = {
    "agree": "with the same answer",
    "disagree": "with different answers",
    "one_answers": "that only one of them answers",
    "neither_answers": "that neither answers",
}
SHOWN = 50
REASONS = 8
# Rows from which a table's head is out of sight where its end is read.
MANY = 20
# What a file says of itself, where it has to be said beside the verdict.
GENERATION = {"generated": "made", "edited_with_ai": "changed"}
BAR = 12
# Characters that a folder or a neighbour's path may take; the end of it is what tells it from others.
LONGEST = 28
# Columns of a terminal below which the bar beside a probability would push the neighbours out of sight.
NARROW = 100
_OWN_PROBABILITY = re.compile(r"^probability \d\.\d+,? ")


class Summary:
    """What a run needs to remember about its detections, however many there are.

    Counts of verdicts, in all and by label; the first rows for the table; the failures with their reasons;
    how many files say themselves that a generator made or changed them; how many hold a high dynamic range;
    how often a second detector agrees.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.by_label: dict[int, Counter[str]] = {}
        self.failures: list[tuple[str, str, str]] = []
        self.shown: list[dict[str, Any]] = []
        self.saying = 0
        self.bright = 0
        self.agreement: Counter[str] = Counter()

    @property
    def done(self) -> int:
        """How many images got a verdict."""
        return self.counts.total()

    def add(self, detection: Detection) -> dict[str, Any]:
        """Count one detection; return its record for the outputs."""
        row = record(detection)
        if detection.failure is not None:
            self.failures.append((detection.uri, detection.failure.reason, str(detection.failure)))
            return row
        self.counts[row["verdict"]] += 1
        if detection.label is not None:
            self.by_label.setdefault(detection.label, Counter())[row["verdict"]] += 1
        self.saying += _generation(row) is not None
        self.bright += any(note.startswith("HDR (") for note in row["notes"])
        if detection.second is not None:
            self.agreement[detection.second.agreement] += 1
        if len(self.shown) < SHOWN:
            self.shown.append(row)
        return row

    def to_json(self) -> dict[str, Any]:
        """The counts, for the end of the JSON document."""
        return {
            "done": self.done,
            "failed": len(self.failures),
            "verdicts": {verdict: self.counts[verdict] for verdict in VERDICTS},
            "by_label": {
                LABELS[label]: {verdict: counts[verdict] for verdict in VERDICTS}
                for label, counts in sorted(self.by_label.items())
            },
            **({"agreement": {one: self.agreement[one] for one in AGREEMENT}} if self.agreement else {}),
        }

    def lines(self) -> list[str]:
        """The counts in words, one line for all images and one for each label that was given."""
        lines = [f"{_images(self.done)}: {_spell(self.counts)}"]
        names = {0: "labelled real", 1: "labelled fake"}
        lines += [
            f"{counts.total()} {names[label]}: {_spell(counts)}"
            for label, counts in sorted(self.by_label.items(), reverse=True)
        ]
        if self.agreement:
            words = ", ".join(f"{self.agreement[one]} {text}" for one, text in AGREEMENT.items())
            lines.append(f"beside the second detector: {words}")
        if self.bright:
            lines.append(
                f"of high dynamic range (PQ or HLG): {self.bright}; judged as their tone-mapped versions"
            )
        return lines


def verdict_table(summary: Summary, width: int = NARROW) -> Table:
    """The first rows of a run as a table for a terminal of `width` columns.

    The folder that all share is said once, above the names; of a long one only its end. From `MANY` rows on
    the names of the columns stand below too.
    """
    from rich import box
    from rich.table import Table

    folder = _shared_folder([row["uri"] for row in summary.shown])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False, show_footer=len(summary.shown) >= MANY)
    columns: tuple[tuple[Text, dict[str, Any]], ...] = (
        (
            _text(f"image in {_ending(folder)}" if folder else "image"),
            {"overflow": "fold", "min_width": 16},
        ),
        (_text("verdict"), {"no_wrap": True}),
        (_text("P(AI), interval"), {"no_wrap": True}),
        (_text("nearest generated"), {"overflow": "fold", "min_width": 12}),
        (_text("nearest real"), {"overflow": "fold", "min_width": 12}),
    )
    if summary.agreement:
        columns = (*columns[:3], (_text("second"), {"no_wrap": True}), *columns[3:])
    for name, how in columns:
        table.add_column(name, footer=name, **how)
    for row in summary.shown:
        spread = flat(row)
        mark, words, colour = VERDICTS[row["verdict"]]
        low, high = row["interval"]
        table.add_row(
            _text(row["uri"][len(folder) :]),
            _text(f"{mark} {words}", colour),
            _probability(row["probability"], low, high, colour, with_bar=width >= NARROW),
            *([_second(row)] if summary.agreement else []),
            _neighbor(spread, "nearest_generated"),
            _neighbor(spread, "nearest_real"),
        )
    return table


def why(summary: Summary) -> list[Text]:
    """The reasons of the rows shown, each said once, by verdict in the order of the counts.

    Of several rows each line says how many of the verdict's it is about. A row's own numbers are in the
    table, and its neighbours too; the output files hold every reason whole.
    """
    by_reason: dict[tuple[str, str], list[str]] = {}
    rows = Counter(row["verdict"] for row in summary.shown)
    for row in summary.shown:
        for reason in row["reasons"]:
            if not reason.startswith(("nearest ", "members: ")):
                text = _OWN_PROBABILITY.sub("", reason)
                by_reason.setdefault((row["verdict"], text), []).append(row["uri"])
    frequent = sorted(by_reason.items(), key=lambda entry: -len(entry[1]))[:REASONS]
    places = list(VERDICTS)
    shown = " shown" if summary.done > len(summary.shown) else ""
    lines = []
    for (verdict, text), uris in sorted(frequent, key=lambda entry: places.index(entry[0][0])):
        mark, words, colour = VERDICTS[verdict]
        line = _text(f"{mark} ", colour)
        if len(summary.shown) > 1:
            of = "all" if len(uris) == rows[verdict] else f"{len(uris)} of"
            line.append(f"{of} {rows[verdict]} {words}{shown}: ", style="bold")
        line.append(printable(text))
        if len(uris) == 1 < len(summary.shown):
            line.append(f" – {printable(uris[0])}", style="dim")
        lines.append(line)
    return lines


def key(summary: Summary, width: int = NARROW) -> list[Text]:
    """What the columns of a long table mean, for a reader who sees its end; nothing below a short one."""
    if len(summary.shown) < MANY:
        return []
    drawn = "drawn from 0 to 1, " if width >= NARROW else ""
    return [
        _text(f"P(AI): probability that a model made the image, {drawn}then the interval it lies in", "dim"),
        _text("beside each nearest known picture: its similarity, at most 1", "dim"),
    ]


def statements(summary: Summary) -> list[Text]:
    """What files say of themselves, where they claim generation: one line for each file, `REASONS` at most.

    Nothing where no file says so. The verdicts do not depend on it.
    """
    lines: list[Text] = []
    for row in summary.shown:
        if (finding := _generation(row)) is None or len(lines) == REASONS:
            continue
        mark, _, colour = CLAIMS[finding["claims"]]
        tool = " ".join(filter(None, (finding["tool"], finding["version"])))
        text = f"the file says that a generator {GENERATION[finding['claims']]} it"
        line = _text(f"{mark} ", colour)
        line.append(printable(f"{text}: {tool}" if tool else text))
        line.append(f" ({STRENGTHS[finding['strength']]})")
        if len(summary.shown) > 1:
            line.append(f" – {printable(row['uri'])}", style="dim")
        lines.append(line)
    if summary.saying > len(lines):
        lines.append(_text(f"… and so do {summary.saying - len(lines):,} more files", "dim"))
    return lines


def _generation(row: dict[str, Any]) -> dict[str, Any] | None:
    """The strongest finding of a record that claims generation."""
    found = (finding for finding in row["provenance"] if finding["claims"] in GENERATION)
    return next(found, None)


def _shared_folder(uris: list[str]) -> str:
    """The folder, with its slash, that all of several paths lie in; empty if there is none."""
    if len(uris) < 2:
        return ""
    first, last = min(uris), max(uris)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: first.rfind("/", 0, same) + 1]


def bar(low: float, probability: float, high: float) -> str:
    """A probability and its interval on a line from 0 to 1, such as ``····━━◉━····``."""
    cells = ["·"] * BAR
    first, point, last = (min(BAR - 1, max(0, int(value * BAR))) for value in (low, probability, high))
    cells[first : last + 1] = "━" * (last + 1 - first)
    cells[point] = "◉"
    return "".join(cells)


def _ending(path: str) -> str:
    """The last parts of a path, whole, in `LONGEST` characters: at least its last part, however long."""
    if len(path) <= LONGEST:
        return path
    start = len(path) - (LONGEST - 1)
    slash = path.find("/", start, len(path) - 1)
    return "…" + path[slash if slash >= 0 else max(0, path.rfind("/", 0, len(path) - 1)) :]


def _probability(probability: float, low: float, high: float, colour: str, *, with_bar: bool) -> Text:
    text = _text(f"{probability:.2f} ")
    if with_bar:
        text.append(bar(low, probability, high), style=colour)
    return text.append(f" {low:.2f}–{high:.2f}", style="dim")


def _second(row: dict[str, Any]) -> Text:
    """The second detector's verdict; bold where the two disagree."""
    second = row["second"]
    mark, words, colour = VERDICTS[second["verdict"]]
    style = f"bold {colour}" if second["agreement"] == "disagree" else colour
    return _text(f"{mark} {words} {second['probability']:.2f}", style)


def _neighbor(spread: dict[str, Any], name: str) -> Text:
    if spread.get(name) is None:
        return _text("–", "dim")
    text = _text(_ending(spread[name]))
    return text.append(f" {spread[f'{name}_similarity']:.2f}", style="dim")


def _text(words: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(printable(words), style=style)


def _spell(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[verdict]} {words}" for verdict, (_, words, _) in VERDICTS.items())


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
