"""`discern verify`: does the model still give the answers it was saved with?"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern.cli import options
from discern.cli.exit_codes import WORK_FAILED
from discern.cli.terminal import Terminal

if TYPE_CHECKING:
    from discern.model import Verification


def verify(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    engine: options.Engine = "auto",
    precision: options.Precision = "f32",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Check a model folder's hashes, and its answers on its reference pictures."""
    from discern.model import load
    from discern.model import verify as verify_model

    verification = verify_model(load(model), engine=engine, precision=precision)
    document = asdict(verification) | {"passed": verification.passed}
    Terminal(as_json, quiet).result(_summary(verification), document)
    if not verification.passed:
        raise typer.Exit(WORK_FAILED)


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
