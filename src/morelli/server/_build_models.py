"""The shapes of requests and answers about collections and the builds of their atlases."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from morelli.server._atlases import is_name
from morelli.server._models import Answer, RequestBody

BuildState = Literal["running", "done", "failed", "cancelled"]
Labels = Literal["folders", "real", "fake", "unknown"]
Dimensions = Literal["shipped", "fitted"]
LONGEST_MESSAGE = 4000
LONGEST_NAME = 200
"""Bytes of a name, which leave room for what is added to it within the 255 that file systems allow."""


def _usable(name: str) -> str:
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        raise ValueError(f"a name has at most {LONGEST_NAME} bytes of UTF-8; choose a shorter one")
    if not is_name(name):
        raise ValueError("a name is of letters, digits, spaces, points, hyphens and underscores")
    return name


BuildName = Annotated[
    str,
    Field(pattern=r"^\w[\w .-]{0,98}\w$|^\w$", description="Of the atlas."),
    AfterValidator(_usable),
]


class BuildRequest(RequestBody):
    """A folder of images from which an atlas is to be built."""

    path: Annotated[str, Field(max_length=4096, description="Folder, relative to the collections' folder.")]
    name: BuildName
    labels: Labels = Field(
        default="folders", description="From folders named real, fake, …; or one label for all images."
    )
    dimensions: Dimensions = Field(
        default="shipped",
        description="The server's distilled map, which needs no labels, or one fitted to these images.",
    )


class NamedBuild(RequestBody):
    """An unfinished build."""

    name: BuildName


class BuildProgress(Answer):
    """A build and how far it is."""

    name: str
    folder: str
    state: BuildState
    step: str = Field(description="listing, encoder, extracting, distiller, maps, prototypes or cells.")
    done: int
    total: int | None = Field(description="Null where it is not known.")
    failed: int = Field(description="Images that could not be read.")
    images: int | None = Field(description="Images of the atlas, once it is built.")
    reasons: dict[str, int] = Field(description="Why images could not be read, with counts.")
    unlabelled: int = Field(description="New images without a label.")
    seconds: float
    message: str = Field(description="Why it failed; else empty.")


class UnfinishedBuild(Answer):
    """A build that can be gone on with."""

    name: str
    folder: str
    labels: Labels
    dimensions: Dimensions
    state: Literal["interrupted", "cancelled", "failed"]
    message: str


class BuildNote(BaseModel):
    """What lies in the folder while an atlas is not finished."""

    model_config = ConfigDict(extra="ignore")

    folder: Annotated[str, Field(max_length=4096)]
    labels: Labels
    dimensions: Dimensions
    state: Literal["cancelled", "failed"] | None = None
    message: Annotated[str, Field(max_length=LONGEST_MESSAGE)] | None = None


class Folder(Answer):
    """A folder of images."""

    name: str
    path: str = Field(description="Relative to the collections' folder.")


class Collections(Answer):
    """One folder below the collections' folder, and what has been built."""

    root: str = Field(description="Name of the collections' folder.")
    path: str = Field(description="Of the folder that is listed; empty for the collections' folder.")
    folders: list[Folder]
    files: int = Field(description="Files right in this folder, images or not.")
    more: bool = Field(description="There is more than is listed.")
    atlases: list[str] = Field(description="Finished atlases in the collections' folder.")
    build: BuildProgress | None = Field(description="The build that runs, or the last one.")
    unfinished: list[UnfinishedBuild]


class BuildAnswer(Answer):
    """The build that runs, or the last one; null where there was none."""

    build: BuildProgress | None
