"""The encoder: a frozen tower with its build, that turns batches of pixels into features."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from morelli.encoders._build import DTYPES, Build
from morelli.encoders._cache import Progress
from morelli.encoders._cards import (
    DEFAULT_ENCODER,
    EncoderCard,
    Source,
    SourceKind,
    encoder_card,
    encoder_cards,
)
from morelli.encoders._kinds import Kind, expand_kinds, parse_kind
from morelli.encoders._processor import folder_transform
from morelli.encoders._resolve import Checkpoint, checkpoint_from_path, resolve, stderr_progress
from morelli.errors import UsageError, WeightsError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from morelli.encoders._text import TextTower
    from morelli.images import Transform

Dtype = Literal["auto", "float32", "bfloat16"]

# Rows of one pass through the tower. Larger ones gain nothing on a CPU and only cost memory.
_MICRO_BATCH = {"cpu": 16, "cuda": 256}


class Tower(Protocol):
    """What does the work: CLIP's own forward, or a model of transformers."""

    def trace(self, pixels: torch.Tensor, kinds: Collection[Kind]) -> dict[Kind, torch.Tensor]:
        """Features of these kinds, float32, on the tower's device."""


class Encoder:
    """A frozen image encoder. Made by `load_encoder`; calls may come from several threads.

    Attributes:
        build: what features of this encoder carry.
        card: what is known of the encoder.
        transform: turns an RGB image into one row of a batch.
        device: `cpu` or `cuda`.
    """

    def __init__(
        self,
        build: Build,
        card: EncoderCard,
        transform: Transform,
        tower: Tower,
        checkpoint: Checkpoint,
        device: str,
    ) -> None:
        self.build, self.card, self.transform, self.device = build, card, transform, device
        self.checkpoint = checkpoint
        self._tower = tower
        self._text: TextTower | None = None

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

        An image's vector does not depend on the batch around it (beyond float32 rounding).

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
            (b, width); `tokens:k` (b, patches, width); `attention:k` (b, heads, patches + 1),
            the class token's row, which sums to 1 (less what register tokens receive).

        Raises:
            UsageError: the batch has another shape, or a kind does not exist here.
        """
        import torch

        wanted = [parse_kind(kind, layers=self.layers) for kind in expand_kinds(kinds, layers=self.layers)]
        side = self.card.image_size
        batch = np.asarray(batch, dtype=np.float32)
        if batch.shape[1:] != (3, side, side):
            raise UsageError(
                f"A batch of shape {batch.shape} was given; {self.card.name} takes (b, 3, {side}, {side}), "
                "rows made by `encoder.transform`."
            )
        step = _MICRO_BATCH.get(self.device, 16)
        parts: dict[Kind, list[NDArray[np.float32]]] = {kind: [] for kind in wanted}
        with torch.inference_mode():
            # At least one pass, so that an empty batch gives arrays of the right shape.
            for start in range(0, max(len(batch), 1), step):
                pixels = torch.from_numpy(np.ascontiguousarray(batch[start : start + step])).to(self.device)
                for kind, value in self._tower.trace(pixels, wanted).items():
                    parts[kind].append(value.cpu().numpy())
        return {str(kind): np.concatenate(parts[kind]) for kind in wanted}

    @property
    def text(self) -> TextTower | None:
        """The checkpoint's text tower, loaded at first use; None where the weights have none."""
        if self._text is None and self.card.text_tower:
            import torch

            from morelli.encoders._text import TextTower

            checkpoint = self.checkpoint
            self._text = TextTower(
                checkpoint.folder,
                checkpoint.weights[0],
                family=self.card.family,
                device=torch.device(self.device),
            )
        return self._text

    def require_text(self) -> TextTower:
        """The text tower.

        Raises:
            WeightsError: these weights have none; the text says what to use instead.
        """
        if self.text is None:
            raise WeightsError(
                f"The weights of {self.card.name} from {self.checkpoint.origin} hold no text tower. Use a text bank "
                "(`TextBank.load(path)`, an .npz of text embeddings of this encoder), or a source that has one, such "
                'as load_encoder(..., source="hub") where the hub can be reached.'
            )
        return self.text

    def __repr__(self) -> str:
        return f"Encoder({self.card.name!r}, build={self.build.fingerprint}, device={self.device!r})"


class ClipTower:
    """CLIP's own forward on one device."""

    def __init__(self, vit: Any) -> None:
        self.vit = vit

    def trace(self, pixels: torch.Tensor, kinds: Collection[Kind]) -> dict[Kind, torch.Tensor]:
        """Features of these kinds."""
        from morelli.encoders import _vit

        return _vit.trace(self.vit, pixels, kinds)


