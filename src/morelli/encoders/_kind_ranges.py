"""Feature kinds written short, for people and command lines."""

from __future__ import annotations

import re
from collections.abc import Iterable

_HEAD = re.compile(r"(\w+):(\d+)\.(\d+)")


def kind_ranges(kinds: Iterable[str]) -> str:
    """Kinds as `expand_kinds` takes them, as short as can be: ranges of blocks, and blocks for their heads.

    Their order stays, apart from that of the heads of a block.

    Heads of a block are taken for all of them where they are counted from 1 without a gap and every block of
    the family has as many.

    >>> kind_ranges(["layer:8", "layer:9", "final", "head:2.1", "head:2.2", "head:3.1", "head:3.2"])
    'layer:8-9,final,head:2-3'
    >>> kind_ranges(["head:3.2", "mean:4"])
    'head:3.2,mean:4'
    """
    given = list(dict.fromkeys(kinds))
    heads: dict[str, dict[int, list[int]]] = {}
    for kind in given:
        if found := _HEAD.fullmatch(kind):
            heads.setdefault(found[1], {}).setdefault(int(found[2]), []).append(int(found[3]))
    whole = {
        name
        for name, blocks in heads.items()
        if len({len(one) for one in blocks.values()}) == 1
        and all(len(one) > 1 and sorted(one) == list(range(1, len(one) + 1)) for one in blocks.values())
    }
    runs: list[tuple[str, int, int]] = []
    for kind in given:
        family, _, place = kind.partition(":")
        number = place.partition(".")[0] if family in whole else place
        if not number.isdigit():
            runs.append((kind, 0, 0))
        elif not runs or runs[-1][0] != family or runs[-1][2] not in (int(number) - 1, int(number)):
            runs.append((family, int(number), int(number)))
        else:
            runs[-1] = (family, runs[-1][1], int(number))
    return ",".join(
        name if not last else f"{name}:{first}" if first == last else f"{name}:{first}-{last}"
        for name, first, last in runs
    )
