"""Running an export beside its source, or beside what its source once said."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discern.errors import ModelDamagedError
from discern.export.agreement import Accuracies, Agreement, Answers, accuracies, agreement, ask
from discern.export.form import Form
from discern.export.material import HeldOut, Material, require_enough
from discern.export.parity import REPEATED_INT8, Bar, Parity, judged
from discern.model import Model, ModelInfo
from discern.model.info import RESTORE
from discern.model.interpreter import Interpreter
from discern.model.reference import Reference
from discern.progress import Progress
from discern.runtime import Predictor
from discern.runtime.engine import Engine
from discern.runtime.pipeline import Facts, Picture

REFERENCE, HELD_OUT = "reference pictures", "held-out pictures"
WITH_FACTS = f"{REFERENCE}, with facts"


@dataclass(frozen=True, eq=False)
class Proof:
    """A parity, and the answers with which it can be repeated where the source is not."""

    parity: Parity
    held_out: HeldOut  # the n pictures that could be read
    source: Answers | None  # of these
    reference: Answers  # the export's own, for the reference pictures


@dataclass(frozen=True, eq=False)
class _Both:
    """What source and export gave for the pictures that could be read, and why not for others."""

    source: Answers
    exported: Answers
    kept: list[int]
    failures: dict[int, str]


def predictor_of(engine: Engine, info: ModelInfo) -> Predictor:
    """From file to answer, through this engine."""
    return Predictor(engine, info.preprocess, Interpreter(info.labels))


def prove(
    form: Form,
    bar: Bar,
    model: Model,
    source: Engine,
    exported: Engine,
    material: Material,
    progress: Progress,
) -> Proof:
    """Ask both engines about the same pictures, and compare.

    ConfigError where too few held-out pictures can be read for int8 to be judged by them.
    """
    pair = [predictor_of(engine, model.info) for engine in (source, exported)]
    names = [reference.name for reference in model.references]
    data = [reference.data for reference in model.references]
    labels, found = model.info.labels, dict[str, Agreement]()

    own = _both(pair, data, REFERENCE, progress)
    found[REFERENCE] = agreement(labels, names, own.source, own.exported)
    if size := source.metadata_size:
        facts = _drawn_facts(len(data), size)
        known = _both(pair, data, WITH_FACTS, progress, facts)
        found[WITH_FACTS] = agreement(labels, names, known.source, known.exported)

    held = _both(pair, material.held_out.files, HELD_OUT, progress)
    kept = material.held_out.where(held.kept)
    require_enough(form, kept.labelled)
    accuracy: Accuracies | None = None
    if held.kept:
        found[HELD_OUT] = agreement(labels, kept.names, held.source, held.exported)
        accuracy = accuracies(labels, kept.labels, held.source, held.exported)
    unread = {str(material.held_out.files[i]): why for i, why in held.failures.items()}
    parity = Parity(
        form=form.name,
        precision=form.precision,
        bar=bar,
        agreements=found,
        accuracy=accuracy,
        left_out={**material.left_out, **unread},
        failures=judged(form, bar, found, accuracy),
    )
    return Proof(parity, kept, held.source if held.kept else None, own.exported)


def _both(
    pair: Sequence[Predictor],
    pictures: Sequence[Picture],
    name: str,
    progress: Progress,
    facts: Sequence[Facts] | None = None,
) -> _Both:
    with progress.stage(f"Comparing answers: {name}", 2 * len(pictures)) as advance:
        source, kept, failures = ask(pair[0], pictures, facts, advance)
        exported, _, _ = ask(pair[1], pictures, facts, advance)
    return _Both(source, exported, kept, failures)


def _drawn_facts(pictures: int, size: int) -> list[Facts]:
    """Rows [M] in the range that facts are encoded to: the second input must reach the answer."""
    rows = np.random.default_rng(0).uniform(-1, 1, (pictures, size)).astype(np.float32)
    return list(rows)


def prove_again(
    form: Form,
    bar: Bar,
    info: ModelInfo,
    engine: Engine,
    references: Sequence[Reference],
    held_out: tuple[HeldOut, Answers] | None,
    progress: Progress,
) -> Parity:
    """Compare an export with answers that were kept: its source's, for int8 on the reference
    pictures its own. `held_out` are pictures found again, and what the source said of them."""
    predictor = predictor_of(engine, info)
    names = [reference.name for reference in references]
    given = _asked(predictor, [reference.data for reference in references], REFERENCE, progress)
    first = REPEATED_INT8 if form.precision == "int8" else bar
    found = {REFERENCE: agreement(info.labels, names, _expected(references, info.labels), given)}
    if held_out is None:
        failures = judged(form, first, found, None)
        return Parity(form.name, form.precision, first, found, failures=failures)

    pictures, expected = held_out
    again = _asked(predictor, pictures.files, HELD_OUT, progress)
    on_data = {HELD_OUT: agreement(info.labels, pictures.names, expected, again)}
    accuracy = accuracies(info.labels, pictures.labels, expected, again)
    failures = (*judged(form, first, found, None), *judged(form, bar, on_data, accuracy))
    both = {**found, **on_data}
    return Parity(form.name, form.precision, bar, both, accuracy, failures=failures)


def _asked(
    predictor: Predictor, pictures: Sequence[Picture], name: str, progress: Progress
) -> Answers:
    with progress.stage(f"Asking: {name}", len(pictures)) as advance:
        answers, _, failures = ask(predictor, pictures, None, advance)
    if failures:  # they were read before, byte for byte the same
        i, why = next(iter(failures.items()))
        raise ModelDamagedError(f"{name}, number {i + 1}: {why}. {RESTORE}")
    return answers


def _expected(references: Sequence[Reference], labels: Sequence[str]) -> Answers:
    rows = [[float(r.probabilities.get(label, np.nan)) for label in labels] for r in references]
    return Answers(np.array(rows, np.float32), None)
