"""What the command prints: tables for people, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from typing import Annotated, Any

import typer
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.table import Table

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

EXIT_ERROR = 1
EXIT_REJECTED = 3  # a run that its gate refused to publish
EXIT_FAULTS = 4  # `verify` found damage


def print_json(value: Any) -> None:
    """Write one JSON document to standard output; what is no number is null, as JSON has none such."""
    print(json.dumps(to_jsonable_python(value, inf_nan_mode="null", fallback=str), indent=2))


def progress_beside(as_json: bool) -> AbstractContextManager[object]:
    """Have what is printed meanwhile go to standard error, if standard output is to be one JSON document."""
    return redirect_stdout(sys.stderr) if as_json else nullcontext()


def print_rows(rows: Sequence[Mapping[str, Any]], empty: str) -> None:
    """Write rows as a table whose columns are the first row's keys, or the sentence `empty`."""
    if not rows:
        print(empty)
        return
    table = Table(box=None, pad_edge=False)
    for column in rows[0]:
        table.add_column(column.upper())
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(highlight=False).print(table)


def print_error(message: str) -> None:
    """Write a sentence to standard error."""
    print(f"tensorgate: {message}", file=sys.stderr)
