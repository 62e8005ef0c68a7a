"""MODEL_CARD.md: what a bundle is for, what it was made from, how well it does, what it cannot say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from morelli.artefacts.text import markdown_code, markdown_values
from morelli.encoders import kind_ranges

BASE_RATES = (0.5, 0.1, 0.01, 0.001)
COMPARED = ("auc", "tpr_at_5_percent_fpr")
"""Figures by which the members of an ensemble and its combination are compared."""


def model_card(document: Mapping[str, Any]) -> str:
    """The card (Markdown) of a bundle's manifest."""
    # Names come from files of others; the command is shown as code, where nothing is escaped.
    command = document["command"]
    document = {**markdown_values(document), "command": command}
    build = document["build"]
    parts = [
        f"# Model card: {document['name']}",
        "A verdict of this detector is **a signal, not proof**. It says how an image looks to a frozen "
        "encoder beside the images it was fitted on; it does not know where the image comes from.",
        "## What it is",
        _table(
            ["", ""],
            [
                ["detector", _detector(document)],
                ["encoder", f"{build['encoder']}, transform `{build['transform']}`, {build['dtype']}"],
                ["build", f"`{build['fingerprint']}` (weights `{build['weights'][:16]}…`)"],
                ["feature kinds", f"`{kind_ranges(document['kinds'])}`"],
                ["calibration", _calibration(document)],
                ["bank", _bank(document)],
                ["made by", f"Morelli {document['morelli']}" + _code(document["command"], ", ")],
                ["licence", document["licence"] or "not stated"],
            ],
        ),
        "## Intended use",
        "- First screening of whole images, with a person who looks at the evidence and decides.\n"
        "- Measuring and comparing detectors.\n\n"
        "Not for decisions about people without other evidence, not for proving that an image is real, "
        "and not for images of which only a part was edited.",
        "## Limits",
        "- Generators newer than those it was fitted on are found less often.\n"
        "- Strong compression, small sizes, screenshots and deliberate attacks change verdicts.\n"
        "- Documents, drawings and scientific images may be called out of domain, or be judged wrongly.\n"
        "- The interval tells how far the answer hangs on the choice of training groups, "
        "not how often it is wrong.",
        "## Training data",
        _training(document["training"]),
        "## Evaluation",
        _evaluation(document["metrics"]),
        "## Thresholds",
        _thresholds(document["thresholds"]),
        "## Families of generators",
        _families(document.get("attribution")),
        *_closing(document),
    ]
    return "\n\n".join(parts) + "\n"


def ensemble_card(document: Mapping[str, Any]) -> str:
    """The card (Markdown) of an ensemble's manifest."""
    command = document["command"]
    document = {**markdown_values(document), "command": command}
    members = [
        [
            one["name"],
            f"{one['weight']:.3f}",
            f"{one['build']['encoder']}, transform `{one['build']['transform']}`, {one['build']['dtype']}",
            f"`{one['build']['fingerprint']}`",
        ]
        for one in document["members"]
    ]
    passes = len({one["build"]["fingerprint"] for one in document["members"]})
    made = f"Made by Morelli {document['morelli']}" + _code(command, ", ")
    parts = [
        f"# Model card: {document['name']}",
        "An ensemble of detectors. Its verdict is **a signal, not proof**; the card of each member's bundle "
        "says what holds for that one.",
        "## What it is",
        _table(["member", "weight", "encoder", "build"], members),
        "The combination is the weighted sum of the members' calibrated log-odds, each over its spread on "
        "held-out images, so that a weight is a share; then calibrated by "
        f"{_calibration(document)}. An image costs {passes} forward pass{'es' if passes > 1 else ''}. "
        f"{made}. "
        f"Licence: {document['licence'] or 'not stated'}.",
        "## Training data",
        _training(document["training"]),
        "## Evaluation",
        _evaluation(document["metrics"]),
        "## Members and combination",
        _compared(document["metrics"].get("compared", {})),
        "## Where members disagree",
        _disagreement(document["disagreement"]),
        "## Thresholds",
        _thresholds(document["thresholds"]),
        *_closing(document),
    ]
    return "\n\n".join(parts) + "\n"


