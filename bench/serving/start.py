"""From process start to ready, and what a server occupies that has nothing to do."""

import subprocess
import sys
import time
from statistics import median

from material import seconds
from serving.contenders import CONNECTIONS, Bench, Contender
from serving.loading import closed_loop
from serving.servers import Server
from serving.table import Figure
from serving.tiers import two_tiers

RUNS = 5
SETTLE_SECONDS = 1.0
FLOOR = """
import sys, numpy, onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""

Start = tuple[float, float]  # seconds to ready, MB then


def start(bench: Bench) -> list[Figure]:
    _floor(bench)  # fills the disk's cache
    floor = median(seconds(lambda: _floor(bench)) for _ in range(RUNS))
    ours = _started(bench.ours())
    peers = [_started(peer) for peer in (bench.plain(), bench.litserve and bench.lit()) if peer]
    fastest = min(peers)
    return [
        Figure("single: start to ready, s", ours[0], floor, fastest[0], ours[0], "≤ 1.5"),
        Figure("single: idle memory, MB", ours[1], None, fastest[1], ours[1], "≤ 250"),
        Figure("single: memory after load, MB", _loaded(bench)),
        *_tiers(bench, floor),
    ]


def _floor(bench: Bench) -> None:
    """Python that loads the graph into ONNX Runtime, and nothing else."""
    subprocess.run([sys.executable, "-c", FLOOR, str(bench.model.graph)], check=True)


def _started(contender: Contender) -> Start:
    runs = [_start(contender) for _ in range(RUNS + 1)][1:]  # the first fills the caches
    return median(s for s, _ in runs), max(mb for _, mb in runs)


def _start(contender: Contender) -> Start:
    with contender.fresh() as server:
        return server.ready_seconds, _idle(server)


def _idle(server: Server) -> float:
    time.sleep(SETTLE_SECONDS)
    return server.memory()


def _loaded(bench: Bench) -> float:
    with bench.ours().fresh() as server:
        closed_loop(server.port, bench.requests(), bench.seconds, CONNECTIONS)
        return _idle(server)


def _tiers(bench: Bench, floor: float) -> list[Figure]:
    with two_tiers(bench, 1):
        pass  # fills the caches
    with two_tiers(bench, 1) as (gateway, (upstream,)):
        idle = _idle(upstream), _idle(gateway)
    return [
        Figure("model server: start to ready, s", upstream.ready_seconds, floor),
        Figure("model server: idle memory, MB", idle[0]),
        Figure("gateway: start to ready, s", gateway.ready_seconds),
        Figure("gateway: idle memory, MB", idle[1], ratio=idle[1], target="≤ 120"),
    ]
