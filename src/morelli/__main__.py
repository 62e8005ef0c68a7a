"""`python -m morelli`: the same program as `morelli`."""

from __future__ import annotations

from morelli.cli import main

if __name__ == "__main__":
    main()
