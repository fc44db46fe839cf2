"""Files on disk → embeddings, against what decoding and inference alone allow, and torch eager.

The combined limit is that of cores which decode each picture and then run it through the
network, with nothing between: 1 / (1 / decode rate + 1 / engine rate). Rounds are interleaved;
the ratios are medians over rounds.
"""

import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from discern.data import load_dataset
from discern.images import picture_to_input, read_bytes
from discern.runtime.choose import open_engine
from discern.runtime.machine import cores
from discern.training.backbone_export import build_network
from discern.training.backbones import Backbone, load_backbone
from discern.training.embedding import embed
from material import arguments, data_folder, fresh_cache, seconds, timm_transform, weights_of


def decode_rate(files: list[Path], backbone: Backbone) -> float:
    """Pictures a second that all cores read, decode and resize."""

    def work(path: Path) -> None:
        picture_to_input(read_bytes(path), backbone.preprocess)

    with ThreadPoolExecutor(cores()) as pool:
        return len(files) / seconds(lambda: list(pool.map(work, files)))


def engine_rate(files: list[Path], backbone: Backbone, precision: str) -> float:
    """Pictures a second that the fastest engine infers on all cores, from decoded pixels."""
    pixels = np.stack([picture_to_input(read_bytes(f), backbone.preprocess) for f in files[:64]])
    engine = open_engine(backbone.graph, sample=pixels[:16], precision=precision)
    indices = [i % len(pixels) for i in range(len(files))]
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(lambda i: engine.run(pixels[i : i + 1]), indices[: 4 * cores()]))
        return len(files) / seconds(
            lambda: list(pool.map(lambda i: engine.run(pixels[i : i + 1]), indices))
        )


def embed_rate(files: list[Path], backbone: Backbone, precision: str) -> float:
    """Pictures a second of `embed`, nothing cached."""
    with fresh_cache() as cache:
        # Which engine is fastest is measured once a machine, not once a run.
        engine = open_engine(backbone.graph, sample=None, precision=precision).name
        del cache
        took = seconds(lambda: embed(files, backbone, engine=engine, precision=precision))
    return len(files) / took


def torch_rate(files: list[Path], backbone: Backbone, batch: int = 8) -> float:
    """Pictures a second the plain way: a DataLoader with timm's transform, the network in eager.

    Batches of 8 in one process were its fastest on 2 cores: 43/s, against 24/s with batches of 32
    and two workers.
    """
    import torch
    from PIL import Image

    transform = timm_transform(backbone)

    class Pictures(torch.utils.data.Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, i: int) -> torch.Tensor:
            return transform(Image.open(files[i]).convert("RGB"))  # type: ignore[no-any-return]

    network = build_network(backbone, pretrained=True).eval()
    loader = torch.utils.data.DataLoader(Pictures(), batch)

    def run() -> None:
        with torch.inference_mode():
            for images in loader:
                network(images)

    return len(files) / seconds(run)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--pictures", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="f32")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        files = list(load_dataset(data_folder(options.data, Path(folder))).files())
        files = files[:: max(1, len(files) // options.pictures)][: options.pictures]
        backbone = load_backbone(options.backbone, weights=weights_of(options.backbone))
        rows = []
        for _ in range(options.rounds):
            d = decode_rate(files, backbone)
            e = engine_rate(files, backbone, options.precision)
            ours = embed_rate(files, backbone, options.precision)
            eager = torch_rate(files[: len(files) // 3], backbone)
            rows.append((d, e, 1 / (1 / d + 1 / e), ours, eager))
            names = ("decode", "engine", "limit", "ours", "torch")
            print("  ".join(f"{n} {r:.0f}/s" for n, r in zip(names, rows[-1], strict=True)))
    print(f"ours / limit        {statistics.median(r[3] / r[2] for r in rows):.2f}")
    print(f"ours / torch eager  {statistics.median(r[3] / r[4] for r in rows):.2f}")


if __name__ == "__main__":
    main()
