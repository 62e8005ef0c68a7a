"""What detectors say about their own fits, as notes of a run instead of lines between its output."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def noting_fits(notes: list[str]) -> Iterator[None]:
    """Append to `notes` which detectors did not learn or converge, each once; pass other warnings on."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    counts: Counter[str] = Counter()
    for one in caught:
        if issubclass(one.category, ConvergenceWarning):
            counts[str(one.message).partition(":")[0]] += 1
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    notes += [f"{kind} in {count:,} of the fits: its figures say little" for kind, count in counts.items()]
