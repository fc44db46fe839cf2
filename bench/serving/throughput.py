"""16 connections in a closed loop against all that the machine can do."""

from statistics import median

from serving.contenders import CONNECTIONS, Bench, Contender
from serving.limit import predictor_rate
from serving.loading import Closed, closed_loop
from serving.table import Figure

# Workers, API servers, batch, queue: what its documentation advises for CPUs, and around it.
LITSERVE_SETTINGS = (
    ("2", "1", "1", "zmq"),
    ("2", "1", "1", "pipe"),
    ("2", "2", "1", "zmq"),
    ("1", "1", "8", "zmq"),
)
LITSERVE_AS_IT_COMES = ("1", "1", "1", "pipe")
PEERS = {
    "LitServe as it comes": "≥ 1.75",
    "LitServe at its best": "≥ 1.75",
    "FastAPI, async def": "≥ 2",
    "FastAPI, def": "≥ 2",
}

Loops = dict[str, list[Closed]]


def throughput(bench: Bench) -> list[Figure]:
    contenders = {
        "raw": bench.ours(),
        "form": bench.ours("file"),
        "FastAPI, async def": bench.plain("async"),
        "FastAPI, def": bench.plain("def"),
    }
    if bench.litserve:
        contenders["LitServe as it comes"] = bench.lit(*LITSERVE_AS_IT_COMES)
        contenders["LitServe at its best"] = best_litserve(bench)
    limits: list[float] = []
    loops: Loops = {name: [] for name in contenders}
    for _ in range(bench.rounds):
        limits.append(predictor_rate(bench.model, bench.pictures, bench.seconds))
        for name, contender in contenders.items():
            loops[name].append(measured(contender, bench.seconds))
        print("  ".join([f"limit {limits[-1]:.0f}/s", *map(_said, loops.items())]), flush=True)
    return _figures(limits, loops)


def measured(contender: Contender, seconds: float) -> Closed:
    """One closed loop over a server of its own."""
    with contender.warm() as server:
        return closed_loop(server.port, contender.requests, seconds, CONNECTIONS)


def best_litserve(bench: Bench) -> Contender:
    """LitServe at the settings with which it is fastest here."""
    seconds = max(2, bench.seconds / 3)
    tried = {s: measured(bench.lit(*s), seconds).rate for s in LITSERVE_SETTINGS}
    for settings, rate in tried.items():
        print(f"LitServe with {' '.join(settings)}: {rate:.0f}/s", flush=True)
    return bench.lit(*max(tried, key=lambda settings: tried[settings]))


def _said(item: tuple[str, list[Closed]]) -> str:
    name, loops = item
    failed = f" {loops[-1].failed} failed" if loops[-1].failed else ""
    return f"{name} {loops[-1].rate:.0f}/s{failed}"


def _figures(limits: list[float], loops: Loops) -> list[Figure]:
    rates = {name: [loop.rate for loop in found] for name, found in loops.items()}
    against = [("the limit", limits, "≥ 0.85")]
    against += [(peer, rates[peer], target) for peer, target in PEERS.items() if peer in rates]
    figures = [
        _against(way, name, rates[way], limits, others, target)
        for name, others, target in against
        for way in ("raw", "form")
    ]
    return [*figures, *(_aside(name, found) for name, found in loops.items())]


def _against(
    way: str, name: str, ours: list[float], limits: list[float], others: list[float], target: str
) -> Figure:
    return Figure(
        f"{way}, /s, against {name}",
        median(ours),
        limit=median(limits),
        peer=None if others is limits else median(others),
        ratio=median(a / b for a, b in zip(ours, others, strict=True)),
        target=target,
    )


def _aside(name: str, found: list[Closed]) -> Figure:
    p50, p99, cost = (
        median(getattr(loop, field) for loop in found) for field in ("p50", "p99", "cost")
    )
    failed = sum(loop.failed for loop in found)
    return Figure(
        f"{name}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, {failed} failed; "
        f"the generator {cost:.3f} ms a request"
    )
