"""Spans by OpenTelemetry's library, loaded where there is a collector; attributes have its semantic conventions' names.

The library reads the other variables of its standard: sampling (by default the client's decision, else all), the
service's name, the queue's bounds, headers and certificates for the collector. A thread of its own exports, from a
queue that drops what does not fit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.core.errors import HTTP_STATUS, Code
from services.core.telemetry import REQUEST
from services.gateway.tracing import TRACES, ModelCall
from services.rpc.call import Metadata

Attributes = Mapping[str, str | int]

_W3C = TraceContextTextMapPropagator()
_HEADERS = frozenset(name.encode() for name in _W3C.fields)
_MODEL, _VERSION = "tensorgate.model", "tensorgate.version"
_MOST_CHARACTERS = 1024  # of an attribute: clients choose paths and names, and spans wait in a queue
_FLUSH_SECONDS = 3.0  # for what is left when the process ends; the library's own 30 are more than a pod is given


def provider() -> TracerProvider:
    """Exports to the collector that OpenTelemetry's variables name."""
    ours = Resource.create().merge(Resource({SERVICE_NAME: "tensorgate-gateway"}))
    named = ours.merge(OTELResourceDetector().detect())
    limits = SpanLimits(max_attribute_length=_MOST_CHARACTERS)
    made = TracerProvider(resource=named, span_limits=limits, shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made


class Tracing:
    """Begins traces, one a request."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("tensorgate.gateway")

    def begin(self, name: str, headers: Metadata, attributes: Attributes) -> Trace:
        """The span of a request to a door, within the client's trace if the headers have one. It is the running task's
        from now on.
        """
        carrier = {name.decode(): value.decode("latin-1") for name, value in headers if name in _HEADERS}
        client = _W3C.extract(carrier, Context())
        span = self._tracer.start_span(name, client, SpanKind.SERVER, attributes)
        TRACES.set((trace := Trace(self._tracer, span),))
        REQUEST.set({**REQUEST.get(), "trace_id": f"{span.get_span_context().trace_id:032x}"})
        return trace

    def begin_call(self, path: str, headers: Metadata, model: str) -> Trace:
        """The same of a gRPC call; the model as it was written."""
        return self.begin(path[1:], headers, {**_rpc(path), **({_MODEL: model} if model else {})})

    def close(self) -> None:
        """Export what is left, if the collector takes it soon."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_FLUSH_SECONDS)


class Trace:
    """One request's: the span of its door."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._within = set_span_in_context(span, Context())

    def waited(self, stage: str, seconds: float) -> None:
        """A stage that has just ended: `queue` or `slot`."""
        if self._span.is_recording():
            now = time.time_ns()
            self._tracer.start_span(stage, self._within, start_time=now - int(seconds * 1e9)).end(now)

    def call(self, made: ModelCall, requests: int) -> CallSpan:
        """A call of the model server begins, which so many requests share."""
        if not self._span.is_recording():
            return CallSpan(self._span)
        asked: Attributes = {_MODEL: made.model, **({_VERSION: made.version} if made.version else {})}
        self._span.set_attributes(asked)
        host, _, port = made.address.rpartition(":")
        server: Attributes = {"server.address": host.strip("[]"), "server.port": int(port)}
        batch: Attributes = {"tensorgate.batch.rows": made.rows} if made.rows is not None else {}
        attributes = {**_rpc(made.path), **server, **asked, "tensorgate.batch.requests": requests, **batch}
        return CallSpan(self._tracer.start_span("call", self._within, SpanKind.CLIENT, attributes))

    def end_http(self, name: str, status: int, attributes: Attributes, code: Code) -> None:
        """The answer over HTTP has ended, or nobody waits for it (`status` 0)."""
        if status:
            self._span.set_attribute("http.response.status_code", status)
        self._span.update_name(name)
        self._span.set_attributes(attributes)
        # A 4xx is the client's fault; a stream may fail after its 200.
        self._end(code, failed=status >= 500 or (status == 200 and _is_ours(code)))

    def end_rpc(self, code: Code) -> None:
        """The answer over gRPC has ended."""
        self._span.set_attribute("rpc.response.status_code", code.name)
        self._end(code, failed=_is_ours(code))

    def _end(self, code: Code, *, failed: bool) -> None:
        if code is not Code.OK:
            self._span.set_attribute("error.type", code.name)
        if failed:
            self._span.set_status(StatusCode.ERROR, code.name)
        self._span.end()


class CallSpan:
    """One request's part in a call of the model server; of one that is not sampled, or has ended, its door's span."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def metadata(self) -> Metadata:
        """What the model server is told of it (W3C Trace Context)."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, set_span_in_context(self._span, Context()))
        return [(name.encode(), value.encode("latin-1")) for name, value in carrier.items()]

    def end(self, code: Code) -> None:
        """The model server has answered, or is no longer waited for."""
        if not self._span.is_recording():
            return
        self._span.set_attribute("rpc.response.status_code", code.name)
        if code is not Code.OK:
            self._span.set_attribute("error.type", code.name)
            self._span.set_status(StatusCode.ERROR, code.name)
        self._span.end()


def _rpc(path: str) -> Attributes:
    return {"rpc.system.name": "grpc", "rpc.method": path[1:]}


def _is_ours(code: Code) -> bool:
    """Which codes are a server's faults: by OpenTelemetry's list for gRPC just those that are a 5xx over HTTP."""
    return HTTP_STATUS[code] >= 500
