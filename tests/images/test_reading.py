"""One reason for a bad image, whatever is raised on the way; ordered threads with few items in flight."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from morelli.errors import ImageError, SourceError
from morelli.images import (
    ImageItem,
    Limits,
    image_errors,
    image_generator,
    in_threads,
    perturbation,
    read_bytes,
    read_image,
)
from morelli.images._problems import image_error
from tests.images.hostile import encoded, photo


@pytest.mark.parametrize(
    ("raised", "reason", "text"),
    [
        (ImageError("truncated", "cut"), "truncated", "cut"),
        (SourceError("the archive is gone"), "unreadable", "the archive is gone"),
        (MemoryError(), "out_of_memory", "memory"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.jpg"), "missing", "a.jpg does not exist"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "a.jpg"), "not_a_file", "a folder"),
        (PermissionError(errno.EACCES, "Permission denied", "a.jpg"), "unreadable", "permissions"),
        (OSError(errno.EIO, "Input/output error"), "unreadable", "Input/output error"),
        (OSError("a network file system went away"), "unreadable", "went away"),
        (ZeroDivisionError("division by zero"), "decoder_error", "ZeroDivisionError: division by zero"),
        (RecursionError("too deep"), "decoder_error", "RecursionError"),
    ],
)
def test_every_exception_has_one_reason(raised: Exception, reason: str, text: str) -> None:
    def read() -> bytes:
        raise raised

    assert image_error(raised).reason == reason
    for attempt in (read_bytes, read_image):
        with pytest.raises(ImageError, match=text) as error:
            attempt(ImageItem("a.jpg", read))
        assert error.value.reason == reason


def test_an_interrupt_is_not_a_bad_image() -> None:
    with pytest.raises(KeyboardInterrupt), image_errors():
        raise KeyboardInterrupt


def test_an_item_with_a_problem_is_not_read() -> None:
    def read() -> bytes:
        raise AssertionError("was read")

    problem = ImageError("archive_bomb", "too much")
    with pytest.raises(ImageError, match="too much") as error:
        read_bytes(ImageItem("a.zip::a.png", read, problem=problem))
    assert error.value.reason == "archive_bomb"
    assert error.value is not problem  # tracebacks of several threads would gather in it


def test_a_good_image_is_read_and_limits_hold() -> None:
    data = encoded("PNG")
    item = ImageItem("a.png", lambda: data)
    assert read_bytes(item) == data
    assert np.array_equal(np.asarray(read_image(item).image), np.asarray(photo()))
    with pytest.raises(ImageError) as error:
        read_image(item, Limits(max_pixels=100))
    assert error.value.reason == "too_many_pixels"


def test_a_random_perturbation_depends_on_content_and_id_alone() -> None:
    image, noise = photo(), perturbation("noise:8")
    first, again, other, changed = (
        np.asarray(noise(image, image_generator(digest, id)))
        for digest, id in (
            (b"a" * 32, "noise:8"),
            (b"a" * 32, "noise:8"),
            (b"b" * 32, "noise:8"),
            (b"a" * 32, "crop:0.8+noise:8"),
        )
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, changed)
    # Tables hold vectors of images perturbed by these draws: the stream of numbers is part of their format.
    assert image_generator(bytes(32), "noise:8").integers(0, 1 << 30, 3).tolist() == SEEN


SEEN = [12832919, 976764278, 221456444]


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (2, 3), (4, 9)])
def test_threads_keep_the_order_and_read_a_bounded_number_ahead(workers: int, ahead: int) -> None:
    given = 0

    def numbers() -> Iterator[int]:
        nonlocal given
        for number in range(50):
            given = number + 1
            yield number

    furthest = 0
    for place, square in enumerate(in_threads(lambda n: n * n, numbers(), workers, ahead=ahead)):
        assert square == place * place
        furthest = max(furthest, given - place)
    assert place == 49
    assert furthest == ahead


def test_an_error_comes_at_its_turn_and_closing_ends_the_threads() -> None:
    def reciprocal(number: int) -> float:
        return 1 / number

    before = set(threading.enumerate())
    found = in_threads(reciprocal, [1, 2, 0, 4], 2)
    assert [next(found), next(found)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(found)
    unfinished = in_threads(reciprocal, iter(range(1, 1000)), 2)
    next(unfinished)
    unfinished.close()
    assert not set(threading.enumerate()) - before
