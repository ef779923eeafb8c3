"""Asks a gateway as KServe's own clients do, in an environment that has them; prints what each got as a JSON line."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from typing import Any

import numpy as np
from kserve import (
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)


def asked(picture: bytes, *, in_bytes: bool) -> tuple[Any, Any]:
    """Numbers for `affine`, a picture for `digits`."""
    numbers = InferInput("x", [2], "FP32")
    numbers.set_data_from_numpy(np.array([1, 3], np.float32), binary_data=in_bytes)
    image = InferInput("image_bytes", [1], "BYTES")
    image.set_data_from_numpy(np.array([picture], object), binary_data=True)
    signature = {"signature": "classify"}
    return (
        InferRequest(model_name="affine", infer_inputs=[numbers]),
        InferRequest(model_name="digits", infer_inputs=[image], parameters=signature),
    )


def values_of(answer: Any) -> list[Any]:
    """Of its one output."""
    (output,) = answer.outputs
    values: list[Any] = output.as_numpy().tolist()
    return values


async def over_rest(url: str, picture: bytes, *, in_bytes: bool) -> dict[str, Any]:
    """The calls that a user makes first."""
    numbers, image = asked(picture, in_bytes=in_bytes)
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=1)) as client:
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model_ready": await client.is_model_ready(url, "affine"),
            "y": values_of(await client.infer(url, numbers, model_name="affine")),
            "scores": values_of(await client.infer(url, image, model_name="digits")),
        }


async def over_grpc(address: str, picture: bytes) -> dict[str, Any]:
    """The same."""
    numbers, image = asked(picture, in_bytes=True)
    async with InferenceGRPCClient(address) as client:
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model_ready": await client.is_model_ready("affine"),
            "y": values_of(await client.infer(numbers)),
            "scores": values_of(await client.infer(image)),
        }


async def over_v1(url: str) -> dict[str, Any]:
    """KServe's first protocol, which is TensorFlow Serving's REST."""
    async with InferenceRESTClient(RESTConfig(protocol="v1", retries=1)) as client:
        return await client.infer(url, {"instances": [1, 3]}, model_name="affine")


async def main(http: str, rpc: str, picture: str) -> None:
    """Values in JSON, in bytes after it, over gRPC, and by the first protocol."""
    png = base64.b64decode(picture)
    print(json.dumps(await over_rest(f"http://{http}", png, in_bytes=False)))
    print(json.dumps(await over_rest(f"http://{http}", png, in_bytes=True)))
    print(json.dumps(await over_grpc(rpc, png)))
    print(json.dumps(await over_v1(f"http://{http}")))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
