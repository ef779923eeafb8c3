"""TensorFlow Serving's services for gRPC's own library, which comes with them; as in `services.core.tfs`."""

from __future__ import annotations

from services.core.tfs import packages_not_run

with packages_not_run():
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

__all__ = ["model_service_pb2_grpc", "prediction_service_pb2_grpc"]
