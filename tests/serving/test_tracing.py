"""Traces: asked for or not, what a span says, that they arrive and never hold the server up."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from discern.errors import ConfigError
from discern.serving.tracing import SILENT, OpenTelemetryTracer, tracer

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
SOMEWHERE = {ENDPOINT: "http://127.0.0.1:4318"}


def test_silence_loads_nothing() -> None:
    code = (
        "import sys; from discern.serving.tracing import tracer; t = tracer({})\n"
        "with t.request('GET', '/', []) as span:\n"
        "    with t.step('decode'): pass\n"
        "    span.finish(200, None)\n"
        "assert t.headers() == {}; t.close()\n"
        "assert not [m for m in sys.modules if m.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {ENDPOINT: " "},
        {"OTEL_TRACES_EXPORTER": "none", **SOMEWHERE},
        {"OTEL_SDK_DISABLED": "TRUE", **SOMEWHERE},
        {"OTEL_SERVICE_NAME": "discern"},
    ],
)
def test_not_asked_for(environment: dict[str, str]) -> None:
    assert tracer(environment) is SILENT


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", **SOMEWHERE}, "set to grpc.*4318"),
    ],
)
def test_asked_for_what_is_not_there(environment: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        tracer(environment)


def test_asked_for_and_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    package = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r"pip install 'discern\[otel\]'"):
        tracer(SOMEWHERE)


def spans_of(use: Any) -> list[Any]:
    """The spans that `use` makes with a tracer, in the order of their ends."""
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter = memory.InMemorySpanExporter()
    traces = OpenTelemetryTracer(exporter)
    try:
        use(traces)
    finally:
        traces.close()
    return list(exporter.get_finished_spans())


def test_a_request_goes_on_with_its_trace() -> None:
    passed_on: list[dict[str, str]] = []

    def use(traces: OpenTelemetryTracer) -> None:
        headers = [(b"host", b"x"), (b"traceparent", TRACEPARENT.encode())]
        with traces.request("POST", "/predict", headers) as span:
            with traces.step("infer"):
                passed_on.append(traces.headers())
            span.finish(200, None, "/predict")

    step, request = spans_of(use)
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert (request.name, request.kind.name) == ("POST /predict", "SERVER")
    assert request.attributes == {
        "http.request.method": "POST",
        "url.path": "/predict",
        "http.route": "/predict",
        "http.response.status_code": 200,
    }
    assert request.status.status_code.name == "UNSET"
    assert request.resource.attributes["service.name"] == "discern"
    assert (step.name, step.parent.span_id) == ("infer", request.context.span_id)
    assert passed_on == [{"traceparent": f"00-{TRACE}-{step.context.span_id:016x}-01"}]


def test_a_grpc_call_goes_on_with_its_trace() -> None:
    def use(traces: OpenTelemetryTracer) -> None:
        with traces.request("POST", "/s/Predict", {"traceparent": TRACEPARENT}) as span:
            span.finish("UNAVAILABLE", "upstream")

    (call,) = spans_of(use)
    assert f"{call.context.trace_id:032x}" == TRACE
    assert call.attributes["rpc.response.status_code"] == "UNAVAILABLE"
    assert call.attributes["error.type"] == "upstream"
    assert call.status.status_code.name == "ERROR"


@pytest.mark.parametrize(("status", "failed"), [(404, False), (422, False), (500, True)])
def test_only_the_servers_own_errors_are_failures(status: int, failed: bool) -> None:
    def use(traces: OpenTelemetryTracer) -> None:
        with traces.request("GET", "/", [(b"traceparent", b"\xff nonsense")]) as span:
            span.finish(status, "kind")

    (request,) = spans_of(use)
    assert request.parent is None
    assert (request.status.status_code.name == "ERROR") == failed
    assert request.attributes["error.type"] == "kind"


def test_requests_at_the_same_time_keep_apart() -> None:
    async def answer(traces: OpenTelemetryTracer, path: str) -> None:
        with traces.request("GET", path, []) as span:
            await asyncio.sleep(0.001)
            with traces.step(f"step of {path}"):
                await asyncio.sleep(0.001)
            span.finish(0, None)

    async def both(traces: OpenTelemetryTracer) -> None:
        await asyncio.gather(*(answer(traces, f"/{i}") for i in range(5)))

    spans = spans_of(lambda traces: asyncio.run(both(traces)))
    requests = {s.context.span_id: s.attributes["url.path"] for s in spans if s.parent is None}
    steps = [s for s in spans if s.parent is not None]
    assert len(requests) == len(steps) == 5
    assert all(s.name == f"step of {requests[s.parent.span_id]}" for s in steps)


def test_a_step_outside_of_a_request_is_nothing() -> None:
    def use(traces: OpenTelemetryTracer) -> None:
        with traces.step("poll"):
            assert traces.headers() == {}

    assert spans_of(use) == []


class Collector(HTTPServer):
    """A tiny OTLP/HTTP receiver."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), CollectorHandler)
        self.received: list[tuple[str, bytes]] = []


class CollectorHandler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """A test's output is its own."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_spans_arrive_at_a_collector(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    environment = {ENDPOINT: f"http://127.0.0.1:{collector.server_port}"}
    environment["OTEL_SERVICE_NAME"] = "clothes"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    traces = tracer(environment)
    with traces.request("GET", "/healthz", []) as span:
        span.finish(200, None)
    traces.close()
    ((path, body),) = collector.received
    assert path == "/v1/traces"
    (sent,) = ExportTraceServiceRequest.FromString(body).resource_spans
    names = {a.key: a.value.string_value for a in sent.resource.attributes}
    assert names["service.name"] == "clothes"
    assert [s.name for s in sent.scope_spans[0].spans] == ["GET"]


def test_a_collector_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        environment = {ENDPOINT: f"http://127.0.0.1:{hanging.getsockname()[1]}"}
        monkeypatch.setenv(ENDPOINT, environment[ENDPOINT])
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        traces = tracer(environment)
        with traces.request("GET", "/", []) as span:
            span.finish(200, None)
        started = time.monotonic()
        traces.close(0.2)
        assert time.monotonic() - started < 0.9
    for thread in set(threading.enumerate()) - before:  # nothing of this test outlives it
        thread.join()
