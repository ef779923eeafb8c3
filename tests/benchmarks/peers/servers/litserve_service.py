"""The SavedModel behind LitServe: `MODEL=folder PORT=8000 python litserve_service.py`.

After its guides to LitAPI and to batching. A worker of its own has the model; the server hands it what has come within
a millisecond as one batch. (`fast_queue` has no effect in this release.) Annotations are read by LitServe, so they are
not strings here.
"""

import os
from typing import Any

import litserve
import numpy as np
import tensorflow as tf
from fastapi import Request


class Classifier(litserve.LitAPI):
    """One instance a request."""

    def setup(self, device: str) -> None:
        """Load the SavedModel."""
        self.loaded = tf.saved_model.load(os.environ["MODEL"])
        self.signature = self.loaded.signatures["serving_default"]

    def decode_request(self, request: Request) -> Any:
        """The instance of one request; LitServe hands over its JSON."""
        return np.asarray(request["instance"], np.float32)

    def predict(self, x: Any) -> Any:
        """The scores of a batch."""
        return self.signature(numbers=tf.constant(x))["scores"].numpy()

    def encode_response(self, output: Any) -> Any:
        """The answer to one request."""
        return {"scores": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(max_batch_size=64, batch_timeout=0.001), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", generate_client_file=False)
