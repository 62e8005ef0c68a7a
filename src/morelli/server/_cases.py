"""Cases in memory: what is needed to answer questions about an image that was judged a moment ago."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from morelli.inspection import StoredCase
from morelli.server._problems import ProblemError


class CaseStore:
    """The cases that were used last, within a byte budget and an age; nothing is ever written to disk."""

    def __init__(self, most_bytes: int, seconds: float) -> None:
        self._most, self._seconds = most_bytes, seconds
        self._cases: OrderedDict[str, tuple[StoredCase, float, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._cases)

    @property
    def bytes(self) -> int:
        """Bytes held."""
        return self._bytes

    def put(self, case: StoredCase) -> None:
        """Remember a case; the longest unused ones make room.

        One larger than the budget is not kept, and neither is an edited picture whose original was forgotten
        while it was being made.
        """
        with self._lock:
            self._drop(case.id)
            orphaned = case.derived_from is not None and not self._has_family(case.derived_from)
            if case.size > self._most or orphaned:
                return
            self._cases[case.id] = (case, time.monotonic(), case.size)
            self._bytes += case.size
            self._expire()
            while self._bytes > self._most:
                self._drop(next(iter(self._cases)))

    def get(self, id: str) -> StoredCase:
        """The case, which counts as used now.

        Raises:
            ProblemError: 404, it was never there or has been forgotten.
        """
        with self._lock:
            self._expire()
            found = self._cases.get(id)
            if found is None:
                raise ProblemError(
                    404,
                    "unknown-case",
                    f"No case {id[:12]}… is in memory.",
                    next="Cases are kept in memory for a while only: upload the picture again.",
                )
            case, _, size = found
            self._cases[id] = (case, time.monotonic(), size)
            self._cases.move_to_end(id)
            return case

    def forget(self, id: str) -> bool:
        """Drop a case and what was derived from it; False where there is none."""
        with self._lock:
            found = self._cases.get(id)
            derived = [
                one
                for one, (case, _, _) in self._cases.items()
                if case.derived_from == id or (found is not None and _made_of(case, found[0]))
            ]
            return sum(self._drop(one) for one in (id, *derived)) > 0

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._cases.clear()
            self._bytes = 0

    def _has_family(self, root: str) -> bool:
        return root in self._cases or any(case.derived_from == root for case, _, _ in self._cases.values())

    def _expire(self) -> None:
        oldest = time.monotonic() - self._seconds
        while self._cases:
            id, (_, used, _) = next(iter(self._cases.items()))
            if used >= oldest:
                return
            self._drop(id)

    def _drop(self, id: str) -> bool:
        found = self._cases.pop(id, None)
        if found is None:
            return False
        self._bytes -= found[2]
        return True


def _made_of(case: StoredCase, earlier: StoredCase) -> bool:
    """Whether a case is an edited picture after further edits."""
    same = earlier.derived_from is not None and case.derived_from == earlier.derived_from
    return same and case.edits.startswith(f"{earlier.edits}+")
