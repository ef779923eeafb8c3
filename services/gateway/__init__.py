"""The front door: REST and gRPC in, TensorFlow Serving's PredictionService out."""
