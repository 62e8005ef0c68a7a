"""Verdicts on many machines: workers judge shards, and their detections come back in the source's order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from morelli.encoders.cluster import Cluster, EncoderRecipe, shard_stream
from morelli.inspection._stream import Detection, detect

if TYPE_CHECKING:
    from morelli.detectors import Bundle
    from morelli.encoders import Encoder
    from morelli.encoders.cluster import Listing, Shard
    from morelli.images import Limits
    from morelli.images.layouts import SourceReport
    from morelli.provenance import TrustList

SHARD_BATCHES = 16
"""Batches of a shard. A shard's detections wait for its last image, and with thumbnails they take memory."""


@dataclass(frozen=True)
class DetectPlan:
    """What every worker must know of a job: the arguments of `detect`, and how to load the encoder."""

    recipe: EncoderRecipe
    bundle: Bundle = field(repr=False)
    batch_size: int
    threads: int
    limits: Limits
    thumbnails: bool
    trust: TrustList | None
    stability: bool


class DetectWorker:
    """The work on shards, with encoder and bundle loaded once."""

    def __init__(self, plan: DetectPlan, cpus: int) -> None:
        self._plan = plan
        self._encoder = plan.recipe.load()
        self._threads = max(plan.threads, cpus)

    def __call__(self, shard: Shard) -> list[Detection]:
        """The detections of a shard's images, in their order."""
        plan = self._plan
        return list(
            detect(
                shard.items,
                plan.bundle,
                self._encoder,
                batch_size=plan.batch_size,
                workers=self._threads,
                limits=plan.limits,
                thumbnails=plan.thumbnails,
                trust=plan.trust,
                stability=plan.stability,
            )
        )


def detect_on_cluster(
    listing: Listing,
    bundle: Bundle,
    encoder: Encoder,
    *,
    cluster: Cluster,
    batch_size: int,
    workers: int,
    limits: Limits,
    thumbnails: bool,
    trust: TrustList | None,
    stability: bool,
    understood: SourceReport | None,
) -> Iterator[Detection]:
    """`detect` on the machines of a cluster."""
    bundle.check_build(encoder.build)
    recipe = EncoderRecipe.of(encoder, offline=cluster.offline)
    plan = DetectPlan(recipe, bundle, batch_size, workers, limits, thumbnails, trust, stability)
    results = shard_stream(
        listing,
        DetectWorker,
        cluster=cluster,
        shard_size=SHARD_BATCHES * batch_size,
        shared=plan,
        gpu=encoder.device != "cpu",
        understood=understood,
    )
    with closing(results):
        for result in results:
            if understood is not None:
                understood.merge(result.understood)
            yield from result.value
