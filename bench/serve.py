"""JPEG in, JSON out: ours, what decoding and inference alone allow, LitServe, plain FastAPI.

Each section (`bench/serving/`) can be run alone: `python bench/serve.py throughput latency`.
The limit is the Predictor over the same pictures' bytes in memory on all cores. Everything runs
the same graph in ONNX Runtime. The load comes from processes of their own on the same cores;
what a request costs them is printed. Rounds are interleaved, ratios are medians over rounds.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from discern.data import load_dataset
from material import arguments, data_folder, discern, fresh_cache, process, weights_of
from serving.answers import answers
from serving.contenders import Bench, litserve_python
from serving.latency import latency
from serving.overload import overload
from serving.reloads import reloads
from serving.start import start
from serving.table import Figure, as_json, show
from serving.throughput import throughput
from serving.tiers import tiers

SECTIONS: dict[str, Callable[[Bench], Sequence[Figure]]] = {
    section.__name__: section
    for section in (start, answers, throughput, latency, overload, tiers, reloads)
}


def trained(folder: Path, data: Path, backbone: str) -> Path:
    """A model of these pictures; the folder's name is the model's."""
    words = ["train", str(data), "-o", str(folder), "--backbone", backbone, "--quiet"]
    process(discern(*words, "--weights", weights_of(backbone)))
    return folder


def held_out(data: Path) -> list[Path]:
    """The pictures that are not for training, or all if they are not divided."""
    dataset = load_dataset(data)
    validation = dataset.where(dataset.splits == "validation")
    return list((validation if len(validation) else dataset).files())


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--model", type=Path, help="a model folder; trained if not given")
    parser.add_argument("--seconds", type=float, default=10, help="a measurement's; floods take 6x")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reloads", type=int, default=200)
    options = parser.parse_args()
    if unknown := set(options.sections) - SECTIONS.keys():
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped too
    litserve = litserve_python()
    with TemporaryDirectory() as scratch:
        data = data_folder(options.data, Path(scratch) / "data")
        model = options.model or trained(Path(scratch) / "clothes", data, options.backbone)
        with fresh_cache():  # no engine is remembered as faster: ONNX Runtime everywhere
            bench = Bench(
                model,
                held_out(data),
                Path(scratch),
                options.seconds,
                options.rounds,
                options.reloads,
                litserve,
            )
            found = {}
            for name in options.sections or SECTIONS:
                found[name] = SECTIONS[name](bench)
                show(name, found[name])
    print(as_json(found))


if __name__ == "__main__":
    main()
