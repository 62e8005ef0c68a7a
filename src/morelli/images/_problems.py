"""Why an image cannot be used, in one vocabulary, whatever was raised on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from morelli.errors import ImageError, MorelliError
from morelli.images._files import os_problem


def image_error(error: Exception) -> ImageError:
    """The `ImageError` that stands for any exception met while one image was read, decoded or transformed.

    ======================  ====================================================================
    raised                  reason
    ======================  ====================================================================
    `ImageError`            its own
    other `MorelliError`    ``unreadable``, with its text
    `MemoryError`           ``out_of_memory``
    `OSError`               ``missing``, ``not_a_file`` or ``cyclic_link`` where the system says
                            so of a named file, else ``unreadable``
    anything else           ``decoder_error``: image libraries raise nearly anything on crafted
                            files
    ======================  ====================================================================

    >>> image_error(ZeroDivisionError("division by zero")).reason
    'decoder_error'
    """
    if isinstance(error, ImageError):
        return error
    if isinstance(error, MorelliError):
        return ImageError("unreadable", str(error))
    if isinstance(error, MemoryError):
        return ImageError("out_of_memory", "not enough memory to decode this image")
    if isinstance(error, OSError):
        if error.errno is not None and isinstance(error.filename, str | bytes):
            return os_problem(error, os.fsdecode(error.filename))
        return ImageError("unreadable", f"the image cannot be read: {error.strerror or error}")
    return ImageError("decoder_error", f"the decoder gave up: {type(error).__name__}: {error}")


@contextmanager
def image_errors() -> Iterator[None]:
    """Make a block that works on one image raise nothing but `ImageError`, see `image_error`.

    >>> with image_errors():
    ...     [][0]
    Traceback (most recent call last):
    morelli.errors.ImageError: the decoder gave up: IndexError: list index out of range
    """
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        raise image_error(error) from error
