"""docs/benchmarks.md: each benchmark writes its own section."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "benchmarks.md"


def table(*rows: Sequence[str]) -> str:
    """Rows of cells in Markdown, the first one its head."""
    head, *others = rows
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ("---",) * len(head), *others))


def write_section(heading: str, text: str) -> None:
    """Put `text` under the heading, in place of what stood there, and say where and when it was measured."""
    where = f"Measured on {os.cpu_count()} processors, {date.today()}."
    PAGE.write_text(with_section(PAGE.read_text(), heading, f"{text.strip()}\n\n{where}"))


def with_section(page: str, heading: str, text: str) -> str:
    """The page with that section new, at its old place or last."""
    section = f"## {heading}\n\n{text}\n"
    old = re.search(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    if old is None:
        return f"{page.rstrip()}\n\n{section}"
    after = page[old.end() :]
    return page[: old.start()] + section + (f"\n{after}" if after else "")
