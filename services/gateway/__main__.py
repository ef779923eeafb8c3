"""`python -m services.gateway`: settings from TENSORGATE_GATEWAY_*; a JSON line with the ports when listening."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from services.core.errors import TensorgateError
from services.core.settings import logs_in_json, read_settings
from services.core.telemetry import configure_logging
from services.gateway.listeners import Ports, open_listeners
from services.gateway.settings import GatewaySettings
from services.gateway.workers import run_workers


def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    given = _arguments()
    try:
        configure_logging(in_json=logs_in_json())
        settings = read_settings(GatewaySettings, **given)
        with open_listeners(settings) as listeners:
            if settings.workers > 1:
                asyncio.run(run_workers(settings, listeners, _say))
            else:
                from services.gateway.process import run_alone  # here: who only starts workers needs none of it

                run_alone(settings, listeners, _say)
    except (TensorgateError, ValidationError) as error:
        sys.exit(f"tensorgate gateway: {error}")


def _arguments() -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m services.gateway", description=__doc__)
    parser.add_argument("--workers", type=int, help="processes that answer, all on the same ports")
    return {name: value for name, value in vars(parser.parse_args()).items() if value is not None}


def _say(ports: Ports) -> None:
    print(json.dumps(asdict(ports)), flush=True)


if __name__ == "__main__":
    main()
