"""Answers that are kept: worked out once, whoever asks, and never from before they were forgotten."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from morelli.atlas._single_flight_cache import SingleFlightCache


def test_the_latest_answers_are_kept_and_the_oldest_forgotten() -> None:
    kept: SingleFlightCache[int, int] = SingleFlightCache(2)
    calls: list[int] = []

    def ask(key: int) -> int:
        return kept.get(key, lambda: calls.append(key) or 10 * key)  # type: ignore[func-returns-value]

    assert [ask(key) for key in (1, 2, 1, 3, 1, 2)] == [10, 20, 10, 30, 10, 20]
    assert calls == [1, 2, 3, 2]


def test_threads_that_ask_at_a_time_share_one_answer() -> None:
    kept: SingleFlightCache[str, object] = SingleFlightCache(4)
    started, go = threading.Event(), threading.Event()

    def work() -> object:
        started.set()
        assert go.wait(10)
        return object()

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(kept.get, "key", work)
        assert started.wait(10)
        others = [pool.submit(kept.get, "key", object) for _ in range(3)]
        assert kept.get("another key", lambda: "does not wait") == "does not wait"
        go.set()
        assert {id(one.result(10)) for one in others} == {id(first.result(10))}


def test_an_error_reaches_who_asked_and_is_not_kept() -> None:
    kept: SingleFlightCache[str, float] = SingleFlightCache(4)
    with pytest.raises(ZeroDivisionError):
        kept.get("key", lambda: 1 / 0)
    assert kept.get("key", lambda: 2.0) == 2


def test_what_was_being_worked_out_when_all_was_forgotten_is_not_kept() -> None:
    kept: SingleFlightCache[str, str] = SingleFlightCache(4)

    def work() -> str:
        kept.clear()
        return "old"

    assert kept.get("key", work) == "old"
    assert kept.get("key", lambda: "new") == "new"
