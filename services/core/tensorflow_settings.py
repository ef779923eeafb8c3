"""The settings TensorFlow reads when it is imported; apart from ours, so that a server starts without pydantic."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def quiet_tensorflow(*, errors: bool) -> None:
    """Keep TensorFlow's C++ notices out of what we print, and its `errors` too; must run before it is imported.

    A person's terminal does without the errors: those of consequence are raised as exceptions, the others alarm for
    nothing. A server's log keeps them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if errors else "2")


@contextmanager
def loading_tensorflow() -> Iterator[None]:
    """Around an import that loads TensorFlow, for a terminal: what its libraries write to stderr meanwhile is dropped.

    They tell of the processor before they look at TF_CPP_MIN_LOG_LEVEL. An import that fails raises as ever.
    """
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
