"""A load generator in a process of its own: closed or open loop over HTTP/1.1, each request kept.

In the open loop requests are due at random moments (Poisson) or at even distances (as k6 and
wrk2 send them), whatever the server does. Latency counts from the moment a request was due, so a
server that stalls cannot hide what it made others wait. Run alone, this file measures what the
generator itself costs and can do.
"""

import asyncio
import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import uvloop

from serving.loading import NO_ANSWER, UNFINISHED, Job, read_load
from serving.servers import free_port

STALE_SECONDS = 2.0  # an idle connection older than this may be about to be closed by the server
PATIENCE = 35.0  # seconds to wait for the last answers


@dataclass
class Record:
    """One request."""

    due: float
    sent: float = 0.0
    done: float = 0.0
    status: int = UNFINISHED


@dataclass
class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection that carries one request at a time."""

    generator: "Generator"
    record: Record | None = None
    idle_since: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def send(self, request: bytes, record: Record) -> None:
        self.record, record.sent = record, time.monotonic()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0 or self.record is None:
            return
        head = bytes(self.received[:end]).lower()
        if len(self.received) < end + 4 + content_length(head):
            return
        self.received.clear()
        self._finish(int(head[9:12]), reusable=b"\r\nconnection: close" not in head)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.generator.gone(self)
        if self.record is not None:
            self._finish(NO_ANSWER, reusable=False)

    def _finish(self, status: int, reusable: bool) -> None:
        record, self.record = self.record, None
        if not reusable:
            self.transport.close()
        self.generator.finish(record, status, self if reusable else None)


def content_length(head: bytes) -> int:
    """The length that a lower-case response head announces; our servers always do."""
    at = head.index(b"\r\ncontent-length:") + 17
    return int(head[at:].partition(b"\r\n")[0])


class Generator:
    """Sends what a job asks for and keeps a record of each request."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.requests = [p.read_bytes() for p in sorted(Path(job.requests).iterdir())]
        self.records: list[Record] = []
        self.idle: list[Connection] = []
        self.waiting: deque[Record] = deque()
        self.connections = self.under_way = self.next = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send everything; wait for the answers as long as there is patience."""
        self.start = self.job.start or time.monotonic()
        self.end = self.start + self.job.seconds
        await asyncio.sleep(self.start - time.monotonic())
        self.processor = time.process_time()
        self.over = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.over.set)
        await (self._closed() if self.job.rate is None else self._open(self.job.rate))
        while self.under_way and time.monotonic() < self.end + PATIENCE:
            await asyncio.sleep(0.01)
        self.processor = time.process_time() - self.processor

    async def _closed(self) -> None:
        for _ in range(self.job.connections):
            self._begin(time.monotonic())
        with suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), self.end - time.monotonic())
        self.end = min(self.end, time.monotonic())

    async def _open(self, rate: float) -> None:
        for due in arrivals(rate, self.start, self.end, self.job.spacing, self.job.seed):
            while (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            self._begin(due)

    def _begin(self, due: float) -> None:
        self.records.append(record := Record(due))
        self.under_way += 1
        while self.idle:
            connection = self.idle.pop()
            if time.monotonic() - connection.idle_since < STALE_SECONDS:
                return self._send(connection, record)
            connection.transport.close()
        if self.connections >= self.job.connections:
            return self.waiting.append(record)
        return self._connect(record)

    def _connect(self, record: Record) -> None:
        self.connections += 1
        task = asyncio.create_task(self._connected(record))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _connected(self, record: Record) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self), "127.0.0.1", self.job.port
            )
        except OSError:
            self.connections -= 1
            await asyncio.sleep(0.01)  # a closed loop would only spin on a server that is not there
            return self.finish(record, NO_ANSWER, None)
        return self._send(connection, record)

    def _send(self, connection: Connection, record: Record) -> None:
        request = self.requests[self.next % len(self.requests)]
        self.next += 1
        connection.send(request, record)

    def gone(self, connection: Connection) -> None:
        """The connection is closed, by whichever side."""
        self.connections -= 1
        if connection in self.idle:
            self.idle.remove(connection)

    def finish(self, record: Record, status: int, connection: Connection | None) -> None:
        """The request has its answer, or will have none; its connection may be free again."""
        record.done, record.status = time.monotonic(), status
        self.under_way -= 1
        if self.waiting:
            following = self.waiting.popleft()
            return self._send(connection, following) if connection else self._connect(following)
        if connection:
            connection.idle_since = record.done
            self.idle.append(connection)
        if self.job.rate is None and record.done < self.end:
            self._begin(record.done)
        return None


def arrivals(
    rate: float, start: float, end: float, spacing: str = "poisson", seed: int = 0
) -> Iterable[float]:
    """The moments of a Poisson process, or as many at even distances."""
    chance = random.Random(seed)
    due = start
    while (due := due + (1 / rate if spacing == "even" else chance.expovariate(rate))) < end:
        yield due


def perform(job: Job, out: Path) -> None:
    """Do a job in this process and save what came of it."""
    with suppress(PermissionError):  # a client elsewhere would not wait for the server's cores
        os.nice(-10)
    generator = Generator(job)
    uvloop.run(generator.run())
    rows = np.array([(r.due, r.sent, r.done, r.status) for r in generator.records]).reshape(-1, 4)
    np.savez(out, rows=rows, took=[generator.processor, generator.start, generator.end])


class Nothing(asyncio.Protocol):
    """The least that a server can do: answers 200 when a body is complete."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.received = transport, bytearray()

    def data_received(self, data: bytes) -> None:
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return
        if len(self.received) >= end + 4 + content_length(bytes(self.received[:end]).lower()):
            self.received.clear()
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def answer_nothing(port: int) -> None:
    """Serve `Nothing` until the process is ended."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Nothing, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(serve())


def wait_for(port: int) -> None:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.02)


def main() -> None:
    port = free_port()
    server = multiprocessing.Process(target=answer_nothing, args=[port], daemon=True)
    server.start()
    wait_for(port)
    with TemporaryDirectory() as folder:
        requests, out = Path(folder) / "requests", Path(folder) / "load.npz"
        requests.mkdir()
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n"
        (requests / "0.http").write_bytes(head + bytes(40_000))
        for rate in (None, 200, 1000, 2000):
            job = Job(port, str(requests), 2.0, rate, connections=512 if rate else 16)
            perform(job, out)
            load = read_load(out)
            name = f"open, {rate}/s" if rate else "closed, 16 connections"
            print(
                f"{name:<24} {load.rate:6.0f}/s  p50 {load.milliseconds(50):.2f} ms  "
                f"p99 {load.milliseconds(99):.2f} ms  {load.statuses()}  {load.cost()}"
            )
    server.terminate()
    server.join()


if __name__ == "__main__":
    if len(sys.argv) == 3:
        perform(Job(**json.loads(sys.argv[1])), Path(sys.argv[2]))
    else:
        main()