def load_encoder(
    name_or_path: str | Path = DEFAULT_ENCODER,
    *,
    dtype: Dtype = "auto",
    device: str = "auto",
    weights: str | Path | None = None,
    transform: str | None = None,
    offline: bool = False,
    source: SourceKind | None = None,
    progress: Progress = stderr_progress,
) -> Encoder:
    """Load a frozen encoder, fetching its weights the first time.

    Args:
        name_or_path: a registered name (`encoder_cards`), a hub id (`owner/name`), or a local folder
            in hub format.
        dtype: number format of the matrix products. `auto` is float32 everywhere: features of
            different machines then agree and bundles carry over; bfloat16 is about twice as fast on
            CPUs and GPUs that have it, and is another build.
        device: `cpu`, `cuda`, `cuda:1`, …; `auto` takes CUDA where there is one.
        weights: a local file or folder with the weights of the named encoder.
        transform: id of another transform than the encoder's own.
        offline: never touch the network.
        source: only take weights of this kind of source.
        progress: told what is being fetched.

    Raises:
        UsageError: an unknown name, type or device.
        WeightsError: the weights cannot be had, are damaged, or are not what was pinned.
    """
    return _load(
        name_or_path, dtype=dtype, device=device, weights=weights, transform=transform,
        offline=offline, source=source, sha256=None, progress=progress,
    )  # fmt: skip


def encoder_for_build(
    build: Build,
    *,
    device: str = "auto",
    weights: str | Path | None = None,
    offline: bool = False,
    progress: Progress = stderr_progress,
) -> Encoder:
    """Load the encoder that made some features: of this name, with exactly these weights.

    Several sources of one encoder are several builds; this picks the source whose weights match.

    Raises:
        WeightsError: no source gives those weights.
    """
    encoder = _load(
        weights if weights is not None and build.encoder not in {card.name for card in encoder_cards()}
        else build.encoder,
        dtype=build.dtype, device=device, weights=weights, transform=build.transform,
        offline=offline, source=None, sha256=build.weights, progress=progress,
    )  # fmt: skip
    if encoder.build.weights != build.weights:
        raise WeightsError(
            f"{encoder.checkpoint.folder} holds weights {encoder.build.weights[:12]}…; this build needs "
            f"{build.weights[:12]}…. Give the model that made the features."
        )
    encoder.build = replace(encoder.build, encoder=build.encoder)
    return encoder


def _load(
    name_or_path: str | Path,
    *,
    dtype: str,
    device: str,
    weights: str | Path | None,
    transform: str | None,
    offline: bool,
    source: SourceKind | None,
    sha256: str | None,
    progress: Progress,
) -> Encoder:
    if dtype not in ("auto", *DTYPES):
        raise UsageError(f"dtype {dtype!r} is not known; use auto, {' or '.join(DTYPES)}.")
    number_format = "float32" if dtype == "auto" else dtype
    card, checkpoint = _find(
        name_or_path, weights, offline=offline, source=source, sha256=sha256, progress=progress
    )

    import torch

    place = _device(device)
    config = _config(checkpoint, card)
    card = _card_of_config(card, config, checkpoint)
    chosen = _transform(transform, card, checkpoint)
    if chosen.size != card.image_size:
        raise UsageError(
            f"The transform {chosen.id} gives {chosen.size} pixels; {card.name} takes {card.image_size}."
        )
    kind = {"float32": torch.float32, "bfloat16": torch.bfloat16}[number_format]
    tower: Tower
    if card.family == "clip":
        from morelli.encoders._state import read_state
        from morelli.encoders._vit import vit_from_state

        state = read_state(checkpoint.weights, prefixes=("vision_model.", "visual_projection."))
        tower = ClipTower(vit_from_state(state, _vision(config), dtype=kind, device=place))
    else:
        from morelli.encoders._transformers_tower import TransformersTower

        tower = TransformersTower(checkpoint.folder, dtype=kind, device=place)
    build = Build(encoder=card.name, weights=checkpoint.sha256, transform=chosen.id, dtype=number_format)
    return Encoder(build, replace(card, transform=chosen.id), chosen, tower, checkpoint, str(place))


