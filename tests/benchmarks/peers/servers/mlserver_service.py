"""The SavedModel as a custom runtime of MLServer: `MLSERVER_MODEL_URI=folder mlserver start .`

After MLServer's guide to custom runtimes. Its settings, as variables: this implementation, one process for HTTP and
model (`parallel_workers` 0), no debugging.
"""

from __future__ import annotations

import tensorflow as tf
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri


class Classifier(MLModel):
    """Answers Open Inference's infer."""

    async def load(self) -> bool:
        """Load the SavedModel."""
        self.loaded = tf.saved_model.load(await get_model_uri(self.settings))
        self.signature = self.loaded.signatures["serving_default"]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer the rows of the one input in one call."""
        numbers = NumpyCodec.decode_input(payload.inputs[0])
        scores = self.signature(numbers=tf.constant(numbers, tf.float32))["scores"].numpy()
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("scores", scores)])
