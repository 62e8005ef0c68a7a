"""Exceptions of Morelli: one root, and messages that say the next step."""

from __future__ import annotations


class MorelliError(Exception):
    """Root of every error that Morelli raises on purpose; its text is for the user to read."""


class UsageError(MorelliError):
    """The request itself is wrong: an unknown name, an impossible option, a missing column."""


class MissingPartError(UsageError):
    """A question needs a part (a distilled map, a bank, concepts) that was not loaded.

    `code` is a stable word that programs can match on (``no-distilled-map``, ``no-bank``, ``no-concepts``);
    the text is `what` is missing and the `next` step.
    """

    def __init__(self, code: str, what: str, next: str) -> None:
        super().__init__(f"{what} {next}")
        self.code, self.what, self.next = code, what, next

    def __reduce__(self) -> tuple[type[MissingPartError], tuple[str, str, str]]:
        return type(self), (self.code, self.what, self.next)  # an exception comes back by its text


class UnknownDimensionError(UsageError):
    """A distilled dimension has a number that the distilled map does not have."""


class ChangedMeanwhileError(UsageError):
    """Somebody else changed what this request was to change; nothing was written."""


class ImageError(MorelliError):
    """One image cannot be used.

    `reason` is a stable word that programs can match on (``truncated``, ``too_many_pixels``,
    ``not_an_image``, …); the text is for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return type(self), (self.reason, str(self))  # between processes; its arguments are not its text alone


class SourceError(MorelliError):
    """A whole source (folder, archive, manifest) cannot be read."""


class WeightsError(MorelliError):
    """Weights are missing, damaged, or not what was pinned."""


class BuildMismatchError(MorelliError):
    """Two artefacts were made by different builds and must not be mixed."""


class ArtifactError(MorelliError):
    """A feature table, bundle or predictions file is missing, damaged or of an unknown version."""
