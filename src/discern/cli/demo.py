"""`discern demo`: the whole path on real pictures, without a network or a model hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern.cli import options
from discern.cli.terminal import Terminal

if TYPE_CHECKING:
    from discern.config import TrainConfig

SHOWN = 6  # predictions


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to work.")] = Path("demo"),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a small network from scratch on handwritten digits, evaluate it, predict.

    A second run finds the pictures and the model there and only uses them.
    """
    from discern.data import load_dataset
    from discern.data.digits import write_digits
    from discern.evaluation import evaluate
    from discern.model import load
    from discern.training import train
    from discern.whole_folder import writing

    terminal = Terminal(as_json, quiet)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        pictures = write_digits(folder / "digits")
    output, dataset = folder / "digits-model", load_dataset(pictures)
    if output.exists():
        terminal.say(f"{output} is there; delete it to train again.")
    else:
        train(dataset, output, settings(), progress=terminal)
    model = load(output)
    evaluation = evaluate(model, dataset, progress=terminal)
    test = [str(path) for path in evaluation.scored.files]
    shown = test[:: max(1, len(test) // SHOWN)][:SHOWN]
    predictions = list(zip(shown, model.predict(shown), strict=True))
    lines = [f"  {p.probability:6.1%}  {p.label}  {name}" for name, p in predictions]
    m = evaluation.metrics
    terminal.result(
        "\n".join(
            [
                f"{output}: accuracy {m.accuracy} on {m.n} pictures it has not seen",
                "",
                *lines,
                "",
                "Next:",
                f"  open {output}/report.html",
                f"  discern predict {output} {pictures}/7/*.png",
                f"  discern verify {output}",
                f"  discern inspect {pictures} -o {folder}/inspection.html",
                "  discern train YOUR-PICTURES -o my-model",
            ]
        ),
        {
            "model": str(output),
            "accuracy": m.to_dict()["accuracy"],
            "predictions": {name: p.label for name, p in predictions},
        },
    )


def settings() -> "TrainConfig":
    """A small network at the digits' own size; no mirroring, for digits have a handedness."""
    from discern.config import FinetuneConfig, TrainConfig

    loop = FinetuneConfig(
        epochs=5,
        batch_size=64,
        learning_rate=2e-3,
        layer_decay=1.0,
        randaugment=0,
        crop_scale=0.7,
        flip=False,
        train_size=1.0,
        ema_decay=0.98,
    )
    return TrainConfig(mode="scratch", backbone="resnet10t", image_size=32, finetune=loop)
