"""The stream over many machines: images in shards out to workers, results back in the order of the source.

It runs on Ray Data, which places the workers, restarts them, repeats what a dead one had begun, and holds
the listing back while they are busy. Ray is an extra; importing this module loads none of it.
"""

from __future__ import annotations

from morelli.encoders._cluster._connect import Cluster, cluster_of, require_ray
from morelli.encoders._cluster._recipe import EncoderRecipe
from morelli.encoders._cluster._room import room_for
from morelli.encoders._cluster._shards import Listing, Shard, listing_of
from morelli.encoders._cluster._stream import ShardResult, shard_stream

__all__ = [
    "Cluster",
    "EncoderRecipe",
    "Listing",
    "Shard",
    "ShardResult",
    "cluster_of",
    "listing_of",
    "require_ray",
    "room_for",
    "shard_stream",
]
