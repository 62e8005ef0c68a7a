"""`show`: the widget that fits what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli import extras
from morelli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from morelli.atlas import Atlas
    from morelli.inspection import Inspection, Inspector
    from morelli.notebook._check import CheckWidget
    from morelli.notebook._overview import OverviewWidget


def show(
    what: Atlas | Inspection | Image.Image | Path | str | bytes | npt.NDArray[np.uint8],
    *,
    height: int = 720,
    images: Sequence[Path | str] = (),
    base_rate: float | None = None,
    bundle: Path | str | None = None,
    distilled: Path | str | None = None,
    weights: Path | str | None = None,
    device: str = "auto",
    offline: bool = False,
) -> OverviewWidget | CheckWidget:
    """Show an atlas or judge an image, as a widget of the notebook.

    Args:
        what: an `Atlas` or its folder: the app's views of it, whose selection comes back as `selection` and
            `selected_rows`. An image (its file, the file's bytes, a PIL image or an array), or what
            `Inspector.inspect` found: the check panel with verdict, impacts and relevance. A PIL image and
            an array are judged as the PNG file of their pixels.
        height: of the overview, in pixels.
        images: folders to look for an atlas's original images in; the views show files of these alone.
        base_rate: share of generated images to assume; the bundle's if None.
        bundle: folder of the detector; the shipped one if None.
        distilled: folder of the distilled map; the shipped one if None.
        weights: the encoder's weights on this machine, as for `load_encoder`.
        device: `cpu`, `cuda`, …; `auto` takes CUDA where there is one.
        offline: never fetch weights.

    Raises:
        UsageError: anywidget is missing, or `what` is none of these.
        MissingPartError: the views of an atlas are not built into this installation.
        ArtifactError: the atlas is damaged.
        ImageError: the image cannot be read.

    Example:
        >>> import morelli
        >>> widget = morelli.show("faces.atlas")
        >>> widget.select_rows([3, 5, 8])
        >>> widget.selected_rows
        array([3, 5, 8])
    """
    need_anywidget()
    atlas = _atlas_of(what, images)
    if atlas is not None:
        from morelli.notebook._overview import OverviewWidget

        return OverviewWidget(atlas, images=images, height=height)
    from morelli.inspection import Inspection
    from morelli.notebook._check import CheckWidget

    if isinstance(what, Inspection):
        return CheckWidget(what)
    data, name = _file_of(what)  # before an encoder is loaded for something that is no image
    paths = tuple(None if one is None else Path(one) for one in (bundle, distilled, weights))
    return CheckWidget(_inspector(*paths, device, offline).inspect(data, name=name, base_rate=base_rate))


def need_anywidget() -> None:
    """Say what to install where anywidget is missing.

    Raises:
        UsageError: it is missing.
    """
    if not extras.installed("anywidget"):
        raise UsageError(extras.missing("Widgets need anywidget", "notebook"))


def _atlas_of(what: Any, images: Sequence[Path | str]) -> Atlas | None:
    from morelli.atlas import Atlas

    if isinstance(what, Atlas):
        return what
    if isinstance(what, str | Path) and (Path(what).is_dir() or Path(what).suffix == ".atlas"):
        return Atlas.open(what, images=images)
    return None


def _file_of(what: Any) -> tuple[bytes, str]:
    import numpy as np
    from PIL import Image

    from morelli.inspection import image_file

    if not isinstance(what, str | Path | bytes | Image.Image | np.ndarray):
        raise UsageError(
            "morelli.show takes an Atlas, an atlas's folder, an image's file, its bytes, a PIL image, an "
            f"array, or what Inspector.inspect gave; not {type(what).__name__}."
        )
    return image_file(what)


@lru_cache(maxsize=1)
def _inspector(
    bundle: Path | None, distilled: Path | None, weights: Path | None, device: str, offline: bool
) -> Inspector:
    """Kept for the next cell: loading takes seconds."""
    from morelli.inspection import load

    return load(bundle, distilled=distilled, weights=weights, device=device, offline=offline)
