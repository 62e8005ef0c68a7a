"""All made files."""

from __future__ import annotations

from tests.provenance.label_cases import LABELS
from tests.provenance.settings_cases import SETTINGS

CASES = [*SETTINGS, *LABELS]
