"""Write the colours of the browser app's canvases from the project's one palette.

python scripts/app_palette.py web/src/theme/palette.ts
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from morelli.palette import app_colours

HEAD = "/** Written by `python scripts/app_palette.py`; change src/morelli/palette.py instead. */"


def module() -> str:
    """The whole file."""
    return f"{HEAD}\nexport const PALETTE = {json.dumps(app_colours(), indent=2)} as const;\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(module(), encoding="utf-8")
