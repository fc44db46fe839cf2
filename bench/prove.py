"""What meaning costs beside the answer itself: sets and "none of these", heat maps, tuning.

Per picture, interleaved: the graph alone, the graph with its meaning, Grad-CAM, occlusion. Then
trials of `tune` against the time that their cross-validation alone would take on these cores.
"""

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from discern import TrainConfig, load_dataset, train, tune
from discern.config import HeadConfig
from discern.images import read_bytes
from discern.model import Model
from discern.model.explain import Explainer
from discern.runtime.pipeline import to_pixels
from material import arguments, data_folder, weights_of

PICTURES, ROUNDS, TRIALS = 40, 3, 50


def milliseconds(work: object, items: list[object]) -> float:
    """The median time of `work` on an item."""
    times = []
    for item in items:
        started = time.perf_counter()
        work(item)  # type: ignore[operator]
        times.append(time.perf_counter() - started)
    return 1000 * median(times)


def per_picture(model: Model, files: list[Path]) -> None:
    data = [read_bytes(path) for path in files]
    engine, explainer = model.predictor().engine, Explainer.of(model)
    spec, meaning = model.info.preprocess, model.interpreter

    def graph(picture: bytes) -> dict[str, np.ndarray]:
        return {name: v[0] for name, v in engine.run(to_pixels(picture, spec)[None]).items()}

    ways = {
        "graph": graph,
        "with sets and none of these": lambda picture: meaning(graph(picture)),
        "with Grad-CAM": lambda picture: explainer.explain(picture),
        "by occlusion": lambda picture: explainer.explain(picture, method="occlusion"),
    }
    for work in ways.values():
        work(data[0])  # opens what it needs
    rounds = [
        {name: milliseconds(work, data) for name, work in ways.items()} for _ in range(ROUNDS)
    ]
    found = {name: median(r[name] for r in rounds) for name in ways}
    for name, ms in found.items():
        print(f"{name:<28} {ms:7.1f} ms   {ms / found['graph']:6.2f} of the graph alone")


def tuning(folder: Path, data: Path, config: TrainConfig) -> None:
    dataset = load_dataset(data)
    started = time.perf_counter()
    one = TrainConfig(backbone=config.backbone, weights=config.weights, head=HeadConfig(c=(0.01,)))
    train(dataset, folder / "one", one)
    once = time.perf_counter() - started
    started = time.perf_counter()
    tuned = tune(dataset, folder / "tuned", config, trials=TRIALS)
    seconds = time.perf_counter() - started
    print(f"{TRIALS} trials {seconds:.0f} s, {seconds / once:.1f} of one training with its C given")
    print(f"{len(tuned.trials)} of them went to their end")


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    config = TrainConfig(backbone=options.backbone, weights=weights_of(options.backbone))
    with TemporaryDirectory() as name:
        folder = Path(name)
        data = data_folder(options.data, folder / "pictures")
        dataset = load_dataset(data)
        model = train(dataset, folder / "model", config)
        per_picture(model, list(dataset.files())[:PICTURES])
        tuning(folder, data, config)


if __name__ == "__main__":
    main()
