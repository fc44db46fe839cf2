"""A stand-in of Lambda's runtime interface, with the real runtime client behind it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HANDLER = "discern.serving.lambda_function.handler"
PREFIX = "/2018-06-01/runtime/"
PATIENCE = 60.0


@dataclass(frozen=True)
class Outcome:
    """How an event ended: a document, or the type and message of an error; and in what time."""

    document: Any
    error: str | None
    seconds: float


@dataclass
class Runtime:
    """The interface's side of one process: events go in, outcomes come out."""

    started: float = 0.0
    process: "subprocess.Popen[str] | None" = None
    ready: threading.Event = field(default_factory=threading.Event)  # it asked for an event
    init_error: dict[str, Any] | None = None
    events: "queue.Queue[tuple[str, bytes, float] | None]" = field(default_factory=queue.Queue)
    outcomes: "queue.Queue[tuple[str, bytes, str | None, float]]" = field(
        default_factory=queue.Queue
    )
    ready_at: float = 0.0
    handed_out: float = 0.0

    @property
    def start_seconds(self) -> float:
        """From the process's start until it asked for its first event."""
        return self.ready_at - self.started

    def invoke(self, event: Any, seconds: float = 30.0) -> Outcome:
        """Give an event to the function, which has so many seconds for it."""
        name = str(uuid.uuid4())
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        self.events.put((name, body, seconds))
        answered, body, error, at = self.outcomes.get(timeout=PATIENCE)
        assert answered == name
        return Outcome(json.loads(body), error, at - self.handed_out)

    def processor_seconds(self) -> float:
        """What the process has taken of a processor so far."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> float:
        """The process's memory in MB."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def function(environment: Mapping[str, str]) -> Iterator[Runtime]:
    """A function's process and the interface that it asks; ended afterwards by SIGTERM."""
    runtime = Runtime()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(runtime))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    surroundings = {
        **os.environ,
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        **environment,
    }
    command = [sys.executable, "-m", "awslambdaric", HANDLER]
    runtime.started = time.perf_counter()
    runtime.process = subprocess.Popen(
        command, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield runtime
    finally:
        runtime.process.terminate()
        runtime.process.wait(PATIENCE)
        assert runtime.process.stdout is not None
        runtime.process.stdout.close()
        runtime.events.put(None)
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(runtime: Runtime) -> type[BaseHTTPRequestHandler]:
    class Interface(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one piece
        disable_nagle_algorithm = True  # or the last bytes wait 40 ms for an acknowledgement

        def do_GET(self) -> None:
            if self.path != f"{PREFIX}invocation/next":
                self._reply(404)
                return
            if not runtime.ready.is_set():
                runtime.ready_at = time.perf_counter()
                runtime.ready.set()
            if (given := runtime.events.get()) is None:
                self.close_connection = True
                return
            name, body, seconds = given
            headers = {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": name,
                "Lambda-Runtime-Deadline-Ms": str(int(1000 * (time.time() + seconds))),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:1:function:f",
                "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
            }
            runtime.handed_out = time.perf_counter()
            self._reply(200, body, headers)

        def do_POST(self) -> None:
            at = time.perf_counter()
            body = self._body()
            self._reply(202)
            match self.path.removeprefix(PREFIX).split("/"):
                case ["init", "error"]:
                    runtime.init_error = json.loads(body)
                    runtime.ready.set()
                case ["invocation", name, "response"]:
                    runtime.outcomes.put((name, body, None, at))
                case ["invocation", name, "error"]:
                    error = json.loads(body)["errorType"]
                    runtime.outcomes.put((name, body, error, at))

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("transfer-encoding", ""):
                return self.rfile.read(int(self.headers["content-length"]))
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def _reply(
            self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
        ) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    return Interface
