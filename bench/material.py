"""What the measurements run on: real pictures and weights where they are given, else made ones."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from discern.config import cache_dir
from discern.training.backbones import Backbone

SHARED = Path(os.environ.get("DISCERN_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options that all measurements share."""
    pictures = SHARED / "data" / "clothing"
    weights = SHARED / "backbones" / "mobilenetv2_100.imagenet"
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=pictures if pictures.exists() else None)
    parser.add_argument(
        "--backbone", default=f"local-dir:{weights}" if weights.exists() else "mobilenetv2_100"
    )
    return parser


def weights_of(backbone: str) -> str:
    """Pretrained where the weights lie on this disk; random ones otherwise (the speed is equal)."""
    return "pretrained" if backbone.startswith("local-dir:") else "none"


def data_folder(given: Path | None, folder: Path, n: int = 400) -> Path:
    """The folder given, or `n` generated photograph-sized JPEGs in two classes."""
    if given is not None:
        return given
    random = np.random.default_rng(0)
    for i in range(n):
        small = random.integers(0, 255, (50, 40, 3), np.uint8)
        path = folder / ("a", "b")[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(small).resize((400, 533), Image.Resampling.BICUBIC).save(path, quality=90)
    return folder


@contextmanager
def fresh_cache() -> Iterator[Path]:
    """An empty cache for as long as it lasts."""
    before = os.environ.get("DISCERN_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISCERN_CACHE"] = folder
        try:
            yield Path(folder)
        finally:
            del os.environ["DISCERN_CACHE"]
            if before is not None:
                os.environ["DISCERN_CACHE"] = before


def timm_transform(backbone: Backbone) -> Callable[[Image.Image], Any]:
    """timm's own evaluation transform for a backbone, as the plain way uses it."""
    from timm.data import create_transform  # loads torch; see `process` on why only now

    spec = backbone.preprocess
    transform: Callable[[Image.Image], Any] = create_transform(
        (3, spec.height, spec.width),
        interpolation=spec.interpolation,
        crop_pct=spec.crop,
        mean=backbone.mean,
        std=backbone.std,
    )
    return transform


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def process(command: list[str], **environment: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of a whole process, its output thrown away.

    Linux counts the memory that this process had at the fork, so keep it small until then.
    """
    settings = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | environment
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=settings)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)} ended with {child.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / (
        1 if sys.platform == "darwin" else 1024
    )


def python_with(name: str, requirements: Sequence[str]) -> Path | None:
    """A Python of its own with these packages, made once and kept in the cache under `name`.

    None where they cannot be installed, which is said.
    """
    folder = cache_dir() / "bench" / name
    python, made = folder / "bin" / "python", folder / "made"
    if made.exists() and made.read_text() == " ".join(requirements):
        return python
    venv.create(folder, with_pip=True, clear=True)
    words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    if subprocess.run([str(python), *words], stdout=sys.stderr).returncode:
        print(f"{' '.join(requirements)} cannot be installed; left out.", file=sys.stderr)
        return None
    made.write_text(" ".join(requirements))
    return python


def discern(*words: str) -> list[str]:
    """The command line of a discern command."""
    return [sys.executable, "-c", "from discern.cli import main; main()", *words]
