"""The name of one request in answers and logs."""

from __future__ import annotations

import random
import re

# What a client may choose goes into headers and log lines, so it is short and plain.
_PLAIN = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


def request_id_of(given: str | None) -> str:
    """The client's own id if it is plain, else a new one."""
    return given if given is not None and _PLAIN.fullmatch(given) else f"{random.getrandbits(64):016x}"
