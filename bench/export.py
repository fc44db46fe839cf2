"""Every form of a model beside its source: agreement, accuracy, size and speed, as ratios."""

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from discern.data import Dataset, load_dataset
from discern.errors import DiscernError
from discern.export.export import Exported, export_model
from discern.export.forms import FORMS
from discern.model import Model, load
from discern.runtime.engine import Engine, Images, create_engine
from material import arguments, discern, process, weights_of

ROUNDS, RUNS = 7, 10  # of each graph, by turns


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--model", type=Path, help="a model folder; else one is trained")
    parser.add_argument("--forms", default=",".join(FORMS))
    options = parser.parse_args()
    if options.data is None:
        print("bench/export.py needs photographs with labels: --data DATA")
        return
    with TemporaryDirectory() as folder:
        path = options.model or trained(options.data, options.backbone, Path(folder) / "model")
        model, data = load(path), load_dataset(options.data)
        made = {}
        for form in options.forms.split(","):
            try:
                made[form] = exported(model, data, Path(folder) / form, form)
            except DiscernError as exc:
                print(f"{form}: {type(exc).__name__}: {exc}")
        print_table(model, made)


def trained(data: Path, backbone: str, model: Path) -> Path:
    words = ["train", str(data), "-o", str(model), "--backbone", backbone, "--quiet"]
    process(discern(*words, "--weights", weights_of(backbone)))
    return model


def exported(model: Model, data: Dataset, folder: Path, form: str) -> Exported:
    started = time.perf_counter()
    made = export_model(model, folder, form, data=data)
    print(f"{form}: made and proved in {time.perf_counter() - started:.0f} s")
    return made


def print_table(model: Model, made: dict[str, Exported]) -> None:
    engines: dict[str, Engine] = {"source": create_engine(model.graph, "onnxruntime")}
    engines |= {name: each.export.form.open(each.export.graph) for name, each in made.items()}
    took = milliseconds(engines, model.reference_pixels())
    print(f"\n{os.cpu_count()} processors; source: {took['source']:.1f} ms a picture, one thread")
    print("form           same label  |Δp| at most  accuracy lost, points      size   time")
    for name, each in made.items():
        parity = each.parity
        found, accuracy = parity.agreements["held-out pictures"], parity.accuracy
        lost = "–"
        if accuracy is not None:
            low, value, high = (
                100 * share
                for share in (accuracy.loss.low, accuracy.loss.value, accuracy.loss.high)
            )
            lost = f"{value:.1f} ({low:.1f} to {high:.1f})"
        size = parity.bytes["export"] / parity.bytes["source"]
        print(
            f"{name:<14} {found.same_label:>4}/{found.pictures:<5} "
            f"{found.largest_difference:>12.1g}  {lost:<24} {size:5.2f}  "
            f"{took[name] / took['source']:5.2f}"
        )


def milliseconds(engines: dict[str, Engine], pixels: Images) -> dict[str, float]:
    """A picture through each graph alone, on one thread: the median of rounds by turns."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            engine.run(pixels[:1])
            started = time.perf_counter()
            for i in range(RUNS):
                engine.run(pixels[i % len(pixels)][None])
            times[name].append(1000 * (time.perf_counter() - started) / RUNS)
    return {name: float(np.median(found)) for name, found in times.items()}


if __name__ == "__main__":
    main()
