"""What a server has and allows: the answer of `GET /info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from morelli._version import __version__
from morelli.server import _models as m
from morelli.server._settings import artefact_name

if TYPE_CHECKING:
    from morelli.detectors import Bundle, Ensemble
    from morelli.inspection import Inspector
    from morelli.server._state import ServerState

EDITS = [
    "jpeg", "webp", "blur", "resize", "downup", "crop", "centercrop", "noise", "longside", "align",
    "screenshot", "social",
]  # fmt: skip
"""Perturbations that a picture of *Check* may be given."""


def server_info(state: ServerState) -> m.Info:
    """The whole answer; of detector and encoder nothing until they are loaded."""
    inspector = state.loaded
    loaded: dict[str, Any] = dict.fromkeys(("bundle", "second", "encoder", "distilled", "queue"))
    if inspector is not None:
        loaded = _loaded(inspector)
        loaded["queue"] = m.QueueState(waiting=state.admitted, images_per_second=state.queue.rate)
    settings, limits = state.settings, state.limits
    return m.Info(
        morelli=__version__,
        ready=state.ready,
        problem=None if state.problem is None else str(state.problem),
        **loaded,
        concepts=[] if inspector is None else list(inspector.concepts),
        atlases=state.atlases.names,
        reports=[artefact_name(path) for path in settings.reports],
        roots=[root.name or str(root) for root in settings.roots],
        collections=settings.collections is not None,
        keeps_uploads=settings.keep is not None,
        takes_feedback=settings.feedback is not None,
        perturbations=EDITS,
        limits=m.ServerLimits(
            file_bytes=limits.file_bytes,
            request_bytes=limits.request_bytes,
            files=limits.files,
            pixels=limits.pixels,
            case_seconds=limits.case_seconds,
        ),
    )


def _loaded(inspector: Inspector) -> dict[str, Any]:
    """What an image is judged with, by the names of the answer's fields."""
    encoder, other, distilled = inspector.encoder, inspector.second, inspector.distilled
    bank = 0 if inspector.bank is None else len(inspector.bank)
    second = reader = None
    if other is not None:
        build = m.EncoderBuild(**other.bundle.build.to_json())
        second = m.SecondDetector(**_described(other.bundle), encoder=build)
    if distilled is not None:
        reader = m.LoadedMap(
            names=list(distilled.names),
            weights=[float(w) for w in distilled.w],
            digest=inspector.distilled_digest,
            relevance=inspector.last_block is not None,
        )
    return {
        "bundle": m.LoadedBundle(**_described(inspector.bundle), bank=bank),
        "second": second,
        "encoder": m.LoadedEncoder(**encoder.build.to_json(), device=encoder.device, patches=encoder.patches),
        "distilled": reader,
    }


def _described(detector: Bundle | Ensemble) -> dict[str, Any]:
    """The fields of `m.LoadedDetector`."""
    return {
        "name": detector.name,
        "digest": detector.digest,
        "kinds": list(detector.kinds),
        "base_rate": detector.base_rate,
        "thresholds": {"ai": detector.ai.to_json(), "real": detector.real.to_json()},
        "training": {name: detector.training.get(name) for name in ("n_real", "n_fake")},
        "licence": detector.licence,
    }
