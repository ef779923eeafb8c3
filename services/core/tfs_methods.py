"""TensorFlow Serving's gRPC methods by path, with the message each is asked by and the one it answers with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from services.core.tfs import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

PREDICTION, MODEL = "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"
METHODS: Mapping[str, Any] = MappingProxyType(
    {
        f"/{PREDICTION}/Predict": predict_pb2.PredictRequest,
        f"/{PREDICTION}/Classify": classification_pb2.ClassificationRequest,
        f"/{PREDICTION}/Regress": regression_pb2.RegressionRequest,
        f"/{PREDICTION}/MultiInference": inference_pb2.MultiInferenceRequest,
        f"/{PREDICTION}/GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
        f"/{MODEL}/GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
        f"/{MODEL}/HandleReloadConfigRequest": model_management_pb2.ReloadConfigRequest,
    }
)
REPLIES: Mapping[str, Any] = MappingProxyType(
    {
        f"/{PREDICTION}/Predict": predict_pb2.PredictResponse,
        f"/{PREDICTION}/Classify": classification_pb2.ClassificationResponse,
        f"/{PREDICTION}/Regress": regression_pb2.RegressionResponse,
        f"/{PREDICTION}/MultiInference": inference_pb2.MultiInferenceResponse,
        f"/{PREDICTION}/GetModelMetadata": get_model_metadata_pb2.GetModelMetadataResponse,
        f"/{MODEL}/GetModelStatus": get_model_status_pb2.GetModelStatusResponse,
        f"/{MODEL}/HandleReloadConfigRequest": model_management_pb2.ReloadConfigResponse,
    }
)
PATHS: Mapping[str, str] = MappingProxyType({path.rpartition("/")[2]: path for path in METHODS})  # by their names
