"""The parity gate: an export counts if it gives the answers of its source.

Both are run from file to answer, through the same decoding and resizing, each in its own runtime:
the source in ONNX Runtime in single precision, the export in the runtime it was made for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from discern.errors import ParityError
from discern.export.agreement import Accuracies, Agreement, Picked
from discern.export.form import Form, Precision
from discern.export.timing import Pace


@dataclass(frozen=True)
class Bar:
    """What an export must keep to; None where it is not asked."""

    same_label: float | None = None  # the least share of pictures
    difference: float | None = None  # the largest |Δp|
    mean_difference: float | None = None  # of each picture's largest |Δp|
    accuracy_loss: float | None = None  # on held-out labelled pictures, as a share of them


def bar_of(precision: Precision, accuracy_loss: float) -> Bar:
    """The bar for a precision; `accuracy_loss` is for int8.

    Accuracy alone would let probabilities through that mean nothing any more: a picture that is
    normalised twice often keeps its label.
    """
    if precision == "int8":
        return Bar(mean_difference=0.05, accuracy_loss=accuracy_loss)
    return Bar(1.0, 1e-3) if precision == "f32" else Bar(0.995, 2e-2)


# int8 on another machine, beside its own answers when it was made: kernels sum in other orders,
# and a rounding that goes the other way is carried on by every layer after it.
REPEATED_INT8 = Bar(1.0, 0.1)


@dataclass(frozen=True)
class Parity:
    """An export's proof: what was compared, what was asked, what was found."""

    form: str
    precision: Precision
    bar: Bar
    agreements: Mapping[str, Agreement]  # what was compared → how far they agree
    accuracy: Accuracies | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)  # picture → why
    failures: tuple[str, ...] = ()  # what the bar was not kept by
    speed: Mapping[str, Pace] = field(default_factory=dict)  # of "source" and "export"
    bytes: Mapping[str, int] = field(default_factory=dict)  # of both graphs
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return bool(self.agreements) and not self.failures

    @property
    def worst(self) -> Picked:
        """The picture on which they differ most."""
        return max(
            (each for found in self.agreements.values() for each in found.worst),
            key=lambda each: (each.source != each.exported, each.difference),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as parity.json holds them."""
        return {"passed": self.passed, **asdict(self)}


def judged(
    form: Form, bar: Bar, agreements: Mapping[str, Agreement], accuracy: Accuracies | None
) -> tuple[str, ...]:
    """By what the bar was not kept, in words; empty if it was."""
    found = [
        *(said for name, each in agreements.items() for said in _senseless(name, each)),
        *_labels_beyond(bar, agreements),
        *(
            said
            for name, each in agreements.items()
            for said in _difference_beyond(bar, name, each)
        ),
        *_mean_beyond(bar, agreements),
        *_loss_beyond(bar, accuracy),
    ]
    return tuple(f"{form.name}: {failure}" for failure in found)


def _senseless(name: str, found: Agreement) -> Iterator[str]:
    if found.senseless:
        yield f"no probabilities for {found.senseless} of {found.pictures} pictures ({name})."


def _labels_beyond(bar: Bar, agreements: Mapping[str, Agreement]) -> Iterator[str]:
    """The share is asked of all pictures together: of a dozen alone, none could differ."""
    n = sum(each.pictures for each in agreements.values())
    changed = n - sum(each.same_label for each in agreements.values())
    if bar.same_label is not None and n - changed < bar.same_label * n:
        yield f"{changed} of {n} labels change; at most {int(n - bar.same_label * n)} may."


def _difference_beyond(bar: Bar, name: str, found: Agreement) -> Iterator[str]:
    if bar.difference is not None and found.largest_difference > bar.difference:
        yield (
            f"|Δp| up to {found.largest_difference:.2g} ({name}); "
            f"at most {bar.difference:g} may be."
        )


def _mean_beyond(bar: Bar, agreements: Mapping[str, Agreement]) -> Iterator[str]:
    """Over all pictures together, too: the reference pictures are few."""
    n = sum(each.pictures for each in agreements.values())
    mean = sum(each.pictures * each.mean_difference for each in agreements.values()) / max(n, 1)
    if bar.mean_difference is not None and mean > bar.mean_difference:
        yield f"|Δp| {mean:.2g} on average; at most {bar.mean_difference:g} may be."


def _loss_beyond(bar: Bar, accuracy: Accuracies | None) -> Iterator[str]:
    if bar.accuracy_loss is None or accuracy is None:
        return
    loss = accuracy.loss
    if loss.value > bar.accuracy_loss:
        yield (
            f"accuracy falls from {100 * accuracy.source.value:.1f} to "
            f"{100 * accuracy.exported.value:.1f} % on {accuracy.pictures} pictures: "
            f"{points(loss.value)} ({100 * loss.low:.1f} to {100 * loss.high:.1f}) are lost; "
            f"{points(bar.accuracy_loss)} may be."
        )


def points(share: float) -> str:
    """A difference of shares, in percentage points."""
    return f"{100 * share:.1f} points"


def require(parity: Parity) -> None:
    """ParityError, saying by how much and on which picture, for one that does not agree."""
    if parity.passed:
        return
    worst = parity.worst
    raise ParityError(
        "\n".join(parity.failures)
        + f"\nThe worst is {worst.picture}: {worst.source} becomes {worst.exported}, "
        f"|Δp| {worst.difference:.2g}. Nothing was written. {_remedy(parity)}"
    )


def _remedy(parity: Parity) -> str:
    if parity.precision == "int8":
        return "Take a form in f32 or fp16, or allow more with --accuracy-loss."
    return "Take another form."
