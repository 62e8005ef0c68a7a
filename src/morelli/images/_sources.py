"""Every kind of source behind one call."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePath
from typing import Literal

from morelli.artefacts.outputs import TABLES, is_output_file, is_output_folder
from morelli.errors import ImageError, UsageError
from morelli.images._files import (
    file_item,
    is_image_name,
    iter_folder,
    no_regular_file,
    os_problem,
    read_head,
)
from morelli.images._globs import fixed_part, iter_glob
from morelli.images._instead import UnreadableTableError, instead_of_archive
from morelli.images._item import ImageItem, printable, problem_item
from morelli.images._labels import FAKE, group_of_folders, label_of_folders, plain_label_of_folders
from morelli.images._leavings import is_left_member
from morelli.images._limits import Limits
from morelli.images._manifest import SUFFIXES as MANIFEST_SUFFIXES
from morelli.images._manifest import Columns, NoImagesError, is_shard, iter_manifest
from morelli.images._remote import is_address, iter_remote
from morelli.images._skipped_files import SkippedFiles
from morelli.images._sniff import sniff
from morelli.images._tar import iter_tar
from morelli.images._webdataset import may_be_sidecar, states_label
from morelli.images._zip import ARCHIVE_SUFFIXES, TAR_SUFFIXES, iter_zip
from morelli.images.layouts import SourceReport, checked_layout, place_of

Spec = str | Path | Sequence[str | Path]
"""One source, or several in order."""

_OTHER_TABLES = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers", ".json", ".txt", ".lst", ".feather", ".sqlite")
"""Files that people give as a list of images, and that are none: workbooks are zip archives with pictures."""
_Claim = Callable[[str], bool]


@dataclass(frozen=True)
class _Reading:
    """How sources are read: the arguments of `iter_source`."""

    limits: Limits
    label: int | None
    recursive: bool
    root: str | None
    columns: Columns
    remote: Literal["given", "all"] | None
    passed: SkippedFiles
    alone: bool
    """Whether this is the only source: then a table that cannot be read is an error and no problem."""


def iter_source(
    spec: Spec,
    *,
    limits: Limits | None = None,
    label: int | None = None,
    generator: str | None = None,
    recursive: bool = True,
    label_from: Literal["folders"] | None = None,
    root: str | Path | None = None,
    layout: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    remote: Literal["given", "all"] | None = None,
    report: SourceReport | None = None,
) -> Iterator[ImageItem]:
    """The images of one source or several, in a fixed order, each path once.

    A source is a file, a folder, a glob, a manifest (.csv, .tsv, .jsonl, .parquet, .arrow), a zip,
    a tar (.tar, .tar.gz, .tar.bz2; webdataset shards among them), or one member ``set.zip::a.png``.
    What cannot be used is yielded too, with its `problem`, so that nothing is passed over in
    silence: a path that does not exist, a damaged archive, a link that leads in a circle.
    What this program wrote (contact sheets, charts, reports, bundles, tables) is left out of folders,
    globs and lists of several sources; given alone it is read.
    Archives and manifests that lie inside a folder are not entered; name them, or use a glob. Shards of a
    data set are: files such as ``train-00000-of-00002.parquet``, ``train/0000.parquet`` or
    ``data-00000-of-00001.arrow``, as Hugging Face names them.

    Args:
        spec: path, glob, or a sequence of them.
        limits: see `Limits`.
        label: 0 or 1 for every image that brings no label of its own; the bare numbers 0 and 1 in a
            shard's ``.cls`` are taken for class indices then, not for labels.
        generator: likewise.
        recursive: also what lies below a folder.
        label_from: ``"folders"`` takes the label from folders named real, fake, 0_real, 1_fake,
            nature or ai, the innermost one deciding (without one, from other spellings: human,
            AI-generated, real_images, …), and from the folder right below it the generator of a
            fake or the `source` of a real image; in the layouts of GenImage and ForenSynths the
            generator from the folder above. Folders that lead to what is given mean nothing,
            nor does the folder of an archive. Otherwise names mean nothing.
        root: the folder that a manifest's paths are relative to, instead of its own.
        layout: the layout of a published collection that gives label, generator, source and split: a name
            of `morelli.images.layouts.LAYOUTS`, or "auto" for the first that fits each image. An image that
            does not fit gets no label.
        image_column: a manifest's column of paths or pictures, instead of the usual names.
        label_column: a manifest's column of labels, instead of ``label``; likewise the key in a shard's
            ``.json``.
        remote: addresses (http, https, s3, gs, hf): None refuses them, ``"given"`` reads those that `spec`
            names, ``"all"`` those in manifests as well: then whoever wrote a manifest chooses what this
            machine contacts.
        report: counts what is understood while the images are taken.

    Raises:
        UsageError: a manifest is unreadable, a label or a layout is not understood, or a remote address is
            given and `remote` is None.
    """
    if label not in (None, 0, 1):
        raise UsageError(f"label must be 0 (real), 1 (fake) or None; got {label!r}")
    if label_from not in (None, "folders"):
        raise UsageError(f"label_from must be 'folders' or None; got {label_from!r}")
    specs = [spec] if isinstance(spec, str | Path) else list(spec)
    columns = Columns(image_column, label_column, checked_layout(layout))
    where = None if root is None else os.fspath(root)
    passed = SkippedFiles() if report is None else report.passed
    reading = _Reading(limits or Limits(), label, recursive, where, columns, remote, passed, len(specs) == 1)
    return _iter_specs(specs, reading, label_from, generator, report)


def _iter_specs(
    specs: Sequence[str | Path],
    reading: _Reading,
    label_from: str | None,
    generator: str | None,
    report: SourceReport | None,
) -> Iterator[ImageItem]:
    claimed: set[str] = set()
    # A folder, or what lies below an address, names each file once by itself; nothing has to be remembered.
    lone = os.fspath(specs[0]) if len(specs) == 1 else ""
    once = is_address(lone) or _is_folder(lone)

    def claim(path: str) -> bool:
        if once:
            return True
        absolute = path if is_address(path) else os.path.abspath(path)  # noqa: PTH100 - resolve follows links
        if absolute in claimed:
            return False
        claimed.add(absolute)
        return True

    for each in specs:
        for item, parts in _iter_one(os.fspath(each), reading, claim):
            found = item.label
            if found is not None and plain_label_of_folders(parts) == 1 - found:
                reading.passed.add_against(item.uri)
            if found is None and reading.columns.layout is not None:
                item = _placed(item, parts, reading.columns.layout)  # noqa: PLW2901
                found = item.label
            if found is None and label_from == "folders":
                found = label_of_folders(parts)
                item = _with_group(item, found, group_of_folders(parts))  # noqa: PLW2901
            if found is None:
                found = reading.label
            if found != item.label or (generator and item.generator is None):
                item = replace(item, label=found, generator=item.generator or generator)  # noqa: PLW2901
            if report is not None:
                report.count(item)
            yield item


def _places(base: str, below: str) -> Iterator[str]:
    """The folders between `base` and what lies below it, and that itself."""
    place = PurePath(base)
    for part in PurePath(below).parts:
        place /= part
        yield str(place)


def _is_output(path: str) -> bool:
    """Whether this program wrote a file or a folder."""
    try:
        return is_output_folder(path, os.listdir(path)) if _is_folder(path) else is_output_file(path)  # noqa: PTH208
    except OSError:
        return False


def _is_asked_for(spec: str, reading: _Reading) -> bool:
    """Whether the caller names the column of paths of tables of verdicts, to read them as manifests."""
    return reading.columns.image == "uri" and spec.lower().endswith(TABLES)


def _is_folder(spec: str) -> bool:
    try:
        return os.path.isdir(spec)  # noqa: PTH112 - see _files
    except ValueError:  # a NUL in the name
        return False


def _placed(item: ImageItem, parts: tuple[str, ...], layout: str) -> ImageItem:
    """`item` with what the layout says of it."""
    found = place_of(layout, parts)
    if found is None:
        return item
    title, place = found
    further = {"source": place.source, "split": place.split}
    metadata = {k: printable(v) for k, v in further.items() if v} | dict(item.metadata)
    generator = item.generator or (printable(place.generator) if place.generator else None)
    return replace(item, label=place.label, generator=generator, metadata=metadata, layout=title)


def _with_group(item: ImageItem, label: int | None, group: str | None) -> ImageItem:
    """`item` with the generator (fakes) or the source (reals) that a folder's name gives."""
    if group is None or label is None:
        return item
    if label == FAKE:
        return replace(item, generator=item.generator or printable(group))
    return replace(item, metadata={"source": printable(group), **item.metadata})


