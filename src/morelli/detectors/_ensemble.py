"""The ensemble: several bundles, each on its own encoder, and a fitted combination of what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from morelli.detectors._bundle import Bundle
from morelli.detectors._bundle_folder import ENSEMBLE, ENSEMBLE_FORM
from morelli.detectors._bundle_parts import HeldOut
from morelli.detectors._calibration import Calibration
from morelli.detectors._detector import Detector
from morelli.detectors._disagreement import Disagreement, Opinion, Opinions, member_words, opinions
from morelli.detectors._ensemble_record import read_ensemble, write_ensemble
from morelli.detectors._thresholds import Threshold
from morelli.detectors._verdict import Case, Verdict, decide
from morelli.errors import BuildMismatchError, UsageError
from morelli.features import Features
from morelli.metrics.odds import expit, logit

if TYPE_CHECKING:
    from morelli.encoders import Build

MOST_MEMBERS = 16
_WORDS: dict[int, Literal["ai", "real", "inconclusive"]] = {1: "ai", 0: "inconclusive", -1: "real"}
_LEAST = 1e-15


@dataclass(frozen=True, eq=False)
class Ensemble(Detector):
    """Bundles of several encoders, joined: Σ weight × calibrated log-odds / scale, calibrated again.

    It answers like a `Bundle`, from features of all its encoders side by side, whose kinds are named by
    `Build.qualified`; every verdict says what each member says by itself (`Verdict.ensemble`). Where members
    contradict each other there is no answer if held-out images say so, see `Disagreement`.

    The bank of the member with the largest weight (`lead`) gives the neighbours. An image is out of domain
    where more than half of the banks with a limit say so.

    Attributes:
        members: the bundles, 2 to 16.
        weights: of the members, ≥ 0 with sum 1: each one's share of the combination.
        scales: of the members, the spread of their log-odds on held-out images.
        ai, real: thresholds on the combination.
        calibration: from the combination to log-odds.
        disagreement: what disagreement is, and what it was worth on held-out images.
        held_out: combined out-of-fold scores that calibration and thresholds came from.
        base_rate: share of generated images that probabilities assume.
        training, recipe, metrics: plain JSON values.

    Made by `fit_ensemble` or `Ensemble.load`.
    """

    name: str
    members: tuple[Bundle, ...]
    weights: tuple[float, ...]
    scales: tuple[float, ...]
    ai: Threshold
    real: Threshold
    calibration: Calibration
    disagreement: Disagreement
    held_out: HeldOut | None = None
    base_rate: float = 0.5
    training: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    command: str = ""
    notes: tuple[str, ...] = ()
    digest: str | None = field(default=None, init=False)  # of the folder it was read from; none once changed

    form = ENSEMBLE_FORM

    # What a bundle may have and an ensemble has not, for those who ask a detector of either kind.
    head = neighbor_rule = bank = attribution = None
    head_kinds = ()

    def __post_init__(self) -> None:
        if not 2 <= len(self.members) <= MOST_MEMBERS:
            raise UsageError(f"an ensemble has 2 to {MOST_MEMBERS} members, not {len(self.members)}")
        names = [one.name for one in self.members]
        if len(set(names)) < len(names):
            raise UsageError(
                f"two members are called alike in {', '.join(names)}; fit one with another --name"
            )
        given = np.array(self.weights, dtype=np.float64)
        if given.shape != (len(names),) or not (given >= 0).all() or abs(given.sum() - 1) > 1e-6:
            raise UsageError("an ensemble needs one weight for each member, none negative, with the sum 1")
        if len(self.scales) != len(names) or not (np.array(self.scales) > 0).all():
            raise UsageError("an ensemble needs one scale for each member, above 0")

    def __repr__(self) -> str:
        parts = ", ".join(f"{w:.2f} × {b.name}" for b, w in zip(self.members, self.weights, strict=True))
        return f"Ensemble({self.name!r}, {parts})"

    @property
    def builds(self) -> tuple[Build, ...]:
        """The builds of the members, each once: an image costs one forward pass of each."""
        return tuple({one.build.qualified(""): one.build for one in self.members}.values())

    @property
    def build(self) -> Build:
        """The joined build of `builds`."""
        from morelli.encoders import Build

        return Build.joined(self.builds)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every feature kind that the members read, by its qualified name."""
        return tuple(dict.fromkeys(one.build.qualified(kind) for one in self.members for kind in one.kinds))

    @property
    def lead(self) -> Bundle:
        """The member with the largest weight among those with a bank, or among all."""
        ordered = sorted(zip(self.weights, self.members, strict=True), key=lambda pair: -pair[0])
        return next((one for _, one in ordered if one.bank is not None), ordered[0][1])

    def check_build(self, build: Build) -> None:
        """Raise BuildMismatchError unless `build` is the joined build of the members' encoders."""
        if not build.matches(self.build):
            raise BuildMismatchError(
                f"These encoders ({build.encoder}) are not those of the ensemble {self.name} "
                f"({self.build.encoder}): load them for its builds."
            )

    def part(self, features: Features, member: Bundle) -> Features:
        """The features of one member, its kinds by their own names.

        Raises:
            UsageError: some are not loaded.
        """
        wanted = {kind: member.build.qualified(kind) for kind in member.kinds}
        missing = [kind for kind, name in wanted.items() if name not in features.vectors]
        if missing:
            raise UsageError(
                f"member {member.name} of the ensemble {self.name} needs features of kind "
                f"{', '.join(missing)} by {member.build.encoder}, which are not loaded. Give a table of the "
                f"same images with them: {member.extract_command()}"
            )
        vectors = {kind: features.vectors[name] for kind, name in wanted.items()}
        return Features(vectors, features.meta, member.build)

    def join(self, tables: Sequence[Features], base: Features | None = None) -> Features:
        """Features of the members' encoders, side by side, for the images of `base` in its order.

        Args:
            tables: one for each build of the members, in any order; what other builds made is not looked at.
            base: the images, and features to keep; the first of `tables` if None.

        Raises:
            UsageError: there is no table of a member's encoder, or an image is not in all of them.
        """
        first = tables[0] if base is None else base
        wanted = image_keys(first)
        vectors = {} if base is None else dict(base.vectors)
        for build in self.builds:
            found = next((one for one in tables if one.build.matches(build)), None)
            if found is None:
                members = [one for one in self.members if one.build.matches(build)]
                raise UsageError(
                    f"no table has features by {build.encoder} (build {build.fingerprint}), which the "
                    f"ensemble {self.name} needs: "
                    f"{members[0].extract_command()}"
                )
            places = {key: row for row, key in enumerate(image_keys(found))}
            rows = [places.get(key, -1) for key in wanted]
            if -1 in rows:
                raise UsageError(
                    f"{rows.count(-1):,} of {len(rows):,} images have no features by {build.encoder}: "
                    "extract the same images, delivered alike, with every encoder of the ensemble"
                )
            vectors |= {build.qualified(kind): array[rows] for kind, array in found.vectors.items()}
        return Features(vectors, first.meta, self.build if base is None else base.build)

    def logits(self, features: Features) -> NDArray[np.float64]:
        """The combination (n,): the weighted sum of the members' calibrated log-odds, each over its scale.

        Raises:
            UsageError: features of a member are not loaded.
        """
        return np.asarray(self._log_odds(self._parts(features)) @ self._factors)

    def get_ready(self) -> None:
        """Get every member ready."""
        for member in self.members:
            member.get_ready()

    def verdicts(self, features: Features, base_rate: float | None = None) -> list[Verdict]:
        """A verdict for each image, with the opinion of every member.

        The interval joins the ends of the members' intervals, as if all moved together: the widest.
        """
        if not len(features):
            return []
        rate = self._rate(base_rate)
        parts = self._parts(features)
        raw = np.column_stack([m.logits(part) for m, part in zip(self.members, parts, strict=True)])
        odds = self._calibrated(raw)
        logits = odds @ self._factors
        ends = np.stack([self._ends(m, part) for m, part in zip(self.members, parts, strict=True)], axis=2)
        bounds = np.sort(np.column_stack([logits, ends @ self._factors]), axis=1)[:, [0, -1]]
        probability = self.calibration.probability(logits, rate)
        interval, even = (self.calibration.probability(bounds, one) for one in (rate, 0.5))
        limits = self.calibration.probability([self.ai.logit, self.real.logit], rate)
        alone, own = (
            expit(odds),
            np.column_stack([m.calibration.probability(raw[:, k], rate) for k, m in enumerate(self.members)]),
        )
        words = np.column_stack([member_words(raw[:, k], m.ai, m.real) for k, m in enumerate(self.members)])
        distances = [m.domain_distances(part) for m, part in zip(self.members, parts, strict=True)]
        leading = self.lead
        evidence = leading.verdicts(parts[self.members.index(leading)])
        known = [one.bank.label_of for one in self.members if one.bank is not None]
        shas = features.column("sha256").astype(str).tolist()
        found = []
        for i in range(len(logits)):
            distance, limit = self._domain([float(column[i]) for column in distances])
            verdict = decide(
                Case(
                    logit=float(logits[i]),
                    probability=float(probability[i]),
                    interval=(float(interval[i, 0]), float(interval[i, 1])),
                    even_interval=(float(even[i, 0]), float(even[i, 1])),
                    ai=self.ai,
                    real=self.real,
                    ai_probability=float(limits[0]),
                    real_probability=float(limits[1]),
                    distance=distance,
                    limit=limit,
                    neighbors=evidence[i].neighbors,
                    in_bank=next((of[sha] for of in known if (sha := shas[i]) in of), None),
                )
            )
            joint = opinions(
                [self._opinion(k, own[i, k], words[i, k]) for k in range(len(self.members))],
                alone[i].tolist(),
                self.disagreement,
                answered=verdict.verdict in ("ai", "real"),
            )
            found.append(self._with_opinions(verdict, joint))
        return found

    def save(self, path: str | Path) -> None:
        """Write the ensemble as a folder, its members inside, whole or not at all; another one is replaced.

        Raises:
            ArtifactError: another program is writing there.
            UsageError: something else than an ensemble stands at `path`.
        """
        write_ensemble({name: getattr(self, name) for name in self.__dataclass_fields__}, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Ensemble:
        """Read an ensemble's folder; runs no code from it.

        Raises:
            ArtifactError: says what is missing, changed, misshapen, not finite or of another version.
        """
        stored, digest = read_ensemble(Path(path))
        return cls.restored(stored, digest, path)

    @property
    def _factors(self) -> NDArray[np.float64]:
        return np.asarray(self.weights, dtype=np.float64) / np.asarray(self.scales, dtype=np.float64)

    def _parts(self, features: Features) -> list[Features]:
        return [self.part(features, one) for one in self.members]

    def _log_odds(self, parts: Sequence[Features]) -> NDArray[np.float64]:
        raw = [one.logits(part) for one, part in zip(self.members, parts, strict=True)]
        return self._calibrated(np.column_stack(raw))

    def _calibrated(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-odds (n, m) at even odds of the members' logits (n, m)."""
        return np.column_stack([m.calibration.log_odds(raw[:, k], 0.5) for k, m in enumerate(self.members)])

    def _ends(self, member: Bundle, part: Features) -> NDArray[np.float64]:
        """Both ends (n, 2) of a member's interval as log-odds at even odds."""
        return np.asarray(logit(np.clip(member.intervals(part, 0.5), _LEAST, 1 - _LEAST)))

    def _domain(self, distances: Sequence[float]) -> tuple[float, float | None]:
        """Distance and limit of the bank in the middle, by how far the image is for each of them.

        Of an even number it is the nearer one, so that its limit is passed where more than half are passed.
        """
        known = [
            (distance / one.bank.limit, distance, one.bank.limit)
            for distance, one in zip(distances, self.members, strict=True)
            if one.bank is not None and one.bank.limit
        ]
        if known:
            _, distance, limit = median_low(known)
            return distance, limit
        return next((one for one in distances if not math.isnan(one)), math.nan), None

    def _opinion(self, k: int, probability: float, word: int) -> Opinion:
        member = self.members[k]
        return Opinion(
            name=member.name,
            encoder=member.build.encoder,
            dtype=member.build.dtype,
            weight=self.weights[k],
            probability=float(probability),
            verdict=_WORDS[int(word)],
        )

    def _with_opinions(self, verdict: Verdict, joint: Opinions) -> Verdict:
        reasons = list(verdict.reasons)
        if joint.withheld:
            d = self.disagreement
            reasons[0] = (
                "the members contradict each other, and of the answers on such held-out images "
                f"{d.wrong} of {d.answered} were wrong"
            )
        if joint.sentence is None:
            each = ", ".join(f"{one.name} {one.probability:.2f}" for one in joint.members)
            reasons.append(f"members: {each}")
        else:
            reasons.insert(1, joint.sentence)
        word = "inconclusive" if joint.withheld else verdict.verdict
        return replace(verdict, verdict=word, reasons=tuple(reasons), ensemble=joint)


def image_keys(features: Features) -> list[tuple[str, str]]:
    """What names each image in its delivery: SHA-256 and perturbation."""
    columns = [features.column(name).astype(str).tolist() for name in ("sha256", "perturbation")]
    return list(zip(*columns, strict=True))


def load_detector(path: str | Path) -> Bundle | Ensemble:
    """Read a detector's folder, a bundle or an ensemble of several.

    Raises:
        ArtifactError: see `Bundle.load` and `Ensemble.load`.

    Example:
        >>> from morelli.detectors import default_bundle_path
        >>> load_detector(default_bundle_path())
        Bundle('default', clip-vit-b16, ...)
    """
    path = Path(path)
    return Ensemble.load(path) if (path / ENSEMBLE).is_file() else Bundle.load(path)
