"""`python -m services.trainer`: the figures of docs/results.md, of runs that were trained and are served by hand.

`tensorgate reproduce` takes all these steps by itself.

measure RUN   send the run's test split to a gateway that serves its version; writes served.json into the run's folder
keep RUN      keep the run's figures in docs/results/
results       write docs/results.md from docs/results/
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from services.core.errors import TensorgateError
from services.core.tryout import Gateway
from services.trainer.recording import keep_run, measure_run, write_page
from services.trainer.settings import TrainerSettings


def main() -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("measure", "keep", "results"))
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--gateway", default=Gateway().http)
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"))
    asked = parser.parse_args()
    try:
        for run in asked.runs:
            if asked.command == "measure":
                print(measure_run(run, asked.gateway, TrainerSettings()) or "measured in memory only")
            elif asked.command == "keep":
                print(keep_run(run, asked.page, TrainerSettings()))
        if asked.command == "results":
            write_page(asked.page)
    except TensorgateError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
