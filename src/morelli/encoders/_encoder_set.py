"""Several encoders as one: every image goes through each of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from morelli.encoders._build import Build
from morelli.encoders._cache import Progress
from morelli.encoders._encoder import Encoder
from morelli.encoders._load import encoder_for_build
from morelli.encoders._resolve import stderr_progress
from morelli.encoders._tower import ConcurrentPasses
from morelli.errors import UsageError, WeightsError
from morelli.images.transforms import JoinedTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray


class EncoderSet:
    """Several encoders that see the same images: what an ensemble of detectors is judged with.

    A row of a batch holds what all of them are fed, features are named by `Build.qualified`, and an image
    costs one forward pass of each.

    Attributes:
        encoders: of different builds, in order.
        build: `Build.joined` of theirs.
        transform: makes a row of an RGB image; decoding is paid once.
        device: of the encoders.
        runtime: libraries and versions that they run on.
        precision: dtypes of their matrix products, in words.

    Example:
        >>> from morelli.encoders import load_encoder
        >>> encoder = load_encoder("clip-vit-b16")
        >>> several = EncoderSet([encoder])
        >>> batch = np.zeros((1, *several.transform.shape), np.float32)
        >>> kind = encoder.build.qualified("final")
        >>> several.trace(batch, kinds=[kind])[kind].shape
        (1, 512)
    """

    is_clip = False

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        self.encoders = tuple(encoders)
        builds = [one.build for one in self.encoders]
        if not builds or len({one.qualified("") for one in builds}) < len(builds):
            raise UsageError("A set of encoders takes one or more, each of another build.")
        self.build = Build.joined(builds)
        self.transform = JoinedTransform(tuple(one.transform for one in self.encoders))
        self.device = _joined(one.device for one in self.encoders)
        self.runtime = _joined(one.runtime for one in self.encoders)
        self.precision = _joined(one.precision for one in self.encoders)
        self.tower = _Towers(self.encoders)

    @classmethod
    def for_builds(
        cls,
        builds: Sequence[Build],
        *,
        encoder: str | None = None,
        device: str = "auto",
        weights: Sequence[str | Path] = (),
        offline: bool = False,
        progress: Progress = stderr_progress,
    ) -> EncoderSet:
        """Load the encoder of each build, or none of them.

        Args:
            builds: of an ensemble's members.
            encoder: hub id of one that is not registered, so that it may be fetched.
            device: as for `load_encoder`.
            weights: folders or files on this machine, in any order; each build takes the one that is its own.
            offline: never touch the network.
            progress: called with what is being fetched.

        Raises:
            WeightsError: no source gives the weights of one of them, or they may not be fetched.
        """
        return cls(
            [
                _own(
                    build,
                    weights,
                    encoder=encoder if encoder == build.encoder else None,
                    device=device,
                    offline=offline,
                    progress=progress,
                )
                for build in builds
            ]
        )

    @property
    def patches(self) -> int:
        """Number of patch tokens of the first, whose picture is the one that is shown."""
        return self.encoders[0].patches

    def trace(self, batch: NDArray[np.float32], *, kinds: Collection[str]) -> dict[str, NDArray[np.float32]]:
        """Features of several qualified kinds, one pass of each encoder that has any.

        Args:
            batch: (b, values) float32, rows made by `transform`.
            kinds: as `Build.qualified` names them.

        Returns: kind to array, one row per image, float32.

        Raises:
            UsageError: the batch has another shape, or a kind is of none of these encoders.
        """
        batch = np.asarray(batch, dtype=np.float32)
        if batch.shape[1:] != self.transform.shape:
            raise UsageError(
                f"A batch of shape {batch.shape} was given; these encoders take "
                f"(b, {self.transform.shape[0]}), rows made by `transform`."
            )
        found: dict[str, NDArray[np.float32]] = {}
        parts = zip(self._kinds_of_each(kinds), self.transform.split(batch), strict=True)
        for (encoder, before, own), pixels in parts:
            if own:
                traced = encoder.trace(pixels, kinds=own)
                found |= {before + kind: array for kind, array in traced.items()}
        return found

    def get_ready(self, kinds: Collection[str]) -> None:
        """As `Encoder.get_ready`, for qualified kinds.

        Raises:
            UsageError: a kind is of none of these encoders.
        """
        for encoder, _, own in self._kinds_of_each(kinds):
            if own:
                encoder.get_ready(own)

    def _kinds_of_each(self, kinds: Collection[str]) -> list[tuple[Encoder, str, list[str]]]:
        """Each encoder, what stands before its kinds here, and those of `kinds` that are its own."""
        found, left = [], set(kinds)
        for encoder in self.encoders:
            before = encoder.build.qualified("")
            own = [kind.removeprefix(before) for kind in kinds if kind.startswith(before)]
            left -= {before + kind for kind in own}
            found.append((encoder, before, own))
        if left:
            raise UsageError(
                f"No encoder of {self.build.encoder} has features called {', '.join(sorted(left))}."
            )
        return found

    def __repr__(self) -> str:
        return f"EncoderSet({self.build.encoder}, device={self.device!r})"


def _own(build: Build, weights: Sequence[str | Path], **how: Any) -> Encoder:
    """The encoder of a build, from the one of `weights` that is its own, or as without any."""
    for path in weights:
        with suppress(WeightsError, UsageError):
            return encoder_for_build(build, weights=path, **how)
    return encoder_for_build(build, **how)


class _Towers:
    """What `InferenceWorkers` asks of an encoder's tower, of several."""

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        self._encoders = encoders

    def share(self, *, most: int, processes: int) -> ConcurrentPasses:
        """Get every tower ready for several passes at once."""
        passes = [one.tower.share(most=most, processes=processes) for one in self._encoders]
        # The largest: towers of one runtime share its threads, which the first has taken.
        return ConcurrentPasses(max(one.count for one in passes), partial(_close, passes))


def _close(passes: Sequence[ConcurrentPasses]) -> None:
    # The last that changed the runtime's threads is the first to put them back.
    for one in reversed(passes):
        one.close()


def _joined(words: Iterable[str]) -> str:
    return " + ".join(dict.fromkeys(words))
