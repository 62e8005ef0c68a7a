"""What `Inspector.inspect` takes and gives: an image in any of its forms, and all there is to say of it."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from morelli.artefacts.text import visible
from morelli.errors import UsageError
from morelli.inspection._sentence import verdict_line

if TYPE_CHECKING:
    from PIL import Image

    from morelli.inspection.answers import (
        Case,
        Distilled,
        Evidence,
        Neighbors,
        ProvenanceFinding,
        Stability,
        Word,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Inspection:
    """One image and everything that was found: verdict, evidence, where the score comes from, a sentence.

    In a notebook it shows itself; `morelli.show(inspection)` gives the panel that can be clicked.

    Attributes:
        case: the whole answer, as `POST /detect` gives it, with `facts` of the file and `versions`.
        picture: JPEG of what the encoder saw, its crop.
        relevance: of the other reader: maps (K + 1, g, g) ≥ 0, one for each distilled dimension, each of its
            value's own sign; the last is its own logit's. None where the encoder has no distilled map.

    Example:
        >>> import morelli
        >>> found = morelli.load().inspect("photo.jpg")
        >>> found
        <Inspection photo.jpg: ..., ... % (... %)>
        >>> found.logit_map.shape  # what each patch adds to the logit
        (14, 14)
        >>> read = found.reading
        >>> total = read.bias + sum(part.logit for part in read.parts) + read.rest
        >>> abs(total - found.case.logit) < 1e-5
        True
    """

    case: Case
    picture: bytes
    relevance: npt.NDArray[np.float32] | None
    ask_reading: Callable[[], tuple[Evidence, npt.NDArray[np.float32]]] | None = None

    @cached_property
    def _reading(self) -> tuple[Evidence, npt.NDArray[np.float32]] | None:
        # One more pass through the encoder, and its weights as arrays: only for those who ask.
        return None if self.ask_reading is None else self.ask_reading()

    @property
    def logit_map(self) -> npt.NDArray[np.float32] | None:
        """(g, g): what each patch adds to the deciding logit, beside what it adds in a typical real image.

        Positive speaks for generated. Computed when first asked for; None where the detector has no head over
        a CLIP.
        """
        return None if self._reading is None else self._reading[1]

    @property
    def reading(self) -> Evidence | None:
        """The deciding logit by where the encoder read it; parts of the picture sum to `logit_map`."""
        return None if self._reading is None else self._reading[0]

    @property
    def name(self) -> str:
        """What the image is called: the file's name, or ``picture``."""
        return self.case.name

    @property
    def verdict(self) -> Word:
        """`ai`, `real`, `inconclusive` or `out_of_domain`."""
        return self.case.verdict

    @property
    def probability(self) -> float:
        """Calibrated probability of being generated, at the assumed base rate."""
        return self.case.probability

    @property
    def interval(self) -> tuple[float, float]:
        """The probability's interval, under another draw of training groups."""
        return self.case.interval

    @property
    def reasons(self) -> list[str]:
        """Why the verdict is this one, in short sentences."""
        return self.case.reasons

    @property
    def sentence(self) -> str:
        """One sentence to quote, with the probability, its interval and the version."""
        return self.case.sentence

    @property
    def provenance(self) -> list[ProvenanceFinding]:
        """What the file says of itself, the strongest first; it moves no verdict, and none proves nothing."""
        return self.case.provenance

    @property
    def distilled(self) -> Distilled | None:
        """Another reader: values, impacts and names of distilled dimensions; None without a distilled map."""
        return self.case.distilled

    @property
    def evidence(self) -> Evidence | None:
        """The deciding logit as bias, named parts and a rest; None where nearest neighbours decide."""
        return self.case.evidence

    @property
    def neighbors(self) -> Neighbors:
        """The nearest generated and real members of the detector's bank."""
        return self.case.neighbors

    @property
    def stability(self) -> Stability | None:
        """How the probability moves when the image is delivered in other ways; None unless asked for."""
        return self.case.stability

    def to_json(self) -> dict[str, Any]:
        """The case as plain values."""
        found = _plain(asdict(self.case))
        assert isinstance(found, dict)
        return found

    def __str__(self) -> str:
        return verdict_line(self.name, self.verdict, self.probability, self.interval)

    def __repr__(self) -> str:
        return f"<Inspection {self}>"

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self.picture).decode("ascii")
        heaviest = [] if self.evidence is None else self.evidence.parts[:3]
        parts = "".join(f"<li>{html.escape(one.name)}: {one.logit:+.2f}</li>" for one in heaviest)
        return (
            f'<div><img src="data:image/jpeg;base64,{picture}" alt="What the encoder saw">'
            f"<p><b>{html.escape(str(self))}</b></p><p>{html.escape(self.sentence)}</p><ul>{parts}</ul></div>"
        )


def image_file(image: Any) -> tuple[bytes, str]:
    """An image in any of its forms as the bytes of a file, and what to call it.

    A PIL image and an array become the PNG file of their pixels, since a verdict is about a file.

    Raises:
        UsageError: the file cannot be read, or it is none of these.
    """
    from PIL import Image

    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image), "picture"
    if isinstance(image, str | Path):
        path = Path(image)
        try:
            return path.read_bytes(), _shown_name(path)
        except (OSError, ValueError) as error:  # a name that no file can have is a ValueError
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"{visible(str(path))} cannot be read: {why}.") from error
    name = "picture"
    if isinstance(image, np.ndarray):
        image = _picture_of(image)
    elif isinstance(image, Image.Image):
        name = _shown_name(Path(os.fsdecode(getattr(image, "filename", "") or name)))
    else:
        raise UsageError(
            f"An image is a path, a file's bytes, a PIL image or a numpy array; not {type(image).__name__}."
        )
    stored = BytesIO()
    mode = image.mode if image.mode in ("RGB", "RGBA", "L", "LA", "P", "1") else "RGB"
    image.convert(mode).save(stored, "PNG")
    return stored.getvalue(), name


def _shown_name(path: Path) -> str:
    """A file's name in one line of valid UTF-8, escaped as `iter_source` escapes it."""
    return visible(os.fsencode(path.name).decode("utf-8", "backslashreplace"))


def _picture_of(pixels: npt.NDArray[Any]) -> Image.Image:
    from PIL import Image

    shaped = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if pixels.dtype != np.uint8 or not shaped or 0 in pixels.shape:
        raise UsageError(
            "An array is an image as (height, width) or (height, width, 3 or 4) of uint8, 0 to 255; this one "
            f"is {pixels.shape} of {pixels.dtype}. Values from 0 to 1: (255 * array).round().astype('uint8')."
        )
    return Image.fromarray(pixels)


def _plain(value: Any) -> Any:
    """Tuples as lists, as JSON has them."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
