"""From held-out answers to what a model may promise: calibration, sets of labels, none of these."""

from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any
from zipfile import BadZipFile

import numpy as np

from discern.config import TrainConfig, cache_dir
from discern.errors import PictureError
from discern.evaluation import score
from discern.model.calibration import Calibration, ChosenCalibration, choose_calibration, softmax
from discern.model.prediction_sets import PredictionSets, calibrate_sets
from discern.model.unknown import Unknown
from discern.progress import Progress
from discern.runtime.choose import open_engine
from discern.runtime.pipeline import run_pictures
from discern.training.head import Matrix
from discern.training.held_out import HeldOut
from discern.training.outcome import Outcome
from discern.training.strangers import strangers
from discern.training.unknown_fit import fit_unknown
from discern.whole_folder import write_atomically


@dataclass(frozen=True)
class Proof:
    """The rules made on held-out answers, and how they fared there."""

    calibration: Calibration
    sets: PredictionSets | None = None
    unknown: Unknown | None = None
    calibration_facts: dict[str, Any] = field(default_factory=dict)
    unknown_facts: dict[str, Any] | None = None


def prove(
    outcome: Outcome, classes: tuple[str, ...], config: TrainConfig, progress: Progress
) -> Proof:
    """Calibrate, and make the promises that the held-out answers allow.

    Without held-out answers (a picture or two a class) there is nothing to promise on.
    """
    answers = outcome.held_out
    if answers is None:
        return Proof(Calibration.none(len(classes)))
    chosen = choose_calibration(
        answers.logits,
        answers.truth,
        answers.weights,
        method=config.proof.calibration,
        seed=config.seed,
    )
    # Each picture calibrated by the others: promises are made on what new pictures will get.
    held = _calibrated(answers, chosen)
    sets = calibrate_sets(
        softmax(held.logits),
        held.truth,
        config.proof.coverage,
        weights=held.weights,
        seed=config.seed,
    )
    unknown = fit_unknown(
        outcome.known,
        held,
        outcome.head.calibrated(chosen.calibration),
        _strangers(outcome, config, progress),
        classes,
        config.proof.keep,
        config.seed,
    )
    return Proof(
        chosen.calibration,
        sets,
        None if unknown is None else unknown.unknown,
        _calibration_facts(answers, chosen, classes, as_they_are=_as_they_are(config)),
        None if unknown is None else unknown.facts,
    )


def _calibrated(held: HeldOut, chosen: ChosenCalibration) -> HeldOut:
    bare = held.without_metadata
    return replace(
        held,
        logits=chosen.cross_fitted.astype(np.float32),
        without_metadata=None
        if bare is None
        else chosen.calibration.apply(bare).astype(np.float32),
    )


def _strangers(outcome: Outcome, config: TrainConfig, progress: Progress) -> dict[str, Matrix]:
    """Embeddings [S, D], by kind, of pictures that are certainly none of the classes.

    Those of a frozen backbone are kept in the cache.
    """
    precision = str(outcome.facts.get("precision", "f32"))
    name = f"{outcome.backbone.key}-{precision}-{config.seed}.npz"
    kept = cache_dir() / "strangers" / name
    if outcome.mode != "frozen":
        return _embedded_strangers(outcome, config, precision, progress)
    try:
        with np.load(kept) as file:
            return {kind: file[kind] for kind in file.files}
    except (OSError, ValueError, EOFError, BadZipFile):  # not there, or damaged
        found = _embedded_strangers(outcome, config, precision, progress)
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **found)
    write_atomically(kept, buffer.getvalue())
    return found


def _embedded_strangers(
    outcome: Outcome, config: TrainConfig, precision: str, progress: Progress
) -> dict[str, Matrix]:
    engine = open_engine(
        outcome.backbone_graph, engine=config.engine, precision=precision, device=config.device
    )
    drawn = strangers(config.seed)
    found: dict[str, Matrix] = {}
    with progress.stage("None of these", sum(map(len, drawn.values()))) as advance:
        for kind, pictures in drawn.items():
            vectors = []
            for answer in run_pictures(pictures, engine, outcome.backbone.preprocess):
                assert not isinstance(answer, PictureError)  # they were drawn, not read
                vectors.append(answer["embedding"])
                advance(1)
            found[kind] = np.stack(vectors)
    return found


def _as_they_are(config: TrainConfig) -> bool:
    """Whether probabilities are for classes as frequent as they are in the data."""
    settings = config.head if config.mode == "frozen" else config.finetune
    drawn = config.mode == "frozen" or config.finetune.sampling == "natural"
    return drawn and settings.class_weights == "none" and not config.logit_adjustment


def _calibration_facts(
    held: HeldOut, chosen: ChosenCalibration, classes: tuple[str, ...], *, as_they_are: bool
) -> dict[str, Any]:
    """How far probabilities were from their promise, before and after, on held-out pictures.

    The error is left out where they promise for another mix of classes than these pictures have.
    """
    facts: dict[str, Any] = {
        "method": chosen.calibration.method,
        "log_loss": {name: round(loss, 5) for name, loss in chosen.log_losses.items()},
        "pictures": len(held.truth),
    }
    if not as_they_are:
        return facts
    truth = [classes[k] for k in held.truth.tolist()]
    before, after = (
        score(classes, truth, softmax(logits)).calibration_error
        for logits in (held.logits, chosen.cross_fitted)
    )
    return facts | {"error_before": before, "error_after": after}