def _iter_one(spec: str, reading: _Reading, claim: _Claim) -> Iterator[tuple[ImageItem, tuple[str, ...]]]:
    if not spec:
        raise UsageError("an empty path was given as a source")
    if "://" in spec and not os.path.lexists(spec):
        if reading.remote is None:
            raise UsageError(f"{spec} is a remote address; download it first and give the local path")
        yield from iter_remote(spec, reading.limits, claim)
        return
    try:
        exists = os.path.lexists(spec)
    except ValueError:  # a NUL in the name
        exists = False
    if exists and not reading.alone and not _is_asked_for(spec, reading) and _is_output(spec):
        reading.passed.add_output(spec)
    elif _is_folder(spec):
        yield from _iter_folder(spec, reading, claim)
    elif exists:
        yield from _iter_file(spec, reading, claim) if reading.alone else _iter_one_of(spec, reading, claim)
    elif "::" in spec and os.path.lexists(spec.split("::", 1)[0]):
        archive, member = spec.split("::", 1)
        found = False
        for item, parts in _iter_file(archive, reading, lambda _: True):
            if item.uri == f"{printable(archive)}::{member}" and claim(spec):
                found = True
                yield item, parts
        if not found:
            yield problem_item(printable(spec), "missing", f"{printable(spec)} is not in the archive"), ()
    elif any(c in spec for c in "*?["):
        matches = iter_glob(spec)
        if not matches:
            yield _unmatched(spec), ()
        base = fixed_part(spec)
        is_output = cache(_is_output)
        for match in matches:
            below = os.path.relpath(match, base)
            if is_left_member(below):
                reading.passed.add_left(match)
                continue
            own = (
                None if _is_asked_for(match, reading) else next(filter(is_output, _places(base, below)), None)
            )
            if own is not None:
                reading.passed.add_output(own)
                continue
            above = (PurePath(base).name, *PurePath(below).parent.parts)
            if os.path.isdir(match):  # noqa: PTH112 - see _files
                # A glob with ** lists the files below by itself.
                if "**" not in spec:
                    yield from _iter_folder(match, reading, claim, above)
            elif len(matches) == 1 and reading.alone:
                yield from _iter_file(match, reading, claim, above=above)
            else:
                yield from _iter_one_of(match, reading, claim, above=above)
    else:
        yield _absent(spec), ()


