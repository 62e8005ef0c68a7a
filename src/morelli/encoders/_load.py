"""From a name to a loaded encoder."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from morelli.encoders._build import DTYPES, Build
from morelli.encoders._cache import CacheDirectory, Progress
from morelli.encoders._cards import (
    DEFAULT_ENCODER,
    EncoderCard,
    Source,
    SourceKind,
    encoder_card,
    encoder_cards,
)
from morelli.encoders._encoder import Encoder, TextFolder
from morelli.encoders._processor import folder_transform
from morelli.encoders._resolve import Checkpoint, checkpoint_from_path, resolve, stderr_progress
from morelli.encoders._runtime import Runtime, choose_runtime
from morelli.encoders._tower import Tower
from morelli.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from morelli.encoders._vision_source import VisionSource
    from morelli.images.transforms import Transform

Dtype = Literal["auto", "float32", "bfloat16", "int8"]
_HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
"""`owner/name`; nothing that leads out of a folder."""


def load_encoder(
    name_or_path: str | Path = DEFAULT_ENCODER,
    *,
    dtype: Dtype = "auto",
    device: str = "auto",
    runtime: Runtime = "auto",
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
        dtype: dtype of the matrix products. `auto` is float32 everywhere, so that features
            of different machines agree and bundles carry over; bfloat16 is about twice as fast on
            hardware that has it, and is another build.
        device: `cpu`, `cuda`, `cuda:1`, …; `auto` takes CUDA where torch is installed and sees one.
        runtime: library that computes, `openvino` (CLIP on a CPU) or `torch` (everything; an extra,
            `pip install 'morelli[torch]'`); `auto` is OpenVINO where it can be. Features of both agree to
            rounding, so that they are one build.
        weights: a local file or folder with the weights of the named encoder.
        transform: id of another transform than the encoder's own.
        offline: never touch the network.
        source: only fetch from this kind of source; a name is the same build from each of its sources.
        progress: called with what is being fetched.

    Raises:
        UsageError: an unknown name, type, transform, device or runtime, or torch is needed and not installed.
        WeightsError: the weights cannot be had, are damaged, or are not what was pinned.
    """
    if dtype not in ("auto", *DTYPES):
        raise UsageError(f"dtype {dtype!r} is not known; use auto, {' or '.join(DTYPES)}.")
    search = _Search(weights=weights, offline=offline, source=source, sha256=None, progress=progress)
    card, checkpoint = search.find(str(name_or_path))
    return _assemble(
        card,
        checkpoint,
        "float32" if dtype == "auto" else dtype,
        device,
        transform,
        runtime=runtime,
        text_folder=_text_folder(card, offline=offline),
    )


def encoder_for_build(
    build: Build,
    *,
    encoder: str | None = None,
    device: str = "auto",
    runtime: Runtime = "auto",
    weights: str | Path | None = None,
    offline: bool = False,
    progress: Progress = stderr_progress,
) -> Encoder:
    """Load the encoder that made some features: this name, these very weights, this transform.

    Where the name once stood for other weights as well (`clip-vit-b16` for those of the model hub, which
    are `clip-vit-b16-openai` now), a build of those gets them, under the name that it has.

    A build comes from a file, which may be anybody's. A registered encoder is fetched as `load_encoder` does.
    One of another name is taken from the cache alone: its repository is only asked when the caller names it
    too, and a folder is only opened as `weights`.

    Args:
        build: of a feature table or a bundle.
        encoder: the hub id of an encoder that is not registered, so that it may be fetched; the build's own.
        device: as for `load_encoder`.
        runtime: as for `load_encoder`.
        weights: the local folder or file, for an encoder that came from a path.
        offline: never touch the network.
        progress: called with what is being fetched.

    Raises:
        UsageError: `encoder` is not the build's, or torch is needed and not installed.
        WeightsError: no source gives those weights, or they may not be fetched.
    """
    if encoder not in (None, build.encoder):
        raise UsageError(f"The features were made with {build.encoder!r}, not with {encoder!r}.")
    # With a file of the user's own the name only says what kind of encoder it holds.
    renamed = weights is None and build.present_name != build.encoder
    name = build.present_name if renamed else build.encoder
    registered = any(name in (card.name, card.hub_id) for card in encoder_cards())
    trusted = registered or encoder == name
    if weights is None and not registered and not _HUB_ID.fullmatch(name):
        raise WeightsError(
            f"The features were made with {name!r}, an encoder from a local path. "
            "Name its folder: --weights FOLDER, or `weights=` in Python."
        )
    if renamed:
        progress(
            f"{build.encoder} has other weights than these features were made with; trying those of "
            f"{name}, which it once stood for as well",
            None,
        )
    search = _Search(
        weights=weights, offline=offline or not trusted, source=None, sha256=build.weights, progress=progress
    )
    try:
        card, checkpoint = search.find(name, folders=False)
    except WeightsError as error:
        if renamed:
            raise WeightsError(
                f"The features were made with {build.encoder} and the weights {build.weights[:12]}…. Those "
                f"are not the weights of {build.encoder}; it once stood for those of {name} as well. {error}"
            ) from error
        if trusted or weights is not None or CacheDirectory(name).records():
            raise
        raise WeightsError(
            f"The features were made with {name}, which is not a registered encoder and is not in the cache. "
            "It was not asked for, because a file may name any repository. If you trust that one, name it: "
            f"--encoder {name}, or `encoder=` in Python; or give its folder with --weights."
        ) from error
    if checkpoint.sha256 != build.weights:
        raise WeightsError(
            f"{checkpoint.folder} holds the weights {checkpoint.sha256[:12]}…; the features were made with "
            f"{build.weights[:12]}…. Give the model that made them, or extract the features again."
        )
    return _assemble(
        card,
        checkpoint,
        build.dtype,
        device,
        build.transform,
        runtime=runtime,
        name=build.encoder if renamed else None,
        text_folder=_text_folder(card, offline=offline),
    )


