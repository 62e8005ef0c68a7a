"""Words to render: everyday nouns, and strings that mean nothing.

Meaning and lettering both move an embedding (Materzynska et al. 2022, section 3), so overlays need real
words; made-up ones keep the estimate from being about these few hundred only. The list is our own.
"""

from __future__ import annotations

import numpy as np

WORDS: tuple[str, ...] = tuple(
    """
    apple anchor arrow autumn bakery balloon banana basket beach bicycle biscuit blanket bottle branch bread
    bridge brother bucket butter button cabin camera candle canyon carpet castle cellar chair cheese cherry
    chimney church circle cloud coffee collar compass copper corner cotton cradle crystal curtain dance desert
    diamond dinner doctor dolphin dragon drawer dream eagle earth elbow engine evening farmer feather festival
    finger flower forest fountain freedom friend garden ghost giraffe glacier glass glove grain guitar hammer
    harbour harvest helmet honey horse hospital hunter island jacket jungle kettle kitchen ladder lantern
    leather lemon letter library lion lizard luggage machine magnet market meadow melon metal mirror monday
    monkey morning mountain museum music needle nephew night number ocean office onion orange orchard oyster
    paint palace paper parade pasta pencil pepper picture pillow pirate planet pocket police potato powder
    prince puzzle rabbit radio railway recipe ribbon river rocket saddle salad salmon school science season
    shadow sheep shelter silver singer sister skeleton soldier spider spring square station statue storm
    street sugar summer sunset sweater table teacher temple theatre thunder ticket tiger tomato towel tractor
    traffic travel treasure trumpet tunnel turtle umbrella uncle valley velvet village violin volcano wagon
    wallet walnut water wedding weekend whale whisper window winter wizard wolf yellow zebra
    open sale free stop exit push welcome news live today menu love peace happy big new hot cold fast slow
    """.split()  # noqa: SIM905 - a list of three hundred quoted words is unreadable
)

_ONSETS = (
    "b",
    "br",
    "d",
    "dr",
    "f",
    "g",
    "gl",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "z",
)
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_ENDS = ("", "", "n", "r", "s", "l", "m", "nd", "ck")


def made_up(rng: np.random.Generator) -> str:
    """A pronounceable string of one to three syllables that is (almost surely) no word."""
    syllables = int(rng.integers(1, 4))
    parts = [str(rng.choice(part)) for _ in range(syllables) for part in (_ONSETS, _VOWELS, _ENDS)]
    return "".join(parts)