def _closing(document: Mapping[str, Any]) -> list[str]:
    """The last sections of either card."""
    parts = [
        "## If it says AI, how often is it right?",
        _predictive_values(document["thresholds"], document["metrics"]),
    ]
    if document["notes"]:
        parts += ["## Notes", "\n".join(f"- {note}" for note in document["notes"])]
    return parts


def _compared(compared: Mapping[str, Any]) -> str:
    if not compared:
        return "Not known."
    rows = [
        [
            name,
            *(_with_interval(one[figure]) for figure in COMPARED),
            *(
                _with_interval(one["difference"][figure], "+") if "difference" in one else ""
                for figure in COMPARED
            ),
        ]
        for name, one in compared.items()
    ]
    head = ["", "AUC", "found at 5 % false alarms", "combination better by, AUC", "found"]
    return (
        f"{_table(head, rows)}\n\nIn brackets {_level(compared.values())} intervals over groups, the "
        "same draws for all rows. The weights and the calibration behind an image's combined score come from "
        "other groups than its own."
    )


def _level(figures: Iterable[Mapping[str, Any]]) -> str:
    """Coverage of the intervals among these figures; bundles of before kept none, and were made with 95 %."""
    found = {one.get("level", 0.95) for each in figures for one in each.values() if _is_estimate(one)}
    return " or ".join(f"{100 * level:.3g} %" for level in sorted(found)) or "90 %"


def _is_estimate(figure: object) -> bool:
    return isinstance(figure, Mapping) and "low" in figure


def _with_interval(figure: Mapping[str, float], sign: str = "") -> str:
    return " ".join(
        [f"{figure['value']:{sign}.3f}", f"({figure['low']:{sign}.3f} to {figure['high']:{sign}.3f})"]
    )


def _disagreement(facts: Mapping[str, Any]) -> str:
    answered, others = facts["answered"], facts["others_answered"]
    withholds = answered > 0 and facts["wrong"] / answered > facts["promised"]
    wrong = _percent(facts["wrong"] / answered if answered else None)
    rest = _percent(facts["others_wrong"] / others if others else None)
    return (
        f"On {facts['contradicted']} of {facts['images']} held-out images one member said AI and another "
        f"real. The combination would have answered on {answered} of these, {wrong} of the answers wrong, "
        f"against {rest} on all other images; {100 * facts['promised']:.3g} % are promised. So such images "
        f"get {'no answer' if withholds else 'the answer of the combination'}, and every verdict names the "
        f"members that disagree. A range of the members' probabilities above {facts['limit']:.2f} is pointed "
        f"out too; {100 * facts['level']:.2g} % of held-out images have a wider one."
    )


def _detector(document: Mapping[str, Any]) -> str:
    detector, recipe = document["detector"], document["recipe"]
    if detector["type"] == "neighbors":
        return f"nearest neighbours, k = {detector['k']}, {detector['voting']}"
    if detector["type"] == "experts":
        return (
            f"one linear head for generators {', one for those '.join(detector['experts'])}, joined "
            f"(log-sum-exp), over {kind_ranges(detector['kinds'])}"
        )
    return f"linear head ({recipe.get('estimator', 'imported')}) over {kind_ranges(detector['kinds'])}"


def _calibration(document: Mapping[str, Any]) -> str:
    calibration = document["calibration"]
    if calibration["method"] == "none":
        return "none: the probability is the sigmoid of the raw logit"
    return f"{calibration['method']}, on held-out logits, at base rate {calibration['prior']:g}"


def _bank(document: Mapping[str, Any]) -> str:
    bank = document["bank"]
    if bank is None:
        return "none: no evidence, no domain check"
    limit = "no domain limit" if bank["limit"] is None else f"domain limit {bank['limit']:.3f}"
    kinds = kind_ranges(bank["kinds"])
    return f"{bank['members']} images by {kinds}; {limit} (distance to neighbour {bank['k']})"


def _training(training: Mapping[str, Any]) -> str:
    if not training:
        return "Not known."
    lines = [f"- {training.get(f'n_{name}', '?')} {name} images" for name in ("real", "fake")]
    for key, words in (("generators", "generated, by generator"), ("sources", "real, by source")):
        counts = training.get(key) or {}
        if counts:
            lines.append(f"- {words}: {_listed(counts)}")
    if training.get("hash"):
        lines.append(f"- hash of the set (SHA-256 over its images' hashes and labels): `{training['hash']}`")
    if training.get("seed") is not None:
        lines.append(f"- seed {training['seed']}, {training.get('n_folds', '?')} folds by group")
    if training.get("C") is not None:
        lines.append(f"- regularisation C = {training['C']:.3g}")
    return "\n".join(lines)


