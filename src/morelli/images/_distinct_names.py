"""Names of an archive's members, each given once."""

from __future__ import annotations


class DistinctNames:
    """Names of an archive's images, each given once: a later one of the same name gets a number.

    Example:
        >>> names = DistinctNames()
        >>> names.of("s.zip::a.png"), names.of("s.zip::a.png"), names.of("s.zip::a (2).png")
        ('s.zip::a.png', 's.zip::a (2).png', 's.zip::a (2) (2).png')
        >>> names.of("s.zip::b"), names.of("s.zip::b")
        ('s.zip::b', 's.zip::b (2)')
        >>> sorted(names.changed)[:2]
        ['s.zip::a (2) (2).png', 's.zip::a (2).png']
    """

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._next: dict[str, int] = {}
        self.changed: set[str] = set()

    def of(self, name: str) -> str:
        """`name`, or a number in it where an earlier image has that name."""
        found, count = name, self._next.get(name, 2)
        stem, dot, suffix = name.rpartition(".")
        if not dot or "/" in suffix or "::" in suffix:
            stem, dot, suffix = name, "", ""
        while found in self._given:
            found, count = f"{stem} ({count}){dot}{suffix}", count + 1
        self._given.add(found)
        if found != name:
            # All numbers below are taken: without this, many members of one name take quadratic time.
            self._next[name] = count
            self.changed.add(found)
        return found
