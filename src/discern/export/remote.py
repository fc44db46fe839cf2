"""Converters and runtimes in a process of their own, in another Python than this one.

`Worker` starts the process and asks it; `RemoteEngine` is a graph that it has loaded. What goes
through the pipes is said in `worker`.
"""

import subprocess
import tempfile
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO

from discern.errors import EngineError
from discern.export.worker import Arrays, Message, read_message, write_message
from discern.runtime.engine import Images, Inputs, Metadata, Outputs, in_turn, joined

WORKER = Path(__file__).with_name("worker.py")
SECONDS_TO_END = 5


class Worker:
    """A process that does what it is asked; it ends when nobody holds this any more.

    `script` says what it can do. It runs in `python`, apart from this installation: neither its
    packages nor PYTHONPATH are seen there.
    """

    def __init__(self, python: Path, script: Path) -> None:
        self._turn = threading.Lock()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process runs
        self._process = subprocess.Popen(
            [python, "-I", WORKER, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        self.close = weakref.finalize(self, _close, self._process, self._said)

    def ask(self, command: str, arrays: Arrays | None = None, **values: object) -> Message:
        """What it answers; EngineError with its reason where it cannot, or has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            try:
                write_message(self._process.stdin, {"command": command, **values}, arrays or {})
                answer, results = read_message(self._process.stdout)
            except (EOFError, OSError, ValueError) as exc:
                raise EngineError(self._epitaph(command)) from exc
        if "error" in answer:
            raise EngineError(str(answer["error"]))
        return answer, results

    def _epitaph(self, command: str) -> str:
        """How it ended, with the last line of what it said."""
        status = _end(self._process)
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        said = "" if self._said.closed else _last_line(self._said)
        self.close()
        return f"The worker {how} when asked to {command}. {said}".rstrip()


def _end(process: subprocess.Popen[bytes]) -> int:
    """Close its pipes, upon which it ends by itself; one that does not is killed."""
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what was not sent yet has nobody to go to
            if pipe is not None:
                pipe.close()
    try:
        return process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _close(process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    _end(process)
    said.close()


def _last_line(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


class RemoteEngine:
    """A graph in a worker; calls from several threads are answered one after the other."""

    device = "cpu"
    batch_size = 1

    def __init__(self, worker: Worker, name: str, precision: str, graph: Path) -> None:
        answer, _ = worker.ask("open", graph=str(graph.absolute()))
        self.name = name
        self.precision = precision
        self.version: str = answer["version"]  # of the runtime
        self.metadata_size: int = answer["metadata_size"]
        self._worker = worker

    def run(self, images: Images, metadata: Metadata | None = None) -> Outputs:
        batches = in_turn(images, metadata, self.metadata_size, self.batch_size)
        return joined([self._run(batch) for batch in batches])

    def _run(self, batch: Inputs) -> Outputs:
        _, outputs = self._worker.ask("run", batch)
        return outputs
