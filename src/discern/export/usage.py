"""The README of an export: what it is, how it was proved, ten lines of code that use it."""

from pathlib import PurePosixPath

from discern.export.form import Form
from discern.export.parity import Parity, points
from discern.images import PreprocessSpec
from discern.model import ModelInfo

# How each runtime is asked, by the kind of file that it reads; `feed` is the graph's inputs.
_RUN = {
    ".onnx": (
        "onnxruntime",
        """session = onnxruntime.InferenceSession("{graph}")
probabilities = session.run(["probabilities"], {feed})[0][0]""",
    ),
    ".xml": (
        "openvino",
        """model = openvino.compile_model("{graph}", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})
probabilities = model({feed})["probabilities"][0]""",
    ),
    ".tflite": (
        "ai_edge_litert.interpreter",
        """run = ai_edge_litert.interpreter.Interpreter("{graph}").get_signature_runner()
probabilities = run(**{feed})["probabilities"][0]""",
    ),
    "": (
        "tensorflow",
        """run = tensorflow.saved_model.load("{graph}").signatures["serving_default"]
feed = {{name: tensorflow.constant(value) for name, value in {feed}.items()}}
probabilities = run(**feed)["probabilities"].numpy()[0]""",
    ),
}
_PACKAGES = {".onnx": "onnxruntime", ".xml": "openvino", ".tflite": "ai-edge-litert"}


def readme(form: Form, info: ModelInfo, parity: Parity, picture: str) -> str:
    """The text of README.md; its code labels the file `picture`."""
    package = _PACKAGES.get(PurePosixPath(form.graph).suffix, "tensorflow")
    return f"""# {form.name}

{form.about}. Exported by discern from a model of {len(info.labels)} classes; `{form.graph}` takes
raw pixels, normalises them itself, and gives calibrated probabilities in the order of
`labels.json`, and the embedding.

```
pip install {package} numpy pillow
```

```python
{code(form, info, picture)}
```

Every picture must be resized just so (`preprocessing.json`), or answers are worse than they were
measured to be. Transparent pictures are to be laid on white first.

## Proved

{proved(parity)}

`discern verify .` repeats it on any machine, `discern verify . --data DATA` on the held-out
pictures too. `parity.json` has every figure.
"""


def code(form: Form, info: ModelInfo, picture: str) -> str:
    """A program that prints the label of `picture`, run where the export lies."""
    module, run = _RUN[PurePosixPath(form.graph).suffix]
    feed = '{"images": pixels[None]}'
    if info.metadata is not None:
        size = _metadata_size(info)
        feed = f'{{"images": pixels[None], "metadata": numpy.zeros((1, {size}), "float32")}}'
    return f"""import json, {module}, numpy
from PIL import Image, ImageOps

image = ImageOps.exif_transpose(Image.open("{picture}")).convert("RGB")
{_resized(info.preprocess)}
pixels = numpy.asarray(image)  # uint8 [{info.preprocess.height}, {info.preprocess.width}, 3]
{run.format(graph=_graph(form), feed=feed)}
print(json.load(open("labels.json"))[probabilities.argmax()], probabilities.max())"""


def _graph(form: Form) -> str:
    return form.graph.rstrip("/")


def _metadata_size(info: ModelInfo) -> int:
    from discern.data.metadata import MetadataSpec

    return MetadataSpec.from_dict(info.metadata or {}).size


def _resized(spec: PreprocessSpec) -> str:
    """The lines that resize and crop, or lay on a border."""
    height, width = spec.target
    kernel = f"Image.Resampling.{spec.interpolation.upper()}"
    if spec.resize == "squash":
        size = [f"size = {width}, {height}"]
    elif spec.resize == "shortest" and height == width:
        size = [
            "short = min(image.size)",
            f"size = {width} * image.width // short, {height} * image.height // short",
        ]
    else:
        fit = "max" if spec.resize == "longest" else "min"
        size = [
            f"ratio = {fit}(image.width / {width}, image.height / {height})",
            "size = round(image.width / ratio), round(image.height / ratio)",
        ]
    cut = _on_border(spec) if spec.resize == "longest" else _cropped(spec)
    return "\n".join([*size, f"image = image.resize(size, {kernel})", *cut])


def _cropped(spec: PreprocessSpec) -> list[str]:
    w, h = spec.width, spec.height
    return [
        f"x, y = round((image.width - {w}) / 2), round((image.height - {h}) / 2)",
        f"image = image.crop((x, y, x + {w}, y + {h}))",
    ]


def _on_border(spec: PreprocessSpec) -> list[str]:
    w, h = spec.width, spec.height
    return [
        f'canvas = Image.new("RGB", ({w}, {h}), {tuple(spec.fill)})',
        f"canvas.paste(image, (({w} - image.width) // 2, ({h} - image.height) // 2))",
        "image = canvas",
    ]


def proved(parity: Parity) -> str:
    """What the parity gate found, in a few lines."""
    lines = [
        f"- {name}: the same label for {found.same_label} of {found.pictures}, "
        f"|Δp| at most {found.largest_difference:.1g}"
        for name, found in parity.agreements.items()
    ]
    if parity.accuracy is not None:
        a = parity.accuracy
        lines.append(
            f"- accuracy on {a.pictures} held-out pictures: {a.exported}; the source's "
            f"{a.source}; lost: {points(a.loss.value)} ({100 * a.loss.low:.1f} to "
            f"{100 * a.loss.high:.1f})"
        )
    lines += [
        f"- {name}: {parity.bytes[name] / 1e6:.1f} MB, {pace.latency_ms:.1f} ms a picture on one "
        f"core, {pace.pictures_per_second:.0f} pictures a second on all"
        for name, pace in parity.speed.items()
    ]
    return "\n".join(lines)
