"""Traces by OpenTelemetry where its standard variables ask for them; elsewhere nothing at all.

OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_TRACES_EXPORTER=otlp turn
them on. All else (headers, sampling, resource attributes …) the SDK reads from its own variables.
A span is the current one within a task of the event loop; threads do not see it.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, Protocol

from discern import __version__
from discern.errors import ConfigError

Headers = Iterable[tuple[bytes, bytes]] | Mapping[str, str]  # ASGI's, or gRPC's metadata

FLUSH_SECONDS: Final = 5.0
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
# https://opentelemetry.io/docs/specs/semconv/rpc/grpc: the server's own fault, not the client's
_GRPC_FAILURES: Final = frozenset(
    ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"]
)


class Span(Protocol):
    """A request that is being traced."""

    def finish(self, status: int | str, error: str | None, route: str | None = None) -> None:
        """Say how it ended: HTTP's number or gRPC's name, the error's kind, the route's pattern."""
        ...


class Tracer(Protocol):
    """What follows a request through the server."""

    def request(self, method: str, path: str, headers: Headers) -> AbstractContextManager[Span]:
        """A request being answered; goes on with the trace in its `traceparent` (W3C)."""
        ...

    def step(self, name: str) -> AbstractContextManager[Any]:
        """A part of the current request's work; outside of a request it is nothing."""
        ...

    def headers(self) -> dict[str, str]:
        """What to pass on, so that the next server goes on with this trace."""
        ...

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Send what has not been sent, in at most so many seconds."""
        ...


class _SilentSpan:
    def finish(self, status: int | str, error: str | None, route: str | None = None) -> None:
        pass


class _SilentTracer:
    """Costs nothing; the same two objects serve everybody."""

    _span: AbstractContextManager[Span] = nullcontext(_SilentSpan())
    _step: AbstractContextManager[None] = nullcontext()

    def request(self, _method: str, _path: str, _headers: Headers) -> AbstractContextManager[Span]:
        return self._span

    def step(self, _name: str) -> AbstractContextManager[Any]:
        return self._step

    def headers(self) -> dict[str, str]:
        return {}

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        pass


SILENT: Final[Tracer] = _SilentTracer()


class OpenTelemetryTracer:
    """Sends spans to an exporter in batches, from a thread, with nothing made global."""

    def __init__(self, exporter: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation import tracecontext

        own = {"service.name": "discern", "service.version": __version__}
        resource = Resource.create(own).merge(OTELResourceDetector().detect())  # theirs goes first
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("discern", __version__)
        self._propagator = tracecontext.TraceContextTextMapPropagator()
        self._trace = trace

    @contextmanager
    def request(self, method: str, path: str, headers: Headers) -> Iterator[Span]:
        parent = self._propagator.extract(_trace_headers(headers))
        with self._tracer.start_as_current_span(
            method,
            parent,
            self._trace.SpanKind.SERVER,
            {"http.request.method": method, "url.path": path},
        ) as span:
            yield _RequestSpan(span, method)

    def step(self, name: str) -> AbstractContextManager[Any]:
        if not self._trace.get_current_span().get_span_context().is_valid:
            return nullcontext()
        step: AbstractContextManager[Any] = self._tracer.start_as_current_span(name)
        return step

    def headers(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        # The SDK's own shutdown takes no time limit, and waits for half a minute.
        flushing = threading.Thread(target=self._provider.shutdown, daemon=True)
        flushing.start()
        flushing.join(seconds)


class _RequestSpan:
    """https://opentelemetry.io/docs/specs/semconv/http/http-spans"""

    def __init__(self, span: Any, method: str) -> None:
        self._span, self._method = span, method

    def finish(self, status: int | str, error: str | None, route: str | None = None) -> None:
        from opentelemetry.trace import StatusCode

        if status:  # 0: the client was gone before there was one
            protocol = "rpc" if isinstance(status, str) else "http"
            self._span.set_attribute(f"{protocol}.response.status_code", status)
        if route is not None:
            self._span.set_attribute("http.route", route)
            self._span.update_name(f"{self._method} {route}")
        if error is not None:
            self._span.set_attribute("error.type", error)
        if _is_failure(status):
            self._span.set_status(StatusCode.ERROR)


def tracer(environment: Mapping[str, str]) -> Tracer:
    """The tracer that this process' environment asks for; OpenTelemetry is loaded only then.

    Raises ConfigError if it is not installed, or asked for what discern does not send.
    """
    if not _wanted(environment):
        return SILENT
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as exc:
        raise ConfigError(
            "The environment asks for traces (OTEL_…), but OpenTelemetry is not installed. "
            "pip install 'discern[otel]', or set OTEL_SDK_DISABLED=true."
        ) from exc
    return OpenTelemetryTracer(OTLPSpanExporter())


def _wanted(environment: Mapping[str, str]) -> bool:
    """Whether traces are asked for; a variable that is empty counts as not set."""

    def value(name: str) -> str:
        return environment.get(name, "").strip().lower()

    exporter = value("OTEL_TRACES_EXPORTER")
    if value("OTEL_SDK_DISABLED") == "true" or exporter == "none":
        return False
    if not exporter and not any(value(name) for name in _ENDPOINTS):
        return False
    if exporter not in ("", "otlp"):
        raise ConfigError(f"OTEL_TRACES_EXPORTER={exporter}: discern knows otlp, and none.")
    protocol = next((value(name) for name in _PROTOCOLS if value(name)), "http/protobuf")
    if protocol != "http/protobuf":
        raise ConfigError(
            f"OpenTelemetry's protocol is set to {protocol}; discern sends http/protobuf. Set "
            f"{_PROTOCOLS[0]}=http/protobuf, and the endpoint to the collector's HTTP port (4318)."
        )
    return True


def _trace_headers(headers: Headers) -> dict[str, str]:
    if isinstance(headers, Mapping):
        return dict(headers)
    wanted = (b"traceparent", b"tracestate")
    return {n.decode(): value.decode("latin-1") for n, value in headers if n in wanted}


def _is_failure(status: int | str) -> bool:
    return status in _GRPC_FAILURES if isinstance(status, str) else status >= 500
