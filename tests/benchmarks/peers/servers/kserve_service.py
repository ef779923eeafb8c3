"""The SavedModel behind KServe's model server, V1 protocol: `MODEL=folder python kserve_service.py --http_port=8080`.

After KServe's guide to custom models: a subclass of Model, and ModelServer to serve it.
"""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
from kserve import Model, ModelServer


class Classifier(Model):
    """Answers V1 requests: instances in, predictions out."""

    def __init__(self) -> None:
        super().__init__("model")
        self.load()

    def load(self) -> bool:
        """Load the SavedModel."""
        self.loaded = tf.saved_model.load(os.environ["MODEL"])
        self.signature = self.loaded.signatures["serving_default"]
        self.ready = True
        return True

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """Answer every instance in one call."""
        scores = self.signature(numbers=tf.constant(payload["instances"], tf.float32))["scores"]
        return {"predictions": scores.numpy().tolist()}


if __name__ == "__main__":
    ModelServer().start([Classifier()])
