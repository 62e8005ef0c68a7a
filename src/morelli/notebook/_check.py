"""The check panel of one image: verdict, parts that sum to the logit that decided, and where it was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from morelli.notebook._frontend import script, style

if TYPE_CHECKING:
    from morelli.inspection import Inspection


class CheckWidget(anywidget.AnyWidget):  # type: ignore[misc]
    """What `morelli.show(image)` gives. A saved notebook shows it without a kernel.

    Attributes:
        case: the answer as `POST /detect` gives it, a dict of plain values.
        picture: JPEG of what the encoder saw.
        logit_map: what each patch adds to the logit that decided, signed, as little-endian float32; empty
            where that cannot be said.
        maps: the other reader's relevance, (K + 1, grid, grid), its logit's last; empty without a map.
        grid: patches along a side of `maps`.
        dimension: whose map is laid over the picture: `decision`, or of the other reader a number as text or
            `logit`.
    """

    _esm = script("shared", "panel", "check")
    _css = style()

    case = traitlets.Dict(read_only=True).tag(sync=True)
    picture = traitlets.Bytes(read_only=True).tag(sync=True)
    maps = traitlets.Bytes(read_only=True).tag(sync=True)
    grid = traitlets.Int(0, read_only=True).tag(sync=True)
    logit_map = traitlets.Bytes(read_only=True).tag(sync=True)
    dimension = traitlets.Unicode("decision").tag(sync=True)

    def __init__(self, inspection: Inspection, **options: Any) -> None:
        super().__init__(**options)
        maps = inspection.relevance
        self.set_trait("case", inspection.to_json())
        self.set_trait("picture", inspection.picture)
        self.set_trait("maps", b"" if maps is None else np.ascontiguousarray(maps, "<f4").tobytes())
        self.set_trait("grid", 0 if maps is None else maps.shape[-1])
        decided = inspection.logit_map
        self.set_trait(
            "logit_map", b"" if decided is None else np.ascontiguousarray(decided, "<f4").tobytes()
        )

    @traitlets.validate("dimension")
    def _known(self, proposal: Any) -> str:
        value = str(proposal["value"])
        known = len((self.case.get("distilled") or {}).get("impacts", ()))
        if value not in ("decision", "logit") and not (value.isdecimal() and int(value) < known):
            raise traitlets.TraitError(f"There is no dimension {value}; there are 0 to {known - 1}.")
        return value

    @property
    def verdict(self) -> str:
        """`ai`, `real`, `inconclusive` or `out_of_domain`."""
        return str(self.case["verdict"])

    @property
    def probability(self) -> float:
        """Calibrated probability of being generated, at the assumed base rate."""
        return float(self.case["probability"])

    @property
    def relevance(self) -> NDArray[np.float32] | None:
        """The other reader's maps (K + 1, grid, grid) ≥ 0, its logit's last; None without a distilled map."""
        if not self.grid:
            return None
        return np.frombuffer(self.maps, "<f4").reshape(-1, self.grid, self.grid)

    def __repr__(self) -> str:
        low, high = self.case["interval"]
        return (
            f"CheckWidget({self.case['name']!r}: {self.verdict}, probability {self.probability:.2f}, "
            f"{low:.2f} to {high:.2f})"
        )
