"""The parsers driven by atheris, which sees what each input reaches in our code and changes those that reach more.

Run: python -m tests.fuzz.with_atheris PARSER [-runs=100000] [-max_len=4096] [-timeout=10] [-rss_limit_mb=1024]
Options are libFuzzer's. It ends with the input that did something else than make a value or raise an error of ours.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["services.core", "services.gateway", "services.http", "services.rpc"]):
    from tests.fuzz.parsers import PARSERS


def main(name: str, options: list[str]) -> None:
    """Does not return: libFuzzer ends the process."""
    logging.disable()
    parser = PARSERS[name]
    with TemporaryDirectory() as seeds:
        for number, seed in enumerate(parser.seeds):
            (Path(seeds) / str(number)).write_bytes(seed)
        words = Path(seeds).with_suffix(".dict")
        lines = (f'"{_escaped(word)}"\n' for word in parser.words if 0 < len(word) < 64)
        words.write_text("".join(lines))
        atheris.Setup([sys.argv[0], f"-dict={words}", *options, seeds], lambda data: parser(data) and None)
        atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
