"""Writes an MLflow model around the SavedModel into ./model: `MODEL=folder python mlflow_service.py`, then
`mlflow models serve -m model`.

After its guide to custom Python models, which call the SavedModel themselves; its own flavour for Keras calls
`keras.Model.predict`, ten times as slow.
"""

from __future__ import annotations

import os
from typing import Any

import mlflow
import tensorflow as tf


class Classifier(mlflow.pyfunc.PythonModel):
    """Rows in, scores out."""

    def load_context(self, context: Any) -> None:
        """Load the SavedModel, which was copied into the model's folder."""
        self.loaded = tf.saved_model.load(context.artifacts["saved_model"])
        self.signature = self.loaded.signatures["serving_default"]

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Answer every row in one call."""
        return self.signature(numbers=tf.constant(model_input, tf.float32))["scores"].numpy()


if __name__ == "__main__":
    mlflow.pyfunc.save_model(
        "model",
        python_model=Classifier(),
        artifacts={"saved_model": os.environ["MODEL"]},
        pip_requirements=["tensorflow-cpu"],
    )
