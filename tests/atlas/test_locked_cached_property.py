"""A property that is worked out once, whoever asks first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from morelli.atlas._locked_cached_property import locked_cached_property


class Asked:
    def __init__(self) -> None:
        self.started, self.go = threading.Event(), threading.Event()
        self.calls = 0

    @locked_cached_property
    def answer(self) -> object:
        """What it is."""
        self.calls += 1
        self.started.set()
        assert self.go.wait(10)
        return object()

    @locked_cached_property
    def more(self) -> tuple[object, object]:
        return self.answer, self.answer

    @locked_cached_property
    def wrong(self) -> float:
        self.calls += 1
        return 1 / (self.calls - 1)


def test_threads_that_ask_first_share_one_answer_and_each_object_has_its_own() -> None:
    one, other = Asked(), Asked()
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(lambda: one.answer)
        assert one.started.wait(10)
        waiting = [pool.submit(lambda: one.more) for _ in range(3)]
        other.go.set()
        assert pool.submit(lambda: other.answer).result(10) is other.answer
        one.go.set()
        assert {id(part) for asked in waiting for part in asked.result(10)} == {id(first.result(10))}
    assert one.calls == other.calls == 1
    assert Asked.answer.__doc__ == "What it is."


def test_an_error_is_not_kept() -> None:
    asked = Asked()
    with pytest.raises(ZeroDivisionError):
        _ = asked.wrong
    assert asked.wrong == asked.wrong == 1
