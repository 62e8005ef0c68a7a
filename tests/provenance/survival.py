"""What a file's statements survive, measured with Pillow, and the table of docs/provenance.md.

Run `python -m tests.provenance.survival` to write the table into the page.
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from morelli.provenance import read_provenance
from tests.provenance.case import Case
from tests.provenance.cases import CASES
from tests.provenance.credentials_case import CREDENTIALS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "provenance.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEADER = (
    "| tool | where it writes, as read here | re-saved, same format | re-saved as JPEG | as JPEG with EXIF "
    "and XMP handed on | source |\n|---|---|---|---|---|---|"
)


def survives(case: Case) -> tuple[bool, bool, bool]:
    """The claim is still read after Pillow re-saved it: same format, as JPEG, as JPEG with EXIF and XMP."""
    data = case.build()
    results = []
    for format, handed in ((None, False), ("JPEG", False), ("JPEG", True)):
        with Image.open(io.BytesIO(data)) as image:
            options = {}
            if handed:
                options = {"exif": image.getexif(), "xmp": image.info.get("xmp", b"")}
            shown = image if format is None else image.convert("RGB")
            buffer = io.BytesIO()
            shown.save(buffer, format or image.format, **options)
        found = read_provenance(buffer.getvalue())
        results.append(any((one.kind, one.claims) == (case.kind, case.claims) for one in found.findings))
    return results[0], results[1], results[2]


def table() -> str:
    """The rows, one for each tool and place; states of one place that end alike are one row."""
    rows: dict[tuple[str, str, tuple[bool, bool, bool]], str] = {}
    for case in [*CREDENTIALS, *CASES]:
        if case.claims == "processed":
            continue
        found = read_provenance(case.build())
        assert found.strongest is not None
        place = f"{found.format}: {found.strongest.place}"
        rows.setdefault((case.tool, place, survives(case)), case.source)
    lines = [
        f"| {tool} | {place} | {' | '.join('yes' if one else '–' for one in kept)} | {source} |"
        for (tool, place, kept), source in rows.items()
    ]
    return "\n".join([HEADER, *lines])


def main() -> None:
    """Write the table into the page."""
    text = PAGE.read_text()
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    PAGE.write_text(f"{text[:start]}\n{table()}\n{text[end:]}")


if __name__ == "__main__":
    main()
