"""The whole `train`, cold, warm and with pictures added, against the plain way.

The plain way is the one most projects start with: the frozen network inside the training
loop, run on every picture again in every epoch, a linear layer and Adam behind it, until it
reaches the accuracy that ours has. Where it does not get there, the ratio is a lower bound.
"""

import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from discern.config import SplitConfig
from discern.data import Dataset, load_dataset, split_dataset
from discern.model import load
from discern.training.backbones import Backbone, load_backbone
from material import (
    arguments,
    data_folder,
    discern,
    fresh_cache,
    process,
    timm_transform,
    weights_of,
)

ADDED = 50
BATCH = 8  # the fastest of the plain way on 2 cores, without workers; see embed.py


def plain(
    backbone: Backbone, fit: Dataset, held: Dataset, target: float, epochs: int
) -> tuple[float, float, int]:
    """Seconds, accuracy and epochs of the plain way."""
    import torch  # only now: a process measured before must not inherit torch's memory
    from PIL import Image

    from discern.training.backbone_export import build_network

    transform = timm_transform(backbone)

    class Pictures(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
        def __init__(self, part: Dataset) -> None:
            self.files = list(part.files())
            self.truth = [fit.classes.index(label) for label in part.labels.tolist()]

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
            return transform(Image.open(self.files[i]).convert("RGB")), self.truth[i]

    def batches(part: Dataset, shuffle: bool) -> torch.utils.data.DataLoader[object]:
        return torch.utils.data.DataLoader(Pictures(part), BATCH, shuffle=shuffle)

    torch.manual_seed(0)
    started, best = time.perf_counter(), 0.0
    network = build_network(backbone, pretrained=True).eval()
    head = torch.nn.Linear(backbone.embedding_size, len(fit.classes))
    optimizer = torch.optim.Adam(head.parameters(), 1e-3)
    for epoch in range(1, epochs + 1):
        for images, truth in batches(fit, True):
            with torch.no_grad():
                embedding = network(images)
            loss = torch.nn.functional.cross_entropy(head(embedding), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        hits = 0
        with torch.inference_mode():
            for images, truth in batches(held, False):
                hits += int((head(network(images)).argmax(1) == truth).sum())
        best = max(best, hits / len(held))
        took = time.perf_counter() - started
        print(f"  plain: epoch {epoch}, {hits / len(held):.4f}, {took:.0f} s", flush=True)
        if hits / len(held) >= target:
            break
    return took, best, epoch


def add_pictures(data: Path, n: int) -> None:
    """Put `n` new pictures, mirrored ones, beside evenly spread old ones."""
    from PIL import Image, ImageOps

    files = list(load_dataset(data).files())
    for path in files[:: max(1, len(files) // n)][:n]:
        ImageOps.mirror(Image.open(path).convert("RGB")).save(path.with_name(f"new-{path.name}"))


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--epochs", type=int, default=8, help="of the plain way, at most")
    options = parser.parse_args()
    weights = weights_of(options.backbone)
    with TemporaryDirectory() as folder, fresh_cache():
        data, output = Path(folder) / "data", f"{folder}/model"
        shutil.copytree(data_folder(options.data, Path(folder) / "made"), data)
        words = ["train", str(data), "-o", output, "--backbone", options.backbone]
        words += ["--weights", weights, "--quiet", "--overwrite"]
        cold, memory = process(discern(*words))
        split, metrics = list(load(output).info.metrics.items())[-1]
        target = metrics["accuracy"]["value"]
        print(
            f"ours cold         {cold:.1f} s, {memory:.0f} MB, {target:.4f} on {split}", flush=True
        )
        again = [process(discern(*words))[0] for _ in range(3)]
        print(f"ours again        {', '.join(f'{s:.1f}' for s in again)} s", flush=True)
        dataset = split_dataset(load_dataset(data), SplitConfig())
        backbone = load_backbone(options.backbone, weights=weights)
        fit, held = dataset.select("train"), dataset.select(split)
        took, best, epochs = plain(backbone, fit, held, target, options.epochs)
        bound = "" if best >= target else f" at least: its best is {best:.4f}"
        print(f"plain way         {took:.1f} s, {epochs} epochs")
        print(f"plain / ours cold {took / cold:.1f}{bound}", flush=True)
        add_pictures(data, ADDED)
        added, _ = process(discern(*words))
        print(f"ours, {ADDED} more     {added:.1f} s")


if __name__ == "__main__":
    main()
