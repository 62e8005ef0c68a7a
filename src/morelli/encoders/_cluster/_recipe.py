"""How a worker gets the encoder that the coordinator has: the same weights, checked again where it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from morelli.encoders._load import encoder_for_build

if TYPE_CHECKING:
    from morelli.encoders._build import Build
    from morelli.encoders._encoder import Encoder
    from morelli.encoders._runtime import Runtime


@dataclass(frozen=True)
class EncoderRecipe:
    """What loads an encoder of the same build on another machine.

    Attributes:
        build: what the encoder must turn out to be.
        runtime: the library that computes.
        device: ``cpu`` or ``cuda``; which of the GPUs is for the cluster to say.
        weights: folder or file that a user named, to be found under the same path everywhere; None where a
            worker takes the weights from its own cache or fetches them.
        offline: never touch the network.
    """

    build: Build
    runtime: Runtime
    device: str
    weights: Path | None
    offline: bool = False

    @classmethod
    def of(cls, encoder: Encoder, *, offline: bool = False) -> EncoderRecipe:
        """The recipe of an encoder that is loaded here."""
        checkpoint = encoder.checkpoint
        weights = None
        if checkpoint.origin == "path":
            folder = checkpoint.folder
            weights = (folder if (folder / "config.json").is_file() else checkpoint.weights[0]).absolute()
        runtime: Runtime = "openvino" if encoder.runtime.startswith("openvino") else "torch"
        return cls(encoder.build, runtime, encoder.device.partition(":")[0], weights, offline)

    def load(self) -> Encoder:
        """Load it here.

        Raises:
            WeightsError: the weights are not here, cannot be fetched, or are others.
            UsageError: the runtime is not installed here.
        """
        return encoder_for_build(
            self.build,
            encoder=self.build.encoder,  # the caller has it loaded: its name may be asked for
            device=self.device,
            runtime=self.runtime,
            weights=self.weights,
            offline=self.offline,
            progress=_silent,
        )


def _silent(message: str, fraction: float | None) -> None:
    """Workers write nothing: many machines would say the same."""
