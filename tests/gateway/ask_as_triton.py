"""Asks a gateway as Triton's own clients do, in an environment that has them; prints what each got as a JSON line."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import tritonclient.grpc  # type: ignore[import-not-found]  # in no environment of ours: it needs an older protobuf
import tritonclient.http  # type: ignore[import-not-found]


def ask(module: Any, url: str, picture: bytes, **sent: bool) -> Mapping[str, Any]:
    """The calls that a user makes first; `sent` says how values go."""
    client = module.InferenceServerClient(url)
    numbers = module.InferInput("x", [2], "FP32")
    numbers.set_data_from_numpy(np.array([1, 3], np.float32), **sent)
    image = module.InferInput("image_bytes", [1], "BYTES")
    image.set_data_from_numpy(np.array([picture], object), **({"binary_data": True} if sent else {}))
    answer = client.infer("affine", [numbers], request_id="a7", model_version="1")
    scores = client.infer("digits", [image], parameters={"signature": "classify"}).as_numpy("scores")
    try:
        client.infer("nobody", [numbers])
    except module.InferenceServerException as error:
        refused = error.message()
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready("affine"),
        "nobody_ready": client.is_model_ready("nobody"),
        "y": answer.as_numpy("y").tolist(),
        "scores": scores.tolist(),
        "refused": refused,
    }


def main(http: str, rpc: str, picture: str) -> None:
    """Values in JSON, in bytes after it, and over gRPC."""
    for module, url, sent in (
        (tritonclient.http, http, {"binary_data": False}),
        (tritonclient.http, http, {"binary_data": True}),
        (tritonclient.grpc, rpc, {}),
    ):
        print(json.dumps(ask(module, url, base64.b64decode(picture), **sent)))


if __name__ == "__main__":
    main(*sys.argv[1:])
