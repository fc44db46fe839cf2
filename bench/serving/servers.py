"""Server processes on loopback: started, waited for, weighed, loaded, and always stopped."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Server:
    """A running server; `ready_seconds` from its start to the first good answer of its health."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    ready_seconds: float

    def memory(self) -> float:
        """MB that it occupies with its children; pages that several share count once."""
        pids = descendants(self.process.pid)
        return sum(_kilobytes(pid, "Pss" if len(pids) > 1 else "Rss") for pid in pids) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(name: str, command: list[str], port: int, health: str = "/readyz") -> Iterator[Server]:
    """A server that answers `health` with 200, for as long as it lasts; stopped whatever comes."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as log:
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            ready = _wait(process, port, health, started)
            if ready is None:
                log.seek(0)
                said = log.read().decode()[-3000:]
                sys.exit(f"{name} did not start: {' '.join(command)}\n{said}")
            yield Server(name, process, port, ready)
        finally:
            stop(process)


def _wait(process: subprocess.Popen[bytes], port: int, health: str, started: float) -> float | None:
    """Seconds until the health route answers 200; None if the process ends, or after a minute."""
    while process.poll() is None and time.monotonic() < started + 60:
        if get_status(port, health) == 200:
            return time.monotonic() - started
        time.sleep(0.01)
    return None


def get_status(port: int, path: str) -> int | None:
    """The status of a GET, None where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server: asked first, then it and what it started are killed."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(3)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its own session: only what it started itself
    process.wait()


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += descendants(int(child))
    return found


def _kilobytes(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0
