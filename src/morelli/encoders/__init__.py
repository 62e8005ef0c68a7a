"""Encoders: frozen image encoders, their weights, and what they see of an image.

`load_encoder` finds the weights (explicit path, cache, model hub, package index), checks them, and
gives an `Encoder` whose `encode` and `trace` turn batches into features. Importing this room loads
no torch.
"""

from __future__ import annotations

from morelli.encoders._attention_pass import attention_pass
from morelli.encoders._build import Build
from morelli.encoders._cache import cache_root
from morelli.encoders._cards import encoder_card, encoder_cards
from morelli.encoders._encoder import Encoder
from morelli.encoders._encoder_set import EncoderSet
from morelli.encoders._kept_patches import encode_kept
from morelli.encoders._kind_ranges import kind_ranges
from morelli.encoders._kinds import expand_kinds, kind_shape
from morelli.encoders._last_block import LastBlock
from morelli.encoders._load import encoder_for_build, load_encoder
from morelli.encoders._stream import PreparedImage, encode_stream
from morelli.encoders._text import TextBank, TextTower
from morelli.encoders._workers import InferenceWorkers

__all__ = [
    "Build",
    "Encoder",
    "EncoderSet",
    "InferenceWorkers",
    "LastBlock",
    "PreparedImage",
    "TextBank",
    "TextTower",
    "attention_pass",
    "cache_root",
    "encode_kept",
    "encode_stream",
    "encoder_card",
    "encoder_cards",
    "encoder_for_build",
    "expand_kinds",
    "kind_ranges",
    "kind_shape",
    "load_encoder",
]
