"""Full disks: told from other errors, and said in one sentence."""

from __future__ import annotations

import errno

from morelli.errors import MorelliError


def disk_is_full(error: BaseException) -> bool:
    """True for a full disk or quota; Lance says it in words.

    Example:
        >>> disk_is_full(OSError("LanceError(IO): No space left on device (os error 28)"))
        True
        >>> disk_is_full(OSError(5, "Input/output error"))
        False
    """
    if not isinstance(error, OSError):
        return False
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or any(
        words in str(error) for words in ("No space left on device", "Disk quota exceeded")
    )


def no_room(where: str) -> MorelliError:
    """The error that ends a job where `where`, a machine or a folder, has no room left."""
    return MorelliError(
        f"No space left on device: {where}. What is finished is kept; make room, and start the same command "
        "again to go on"
    )
