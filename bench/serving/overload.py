"""Five times more than the server can answer, in the open loop; then 16 connections at once."""

import time
from dataclasses import dataclass
from threading import Event, Thread

import numpy as np

from serving.contenders import CONNECTIONS, Bench, Contender
from serving.latency import MOST_CONNECTIONS, SHARE
from serving.loading import Job, Load, Loading, load
from serving.servers import Server
from serving.table import Figure

TIMES = 5
AFTER_SECONDS = 10.0
FULL = 0.9  # of the speed before counts as full: rates over a second scatter that much


@dataclass(frozen=True)
class Outcome:
    """What one server did; memory in MB."""

    calm: Load  # 16 connections, closed loop
    steady: Load  # 70 %
    flood: Load
    after: Load  # 16 connections again, from the moment that the flood ends
    before_mb: float
    highest_mb: float
    after_mb: float

    def recovery_seconds(self) -> float:
        """From the end of the flood until a second at full speed begins; nan if none does."""
        done = np.sort(self.after.done[self.after.good]) - self.after.start
        for start in np.arange(0, AFTER_SECONDS - 1, 0.1):
            within = np.searchsorted(done, [start, start + 1])
            if within[1] - within[0] >= FULL * self.calm.rate:
                return float(start)
        return float("nan")


def overload(bench: Bench) -> list[Figure]:
    ours = flooded(bench, bench.ours(), 6 * bench.seconds)
    peer = flooded(bench, bench.lit(), 2 * bench.seconds) if bench.litserve else None
    figures = [*_answered(ours, peer), *_refused(ours), *_aftermath(ours, peer)]
    figures += [
        Figure(f"ended: {ours.flood.statuses()}"),
        Figure(f"generator: {ours.flood.cost()}"),
    ]
    return figures + ([Figure(f"the peer's ended: {peer.flood.statuses()}")] if peer else [])


def _answered(ours: Outcome, peer: Outcome | None) -> list[Figure]:
    p50, p99 = (ours.flood.milliseconds(p) for p in (50, 99))
    offered, rate = peer and TIMES * peer.calm.rate, ours.flood.rate
    calm, steady = ours.calm.milliseconds(50), ours.steady.milliseconds(50)
    return [
        Figure("offered, /s", TIMES * ours.calm.rate, peer=offered),
        Figure(
            "answered, /s; of calm",
            rate,
            peer=peer and peer.flood.rate,
            ratio=rate / ours.calm.rate,
        ),
        Figure("accepted: p50, ms", p50, peer=peer and peer.flood.milliseconds(50)),
        Figure("accepted: p99, ms", p99, peer=peer and peer.flood.milliseconds(99)),
        Figure("calm, 16 connections: p50, ms; p99 of it", calm, ratio=p99 / calm, target="≤ 4"),
        Figure("at 70 %: p50, ms; p99 of it", steady, ratio=p99 / steady, target="≤ 4"),
    ]


def _refused(ours: Outcome) -> list[Figure]:
    p50, p99, last = (ours.flood.milliseconds(p, 503) for p in (50, 99, 100))
    return [
        Figure("refused (503): p50, ms", p50),
        Figure("refused (503): p99, ms", p99, ratio=p99, target="≤ 100"),
        Figure("refused (503): slowest, ms", last),
    ]


def _aftermath(ours: Outcome, peer: Outcome | None) -> list[Figure]:
    before, again = ours.before_mb, ours.recovery_seconds()
    recovered = peer and peer.recovery_seconds()
    return [
        Figure("memory before, MB", before, peer=peer and peer.before_mb),
        Figure(
            "memory at its highest, MB",
            ours.highest_mb,
            peer=peer and peer.highest_mb,
            ratio=ours.highest_mb / before,
            target="flat",
        ),
        Figure(
            "memory after, MB",
            ours.after_mb,
            peer=peer and peer.after_mb,
            ratio=ours.after_mb / before,
            target="flat",
        ),
        Figure("full speed again after, s", again, peer=recovered, ratio=again, target="≤ 2"),
    ]


def flooded(bench: Bench, contender: Contender, seconds: float) -> Outcome:
    """Measure calm, flood, and what follows on one server."""
    requests = str(contender.requests)
    with contender.warm() as server:
        calm = load(Job(server.port, requests, bench.seconds, connections=CONNECTIONS))
        share = SHARE * calm.rate
        steady = load(Job(server.port, requests, bench.seconds, share, MOST_CONNECTIONS))
        before, start = server.memory(), time.monotonic() + 2
        flood = Job(
            server.port, requests, seconds, TIMES * calm.rate, MOST_CONNECTIONS, start=start
        )
        after = Job(server.port, requests, AFTER_SECONDS, start=start + seconds)
        with (
            Watch(server) as watch,
            Loading(flood, bench.scratch / "flood.npz") as flooding,
            Loading(after, bench.scratch / "after.npz") as following,
        ):
            outcome = flooding.result(), following.result()
        return Outcome(calm, steady, *outcome, before, watch.highest, server.memory())


class Watch:
    """The most memory that a server occupies while this lasts, seen twice a second."""

    def __init__(self, server: Server) -> None:
        self.highest = 0.0
        self._server, self._over = server, Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            self.highest = max(self.highest, self._server.memory())
