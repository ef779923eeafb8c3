"""The SavedModel behind Ray Serve: `MODEL=folder PORT=8000 python ray_service.py`.

After its guide to serving a TensorFlow model, as one replica; its settings are those of its guide to high throughput.
"""

from __future__ import annotations

import os
from typing import Any

from ray import serve
from starlette.requests import Request


class Classifier:
    """Instances in, predictions out."""

    def __init__(self, model: str) -> None:
        import tensorflow as tf  # in the replica alone, as the guide has it

        self.tf = tf
        self.loaded = tf.saved_model.load(model)
        self.signature = self.loaded.signatures["serving_default"]

    async def __call__(self, request: Request) -> Any:
        """Answer every instance in one call."""
        instances = (await request.json())["instances"]
        scores = self.signature(numbers=self.tf.constant(instances, self.tf.float32))["scores"]
        return {"predictions": scores.numpy().tolist()}


if __name__ == "__main__":
    address = {"host": "127.0.0.1", "port": int(os.environ["PORT"])}
    serve.start(http_options=address, logging_config={"enable_access_log": False})
    deployment: Any = serve.deployment(num_replicas=1, max_ongoing_requests=100)(Classifier)
    serve.run(deployment.bind(os.environ["MODEL"]), route_prefix="/predict", blocking=True)
