"""What is not installed by default, and the sentence that says so."""

from __future__ import annotations

from importlib.util import find_spec

from morelli.errors import UsageError

TORCH_EXTRA = "pip install 'morelli[torch]'"
"""The command that installs torch and transformers."""


def require_torch(what: str) -> None:
    """Raise unless torch and transformers are installed; `what` is the subject of the sentence.

    Raises:
        UsageError: one of them is missing; the text names the command that installs both.
    """
    missing = [name for name in ("torch", "transformers") if not installed(name)]
    if missing:
        raise UsageError(
            f"{what} needs {' and '.join(missing)}, which is an extra of this program; "
            f"install it with: {TORCH_EXTRA}"
        )


def installed(name: str) -> bool:
    """Whether a package can be imported, without importing it."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