def _text_folder(card: EncoderCard, *, offline: bool) -> TextFolder | None:
    """Finds the text tower for weights that come without one; None where no other encoder's serves."""
    if card.text_from is None:
        return None
    other = encoder_card(card.text_from)

    def find(progress: Progress) -> Path:
        progress(f"{card.name} has no text tower of its own; taking that of {other.name}", None)
        return resolve(other, offline=offline, progress=progress).folder

    return find


@dataclass(frozen=True)
class _Search:
    weights: str | Path | None
    offline: bool
    source: SourceKind | None
    sha256: str | None
    progress: Progress

    def find(self, name: str, *, folders: bool = True) -> tuple[EncoderCard, Checkpoint]:
        """The card and the checked weights of a registered name, a hub id or (with `folders`) a folder."""
        for card in encoder_cards():
            if name in (card.name, card.hub_id):
                if self.weights is not None:
                    return card, checkpoint_from_path(Path(self.weights), card, self.progress)
                return card, self._resolve(card)
        if self.weights is not None:
            return _unknown_card(name), checkpoint_from_path(Path(self.weights), None, self.progress)
        folder = Path(name).expanduser()
        if folders and folder.is_dir():
            return _unknown_card(folder.resolve().name), checkpoint_from_path(folder, None, self.progress)
        if _HUB_ID.fullmatch(name):
            card = replace(_unknown_card(name), hub_id=name, sources=(Source("hub", name),))
            return card, self._resolve(card)
        if folder.exists() or "/" in name:
            raise UsageError(
                f"{name} is no folder with a model in hub format. For a lone weights file, name its encoder: "
                'load_encoder("clip-vit-b16", weights=…).'
            )
        return encoder_card(name), self._resolve(encoder_card(name))

    def _resolve(self, card: EncoderCard) -> Checkpoint:
        return resolve(
            card, source=self.source, sha256=self.sha256, offline=self.offline, progress=self.progress
        )


def _unknown_card(name: str) -> EncoderCard:
    """A card for a model outside the registry; its config.json fills in the rest."""
    return EncoderCard(
        name=name,
        hub_id=None,
        family="",
        licence="unknown",
        dim=0,
        width=0,
        layers=0,
        heads=0,
        patch=1,
        image_size=0,
        training_cutoff="unknown",
        transform="",
    )


def _assemble(
    card: EncoderCard,
    checkpoint: Checkpoint,
    number_format: str,
    device: str,
    transform: str | None,
    *,
    runtime: Runtime,
    name: str | None = None,
    text_folder: TextFolder | None = None,
) -> Encoder:
    """Load the tower and put the encoder together; its build has the card's name unless `name` is given."""
    from morelli.encoders._config import complete_card, read_config, vision_config

    config = read_config(checkpoint, card)
    registered, card = card, complete_card(card, config, checkpoint)
    chosen = _transform(transform, card, checkpoint)
    if chosen.size != card.image_size:
        raise UsageError(
            f"The transform {chosen.id} gives {chosen.size} pixels; {card.name} takes {card.image_size}."
        )
    engine, place = choose_runtime(runtime, device, family=card.family, dtype=number_format)
    vision: VisionSource | None = None
    if card.family == "clip":
        from morelli.encoders._vision_source import VisionSource

        vision = VisionSource(checkpoint.weights, vision_config(config), sha256=checkpoint.sha256)
        side = int(vision.config["image_size"])
        if side != chosen.size:
            raise WeightsError(
                f"{checkpoint.folder}: config.json describes a tower of {side} × {side} pixels, but images "
                f"would be prepared at {chosen.size} × {chosen.size} (preprocessor_config.json, or transform "
                f"{chosen.id}). Correct the one that is wrong, or name a transform with `transform=`."
            )
    tower: Tower
    if engine == "torch":
        from morelli.encoders._torch_towers import torch_tower

        tower = torch_tower(checkpoint, card.family, config, vision, dtype=number_format, device=place)
    else:
        from morelli.encoders._openvino_tower import OpenVINOTower

        assert vision is not None
        tower = OpenVINOTower(vision, dtype=number_format)
    if checkpoint.sha256 != registered.sha256:
        text_folder = None  # of the user's own file nobody knows which texts its images lie with
    build = Build(
        encoder=name or card.name, weights=checkpoint.sha256, transform=chosen.id, dtype=number_format
    )
    return Encoder(
        build,
        replace(card, transform=chosen.id),
        chosen,
        tower=tower,
        checkpoint=checkpoint,
        device=place,
        vision=vision,
        text_folder=text_folder,
    )


def _transform(transform_id: str | None, card: EncoderCard, checkpoint: Checkpoint) -> Transform:
    from morelli.images.transforms import clip_transform, transform_from_id

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
