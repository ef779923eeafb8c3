"""The settings TensorFlow reads when it is imported; apart from ours, so that a server starts without pydantic."""

from __future__ import annotations

import os


def quiet_tensorflow(*, errors: bool) -> None:
    """Keep TensorFlow's C++ notices out of what we print, and its `errors` too; must run before it is imported.

    A person's terminal does without the errors: those of consequence are raised as exceptions, the others alarm for
    nothing. A server's log keeps them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if errors else "2")
