"""Latency in the open loop at 70 % of the maximum.

Beside it stands what an ideal queue would give: first come, first served, by cores that do
nothing but decode and infer, at the same moments. Requests at random moments wait for each other
even there.
"""

from collections.abc import Mapping

import numpy as np

from load import arrivals
from serving.contenders import CONNECTIONS, Bench, Contender
from serving.limit import ideal_latencies, service_seconds
from serving.loading import Job, Load, load
from serving.table import Figure, divided

SHARE = 0.7
MOST_CONNECTIONS = 512
SPACINGS = ("poisson", "even")


def latency(bench: Bench) -> list[Figure]:
    peers = at_share(bench.lit(), bench.seconds) if bench.litserve else {}
    ours = at_share(bench.ours(), bench.seconds)
    service = service_seconds(bench.model, bench.pictures, bench.seconds)
    return [
        figure
        for spacing in SPACINGS
        for figure in _figures(spacing, ours[spacing], service, peers.get(spacing))
    ]


def at_share(contender: Contender, seconds: float) -> Mapping[str, Load]:
    """Open loops at 70 % of what the server makes with 16 connections just before."""
    with contender.warm() as server:
        requests = str(contender.requests)
        maximum = load(Job(server.port, requests, seconds, connections=CONNECTIONS)).rate
        rate = SHARE * maximum
        return {
            spacing: load(
                Job(server.port, requests, 3 * seconds, rate, MOST_CONNECTIONS, spacing=spacing)
            )
            for spacing in SPACINGS
        }


def _figures(spacing: str, ours: Load, service: list[float], peer: Load | None) -> list[Figure]:
    offered = len(ours.due) / ours.seconds
    moments = arrivals(offered, 0, 10 * ours.seconds, spacing)
    ideal = 1000 * ideal_latencies(moments, service)
    p50, p99 = (
        Figure(
            f"{spacing}: p{percentile}, ms",
            ours.milliseconds(percentile),
            limit=float(np.percentile(ideal, percentile)),
            peer=peer and peer.milliseconds(percentile),
        )
        for percentile in (50, 99)
    )
    return [
        Figure(f"{spacing}: offered, /s", offered, peer=peer and len(peer.due) / peer.seconds),
        p50,
        p99,
        divided(p99, p50, f"{spacing}: p99 / p50", "≤ 2.5"),
        Figure(f"{spacing}: not 200", ours.failed, peer=peer and peer.failed, target="0"),
        Figure(f"{spacing}: generator {ours.cost()}"),
    ]
