"""The encoder: a frozen tower with its build, that turns batches of pixels into features."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import numpy as np

from morelli.encoders._build import Build
from morelli.encoders._cache import Progress
from morelli.encoders._cards import EncoderCard
from morelli.encoders._kinds import Kind, kinds_of
from morelli.encoders._resolve import Checkpoint, stderr_progress
from morelli.encoders._tower import Tower
from morelli.errors import UsageError, WeightsError

QuickDtype = Literal["bfloat16", "int8"]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from morelli.encoders._screened_tower import Unsure
    from morelli.encoders._text import TextTower
    from morelli.encoders._vision_source import VisionSource
    from morelli.encoders._vit_weights import VisionTransformer
    from morelli.images.transforms import Transform


TextFolder = Callable[[Progress], Path]
"""Finds the folder in hub format that holds the text tower; fetches it if need be."""


class Encoder:
    """A frozen image encoder. Made by `load_encoder`; calls may come from several threads.

    Attributes:
        build: what features of this encoder carry.
        card: what is known of the encoder, with the dimensions of these very weights.
        transform: turns an RGB image into one row of a batch.
        tower: what computes; its weights are for reading.
        runtime: library and version that the tower runs on, such as `openvino 2026.4.1`; features of two
            runtimes agree to rounding, so that it is no part of the build.
        checkpoint: where the weights are and came from.
        device: `cpu`, `cuda`, `cuda:1`, …
        precision: dtype of the matrix products in words; the build's, unless made by `quick`.
        quick_dtypes: dtypes that `quick` may take, the more exact first; `quickest` says which is quicker.
    """

    quick_dtypes: ClassVar[tuple[QuickDtype, ...]] = ("bfloat16", "int8")

    def __init__(
        self,
        build: Build,
        card: EncoderCard,
        transform: Transform,
        *,
        tower: Tower,
        checkpoint: Checkpoint,
        device: str = "cpu",
        vision: VisionSource | None = None,
        text_folder: TextFolder | None = None,
    ) -> None:
        self.build, self.card, self.transform = build, card, transform
        self.tower, self.checkpoint, self.device = tower, checkpoint, device
        self.runtime, self.precision = tower.runtime, build.dtype
        self._vision, self._text_folder = vision, text_folder
        self._text: TextTower | None = None
        self._text_lock = threading.Lock()

    @property
    def dim(self) -> int:
        """Length of the final embedding."""
        return self.card.dim

    @property
    def width(self) -> int:
        """Length of one token in the residual stream."""
        return self.card.width

    @property
    def layers(self) -> int:
        """Number of blocks."""
        return self.card.layers

    @property
    def heads(self) -> int:
        """Number of attention heads of a block."""
        return self.card.heads

    @property
    def patches(self) -> int:
        """Number of patch tokens."""
        return self.card.patches

    @property
    def stage_widths(self) -> tuple[int, ...]:
        """Length of `mean:k` for every stage k of a ConvNeXt; empty where all blocks have one width."""
        return self.card.stage_widths

    @property
    def is_clip(self) -> bool:
        """True where `vision` gives weights."""
        return self._vision is not None

    @property
    def vision(self) -> VisionTransformer | None:
        """The image tower's weights as float32 arrays, read at first use and kept; None unless it is a CLIP.

        They are for reading, and the same whatever the runtime and the build's dtype.
        """
        return None if self._vision is None else self._vision.keep()

    def vision_of_block(self, number: int) -> VisionTransformer | None:
        """As `vision`, with the block of this number (from 1) as its only one; the others are not read."""
        return None if self._vision is None else self._vision.read(block=number)

    def encode(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Final embeddings: (b, 3, s, s) transformed pixels to (b, dim) float32, not normalised.

        An image's vector does not depend on the batch around it (beyond rounding).

        Raises:
            UsageError: the batch has another shape.
        """
        return self.trace(batch, kinds=("final",))["final"]

    def trace(self, batch: NDArray[np.float32], *, kinds: Collection[str]) -> dict[str, NDArray[np.float32]]:
        """Features of several kinds in one pass; what no kind needs is not computed.

        Args:
            batch: (b, 3, s, s) float32, rows made by `transform`.
            kinds: kinds or groups, see `expand_kinds`.

        Returns:
            kind to array, one row per image, float32: `final` (b, dim); `layer:k` and `mean:k`
            (b, width), the class token and the mean patch token after block k; `tokens:k`
            (b, patches, width); `attention:k` (b, heads, patches + 1), the class token's row of the
            attention of block k, which sums to 1 (less what register tokens receive). Of CLIP, SigLIP,
            DINO and ViT also the parts of `final`: `head:k.h`, `mlp:k`, `embedding` and, where patches are
            pooled by a head of its own, that head's `poolmlp` (b, dim) are contributions, and all of
            them (`parts`) sum to `final`; `headraw:k.h` (b, width / heads) is the same head's class
            token before the output matrix.

        Raises:
            UsageError: the batch has another shape, or a kind does not exist here.
        """
        from morelli.images.transforms import row_shape

        wanted = self._wanted(kinds)
        row = row_shape(self.transform)
        batch = np.asarray(batch, dtype=np.float32)
        if batch.shape[1:] != row:
            raise UsageError(
                f"A batch of shape {batch.shape} was given; {self.card.name} takes "
                f"(b, {', '.join(map(str, row))}), rows made by `encoder.transform`."
            )
        found = self.tower.trace(batch, wanted)
        return {str(kind): found[kind] for kind in wanted}

    def get_ready(self, kinds: Collection[str]) -> None:
        """What the first `trace` of these kinds would do before it computes, such as compiling a graph.

        For a thread beside the one that reads the first images; a `trace` that comes meanwhile waits for it.

        Raises:
            UsageError: a kind does not exist here.
        """
        self.tower.get_ready(self._wanted(kinds))

    @property
    def text(self) -> TextTower | None:
        """The text tower of `require_text`; None where it cannot be had."""
        try:
            return self.require_text()
        except WeightsError:
            return None

    def require_text(self, progress: Progress = stderr_progress) -> TextTower:
        """The text tower, loaded at first use: the checkpoint's own, else that of `card.text_from`.

        The latter is fetched like any encoder's weights, from the model hub. Its texts lie in the space of
        its own image tower, to which this one is close but not equal.

        Args:
            progress: called with what is being fetched.

        Raises:
            WeightsError: there is none, or it cannot be had; the text says what to use instead.
        """
        with self._text_lock:
            if self._text is None:
                from morelli.encoders._text import TextTower

                folder = self._find_text(progress)
                self._text = TextTower(folder, family=self.card.family, place=self.device)
            return self._text

    def _find_text(self, progress: Progress) -> Path:
        if self.card.text_tower:
            return self.checkpoint.folder
        bank = "a text bank (`TextBank.load(path)`, an .npz with text embeddings of this encoder)"
        lacking = f"The weights of {self.card.name} ({self.checkpoint.origin}) hold no text tower."
        if self._text_folder is None:
            raise WeightsError(
                f"{lacking} Use {bank}, or weights with both towers in a folder in hub format."
            )
        try:
            return self._text_folder(progress)
        except WeightsError as error:
            raise WeightsError(
                f"{lacking} That of {self.card.text_from} serves them too, but is not here: {error}\n"
                f"Or use {bank}."
            ) from error

    def obstacle_to_quick(self, dtype: QuickDtype = "bfloat16") -> str | None:
        """Why `quick` cannot be had in this dtype, as a sentence; None where it can."""
        from morelli.encoders._runtime import computes_in

        if self.build.dtype != "float32" or self._vision is None or not self.runtime.startswith("openvino"):
            return f"{dtype} is for CLIP in OpenVINO on a CPU; this is {self.build.dtype} by {self.runtime}."
        return None if computes_in(dtype) else f"This processor does not compute in {dtype}."

    def quickest(self, dtypes: Collection[QuickDtype]) -> QuickDtype:
        """The one of these dtypes in which this processor multiplies quickest.

        int8, but bfloat16 where the processor has tiles for it (AMX).
        """
        from morelli.encoders._runtime import quickest_of

        return cast(QuickDtype, quickest_of(dtypes))

    def quick(self, unsure: Unsure | None, kinds: Collection[str], dtype: QuickDtype = "bfloat16") -> Encoder:
        """This encoder with matrix products in a quicker dtype, under the same build.

        Args:
            unsure: from quick features by kind, rows of a batch, to a mask (b,) of those to compute in
                float32 after all; None: none.
            kinds: what `unsure` reads.
            dtype: `bfloat16`, or `int8`: matrices rounded to 8 bits row by row, and the values that they
                meet in groups of a token.

        Raises:
            UsageError: the processor, the runtime or the encoder does not allow it.

        Example:
            >>> from morelli.encoders import load_encoder
            >>> encoder = load_encoder("clip-vit-b16")
            >>> if encoder.obstacle_to_quick() is None:
            ...     assert encoder.quick(None, ()).precision == "bfloat16"
        """
        from morelli.encoders._openvino_tower import OpenVINOTower
        from morelli.encoders._screened_tower import ScreenedTower

        if (obstacle := self.obstacle_to_quick(dtype)) is not None:
            raise UsageError(obstacle)
        assert self._vision is not None
        wanted = self._wanted(kinds) if kinds else ()
        tower = ScreenedTower(OpenVINOTower(self._vision, dtype=dtype), self.tower, wanted, unsure)
        found = copy(self)
        found.tower = tower
        found.precision = dtype if unsure is None else f"{dtype}, float32 near thresholds"
        return found

    def _wanted(self, kinds: Collection[str]) -> tuple[Kind, ...]:
        return kinds_of(kinds, layers=self.layers, heads=self.heads, pooling_head=self.card.pooling_head)

    def __repr__(self) -> str:
        return f"Encoder({self.card.name!r}, build={self.build.fingerprint}, device={self.device!r})"
