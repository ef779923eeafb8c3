"""`python -m services.trainer` writes docs/results.md from the records beside it, as `tensorgate reproduce` does."""

from __future__ import annotations

import sys
from pathlib import Path

from services.trainer.results.recording import write_page

if __name__ == "__main__":
    write_page(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/results.md"))