def _find(
    name_or_path: str | Path,
    weights: str | Path | None,
    *,
    offline: bool,
    source: SourceKind | None,
    sha256: str | None,
    progress: Progress,
) -> tuple[EncoderCard, Checkpoint]:
    """The card and the checked weights of what was asked for."""
    name = str(name_or_path)
    known = {card.name: card for card in encoder_cards()}
    known |= {card.hub_id: card for card in encoder_cards() if card.hub_id}
    if name in known:
        card = known[name]
        if weights is not None:
            return card, checkpoint_from_path(Path(weights), card, progress)
        return card, resolve(card, source=source, sha256=sha256, offline=offline, progress=progress)
    if weights is not None:
        return _unknown_card(name), checkpoint_from_path(Path(weights), None, progress)
    folder = Path(name).expanduser()
    if folder.exists():
        return _unknown_card(folder.resolve().name), checkpoint_from_path(folder, None, progress)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        card = replace(_unknown_card(name), hub_id=name, sources=(Source("hub", name),))
        return card, resolve(card, source=source, sha256=sha256, offline=offline, progress=progress)
    encoder_card(name)
    raise AssertionError


def _unknown_card(name: str) -> EncoderCard:
    """A card for a model outside the registry; its config.json fills in the rest."""
    return EncoderCard(
        name=name, hub_id=None, family="", licence="unknown", dim=0, width=0, layers=0, heads=0, patch=1,
        image_size=0, training_cutoff="", transform="",
    )  # fmt: skip


def _config(checkpoint: Checkpoint, card: EncoderCard) -> Mapping[str, Any]:
    path = checkpoint.folder / "config.json"
    if path.is_file():
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise WeightsError(f"{path} cannot be read ({error}).") from error
        if isinstance(data, dict):
            return data
        raise WeightsError(f"{path} is no model configuration.")
    if card.family != "clip":
        raise WeightsError(f"{checkpoint.folder} has no config.json; give the model's whole folder.")
    # A lone weights file of a registered CLIP: the card knows the architecture.
    return {
        "model_type": "clip_vision_model", "hidden_size": card.width, "num_attention_heads": card.heads,
        "patch_size": card.patch, "image_size": card.image_size, "intermediate_size": 4 * card.width,
        "num_hidden_layers": card.layers, "hidden_act": "quick_gelu", "projection_dim": card.dim,
    }  # fmt: skip


def _vision(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The vision part of a configuration, with the architecture's defaults written out."""
    import transformers

    part = config.get("vision_config", config)
    if config.get("model_type") in ("clip", "clip_vision_model"):
        return {**transformers.CLIPVisionConfig().to_dict(), **part}
    if config.get("model_type") in ("siglip", "siglip_vision_model"):
        return {**transformers.SiglipVisionConfig().to_dict(), **part}
    model_type = str(config.get("model_type"))
    if model_type not in transformers.CONFIG_MAPPING:
        raise WeightsError(
            f"The model type {model_type!r} is not known to transformers {transformers.__version__}."
        )
    return {**transformers.CONFIG_MAPPING[model_type]().to_dict(), **part}


def _card_of_config(card: EncoderCard, config: Mapping[str, Any], checkpoint: Checkpoint) -> EncoderCard:
    """The card with the dimensions that the checkpoint itself states."""
    from morelli.encoders._state import tensor_names

    vision = _vision(config)
    model_type = str(config.get("model_type"))
    family = {"clip_vision_model": "clip", "siglip_vision_model": "siglip", "dinov3_vit": "dinov3"}.get(
        model_type, model_type
    )
    names = tensor_names(checkpoint.weights)
    width = int(vision["hidden_size"])
    projected = "visual_projection.weight" in names
    size = card.image_size
    if not size:
        transform = folder_transform(checkpoint.folder)
        size = transform.size if transform is not None else int(vision["image_size"])
    return replace(
        card,
        family=family,
        dim=int(config.get("projection_dim", vision.get("projection_dim", width))) if projected else width,
        width=width,
        layers=int(vision["num_hidden_layers"]),
        heads=int(vision["num_attention_heads"]),
        patch=int(vision["patch_size"]),
        image_size=size,
        text_tower=any(name.startswith("text_model.") for name in names),
        class_token=family != "siglip",
    )


def _transform(transform_id: str | None, card: EncoderCard, checkpoint: Checkpoint) -> Transform:
    from morelli.images import clip_transform, transform_from_id

    if transform_id or card.transform:
        return transform_from_id(transform_id or card.transform)
    found = folder_transform(checkpoint.folder)
    if found is not None:
        return found
    if card.family == "clip":
        return clip_transform(size=card.image_size)
    raise WeightsError(
        f"{checkpoint.folder} has no preprocessor_config.json, so that its transform is not known. "
        "Name one with `transform=`, such as clip-224-bicubic-crop256-imagenet-v1."
    )


def _device(device: str) -> torch.device:
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"device {device!r} is not known; use auto, cpu or cuda.") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("device 'cuda' was asked for, but this torch sees no CUDA device. Use cpu or auto.")
    return place
