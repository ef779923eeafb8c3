"""Where this server answers with another text than the recorded TensorFlow Serving 2.18.1, and why. Codes and values
never differ. docs/architecture.md quotes this table; a test fails when an entry is no longer true."""

from __future__ import annotations

from collections.abc import Mapping

_DECODERS = "Text of TensorFlow's image kernel, which names the formats that the installed release decodes."
_FUSED = "Text of TensorFlow's kernels: on some processors the matrix product is fused, and checks the shapes itself."
_NUL = "TensorFlow's Python binding hands error texts over as C strings, so they end at the first NUL."

TEXTS: Mapping[str, str] = {
    "grpc-0072": _FUSED,
    "grpc-0084": _DECODERS,
    "rest-0182": _NUL,
    "rest-0248": _DECODERS,
}
ON_SOME_PROCESSORS = frozenset({"grpc-0072"})  # TensorFlow chooses kernels by what the processor can do

METRICS: Mapping[str, str] = {
    ":tensorflow:serving:batching_session:queuing_latency": "Batching is the gateway's.",
    ":tensorflow:serving:batching_session:wrapped_run_count": "Batching is the gateway's.",
    ":tensorflow:serving:mlmd_map": "There is no ML Metadata here.",
    ":tensorflow:serving:request_example_count_total": "Counted for sampling, which is not done here.",
    ":tensorflow:serving:request_example_counts": "Counted for sampling, which is not done here.",
    ":tensorflow:serving:request_log_count": "Requests are not logged to files here.",
}
