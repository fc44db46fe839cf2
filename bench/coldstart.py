"""Process start → first prediction: ours, the floor that the engine sets, torch eager."""

import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from discern.data import load_dataset
from discern.model import load
from material import arguments, data_folder, discern, process, weights_of

FLOOR = """
import sys, numpy, onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""
EAGER = """
import sys, timm, torch
from PIL import Image
model = timm.create_model("mobilenetv2_100", num_classes=10).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
with torch.inference_mode():
    print(model(transform(Image.open(sys.argv[1]).convert("RGB"))[None]).softmax(1))
"""


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        data = data_folder(options.data, Path(folder) / "data", 60)
        words = ["train", str(data), "-o", f"{folder}/model", "--backbone", options.backbone]
        process(discern(*words, "--weights", weights_of(options.backbone), "--quiet"))
        model = load(f"{folder}/model")
        picture = str(load_dataset(data).file(0))
        ways = {
            "ours": discern("predict", str(model.path), picture, "--engine", "onnxruntime"),
            "floor": [sys.executable, "-c", FLOOR, str(model.graph)],
            "torch": [sys.executable, "-c", EAGER, picture],
        }
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for i in range(options.runs + 1):
            for name, command in ways.items():
                found = process(command)
                if i:  # the first round fills the disk's cache and Python's
                    runs[name].append(found)
    for name, found in runs.items():
        took = statistics.median(t for t, _ in found)
        print(f"{name:<6} {took:.2f} s  {max(m for _, m in found):.0f} MB")
    ours, floor, eager = (
        statistics.median(t for t, _ in runs[name]) for name in ("ours", "floor", "torch")
    )
    print(f"ours / floor        {ours / floor:.2f}")
    print(f"torch eager / ours  {eager / ours:.2f}")


if __name__ == "__main__":
    main()
