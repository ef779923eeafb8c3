"""Logging, set up once by each `__main__`."""

from __future__ import annotations

import logging
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
