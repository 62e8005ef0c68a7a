"""The stream from images to vectors: batches by the source alone, order, bounds, several passes at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from morelli.encoders import Encoder, InferenceWorkers, PreparedImage, encode_stream, load_encoder
from morelli.encoders._stream import EncodedBatch

BAD = -1


@pytest.fixture(scope="module")
def encoder(tiny_clip_dir: Path) -> Encoder:
    return load_encoder(tiny_clip_dir, device="cpu")


@pytest.fixture(scope="module")
def pixels(encoder: Encoder, photos: list[tuple[str, Image.Image]]) -> np.ndarray:
    """(40, 3, s, s): distinct crops."""
    rng = np.random.default_rng(3)
    crops = []
    for number in range(40):
        _, photo = photos[number % len(photos)]
        left, top = (int(rng.integers(0, side - 64)) for side in photo.size)
        crops.append(encoder.transform(photo.crop((left, top, left + 64, top + 64))))
    return np.stack(crops)


@pytest.fixture
def prepare(pixels: np.ndarray):
    def prepared(number: int) -> PreparedImage[int]:
        return PreparedImage(number, None if number == BAD else pixels[number])

    return prepared


def streamed(items, prepare, encoder: Encoder, **options) -> list[EncodedBatch[int]]:
    settings = {"batch_size": 4, "threads": 2, "ahead": 6} | options
    return list(encode_stream(items, prepare, encoder, ["final", "layer:2"], **settings))


def equal_to_single_passes(batches: list[EncodedBatch[int]], pixels: np.ndarray, encoder: Encoder) -> None:
    for batch in batches:
        own = [batch.images[row] for row in batch.rows]
        assert BAD not in own
        assert set(batch.vectors) == {"final", "layer:2"}
        for kind, vectors in encoder.trace(pixels[own], kinds=["final", "layer:2"]).items():
            assert np.array_equal(batch.vectors[kind], vectors)


def test_batches_are_full_in_order_and_one_pass_each(prepare, pixels, encoder) -> None:
    batches = streamed(range(18), prepare, encoder)
    assert [len(batch.images) for batch in batches] == [4, 4, 4, 4, 2]
    assert [number for batch in batches for number in batch.images] == list(range(18))
    equal_to_single_passes(batches, pixels, encoder)


def test_bad_images_ride_along_in_their_place_without_counting(prepare, pixels, encoder) -> None:
    items = [BAD, 0, 1, BAD, 2, 3, BAD, BAD, 4, BAD]
    first, second = streamed(items, prepare, encoder)
    assert (first.images, first.rows) == ([BAD, 0, 1, BAD, 2, 3], [1, 2, 4, 5])
    assert (second.images, second.rows) == ([BAD, BAD, 4, BAD], [2])
    equal_to_single_passes([first, second], pixels, encoder)


def test_many_bad_images_do_not_pile_up(prepare, encoder) -> None:
    batches = streamed([BAD] * 70, prepare, encoder)
    assert [len(batch.images) for batch in batches] == [32, 32, 6]
    assert all(not batch.rows and not batch.vectors for batch in batches)


def test_images_that_are_not_admitted_leave_no_trace(prepare, pixels, encoder) -> None:
    asked = []

    def admit(image: PreparedImage[int]) -> bool:
        assert threading.current_thread() is threading.main_thread()
        asked.append(image.about)
        return image.about % 3 != 0

    batches = streamed(range(16), prepare, encoder, admit=admit)
    assert asked == list(range(16))
    assert [batch.images for batch in batches] == [[1, 2, 4, 5], [7, 8, 10, 11], [13, 14]]
    equal_to_single_passes(batches, pixels, encoder)


def test_a_batch_can_end_early(prepare, pixels, encoder) -> None:
    batches = streamed(range(9), prepare, encoder, ends_batch=lambda number: number in (1, 5))
    assert [batch.images for batch in batches] == [[0, 1], [2, 3, 4, 5], [6, 7, 8]]
    equal_to_single_passes(batches, pixels, encoder)


@pytest.fixture(scope="module")
def torch_encoder(tiny_clip_dir: Path) -> Encoder:
    return load_encoder(tiny_clip_dir, device="cpu", runtime="torch")


def test_several_passes_of_torch_at_once_give_the_same_batches_in_order(
    prepare, pixels, torch_encoder
) -> None:
    encoder, before = torch_encoder, torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with InferenceWorkers(encoder) as workers:
            assert workers.count == 3
            assert torch.get_num_threads() == 1
            batches = streamed(range(38), prepare, encoder, workers=workers)
            assert [number for batch in batches for number in batch.images] == list(range(38))
            assert [len(batch.images) for batch in batches] == [4] * 9 + [2]
            equal_to_single_passes(batches, pixels, encoder)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_processes_share_the_cores(torch_encoder) -> None:
    encoder, before = torch_encoder, torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with InferenceWorkers(encoder, processes=2) as workers:
            assert (workers.count, torch.get_num_threads()) == (2, 1)
        with InferenceWorkers(encoder, processes=9) as workers:
            assert (workers.count, torch.get_num_threads()) == (1, 1)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_calls_start_in_order_on_workers_of_their_own(encoder) -> None:
    started = []
    with InferenceWorkers(encoder) as workers:
        calls = [
            workers.call(lambda n: (started.append(n), threading.current_thread())[1], n) for n in range(20)
        ]
        assert all(call.result().name.startswith("morelli-inference") for call in calls)
        if workers.count == 1:
            assert started == list(range(20))
    with pytest.raises(RuntimeError):
        workers.call(print)


@pytest.mark.parametrize("several", [False, True])
def test_the_source_is_read_a_bounded_number_ahead(prepare, encoder, several: bool) -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken % 40

    before = set(threading.enumerate())
    with InferenceWorkers(encoder) as workers:
        stream = encode_stream(
            endless(),
            prepare,
            encoder,
            ["final"],
            batch_size=4,
            threads=2,
            ahead=6,
            workers=workers if several else None,
        )
        with closing(stream):
            given = 0
            for _ in range(6):
                given += len(next(stream).images)
            under_way = 4 * (workers.count + 2) if several else 0
            assert taken <= given + under_way + 6
    assert not set(threading.enumerate()) - before


def test_an_error_of_the_source_or_of_the_encoder_ends_the_stream(prepare, encoder) -> None:
    def broken() -> Iterator[int]:
        yield from range(30)
        raise OSError("the disk is gone")

    stream = encode_stream(broken(), prepare, encoder, ["final"], batch_size=4, threads=2, ahead=6)
    got = []
    with pytest.raises(OSError, match="disk"), closing(stream):
        got.extend(number for batch in stream for number in batch.images)
    assert got == list(range(len(got))) and len(got) >= 20

    def wrong_shape(number: int) -> PreparedImage[int]:
        return PreparedImage(number, np.zeros((3, 8, 8), dtype=np.float32))

    with InferenceWorkers(encoder) as workers, pytest.raises(Exception, match="batch of shape"):
        streamed(range(30), wrong_shape, encoder, workers=workers)
