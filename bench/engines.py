"""Why one picture a call and one thread a call: engine rates by batch size and threads.

For each engine and precision here, pictures a second of (a) as many calling threads as cores,
each call on one thread, and (b) one call at a time over all cores.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from discern.runtime.engine import Goal, create_engine
from discern.runtime.machine import cores
from discern.runtime.openvino_runtime import has_bf16, installed
from discern.training.backbones import load_backbone
from material import arguments, seconds, weights_of

PICTURES = 192


def rate(graph: object, pair: tuple[str, str], goal: Goal, pixels: np.ndarray) -> float:
    engine = create_engine(graph, *pair, goal=goal)  # type: ignore[arg-type]
    with ThreadPoolExecutor(cores() if goal == "throughput" else 1) as pool:
        calls = [pixels[i : i + 1] for i in range(len(pixels))]
        list(pool.map(engine.run, calls[: 4 * cores()]))
        return len(calls) / seconds(lambda: list(pool.map(engine.run, calls)))


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    backbone = load_backbone(options.backbone, weights=weights_of(options.backbone))
    spec = backbone.preprocess
    shape = (PICTURES, spec.height, spec.width, 3)
    pixels = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    pairs = [("onnxruntime", "f32")]
    if installed():
        pairs += [("openvino", "f32")] + ([("openvino", "bf16")] if has_bf16() else [])
    for pair in pairs:
        spread = max(rate(backbone.graph, pair, "throughput", pixels) for _ in range(3))
        joined = max(rate(backbone.graph, pair, "latency", pixels) for _ in range(3))
        print(f"{' '.join(pair):<16} a call a core {spread:.0f}/s   a call over all {joined:.0f}/s")


if __name__ == "__main__":
    main()
