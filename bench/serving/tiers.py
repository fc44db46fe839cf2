"""A gateway before model servers: what the second tier costs, and what a death costs."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from material import discern
from serving.contenders import CONNECTIONS, Bench
from serving.loading import Job, Load, Loading, closed_loop
from serving.servers import Server, free_port, running
from serving.table import Figure


def tiers(bench: Bench) -> list[Figure]:
    single, two = [], []
    for _ in range(bench.rounds):
        with bench.ours().warm() as server:
            single.append(_rate(bench, server))
        with two_tiers(bench, 1) as (server, _upstreams):
            two.append(_rate(bench, server))
        print(f"single {single[-1]:.0f}/s  two tiers {two[-1]:.0f}/s", flush=True)
    ratio = median(a / b for a, b in zip(two, single, strict=True))
    what = "gateway + model server, /s, of the single one"
    cost = Figure(what, median(two), limit=median(single), ratio=ratio, target="≥ 0.75")
    return [cost, *killed(bench)]


def _rate(bench: Bench, server: Server) -> float:
    closed_loop(server.port, bench.requests(), 1, CONNECTIONS)  # warm
    return closed_loop(server.port, bench.requests(), bench.seconds, CONNECTIONS).rate


@contextmanager
def repository(bench: Bench) -> Iterator[Path]:
    """A model repository that holds the model as version 1."""
    with TemporaryDirectory() as folder:
        shutil.copytree(bench.folder, Path(folder) / bench.folder.name / "1")
        yield Path(folder)


@contextmanager
def model_server(folder: Path, *words: str) -> Iterator[tuple[Server, int]]:
    """A model server over a repository, and its gRPC port."""
    http, grpc = free_port(), free_port()
    command = discern("model-server", str(folder), "--http-port", str(http))
    command += ["--grpc-port", str(grpc), *words]
    with running("discern model-server", command, http) as server:
        yield server, grpc


@contextmanager
def two_tiers(bench: Bench, upstreams: int) -> Iterator[tuple[Server, list[Server]]]:
    """A gateway and the model servers behind it."""
    with ExitStack() as stack:
        folder = stack.enter_context(repository(bench))
        behind = [stack.enter_context(model_server(folder)) for _ in range(upstreams)]
        port = free_port()
        words = [w for _, grpc in behind for w in ("--upstream", f"grpc://127.0.0.1:{grpc}")]
        command = discern("gateway", *words, "--port", str(port))
        gateway = stack.enter_context(running("discern gateway", command, port))
        yield gateway, [server for server, _ in behind]


def killed(bench: Bench) -> list[Figure]:
    """What fails when one of two model servers is killed under load."""
    with two_tiers(bench, 2) as (gateway, upstreams):
        closed_loop(gateway.port, bench.requests(), 1, CONNECTIONS)  # warm
        start = time.monotonic() + 2
        job = Job(gateway.port, str(bench.requests()), 2 * bench.seconds, start=start)
        with Loading(job, bench.scratch / "killed.npz") as loading:
            time.sleep(start + bench.seconds - time.monotonic())
            os.killpg(upstreams[0].process.pid, signal.SIGKILL)  # with its children
            moment = time.monotonic()
            return _outcome(loading.result(), moment)


def _outcome(load: Load, moment: float) -> list[Figure]:
    later = load.done > moment + 1
    under_way = int(((load.sent < moment) & (load.done > moment)).sum())
    before = float((load.good & (load.done < moment)).sum() / (moment - load.start))
    after = float((load.good & later).sum() / (load.end - moment - 1))
    waits = (load.done - load.due)[load.done > moment]
    return [
        Figure("one of two killed: failed", load.failed, target="≤ under way at that one"),
        Figure("under way at both at that moment", under_way),
        Figure("failed later than 1 s after", int((~load.good & later).sum()), target="0"),
        Figure("longest answer after it, ms", 1000 * float(waits.max())),
        Figure("/s from 1 s after it on; of before", after, ratio=after / before),
        Figure(f"ended: {load.statuses()}"),
    ]
