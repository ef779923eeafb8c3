"""What a process prints: its log, and how much of TensorFlow's; set up once by each `__main__`."""

from __future__ import annotations

import logging
import os
import sys


def configure_logging() -> None:
    """One line a record on standard error: time, level, module, message. Ours from INFO up, libraries' from WARNING.

    TensorFlow's from ERROR: its Python half warns of every function of version 1 that a server cannot do without.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("services").setLevel(logging.INFO)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def quiet_tensorflow(*, errors: bool) -> None:
    """Keep TensorFlow's C++ notices out of what we print, and its `errors` too; must run before it is imported.

    A person's terminal does without the errors: those of consequence are raised as exceptions, the others alarm for
    nothing. A server's log keeps them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if errors else "2")
