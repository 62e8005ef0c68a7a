"""Loading an encoder with something to look at while its weights come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from morelli.cli._console import error_console, progress
from morelli.cli._options import DeviceChoice, DtypeChoice

if TYPE_CHECKING:
    from morelli.detectors import Bundle, Ensemble
    from morelli.encoders import Build, Encoder, EncoderSet


def detector_encoder(
    detector: Bundle | Ensemble,
    *,
    encoder: str | None,
    weights: Sequence[Path],
    device: DeviceChoice,
    offline: bool,
    quiet: bool,
) -> Encoder | EncoderSet:
    """The encoder of a bundle, or those of an ensemble."""
    from morelli.detectors import Ensemble
    from morelli.encoders import EncoderSet
    from morelli.errors import UsageError

    if isinstance(detector, Ensemble):
        with weights_progress(quiet) as on_progress:
            return EncoderSet.for_builds(
                detector.builds,
                encoder=encoder,
                device=device.value,
                weights=weights,
                offline=offline,
                progress=on_progress,
            )
    if len(weights) > 1:
        raise UsageError(f"The bundle {detector.name} has one encoder: give --weights once.")
    return encoder_of(
        detector.build,
        encoder=encoder,
        weights=weights[0] if weights else None,
        device=device,
        offline=offline,
        quiet=quiet,
    )


@contextmanager
def weights_progress(quiet: bool = False) -> Iterator[Callable[[str, float | None], None]]:
    """A callback for `load_encoder` and its like: a bar on a terminal, one line per step elsewhere."""
    display = progress(quiet)
    printed: set[str] = set()
    with display:
        task = display.add_task("weights", total=None, visible=False)

        def on_progress(message: str, fraction: float | None) -> None:
            if not display.disable:
                total = None if fraction is None else 100
                display.update(
                    task, description=message, completed=100 * (fraction or 0), total=total, visible=True
                )
            elif not quiet and message not in printed and not message.startswith("Checking"):
                printed.add(message)
                error_console().print(message, markup=False, highlight=False)

        yield on_progress


def encoder_of(
    build: Build,
    *,
    weights: Path | None,
    device: DeviceChoice,
    offline: bool,
    quiet: bool,
    encoder: str | None = None,
) -> Encoder:
    """The encoder that made `build`, from `weights` on this machine if that is given.

    `encoder` names one that is not registered, so that it may be fetched.
    """
    from morelli.encoders import encoder_for_build

    with weights_progress(quiet) as on_progress:
        return encoder_for_build(
            build,
            encoder=encoder,
            device=device.value,
            weights=weights,
            offline=offline,
            progress=on_progress,
        )


def named_encoder(
    name: str,
    *,
    dtype: DtypeChoice,
    device: DeviceChoice,
    weights: Path | None,
    offline: bool,
    quiet: bool,
    transform: str | None = None,
) -> Encoder:
    """The encoder that the user named: of the registry, of the hub, or a folder."""
    from morelli.encoders import load_encoder

    with weights_progress(quiet) as on_progress:
        return load_encoder(
            name,
            dtype=dtype.value,
            device=device.value,
            weights=weights,
            transform=transform,
            offline=offline,
            progress=on_progress,
        )
