"""The encoder: a frozen tower with its build, that turns batches of pixels into features."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from morelli.encoders._build import Build
from morelli.encoders._cache import Progress
from morelli.encoders._cards import EncoderCard
from morelli.encoders._kinds import Kind, expand_kinds, parse_kind
from morelli.encoders._resolve import Checkpoint, stderr_progress
from morelli.errors import UsageError, WeightsError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from morelli.encoders._text import TextTower
    from morelli.images.transforms import Transform

# Rows of one pass through the tower. More gain nothing there and only cost memory.
_MICRO_BATCH = {"cpu": 16, "cuda": 256}


TextFolder = Callable[[Progress], Path]
"""Finds the folder in hub format that holds the text tower; fetches it if need be."""


class Tower(Protocol):
    """What does the work: CLIP's own forward, or a model of transformers."""

    def trace(self, pixels: torch.Tensor, kinds: Collection[Kind]) -> dict[Kind, torch.Tensor]:
        """Features of these kinds, float32, on the tower's device."""


class Encoder:
    """A frozen image encoder. Made by `load_encoder`; calls may come from several threads.

    Attributes:
        build: what features of this encoder carry.
        card: what is known of the encoder, with the dimensions of these very weights.
        transform: turns an RGB image into one row of a batch.
        tower: what computes; its weights are for reading.
        checkpoint: where the weights are and came from.
        device: `cpu`, `cuda`, `cuda:1`, …
    """

    def __init__(
        self,
        build: Build,
        card: EncoderCard,
        transform: Transform,
        *,
        tower: Tower,
        checkpoint: Checkpoint,
        place: torch.device,
        text_folder: TextFolder | None = None,
    ) -> None:
        self.build, self.card, self.transform = build, card, transform
        self.tower, self.checkpoint, self.device = tower, checkpoint, str(place)
        self._place, self._text_folder = place, text_folder
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
        import torch

        names = expand_kinds(kinds, layers=self.layers, heads=self.heads, pooling_head=self.card.pooling_head)
        wanted = [parse_kind(kind, layers=self.layers, heads=self.heads) for kind in names]
        side = self.card.image_size
        batch = np.asarray(batch, dtype=np.float32)
        if batch.shape[1:] != (3, side, side):
            raise UsageError(
                f"A batch of shape {batch.shape} was given; {self.card.name} takes (b, 3, {side}, {side}), "
                "rows made by `encoder.transform`."
            )
        step = _MICRO_BATCH.get(self._place.type, 16)
        parts: dict[Kind, list[NDArray[np.float32]]] = {kind: [] for kind in wanted}
        with torch.inference_mode(), _full_float32(self._place):
            # At least one pass, so that an empty batch gives arrays of the right shape.
            for start in range(0, max(len(batch), 1), step):
                rows = np.require(batch[start : start + step], requirements=["C", "W"])
                pixels = torch.from_numpy(rows).to(self._place)
                for kind, value in self.tower.trace(pixels, wanted).items():
                    parts[kind].append(value.cpu().numpy())
        return {str(kind): np.concatenate(parts[kind]) for kind in wanted}

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
                self._text = TextTower(folder, family=self.card.family, place=self._place)
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

    def __repr__(self) -> str:
        return f"Encoder({self.card.name!r}, build={self.build.fingerprint}, device={self.device!r})"


@contextmanager
def _full_float32(place: torch.device) -> Iterator[None]:
    """On CUDA, keep TF32 out: it rounds float32 products to 10 bits, and a build names no device."""
    import torch

    if place.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
