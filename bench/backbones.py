"""What backbones cost on this machine's CPU: milliseconds a picture, with random weights.

Speed does not depend on the weights' values. The accuracies to hold against it are the
published ones of timm's results tables; docs/backbones.md has both.
"""

import argparse

import numpy as np

from discern.runtime.choose import open_engine
from discern.runtime.machine import cores
from discern.training.backbones import SHORT_NAMES, load_backbone
from material import fresh_cache, seconds

CALLS = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(SHORT_NAMES))
    for name in parser.parse_args().names:
        with fresh_cache():
            backbone = load_backbone(name, weights="none")
            spec = backbone.preprocess
            pixels = np.zeros((1, spec.height, spec.width, 3), np.uint8)
            engine = open_engine(backbone.graph, precision="f32", goal="latency")
            engine.run(pixels)
            took = min(seconds(lambda: engine.run(pixels)) for _ in range(CALLS))  # noqa: B023
            size = backbone.graph.stat().st_size / 1e6
        print(
            f"{name:<16} {backbone.name:<42} {spec.width:>4} px {size:7.1f} MB "
            f"{backbone.embedding_size:>5} {1000 * took:7.1f} ms on {cores()} cores",
            flush=True,
        )


if __name__ == "__main__":
    main()