def _absent(spec: str) -> ImageItem:
    """What is said of a path that nothing is at, or that lies in a folder which may not be entered."""
    more = "; standard input is not read, write it to a file first" if spec == "-" else ""
    problem = ImageError("missing", f"{printable(spec)} does not exist{more}")
    try:
        os.lstat(spec)
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) in (errno.EACCES, errno.EPERM, errno.ELOOP):
            problem = os_problem(error, spec)
    return problem_item(printable(spec), problem.reason, str(problem))


def _unmatched(pattern: str) -> ImageItem:
    """What is said of a pattern that matches nothing, or whose folder may not be listed."""
    base = fixed_part(pattern)
    try:
        with os.scandir(base):
            pass
    except PermissionError as error:
        problem = os_problem(error, base)
        return problem_item(printable(pattern), problem.reason, str(problem))
    except (OSError, ValueError):
        pass
    return problem_item(printable(pattern), "missing", f"{printable(pattern)} matches no file")


def _iter_folder(
    folder: str, reading: _Reading, claim: _Claim, leading: tuple[str, ...] = ()
) -> Iterator[tuple[ImageItem, tuple[str, ...]]]:
    """The images of a folder, then those of the shards in it, which the hub and `datasets` keep."""
    shards: list[str] = []

    def note(kind: str, path: str) -> None:
        if kind == "left":
            reading.passed.add_left(path)
        elif kind == "output":
            reading.passed.add_output(path)
        elif is_shard(path):
            shards.append(path)
        elif path.lower().endswith((*ARCHIVE_SUFFIXES, *MANIFEST_SUFFIXES)):
            reading.passed.add_unread(path)
        elif may_be_sidecar(path) and reading.passed.may_look() and states_label(path):
            reading.passed.add_sidecar(path)

    yield from iter_folder(folder, reading.limits, reading.recursive, claim, leading, on_other=note)
    for shard in sorted(shards):
        try:
            yield from _iter_one_of(shard, reading, claim, whole=False)
        except NoImagesError:
            reading.passed.add_unread(shard)


