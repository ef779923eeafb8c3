"""The SavedModel behind plain FastAPI, in one process: `MODEL=folder uvicorn fastapi_service:app`.

After FastAPI's tutorial: typed body and answer. The endpoint is async and calls TensorFlow on the event loop, which for
a call of a tenth of a millisecond is quicker than a thread.
"""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
from fastapi import FastAPI
from pydantic import BaseModel

MODEL = tf.saved_model.load(os.environ["MODEL"])
PREDICT = MODEL.signatures["serving_default"]


class Instances(BaseModel):
    """One or more inputs."""

    instances: list[Any]


class Predictions(BaseModel):
    """The scores of each."""

    predictions: list[list[float]]


app = FastAPI()


@app.post("/predict")
async def predict(body: Instances) -> Predictions:
    """Answer every instance in one call."""
    scores = PREDICT(numbers=tf.constant(body.instances, tf.float32))["scores"]
    return Predictions(predictions=scores.numpy().tolist())
