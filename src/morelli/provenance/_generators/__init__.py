"""Generator metadata: what image generators write, each looked for in its own container and place only.

A text of the right form in another place claims nothing: captions quote prompts, and anybody appends bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from morelli.provenance._finding import Finding
from morelli.provenance._generators._comfyui import read_comfyui
from morelli.provenance._generators._labels import (
    read_aigc_label,
    read_black_forest_labs,
    read_dalle2,
    read_draw_things,
    read_ideogram,
    read_midjourney,
    read_novelai,
    read_samsung,
    read_xai,
)
from morelli.provenance._generators._parameters import read_parameters
from morelli.provenance._generators._records import (
    read_easy_diffusion,
    read_fooocus,
    read_invokeai,
    read_swarmui,
)
from morelli.provenance._metadata import Metadata

_READERS: Final[tuple[Callable[[Metadata], Finding | None], ...]] = (
    read_swarmui,
    read_fooocus,
    read_parameters,
    read_comfyui,
    read_invokeai,
    read_easy_diffusion,
    read_novelai,
    read_draw_things,
    read_midjourney,
    read_black_forest_labs,
    read_dalle2,
    read_ideogram,
    read_xai,
    read_aigc_label,
    read_samsung,
)


def generator_findings(metadata: Metadata) -> Iterator[Finding]:
    """What each known tool has written into the file."""
    for reader in _READERS:
        finding = reader(metadata)
        if finding is not None:
            yield finding


__all__ = ["generator_findings"]