def _listed(counts: Mapping[str, int], most: int = 24) -> str:
    """The largest first; a long tail by its number, the manifest has it in full."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{name} {count}" for name, count in ordered[:most])
    rest = ordered[most:]
    return f"{text} and {len(rest)} others with {sum(n for _, n in rest)}" if rest else text


def _evaluation(metrics: Mapping[str, Any]) -> str:
    if not metrics:
        return "No figures were given."
    rows = []
    for name, value in metrics.items():
        if isinstance(value, Mapping) and "value" in value:
            low, high = value.get("low"), value.get("high")
            interval = f"{low:.3f} – {high:.3f}" if low is not None and high is not None else ""
            rows.append([str(name), f"{value['value']:.3f}", interval])
        elif isinstance(value, bool | str):
            rows.append([str(name), str(value), ""])
        elif isinstance(value, int | float):
            rows.append([str(name), f"{value:.3f}", ""])
    text = "Out of fold: every image was scored by a detector that saw none of its group.\n\n"
    text += _table(["figure", "value", f"{_level([metrics])} interval"], rows)
    if "metadata_only_auc" not in metrics:
        text += (
            "\n\nThe AUC of a classifier that sees only format and size is not kept here: `morelli fit` "
            "prints it, and `morelli audit` says more."
        )
    return text


def _families(attribution: Mapping[str, Any] | None) -> str:
    if not attribution:
        return "It names no family of generators."
    figures = attribution["figures"]
    if not figures or figures["right"] is None:
        return f"It knows {', '.join(attribution['families'])}; how often it names them rightly is not known."
    rows = [
        [name, str(one["images"]), str(one["found"]), str(one["named"]), _percent(one["right"])]
        for name, one in figures["families"].items()
    ]
    text = _table(["family", "images", "found", "named so", "rightly"], rows)
    strangers = _percent(figures["unknown_named"])
    return (
        f"{text}\n\nHeld out by source, or by lineage where the family is unknown. A family is named for "
        f"{_percent(figures['named'])} of the generated images, rightly for {_percent(figures['right'])} of "
        f"these, and for {strangers} of the {figures['unknown_images']} images of no known family. It is a "
        "resemblance, not an origin."
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _thresholds(thresholds: Mapping[str, Any]) -> str:
    rows = []
    for word, name in (("ai", "false alarms on real images"), ("real", "generated images called real")):
        one = thresholds[word]
        requested = "not measured" if one["rate"] is None else f"{100 * one['rate']:.3g} %"
        seen = "–" if one["observed"] is None else f"{100 * one['observed']:.3g} % of {one['n']}"
        upper = "–" if one["upper"] is None else f"{100 * one['upper']:.3g} %"
        rows.append([word, f"{one['logit']:.4f}", name, requested, seen, upper, one["note"]])
    head = [
        "verdict",
        "logit",
        "what it limits",
        "asked",
        "seen held out",
        "95 % upper bound, scores independent",
        "note",
    ]
    return _table(head, rows)


def _predictive_values(thresholds: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    fpr = thresholds["ai"]["observed"]
    found = metrics.get("tpr_at_ai_threshold")
    tpr = found.get("value") if isinstance(found, Mapping) else found
    if fpr is None or tpr is None:
        return "Not known: the error rates at the threshold were not measured."
    fpr = max(float(fpr), float(thresholds["ai"]["rate"] or 0.0))
    rows = []
    for rate in BASE_RATES:
        hits, alarms = rate * float(tpr), (1 - rate) * fpr
        rows.append(
            [f"{100 * rate:g} %", f"{100 * hits / (hits + alarms):.0f} %" if hits + alarms > 0 else "–"]
        )
    text = _table(
        ["share of generated images among those judged", "share of `ai` verdicts that are right"], rows
    )
    return text + f"\n\nFrom {100 * float(tpr):.0f} % found at {100 * fpr:.2g} % false alarms, held out."


def _code(command: str, before: str = "") -> str:
    return before + markdown_code(command) if command else ""


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += [
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    ]
    return "\n".join(lines)
