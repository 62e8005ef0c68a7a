"""A property that is worked out once, also where several threads ask for it first."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class locked_cached_property(cached_property[T], Generic[T]):  # noqa: N801 (a decorator, as its parent)
    """A `cached_property` that one thread works out while others wait for it.

    That of Python 3.12 and later lets every thread work it out, that of Python 3.11 one thread for all
    objects; with columns of a million images and a server that opens an atlas while somebody looks at it,
    that is seconds.
    """

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T: ...
    def __get__(self, instance: object, owner: type[Any] | None = None) -> Self | T:
        if instance is None:
            return self
        known, name = instance.__dict__, self.attrname
        assert name is not None
        if name not in known:
            # setdefault is one step, so that all threads have the same lock.
            with known.setdefault(f"{name}:lock", threading.RLock()):
                if name not in known:
                    known[name] = self.func(instance)
        found: T = known[name]
        return found
