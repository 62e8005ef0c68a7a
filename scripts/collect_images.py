"""Gather labelled images of public repositories from a list, delivered alike.

    python scripts/collect_images.py LIST.csv FOLDER

A row of LIST names a repository, its commit, a file in it and the SHA-1 of its bytes, and says what the
picture is: label, generator, lineage, source, era, content, the repository's licence and the evidence for
the label. `crop` (left, top, right, bottom) cuts one picture out of a sheet. Every picture is turned upright,
converted to sRGB, scaled to a long side of at most 640 pixels and saved as JPEG Q85, whatever it was before,
so that files alone tell no class. FOLDER gets the pictures and `manifest.csv`; what could not be had is
listed in `failed.csv` with its reason, and the exit code is 3. A second run fetches only what is lacking.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from morelli.artefacts import write_file
from morelli.errors import ImageError
from morelli.images import decode, perturbation

COLUMNS = (
    "label", "generator", "lineage", "era", "family", "content", "source",
    "repository", "commit", "repo_path", "crop", "original_sha1", "licence", "evidence",
)  # fmt: skip
DELIVERY = perturbation("longside:640")
QUALITY = 85
CLONES = "https://github.com/{repository}.git"

Row = dict[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch what is lacking, write manifest and failures, return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clones", default=CLONES, help="where {repository} is cloned from (%(default)s)")
    options = parser.parse_args(arguments)
    with options.list.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    reasons = collect(rows, options.folder, options.clones)
    write_table(
        options.folder / "manifest.csv",
        ("path", *COLUMNS),
        ({"path": place(row), **row} for row in rows if (options.folder / place(row)).exists()),
    )
    failed = [{**row, "reason": reason} for row, reason in zip(rows, reasons, strict=True) if reason]
    if failed:
        write_table(options.folder / "failed.csv", ("reason", *COLUMNS), failed)
    else:
        (options.folder / "failed.csv").unlink(missing_ok=True)
    print(f"{len(rows) - len(failed):,} of {len(rows):,} pictures in {options.folder}")
    return 3 if failed else 0


def collect(rows: Sequence[Row], folder: Path, clones: str) -> list[str]:
    """Write each row's picture below `folder`; the reason of each row that failed, else an empty text."""
    reasons = [""] * len(rows)
    lacking = defaultdict(list)
    for i, row in enumerate(rows):
        if not (folder / place(row)).exists():
            lacking[row["repository"], row["commit"]].append(i)
    for number, ((repository, commit), some) in enumerate(lacking.items(), 1):
        print(f"{number} of {len(lacking)}: {repository}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as place_:
            clone = Path(place_)
            problem = fetched(clones.format(repository=repository), commit, clone)
            for i in some:
                reasons[i] = problem or deliver(rows[i], clone, folder)
    return reasons


def fetched(address: str, commit: str, clone: Path) -> str:
    """Fetch one commit into an empty folder, its files on demand; what went wrong, else an empty text."""
    steps = (
        ("init", "--quiet"),
        ("remote", "add", "origin", address),
        ("fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", commit),
    )
    for step in steps:
        run = subprocess.run(["git", "-C", clone, *step], check=False, capture_output=True, text=True)
        if run.returncode:
            said = run.stderr.strip().splitlines() or ["failed"]
            return f"git {step[0]}: {said[-1]}"
    return ""


def deliver(row: Row, clone: Path, folder: Path) -> str:
    """Write one row's picture; what went wrong, else an empty text."""
    shown = subprocess.run(
        ["git", "-C", clone, "show", f"{row['commit']}:{row['repo_path']}"], check=False, capture_output=True
    )
    if shown.returncode:
        return "no such file at that commit"
    if hashlib.sha1(shown.stdout, usedforsecurity=False).hexdigest() != row["original_sha1"]:
        return "its bytes are not those of the list"
    try:
        picture = decode(shown.stdout, name=row["repo_path"]).image
    except ImageError as error:
        return f"{error.reason}: {error}"
    write_file(folder / place(row), delivered(picture, row["crop"]))
    return ""


def delivered(picture: Image.Image, crop: str) -> bytes:
    """The bytes of the JPEG that is kept of a picture, or of the part of it that `crop` names."""
    if crop:
        left, top, right, bottom = map(int, crop.split())
        picture = picture.crop((left, top, right, bottom))
    out = io.BytesIO()
    DELIVERY(picture, np.random.default_rng(0)).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def place(row: Row) -> str:
    """Path of a row's picture below the folder."""
    tile = "".join(f"-{number}" for number in row["crop"].split()[:2])
    return f"{row['label']}/{row['source']}/{row['original_sha1'][:12]}{tile}.jpg"


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write rows as CSV, whole or not at all."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_file(path, text.getvalue().encode())


if __name__ == "__main__":
    sys.exit(main())
