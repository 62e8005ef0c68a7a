"""The analyses of the UnivFD paper on one table: maps, blocks, banks, and where unseen fakes land."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.audit import MetadataBaseline, metadata_only_auc
from morelli.errors import UsageError
from morelli.evaluation._ablations import BankPoint, LayerAblation, bank_ablation, layer_ablation
from morelli.evaluation._maps import FeatureMap, Method, feature_maps
from morelli.evaluation._sink import SinkAnalysis, sink_analysis
from morelli.evaluation._splits import family_splits

if TYPE_CHECKING:
    from morelli.features import Features


@dataclass(frozen=True)
class Analyses:
    """What `analyse` found: n images, the baseline that saw no pixel, and each analysis of Ojha et al. 2023.

    `sinks` has one entry a family held out (empty where the table knows fewer than two families).
    """

    n: int
    baseline: MetadataBaseline
    layers: LayerAblation
    bank: tuple[BankPoint, ...]
    maps: tuple[FeatureMap, ...]
    sinks: dict[str, SinkAnalysis]

    def to_json(self) -> dict[str, Any]:
        """All figures as plain values, without the maps' points."""
        return {
            "n": self.n,
            "metadata_only": self.baseline.to_json(),
            "layers": [asdict(score) for score in self.layers.scores],
            "bank": [asdict(point) for point in self.bank],
            "maps": [
                {"kind": one.kind, "agreement": one.agreement, "map_agreement": one.map_agreement}
                for one in self.maps
            ],
            "sinks": {name: asdict(one) for name, one in self.sinks.items()},
        }


def analyse(
    features: Features,
    *,
    bank_kind: str = "final",
    map_kinds: tuple[str, ...] | None = None,
    method: Method = "tsne",
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Analyses:
    """Run the analyses of Ojha et al. 2023 (figures 3, 5, 12 and its ablations) on labelled features.

    Everything is fitted without the lineages and real sources that test it. The sink analysis fits a probe
    without one family of generators and looks where that family falls.

    Args:
        features: labelled, with one feature kind or more.
        bank_kind: kind of the nearest-neighbour ablation and the sink analysis.
        map_kinds: kinds to map; all if None. method: how.
        progress: called with the name of each step.
    """
    if bank_kind not in features.kinds:
        raise UsageError(f"the table has no {bank_kind!r}; choose from {', '.join(features.kinds)}")
    on_step = progress or (lambda step: None)
    on_step("file facts")
    baseline = metadata_only_auc(features, features.groups(), seed=seed)
    on_step("feature kinds")
    layers = layer_ablation(features, seed=seed)
    on_step("banks")
    bank = tuple(bank_ablation(features, bank_kind, seed=seed))
    on_step("unseen families")
    sinks = _sinks(features, bank_kind, seed)
    on_step("maps")
    maps = tuple(feature_maps(features, map_kinds, method=method, seed=seed))
    return Analyses(len(features), baseline, layers, bank, maps, sinks)


def _sinks(features: Features, kind: str, seed: int) -> dict[str, SinkAnalysis]:
    """The sink analysis of each family of generators, by a probe that knows neither it nor the test reals."""
    from morelli.detectors import LinearProbe

    try:
        splits = family_splits(features, seed=seed)
    except UsageError:  # fewer than two families are named: there is nothing to hold out
        return {}
    y, groups = features.labels, features.groups()
    sinks = {}
    for fold in dict.fromkeys(split.fold for split in splits):
        halves = [split for split in splits if split.fold == fold]
        # The protocol tests half of a family at a time; here one probe judges all of it and half the reals.
        tested = np.concatenate([halves[0].test, *(half.test[y[half.test] == 1] for half in halves[1:])])
        trained = halves[0].train[~np.isin(groups[halves[0].train], groups[tested])]
        train, test = features.take(trained), features.take(np.unique(tested))
        if min(len(np.unique(part.labels)) for part in (train, test)) < 2:
            continue
        probe = LinearProbe(C=1e-3, random_state=seed).fit(train.matrix([kind]), train.labels)
        sinks[fold] = sink_analysis(train, test, probe.decision_function(test.matrix([kind])), kind=kind)
    return sinks
