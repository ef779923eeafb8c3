"""The tiny model server as a process: `python backend_process.py SECONDS` answers each Predict after so long."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.gateway.backend import TinyServer, serving
from tests.gateway.models import ALL


async def main(seconds: float) -> None:
    """Serve until killed."""
    loaded = {name: {1: model} for name, model in ALL.items()}
    async with serving(TinyServer(loaded, pause=lambda: asyncio.sleep(seconds))) as listener:
        print(json.dumps({"address": listener.address}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
