"""Load asked of a process of its own, `load.py` or wrk, and what came of it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

GENERATOR = Path(__file__).parents[1] / "load.py"

NO_ANSWER = 0  # refused, reset, or hung up before the answer was complete
UNFINISHED = -1  # no answer while the generator had patience


@dataclass(frozen=True)
class Job:
    """What to send; times are of `time.monotonic()`, which processes of one machine share."""

    port: int
    requests: str  # a folder of whole HTTP requests, sent in turn
    seconds: float
    rate: float | None = None  # requests a second, open loop; None is the closed loop
    connections: int = 16  # in the closed loop; in the open loop, the most there may be
    start: float | None = None  # None is at once
    spacing: str = "poisson"  # of the open loop: at random moments, or "even"
    seed: int = 0


@dataclass(frozen=True)
class Load:
    """What became of a job's requests: arrays [n], moments of `time.monotonic()` in seconds."""

    due: np.ndarray
    sent: np.ndarray
    done: np.ndarray
    status: np.ndarray
    processor: float  # seconds of CPU that the generator took
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def good(self) -> np.ndarray:
        return self.status == 200

    @property
    def failed(self) -> int:
        return int((~self.good).sum())

    @property
    def rate(self) -> float:
        """Good answers a second, without those that came after the end."""
        return float((self.good & (self.done <= self.end)).sum() / self.seconds)

    def milliseconds(self, percentile: float, status: int = 200) -> float:
        """A percentile of the latencies of the requests that ended so; nan if there are none."""
        chosen = self.status == status
        if not chosen.any():
            return float("nan")
        return float(np.percentile((self.done - self.due)[chosen], percentile) * 1000)

    def statuses(self) -> Mapping[str, int]:
        """How many requests ended how."""
        values, counts = np.unique(self.status, return_counts=True)
        pairs = zip(values.tolist(), counts.tolist(), strict=True)
        names = {NO_ANSWER: "no answer", UNFINISHED: "unfinished"}
        return {names.get(v, str(v)): count for v, count in pairs}

    def cost(self) -> str:
        """What the generator itself took and how late it was, to judge the rest by."""
        lag = (self.sent - self.due)[self.sent > 0] * 1000
        p50, p99 = np.percentile(lag, [50, 99]) if len(lag) else (0, 0)
        each = 1000 * self.processor / max(1, len(self.due))
        return f"{each:.2f} ms CPU a request, sent {p50:.1f} ms late (p99 {p99:.1f})"


class Loading:
    """A job being done by a process of its own; `with` ends the process whatever comes."""

    def __init__(self, job: Job, out: Path) -> None:
        command = [sys.executable, str(GENERATOR), json.dumps(asdict(job)), str(out)]
        self._out, self._process = out, subprocess.Popen(command)

    def __enter__(self) -> "Loading":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Let a closed loop end now."""
        self._process.terminate()

    def result(self) -> Load:
        """What came of it, when it is done."""
        if self._process.wait():
            sys.exit(f"The load generator ended with {self._process.returncode}.")
        return read_load(self._out)


def load(job: Job) -> Load:
    """Do a job in another process."""
    with TemporaryDirectory() as folder, Loading(job, Path(folder) / "load.npz") as loading:
        return loading.result()


@dataclass(frozen=True)
class Closed:
    """A closed loop, measured; milliseconds, and the generator's CPU milliseconds a request."""

    rate: float
    p50: float
    p99: float
    failed: int
    cost: float


def closed_loop(port: int, requests: Path, seconds: float, connections: int = 16) -> Closed:
    """Keep that many connections busy; by wrk where it is installed."""
    if shutil.which("wrk"):
        return _wrk(port, requests, seconds, connections)
    done = load(Job(port, str(requests), seconds, connections=connections))
    cost = 1000 * done.processor / max(1, len(done.due))
    return Closed(done.rate, done.milliseconds(50), done.milliseconds(99), done.failed, cost)


def _wrk(port: int, requests: Path, seconds: float, connections: int) -> Closed:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "30s"]
    script = Path(__file__).with_name("wrk.lua")
    command += ["-s", str(script), f"http://127.0.0.1:{port}/", "--"]
    process = subprocess.Popen(
        [*command, *map(str, sorted(requests.iterdir()))], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            printed = process.stdout.read()
        except BaseException:
            process.kill()
            process.wait()
            raise
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"wrk ended with {process.returncode}: {printed.decode()}")
    found = json.loads(printed.splitlines()[-1])
    good = found["requests"] - found["failed"]
    cost = 1000 * (usage.ru_utime + usage.ru_stime) / max(1, found["requests"])
    return Closed(good / found["seconds"], found["p50"], found["p99"], found["failed"], cost)


def read_load(path: Path) -> Load:
    with np.load(path) as saved:
        (due, sent, done, status), took = saved["rows"].T, saved["took"].tolist()
    return Load(due, sent, done, status.astype(int), *took)
