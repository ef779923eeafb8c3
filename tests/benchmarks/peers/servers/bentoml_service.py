"""The SavedModel behind BentoML: `MODEL=folder bentoml serve bentoml_service:Classifier`.

After its guides to services, to input types and to adaptive batching, which costs it the least processor time of its
ways (async or not, lists or arrays).
"""

from __future__ import annotations

import os

import bentoml
import numpy as np
import tensorflow as tf


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Classifier:
    """Instances in, scores out."""

    def __init__(self) -> None:
        self.loaded = tf.saved_model.load(os.environ["MODEL"])
        self.signature = self.loaded.signatures["serving_default"]

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, instances: np.ndarray) -> np.ndarray:
        """Answer a batch in one call."""
        scores: np.ndarray = self.signature(numbers=tf.constant(instances, tf.float32))["scores"].numpy()
        return scores
