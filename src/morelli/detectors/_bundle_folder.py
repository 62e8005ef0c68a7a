"""What a bundle's folder holds: the names of its files, and the schema of `bundle.json`.

`bundle.json` names every other file with its SHA-256 and every tensor with its shape and dtype, and carries
a digest of itself. Nothing is unpickled; nothing in a bundle can run.
"""

from __future__ import annotations

from morelli.artefacts import Format
from morelli.artefacts.schema import COUNT, Number

MANIFEST, CARD = "bundle.json", "MODEL_CARD.md"
HEAD, BANK, HELD_OUT, MEMBERS = "head.safetensors", "bank.safetensors", "held_out.safetensors", "bank.json"
ATTRIBUTION = "attribution.safetensors"
ENSEMBLE = "ensemble.json"
"""Manifest of an ensemble's folder, in which the files of each member lie as in a bundle's."""

_POSITIVE = Number(1, 2**31, whole=True)
_NEIGHBORS = Number(1, 10_000, whole=True)  # each costs memory for every image that is judged
_THRESHOLD = {
    "logit": float,
    "rate": (Number(0, 1), None),
    "observed": (Number(0, 1), None),
    "n": COUNT,
    "upper": (Number(0, 1), None),
    "guaranteed": bool,
    "note": str,
}
_BANK = {
    "kinds": [str],
    "sizes": [_POSITIVE],
    "k": _NEIGHBORS,
    "quantile": Number(0, 1),
    "limit": (float, None),
}
_COMMON = {
    "name": str,
    "calibration": dict,
    "thresholds": {"ai": _THRESHOLD, "real": _THRESHOLD},
    "base_rate": Number(0, 1, inside=True),
    "training": dict,
    "recipe": dict,
    "metrics": dict,
    "licence": str,
    "command": str,
    "notes": [str],
}
"""What a bundle and an ensemble both state, see `common_document`."""
_SCHEMA = {
    **_COMMON,
    "build": dict,
    "detector": {
        "kinds": [str],
        "unit": bool,
        "type": str,
        "k?": _NEIGHBORS,
        "voting?": str,
        "experts?": [str],
    },
    "interval_level": Number(0, 1, inside=True),
    "bank": (_BANK, None),
    "attribution?": ({"families": [str], "least": Number(0, 1), "figures": dict}, None),
    "bfloat16?": dict,
    "int8?": dict,
}

_DTYPES = ("float16", "float32", "float64", "uint8", "int8", "int32")
_ENSEMBLE = {
    **_COMMON,
    "members": [
        {
            "folder": str,
            "name": str,
            "digest": (str, None),
            "build": dict,
            "weight": Number(0, 1),
            "scale": Number(0, 1e6, inside=True),
        }
    ],
    "disagreement": {
        "limit": Number(0, 1),
        "level": Number(0, 1),
        "images": COUNT,
        "contradicted": COUNT,
        "answered": COUNT,
        "wrong": COUNT,
        "others_answered": COUNT,
        "others_wrong": COUNT,
        "promised": Number(0, 1),
    },
}

FORM = Format(
    name="morelli-bundle",
    what="bundle",
    manifest=MANIFEST,
    version=1,
    again="fit the bundle again",
    schema=_SCHEMA,
    dtypes=_DTYPES,
)

ENSEMBLE_FORM = Format(
    name="morelli-ensemble",
    what="ensemble",
    manifest=ENSEMBLE,
    version=1,
    again="fit the ensemble again",
    schema=_ENSEMBLE,
    dtypes=_DTYPES,
)
