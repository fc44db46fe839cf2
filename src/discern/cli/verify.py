"""`discern verify`: does a model, or an export, still give the answers it was saved with?"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discern.cli import options
from discern.cli.exit_codes import WORK_FAILED
from discern.cli.terminal import Terminal
from discern.errors import ConfigError

if TYPE_CHECKING:
    from discern.export.parity import Parity
    from discern.model import Model, Verification


def verify(
    model: Annotated[Path, typer.Argument(help="A model folder, or an export.")],
    data: Annotated[
        str | None,
        typer.Option(
            help="For an export: the data it was proved on, to prove it on them again.",
            rich_help_panel=options.DATA,
        ),
    ] = None,
    engine: options.Engine = "auto",
    precision: options.Precision = "f32",
    layout: options.Layout = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    images: options.Images = None,
    labels: options.Labels = None,
    level: options.Level = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Check the hashes of a model folder or an export, and its answers on reference pictures."""
    from discern.export.folder import is_export
    from discern.model import load

    terminal = Terminal(as_json, quiet)
    if is_export(model):
        if (engine, precision) != ("auto", "f32"):
            raise ConfigError("An export runs in its own runtime. Leave out --engine, --precision.")
        reading = {"layout": layout, "image_column": image_column, "label_column": label_column}
        reading |= {"images": images, "labels": labels, "level": level}
        passed = _verify_export(model, data, reading, terminal)
    elif data is not None:
        load(model)  # says so if it is no model either
        raise ConfigError(
            "--data is for exports. A model is scored by: discern evaluate MODEL DATA"
        )
    else:
        passed = _verify_model(load(model), engine, precision, terminal)
    if not passed:
        raise typer.Exit(WORK_FAILED)


def _verify_model(model: "Model", engine: str, precision: str, terminal: Terminal) -> bool:
    from discern.model import verify as verify_model

    verification = verify_model(model, engine=engine, precision=precision)
    document = asdict(verification) | {"passed": verification.passed}
    terminal.result(_summary(verification), document)
    return verification.passed


def _verify_export(
    folder: Path, data: str | None, reading: dict[str, Any], terminal: Terminal
) -> bool:
    from discern.data import load_dataset
    from discern.export.export import verify_export
    from discern.export.folder import load_export

    dataset = load_dataset(data, **reading, progress=terminal) if data else None
    parity = verify_export(load_export(folder), dataset, progress=terminal)
    terminal.result(_told(parity), parity.to_dict())
    return parity.passed


def _told(parity: "Parity") -> str:
    from discern.export.usage import proved

    if parity.passed:
        return f"Verified: every hash, and the answers of {parity.form}:\n{proved(parity)}"
    worst = parity.worst
    return "\n".join(
        [
            "Not verified:",
            *(f"  {failure}" for failure in parity.failures),
            f"  the worst is {worst.picture}: expected {worst.source}, got {worst.exported}, "
            f"|Δp| {worst.difference:.2g}",
        ]
    )


def _summary(verification: "Verification") -> str:
    how = f"{verification.engine} {verification.precision}"
    checks = verification.checks
    worst = max((check.difference for check in checks), default=0.0)
    bad = [check for check in checks if not check.passed]
    if verification.passed:
        return (
            f"Verified: every hash, and {len(checks)} reference pictures with {how}: "
            f"largest |Δp| {worst:.1e}, allowed {verification.tolerance}."
        )
    lines = [
        f"  {c.picture}: expected {c.expected}, got {c.actual}, |Δp| {c.difference:.3f}"
        for c in bad
    ]
    return "\n".join([f"Not verified: {len(bad)} of {len(checks)} answers differ ({how}).", *lines])
