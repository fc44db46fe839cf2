"""New versions of a model, one after the other, under load."""

import http.client
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from serving.contenders import Bench
from serving.loading import Job, Load, Loading
from serving.servers import Server
from serving.table import Figure
from serving.tiers import model_server, repository

CONNECTIONS = 8  # loading takes cores too; these never fill the line
POLL_SECONDS = 0.2
LONGEST = 3600.0  # seconds; the load is told to end before
SETTLE_SECONDS = 1.0  # for requests that still hold the version before
PATIENCE = 60.0  # seconds for one version


def reloads(bench: Bench) -> list[Figure]:
    memory: dict[int, float] = {}
    with repository(bench) as folder, model_server(folder, "--poll", str(POLL_SECONDS)) as found:
        server, versions = found[0], folder / bench.folder.name
        job = Job(server.port, str(bench.requests()), LONGEST, connections=CONNECTIONS)
        with Loading(job, bench.scratch / "reloads.npz") as loading:
            time.sleep(2)  # under way, warm
            memory[0], started = server.memory(), time.monotonic()
            for swap in range(1, bench.reloads + 1):
                swap_version(versions, server, swap)
                if swap % max(1, bench.reloads // 4) == 0:
                    time.sleep(SETTLE_SECONDS)
                    memory[swap] = server.memory()
            took = time.monotonic() - started
            loading.end()
            return _figures(bench.reloads, memory, took, loading.result())


def _figures(swaps: int, memory: Mapping[int, float], took: float, load: Load) -> list[Figure]:
    first = sorted(memory)[1]
    return [
        Figure(f"failed of {len(load.due)} requests, {swaps} swaps", load.failed, target="0"),
        Figure("seconds a swap", took / swaps),
        Figure("p50, ms", load.milliseconds(50)),
        Figure("p99, ms", load.milliseconds(99)),
        *(
            Figure(
                f"memory after {n} swaps, MB; of after {first}",
                mb,
                ratio=mb / memory[first],
                target="flat" if n > first else "",
            )
            for n, mb in memory.items()
        ),
        Figure(f"ended: {load.statuses()}"),
    ]


def swap_version(versions: Path, server: Server, old: int) -> None:
    """Put version `old` + 1 beside `old`, wait until it answers, take `old` away."""
    new, part = versions / str(old + 1), versions.parent.parent / f"{versions.name}.part"
    shutil.copytree(versions / str(old), part, copy_function=os.link)
    part.rename(new)  # versions appear complete, as a careful publisher lets them
    started = time.monotonic()
    while available(server, versions.name) != [str(old + 1)]:
        if time.monotonic() > started + PATIENCE:
            sys.exit(f"Version {old + 1} was not taken up in {PATIENCE:.0f} s.")
        time.sleep(0.05)
    shutil.rmtree(versions / str(old))


def available(server: Server, name: str) -> list[str]:
    """The versions that TF-Serving's status route says are available."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("GET", f"/v1/models/{name}")
        document = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    states = document["model_version_status"]
    return [state["version"] for state in states if state["state"] == "AVAILABLE"]
