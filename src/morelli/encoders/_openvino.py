"""OpenVINO, imported without its telemetry. Nothing else in the project imports it first."""

from __future__ import annotations

import sys
import threading
from functools import cache
from typing import Any

_TELEMETRY = "openvino_telemetry"
_lock = threading.Lock()


def load_openvino() -> Any:
    """The module `openvino`, which does not report its import.

    As it comes, importing it forks a process that sends an event to a web address, and writes an identifier
    into the user's home. Without the package that does so it reports nothing; that package is hidden from it.
    """
    with _lock:
        if "openvino" in sys.modules or _TELEMETRY in sys.modules:
            import openvino  # what the program around us imported is its own affair
        else:
            sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # importing it is an ImportError
            try:
                import openvino
            finally:
                del sys.modules[_TELEMETRY]
    return openvino


@cache
def core() -> Any:
    """OpenVINO's runtime with its plugins, one for the process."""
    return load_openvino().Core()
