"""The bundle: a whole detector – features in, verdicts with evidence out – as one value and one folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from morelli.detectors._attribution import Attribution, FamilyGuess
from morelli.detectors._bank import Bank
from morelli.detectors._bundle_folder import FORM
from morelli.detectors._bundle_parts import HeldOut, NeighborRule, Origin
from morelli.detectors._bundle_record import read_record, write_record
from morelli.detectors._calibration import Calibration, Method, fit_calibration
from morelli.detectors._detector import Detector, verdict_thresholds
from morelli.detectors._expert_head import ExpertHead
from morelli.detectors._linear_head import LinearHead
from morelli.detectors._precision import PrecisionCost, common_images, precision_cost
from morelli.detectors._thresholds import Threshold
from morelli.detectors._verdict import Case, Neighbor, Verdict, decide
from morelli.encoders import Encoder, kind_ranges
from morelli.errors import BuildMismatchError, UsageError
from morelli.features import Features
from morelli.metrics.resampling import percentile_interval

if TYPE_CHECKING:
    from morelli.encoders import Build

EVIDENCE = 3
ABOUT_EVEN = 0.05
"""How close to even odds an end of an interval may be for rounding to move it to the other side."""


@dataclass(frozen=True, eq=False)
class Bundle(Detector):
    """A fitted detector bound to its encoder build, calibration, thresholds, bank and history.

    Either `head` (linear, or of experts, over `head_kinds`, each image scaled to unit length first if
    `unit`) or `neighbor_rule` (over the bank) gives the logit. The bank, where there is one, gives evidence
    and the domain. `attribution`, over `head_kinds`, names the family of generators of an image called
    AI-generated. `base_rate` is the share of generated images that probabilities assume; thresholds
    are on logits and do not move with it. `training`, `recipe` and `metrics` are plain JSON values.
    `quick_costs` says what features in bfloat16 and in int8 cost, by dtype, where it was measured.
    `origin` is where it was read from, and goes along with every change of it: `save` needs it.

    Made by `fit_bundle`, `import_univfd` or `Bundle.load`.
    """

    name: str
    build: Build
    head_kinds: tuple[str, ...]
    ai: Threshold
    real: Threshold
    head: LinearHead | ExpertHead | None = None
    neighbor_rule: NeighborRule | None = None
    bank: Bank | None = None
    attribution: Attribution | None = None
    unit: bool = False
    calibration: Calibration = field(default_factory=Calibration)
    held_out: HeldOut | None = None
    base_rate: float = 0.5
    interval_level: float = 0.9
    training: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    command: str = ""
    notes: tuple[str, ...] = ()
    quick_costs: Mapping[str, PrecisionCost] = field(default_factory=dict)
    origin: Origin | None = field(default=None, repr=False)
    digest: str | None = field(default=None, init=False)  # of the folder it was read from; none once changed

    form = FORM
    recalibration = (
        "; give it labelled images first: `morelli import univfd --calibrate F.lance`, or "
        "Bundle.recalibrated(features)"
    )

    def __post_init__(self) -> None:
        if (self.head is None) == (self.neighbor_rule is None):
            raise UsageError("a bundle has either a linear head or a neighbour rule")
        if self.neighbor_rule is not None and self.bank is None:
            raise UsageError("a neighbour rule needs a bank")
        if self.attribution is not None and self.head is None:
            raise UsageError("families of generators are named from the features of a head; there is none")

    def __repr__(self) -> str:
        return f"Bundle({self.name!r}, {self.build.encoder}, kinds {self.kind_ranges})"

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every feature kind that this bundle reads, the head's first."""
        banked = self.bank.kinds if self.bank is not None else ()
        return tuple(dict.fromkeys([*self.head_kinds, *banked]))

    @property
    def kind_ranges(self) -> str:
        """The kinds as a command line takes them: `layer:7-12,final`."""
        return kind_ranges(self.kinds)

    def check_build(self, build: Build) -> None:
        """Raise BuildMismatchError, naming the fields that differ, unless `build` is this bundle's."""
        if build.matches(self.build):
            return
        names = ("encoder", "weights", "transform", "dtype")
        differing = [n for n in names if getattr(build, n) != getattr(self.build, n)]
        named = self.build.present_name
        parts = ", ".join(f"{n} {getattr(build, n)} instead of {getattr(self.build, n)}" for n in differing)
        raise BuildMismatchError(
            f"These features were made otherwise than bundle {self.name} expects: {parts}. Extract again: "
            f"{self.extract_command()}"
            # Where the name has given other weights, the command alone would give them once more.
            + (" --weights FILE" if differing == ["weights"] and build.present_name == named else "")
        )

    def extract_command(self) -> str:
        """The command line that makes features for this bundle."""
        b = self.build
        return (
            f"morelli extract SOURCE -o FEATURES.lance --encoder {b.present_name} --transform {b.transform} "
            f"--dtype {b.dtype} --kinds {self.kind_ranges}"
        )

    def logits(self, features: Features) -> NDArray[np.float64]:
        """Raw scores (n,) of the detector; larger means more likely generated.

        Raises:
            BuildMismatchError: the features come from another build.
            UsageError: a feature kind is missing or has another length.
        """
        return self._logits(self._read(features))

    def intervals(self, features: Features, base_rate: float | None = None) -> NDArray[np.float64]:
        """Percentile intervals (n, 2) of the probability over the bootstrap heads.

        They say how far the answer hangs on which lineages and sources happened to be collected, not
        how often it is wrong. The probability itself always lies inside; without bootstrap heads both
        ends are the probability.
        """
        X = self._read(features)
        return self._intervals(self._logits(X), self._draw_logits(X), self._rate(base_rate))

    def verdicts(self, features: Features, base_rate: float | None = None) -> list[Verdict]:
        """A verdict for each image."""
        if not len(features):
            return []
        rate = self._rate(base_rate)
        X = self._read(features)
        logits, drawn = self._logits(X), self._draw_logits(X)
        probability = self.calibration.probability(logits, rate)
        interval = self._intervals(logits, drawn, rate)
        even = self._intervals(logits, drawn, 0.5)
        distance, neighbors = self._evidence(features)
        experts, families = self._experts(X), self._families(X)
        ends = self.calibration.probability([self.ai.logit, self.real.logit], rate)
        limit = None if self.bank is None else self.bank.limit
        members = {} if self.bank is None else self.bank.label_of
        shas = features.column("sha256")
        return [
            decide(
                Case(
                    logit=float(logits[i]),
                    probability=float(probability[i]),
                    interval=(float(interval[i, 0]), float(interval[i, 1])),
                    even_interval=(float(even[i, 0]), float(even[i, 1])),
                    ai=self.ai,
                    real=self.real,
                    ai_probability=float(ends[0]),
                    real_probability=float(ends[1]),
                    distance=float(distance[i]),
                    limit=limit,
                    neighbors=neighbors[i],
                    expert=experts[i],
                    family=families[i],
                    families=self.attribution is not None,
                    in_bank=members.get(str(shas[i])),
                )
            )
            for i in range(len(logits))
        ]

    def get_ready(self) -> None:
        """Make the index of the bank, if there is one."""
        if self.bank is not None:
            self.bank.get_ready()

    def domain_distances(self, features: Features) -> NDArray[np.float64]:
        """Cosine distances (n,) to the k-th nearest member of the bank; nan without a bank."""
        if self.bank is None:
            return np.full(len(features), math.nan)
        return self.bank.distance(self.bank.near(self._prepared(features), self.bank.k))

    def recalibrated(
        self, features: Features, *, method: Method = "platt", fpr: float = 0.05, miss_rate: float = 0.05
    ) -> Self:
        """This bundle with calibration and thresholds from labelled images that it was not fitted on.

        Raises:
            BuildMismatchError: the features come from another build.
            UsageError: an image has no label, a class is absent, or real images rank above generated ones.
        """
        logits, labels = self.logits(features), features.labels
        calibration = fit_calibration(logits, labels, method)
        ai, real = verdict_thresholds(logits, labels, calibration, fpr=fpr, miss_rate=miss_rate)
        held_out = HeldOut(logits, np.asarray(labels, dtype=np.int8))
        note = f"calibrated and given thresholds on {len(labels)} other images"
        notes = (*self.notes, note)
        return replace(self, calibration=calibration, ai=ai, real=real, held_out=held_out, notes=notes)

    def with_quick(self, exact: Features, quick: Features) -> Self:
        """This bundle with what features in a quicker dtype cost it, from the images that both hold.

        Args:
            exact: features of this bundle's build.
            quick: features of the same build but for the dtype, bfloat16 or int8.

        Raises:
            BuildMismatchError: another build.
            UsageError: they hold no image, delivered alike, in common.
        """
        self.check_build(replace(quick.build, dtype=self.build.dtype))
        dtype = quick.build.dtype
        if dtype not in Encoder.quick_dtypes:
            formats = " or ".join(Encoder.quick_dtypes)
            raise UsageError(f"These features are {dtype}: extract with --dtype {formats}.")
        exact, quick = common_images(exact, replace(quick, build=self.build))
        before, after = self.verdicts(exact), self.verdicts(quick)
        cost = precision_cost(before, after, exact.labels, partial(self.unsure, quick))
        return replace(self, quick_costs={**self.quick_costs, dtype: cost})

    def unsure(self, features: Features, logit: float, distance: float) -> NDArray[np.bool_]:
        """The images (n,) whose verdict could be another one, did their logit or distance move this far.

        Args:
            features: of this bundle's build.
            logit: reach of the logit, such as a `PrecisionCost.near_logit`.
            distance: the same for the distance to the bank.
        """
        logits = self.logits(features)
        ends = np.array([self.ai.logit, self.real.logit])
        near: NDArray[np.bool_] = (np.abs(logits[:, None] - ends) <= logit).any(axis=1)
        if not (self.ai.guaranteed and self.real.guaranteed):
            # Then the interval decides too, where one of its ends is about even odds.
            near |= (np.abs(self.intervals(features, 0.5) - 0.5) <= ABOUT_EVEN).any(axis=1)
        if self.bank is not None and self.bank.limit is not None:
            near |= np.abs(self.domain_distances(features) - self.bank.limit) <= distance
        return near

    def with_bank_added(self, features: Features) -> Self:
        """This bundle with labelled images added to its bank; the head stays as it is."""
        self.check_build(features.build)
        return replace(self, bank=self._bank().added(features))

    def with_bank_removed(self, ids: Sequence[str]) -> Self:
        """This bundle without the bank members of these ids (SHA-256, or an unambiguous beginning)."""
        bank = self._bank()
        gone = np.zeros(len(bank), dtype=bool)
        for one in ids:
            hits = [i for i, known in enumerate(bank.ids) if known.startswith(one)] if one else []
            if len(hits) != 1:
                raise UsageError(f"{one!r} is the beginning of {len(hits)} ids in the bank, not of one")
            gone[hits] = True
        return replace(self, bank=bank.removed(~gone))

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the bundle as a folder, whole or not at all; another bundle there is replaced.

        Args:
            overwrite: also replace the folder that this bundle was read from if another program, or another
                bundle in this one, has changed it since.

        Raises:
            ArtifactError: the folder was changed since this bundle was read from it, or another program is
                writing there. `morelli.artefacts.locked` around reading and saving excludes both.
            UsageError: something else than a bundle stands at `path`.
        """
        path = Path(path)
        known = self.origin is not None and self.origin.path == path.resolve()
        before = self.origin.digest if known and self.origin is not None and not overwrite else None
        digest = write_record(self.stored(), path, unless_changed=before)
        if known:
            object.__setattr__(self, "origin", Origin(path.resolve(), digest))

    def stored(self) -> dict[str, Any]:
        """What `save` writes: every field, and `kinds`."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"kinds": self.kinds}

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Read a bundle folder; runs no code from it.

        Raises:
            ArtifactError: says what is missing, changed, misshapen, not finite or of another version.
        """
        path = Path(path)
        stored, digest = read_record(path)
        return cls.restored({**stored, "origin": Origin(path.resolve(), digest)}, digest, path)

    def _head(self) -> LinearHead | ExpertHead:
        assert self.head is not None
        return self.head

    def _bank(self) -> Bank:
        if self.bank is None:
            raise UsageError(f"bundle {self.name} has no bank")
        return self.bank

    def _matrix(self, features: Features) -> NDArray[np.float32]:
        self.check_build(features.build)
        self._check_kinds(features, self.head_kinds)
        X = features.matrix(self.head_kinds)
        expected = self._head().width
        if X.shape[1] != expected:
            raise UsageError(
                f"features {kind_ranges(self.head_kinds)} have {X.shape[1]} values in all, "
                f"bundle {self.name} expects {expected}"
            )
        return unit_rows(X) if self.unit else X

    def _prepared(self, features: Features) -> NDArray[np.float32]:
        self.check_build(features.build)
        bank = self._bank()
        self._check_kinds(features, bank.kinds)
        return bank.prepare(features)

    def _check_kinds(self, features: Features, kinds: Sequence[str]) -> None:
        missing = [kind for kind in kinds if kind not in features.vectors]
        if missing:
            raise UsageError(
                f"bundle {self.name} needs features of kind {', '.join(missing)}, which are not loaded. "
                f"Load them from the table, or extract them: {self.extract_command()}"
            )

    def _read(self, features: Features) -> NDArray[np.float32]:
        """What scores are computed from (n, d): the bank's form of the features, or the head's."""
        return self._matrix(features) if self.neighbor_rule is None else self._prepared(features)

    def _logits(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        if self.neighbor_rule is not None:
            return self._bank().scores(X, self.neighbor_rule.k, self.neighbor_rule.voting)
        return self._head().logits(X)

    def _draw_logits(self, X: NDArray[np.float32]) -> NDArray[np.float64] | None:
        if self.neighbor_rule is not None:
            return self._bank().draw_scores(X, self.neighbor_rule.k, self.neighbor_rule.voting)
        return self._head().draw_logits(X)

    def _experts(self, X: NDArray[np.float32]) -> list[str | None]:
        """The expert with the largest share of the odds, for each image; None for heads without experts."""
        if not isinstance(self.head, ExpertHead):
            return [None] * len(X)
        strongest = self.head.expert_logits(X).argmax(axis=1)
        return [self.head.experts[k] for k in strongest]

    def _families(self, X: NDArray[np.float32]) -> list[FamilyGuess | None]:
        """The family of generators of each image, were it generated; None where none is likely enough."""
        if self.attribution is None:
            return [None] * len(X)
        return self.attribution.guesses(X)

    def _intervals(
        self, logits: NDArray[np.float64], drawn: NDArray[np.float64] | None, rate: float
    ) -> NDArray[np.float64]:
        point = self.calibration.probability(logits, rate)
        if drawn is None:
            return np.stack([point, point], axis=1)
        tail = (1 - self.interval_level) / 2
        low, high = percentile_interval(self.calibration.probability(drawn, rate), tail, axis=1)
        return np.stack([np.minimum(low, point), np.maximum(high, point)], axis=1)

    def _evidence(self, features: Features) -> tuple[NDArray[np.float64], list[tuple[Neighbor, ...]]]:
        if self.bank is None:
            return np.full(len(features), math.nan), [()] * len(features)
        bank = self.bank
        near = bank.near(self._prepared(features), max(EVIDENCE, bank.k))
        sides = [(near.real, near.real_similarity), (near.fake, near.fake_similarity)]
        found = []
        for i in range(len(features)):
            members = [
                bank.neighbor(int(where[i, j]), float(cosine[i, j]))
                for where, cosine in sides
                for j in range(min(EVIDENCE, where.shape[1]))
                if where[i, j] >= 0
            ]
            found.append(tuple(sorted(members, key=lambda one: -one.similarity)))
        return bank.distance(near), found


def unit_rows(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """X (n, d) with every row at length 1 (zero rows stay)."""
    length = np.linalg.norm(X, axis=1, keepdims=True)
    return np.asarray(np.divide(X, length, out=np.zeros_like(X), where=length > 0))


def default_bundle_path() -> Path:
    """Where the detector that comes with Morelli lies."""
    return Path(__file__).parent / "default_bundle"
