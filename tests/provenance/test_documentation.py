from __future__ import annotations

import re

from morelli.provenance._finding import _CLAIMS, _STRENGTHS
from morelli.provenance._source_type import SOURCE_TYPES
from tests.provenance.survival import BEGIN, END, PAGE, table


def test_the_table_is_what_the_files_do() -> None:
    """`python -m tests.provenance.survival` writes it."""
    text = PAGE.read_text()
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip() == table()


def test_the_page_explains_every_word_of_a_finding() -> None:
    text = PAGE.read_text()
    for word in (*_CLAIMS, *_STRENGTHS, *SOURCE_TYPES):
        assert re.search(rf"`{word}`", text), word


def test_the_library_of_credentials_is_loaded_only_where_needed() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from tests.provenance.made import png; from morelli.provenance import read_provenance\n"
        "read_provenance(png(parameters='x')); assert 'c2pa' not in sys.modules, 'c2pa'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PAGE.parents[1])