def _iter_one_of(
    path: str, reading: _Reading, claim: _Claim, *, above: tuple[str, ...] | None = None, whole: bool = True
) -> Iterator[tuple[ImageItem, tuple[str, ...]]]:
    """`_iter_file` for one of several: a table that cannot be read is a problem, and the others are read.

    `whole`: so is a table without a column of images.
    """
    try:
        yield from _iter_file(path, reading, claim, above=above)
    except UnreadableTableError as error:
        yield problem_item(printable(path), "damaged", str(error)), ()
    except NoImagesError as error:
        if not whole:
            raise
        yield problem_item(printable(path), "no_image_column", str(error)), ()


def _iter_file(
    path: str, reading: _Reading, claim: _Claim, *, above: tuple[str, ...] | None = None
) -> Iterator[tuple[ImageItem, tuple[str, ...]]]:
    """The images of one file. `above`: the folders of a glob, its fixed part's name first.

    A picture's own folder counts as the name of a folder that is given does. An archive is the
    source itself: what it lies in is only the way to it.
    """
    name, limits, root = path.lower(), reading.limits, reading.root
    if (problem := no_regular_file(path)) is not None:
        if claim(path):
            yield problem_item(printable(path), problem.reason, str(problem)), ()
        return
    if PurePath(name).suffix in MANIFEST_SUFFIXES:
        follow = reading.remote == "all"
        plain = replace(reading, columns=Columns(), label=None, alone=False)
        listed = lambda archive: (item for item, _ in _iter_one_of(archive, plain, lambda _: True))  # noqa: E731
        for item in iter_manifest(path, limits, root, claim, reading.columns, remote=follow, listed=listed):
            yield item, _parts_in_manifest(item.uri, PurePath(path).parent if root is None else root)
        return
    head = read_head(path)
    if name.endswith(_OTHER_TABLES) and sniff(head) is None:
        if claim(path):
            text = f"{printable(path)} is no image; a list of images is read as CSV, JSON Lines or Parquet"
            yield problem_item(printable(path), "not_an_image", text), ()
        return
    archive = name.endswith((".zip", *TAR_SUFFIXES))
    if archive and (instead := instead_of_archive(path)) is not None:
        if claim(path):
            yield problem_item(printable(path), "damaged_archive", f"{printable(path)} is {instead}"), ()
        return
    if name.endswith(".zip") or (head.startswith(b"PK\x03\x04") and not is_image_name(name)):
        members = iter_zip(path, printable(path), limits, reading.passed)
    elif name.endswith(TAR_SUFFIXES):
        column = reading.columns.label
        members = iter_tar(path, printable(path), limits, reading.passed, reading.label, column=column)
    else:
        if claim(path):
            yield file_item(path, path, limits), (PurePath(path).parent.name,) if above is None else above
        return
    if claim(path):
        folders = () if above is None else above[1:]
        for item, member in members:
            yield item, (*folders, *PurePath(member).parent.parts)


def _parts_in_manifest(uri: str, base: str | Path | PurePath) -> tuple[str, ...]:
    """The folders that a manifest's row names; those that lead to the manifest mean nothing."""
    path = PurePath(uri)
    if not path.is_relative_to(base):
        return path.parent.parts
    return ("", *path.relative_to(base).parent.parts)  # the first is what was given, and means nothing here
