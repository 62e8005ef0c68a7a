"""What needs torch says so before it tries."""

from __future__ import annotations

from morelli import extras
from morelli.errors import UsageError


def require_torch(what: str) -> None:
    """Raise unless torch and transformers are installed; `what` is the subject of the sentence.

    Raises:
        UsageError: one of them is missing; the text names the command that installs both.
    """
    missing = [name for name in ("torch", "transformers") if not extras.installed(name)]
    if missing:
        raise UsageError(extras.missing(f"{what} needs {' and '.join(missing)}", "torch"))
