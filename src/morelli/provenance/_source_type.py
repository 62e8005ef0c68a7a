"""IPTC's digital source types (cv.iptc.org/newscodes/digitalsourcetype) and what each claims."""

from __future__ import annotations

import re
from typing import Final

from morelli.provenance._finding import Claim

SOURCE_TYPES: Final[dict[str, tuple[Claim, str]]] = {
    "trainedAlgorithmicMedia": ("generated", "created using generative AI"),
    "compositeWithTrainedAlgorithmicMedia": ("edited_with_ai", "edited using generative AI"),
    "compositeSynthetic": ("edited_with_ai", "a composite including generative AI elements"),
    "algorithmicallyEnhanced": ("processed", "enhanced by an algorithm"),
    "algorithmicMedia": ("processed", "made purely by an algorithm that was not trained on samples"),
    "composite": ("processed", "a composite of elements"),
    "compositeCapture": ("processed", "a composite of captured elements"),
    "dataDrivenMedia": ("processed", "a representation of data"),
    "digitalArt": ("processed", "created by a person with digital tools"),
    "digitalCreation": ("processed", "created by a person with digital tools"),
    "humanEdits": ("processed", "edited by a person without generative AI"),
    "minorHumanEdits": ("processed", "edited a little by a person"),
    "softwareImage": ("processed", "created by software"),
    "screenCapture": ("processed", "a screen capture"),
    "virtualRecording": ("processed", "a recording of a virtual event"),
    "digitalCapture": ("captured", "captured by a digital camera or scanner"),
    "computationalCapture": ("captured", "captured with several sensors or frames"),
    "multiFrameComputationalCapture": ("captured", "captured with several frames"),
    "negativeFilm": ("captured", "digitised from a negative"),
    "positiveFilm": ("captured", "digitised from a transparency"),
    "print": ("captured", "digitised from a print"),
    "trainedAlgorithmicData": ("none", "data created using generative AI"),
    "empty": ("none", "empty"),
}
"""Terms, those that were retired included, with their claim and their words. Two belong to C2PA."""

_TERM: Final = re.compile(
    r"(?:https?://(?:cv\.iptc\.org/newscodes|c2pa\.org)/digitalsourcetype/|digsrctype:|)(\w+)/?", re.I
)
_BY_NAME: Final = {name.lower(): name for name in SOURCE_TYPES}


def source_type(value: str) -> str | None:
    """The term that an address, a QCode or a bare name stands for; None for anything else.

    >>> source_type("http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia")
    'trainedAlgorithmicMedia'
    """
    found = _TERM.fullmatch(value.strip()[:300])
    return _BY_NAME.get(found[1].lower()) if found else None
