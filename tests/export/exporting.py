"""Data that tiny models are exported with, and ways in which a conversion can be wrong."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from discern.data import Dataset, load_dataset
from discern.export.form import Conversion, Form
from discern.export.forms import form_named
from discern.model import Model

Arrays = dict[str, np.ndarray]


def write_data(root: Path, model: Model, seen: list[Path], held_out: int = 210) -> Dataset:
    """A folder per class: pictures that the model was trained on, and others, which it gets right
    but for one in ten."""
    rng = np.random.default_rng(7)
    for i in range(held_out):
        pixels = (rng.integers(0, 256, (20, 22, 3)) + 3 * rng.integers(0, 256, 3)) // 4
        _save(root / "new" / f"{i:03d}.png", pixels)
    made = sorted((root / "new").iterdir())
    for i, (file, prediction) in enumerate(zip(made, model.predict(made), strict=True)):
        wrong = next(label for label in model.info.labels if label != prediction.label)
        folder = root / (wrong if i % 10 == 0 else str(prediction.label))
        folder.mkdir(exist_ok=True)
        file.rename(folder / file.name)
    (root / "new").rmdir()
    for file in seen:
        shutil.copy(file, root / model.info.labels[0] / f"seen-{file.name}")
    return load_dataset(root)


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def normalised_twice(arrays: Arrays) -> None:
    arrays["scale"] *= arrays["scale"]


def channels_swapped(arrays: Arrays) -> None:
    arrays["kernel"][:] = arrays["kernel"][:, ::-1].copy()


def labels_permuted(arrays: Arrays) -> None:
    arrays["weight"][:] = np.roll(arrays["weight"], 1, axis=1)


def weight_halved(arrays: Arrays) -> None:
    arrays["kernel"] *= 0.5


def facts_forgotten(arrays: Arrays) -> None:
    arrays["facts"] *= 0


def broken(like: str, how: Callable[[Arrays], None]) -> Form:
    """The form `like`, whose converter makes a mistake with the constants of `make_graph`."""
    form = form_named(like)

    def convert(conversion: Conversion) -> None:
        wrong = conversion.graph.with_name("wrong.onnx")
        change(conversion.model.graph, wrong, how)
        form.convert(replace(conversion, model=_WithGraph(wrong)))  # type: ignore[arg-type]
        wrong.unlink()

    return replace(form, name=f"broken-{like}", convert=convert)


def change(source: Path, target: Path, how: Callable[[Arrays], None]) -> None:
    """Write a graph with its constants changed."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    arrays = {a.name: numpy_helper.to_array(a).copy() for a in model.graph.initializer}
    how(arrays)
    for array in model.graph.initializer:
        array.CopyFrom(numpy_helper.from_array(np.asarray(arrays[array.name]), array.name))
    onnx.save(model, target)


class _WithGraph:
    """As much of a model as converters take."""

    def __init__(self, graph: Path) -> None:
        self.graph = graph
