"""Short pictures beside a long one, through gateway and model server: `python -m tests.benchmarks.pictures`.

Serves deep_dream as `tensorgate serve` does and asks for short dreams one after another: alone, beside a long one, and
the same where each dream is one call, as a TensorFlow Serving client asks for it. Client and servers share this
machine's processors, so a long dream slows short ones down; the question is whether they wait for it to end.
Needs TENSORGATE_DATASETS, or the package registries.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests.benchmarks.page import table, write_section
from tests.e2e.conftest import Home, start, stop
from tests.polling import until

Draw = Callable[[httpx.AsyncClient, Mapping[str, Any]], Coroutine[Any, Any, None]]

TURNS = 10
LONG_SECONDS = 120  # it is given up when the short ones have been measured
MODEL = "deep_dream"
SHORT = {"octaves": 2, "steps": 3, "size": 112}
LONG = {"octaves": 6, "steps": 50, "size": 384, "max_excitement": 1000.0}
TOLD = f"""{TURNS} dreams of {SHORT["octaves"]} octaves with {SHORT["steps"]} steps at {SHORT["size"]} pixels by
deep_dream, one after another, alone and beside one of {LONG["octaves"]} octaves with {LONG["steps"]} steps at
{LONG["size"]} pixels; in slices, as the gateway draws, and each in one call, as a TensorFlow Serving client
asks for it.
"""


def noise() -> bytes:
    """A photograph of nothing, large enough."""
    side = int(LONG["size"])
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8))
    encoded = BytesIO()
    picture.save(encoded, "PNG")
    return encoded.getvalue()


async def in_slices(client: httpx.AsyncClient, knobs: Mapping[str, Any]) -> None:
    """Through the typed door."""
    path, kind = f"/api/models/{MODEL}/generate-image", {"Content-Type": "image/png"}
    (await client.post(path, content=noise(), headers=kind, params=knobs)).raise_for_status()


async def in_one_call(client: httpx.AsyncClient, knobs: Mapping[str, Any]) -> None:
    """Through TensorFlow Serving's."""
    card = (await client.get(f"/api/models/{MODEL}")).json()["card"]
    picture = {"b64": base64.b64encode(noise()).decode()}
    row = {**card["signatures"]["generate"]["example"], **knobs, "image_bytes": picture}
    asked = {"signature_name": "generate", "instances": [row]}
    (await client.post(f"/v1/models/{MODEL}:predict", json=asked)).raise_for_status()


async def short_dreams(address: str, draw: Draw, *, beside_a_long_one: bool) -> Sequence[float]:
    """Seconds each took."""
    budget = {"X-Request-Timeout-Seconds": str(LONG_SECONDS)}
    async with httpx.AsyncClient(base_url=address, headers=budget, timeout=LONG_SECONDS) as client:
        await draw(client, SHORT)
        long = asyncio.create_task(draw(client, LONG)) if beside_a_long_one else None
        await asyncio.sleep(1)
        took = []
        for _ in range(TURNS):
            began = time.perf_counter()
            await draw(client, SHORT)
            took.append(time.perf_counter() - began)
        if long is not None:
            long.cancel()
            with suppress(asyncio.CancelledError):
                await long
    return took


def main() -> None:
    """Import, serve, measure."""
    rows = []
    with TemporaryDirectory() as folder:
        home = Home(Path(folder))
        trained = home.run("train", MODEL)
        assert trained.returncode == 0, trained.stderr
        served = start(home)
        try:
            until(lambda: bool(served.models().get(MODEL)), seconds=90)
            for name, draw in (("in slices", in_slices), ("in one call", in_one_call)):
                for company in (False, True):
                    took = asyncio.run(short_dreams(served.http, draw, beside_a_long_one=company))
                    p50, most = np.percentile(took, [50, 100])
                    rows.append((name, "beside a long one" if company else "alone", f"{p50:.2f} s", f"{most:.2f} s"))
                    print(rows[-1], flush=True)
        finally:
            stop(served)
    write_section("Short pictures beside a long one", f"{TOLD}\n{table(('', '', 'p50', 'longest'), *rows)}")


if __name__ == "__main__":
    main()
