"""Encoders: frozen image encoders, their weights, and what they see of an image.

`load_encoder` finds the weights (explicit path, cache, model hub, package index), checks them, and
gives an `Encoder` whose `encode` and `trace` turn batches into features. Importing this room loads
no torch.
"""

from __future__ import annotations

from morelli.encoders._attention_pass import AttentionPass, attention_pass
from morelli.encoders._build import Build
from morelli.encoders._cache import Progress, cache_root
from morelli.encoders._cards import (
    DEFAULT_ENCODER,
    EncoderCard,
    Source,
    SourceKind,
    encoder_card,
    encoder_cards,
)
from morelli.encoders._encoder import Encoder
from morelli.encoders._kept_patches import encode_kept
from morelli.encoders._kinds import Kind, expand_kinds, kind_shape, parse_kind
from morelli.encoders._last_block import ClassAttention, LastBlock
from morelli.encoders._load import encoder_for_build, load_encoder
from morelli.encoders._store import EncoderInfo, FileCheck, Stored, info, pull, verify
from morelli.encoders._stream import EncodedBatch, PreparedImage, encode_stream
from morelli.encoders._text import TextBank, TextTower
from morelli.encoders._workers import InferenceWorkers

__all__ = [
    "DEFAULT_ENCODER",
    "AttentionPass",
    "Build",
    "ClassAttention",
    "EncodedBatch",
    "Encoder",
    "EncoderCard",
    "EncoderInfo",
    "FileCheck",
    "InferenceWorkers",
    "Kind",
    "LastBlock",
    "PreparedImage",
    "Progress",
    "Source",
    "SourceKind",
    "Stored",
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
    "info",
    "kind_shape",
    "load_encoder",
    "parse_kind",
    "pull",
    "verify",
]
