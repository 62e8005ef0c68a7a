"""What is not installed by default: whether it is there, and the sentence that says how to install it."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["installed", "missing"]


def installed(*packages: str) -> bool:
    """Whether packages can all be imported, without importing one.

    >>> installed("json"), installed("json", "no_such_package")
    (True, False)
    """
    try:
        return all(find_spec(name) is not None for name in packages)
    except (ImportError, ValueError):
        return False


def missing(need: str, extra: str) -> str:
    """The sentence that says what is missing; `need` says what needs which package.

    >>> missing("A map by UMAP needs umap-learn", "umap")
    "A map by UMAP needs umap-learn, an extra of this program; install it with: pip install 'morelli[umap]'"
    """
    return f"{need}, an extra of this program; install it with: pip install 'morelli[{extra}]'"
