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

# Where the gateway answers otherwise than the recorded TensorFlow Serving, codes included, and why.
_LABELS = "Labels are the store's: none points at a version that is not there."
_PATHS = "The gateway has more paths than TensorFlow Serving, and its own answer to those it does not have."
_QUERY = "A query is no part of a path."
_NAMES = "No model in the store has such a name."
_BOUND = "A request has at most 1024 instances, unless the gateway is told otherwise."
_ENCODING = "A body that is encoded otherwise than by gzip is refused, not read as it is."
_UNKNOWN = "TensorFlow Serving says nothing of a method that it does not have."
_REFLECTION = "The gateway's gRPC port can be asked what it offers."
_TASKS = "A request for no inferences names no model."

GATEWAY: Mapping[str, str] = {
    "grpc-0049": _LABELS,
    "grpc-0134": _TASKS,
    "grpc-0196": _UNKNOWN,
    "grpc-0198": _UNKNOWN,
    "grpc-0199": _REFLECTION,
    "grpc-0205": _UNKNOWN,
    "rest-0013": _QUERY,
    "rest-0028": _LABELS,
    "rest-0030": _PATHS,
    "rest-0032": _PATHS,
    "rest-0033": _PATHS,
    "rest-0034": _PATHS,
    "rest-0042": _NAMES,
    "rest-0064": _PATHS,
    "rest-0074": _QUERY,
    "rest-0082": _PATHS,
    "rest-0130": _LABELS,
    "rest-0218": _ENCODING,
    "rest-0221": _ENCODING,
    "rest-0225": _BOUND,
    "rest-0335": _PATHS,
    "rest-0337": _PATHS,
}
