"""Full disks: told from other errors, and said in one sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def room_for(where: str) -> Iterator[None]:
    """Make a full disk that the block meets one sentence for the user.

    Args:
        where: the machine or folder that the block writes to.

    Raises:
        MorelliError: there is no room left.

    Example:
        >>> with room_for("/tables"):  # doctest: +ELLIPSIS
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
        morelli.errors.MorelliError: No space left on device: /tables. What is finished is kept; ...
    """
    try:
        yield
    except OSError as error:
        if not disk_is_full(error):
            raise
        raise no_room(where) from error
