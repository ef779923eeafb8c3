"""The tiny model server as a process: `python backend_process.py SECONDS [PORT]` answers each Predict after so long.

SIGTERM lets running calls end.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.gateway.backend import TinyServer, serving
from tests.gateway.models import ALL


async def main(seconds: float, port: int) -> None:
    """Serve until told to stop."""
    loaded = {name: {1: model} for name, model in ALL.items()}
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with serving(TinyServer(loaded, pause=lambda: asyncio.sleep(seconds)), port) as listener:
        print(json.dumps({"address": listener.address}), flush=True)
        await told.wait()
        await listener.stop(seconds + 5)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
