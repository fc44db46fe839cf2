"""`tune`: many settings tried on held-out answers, the best trained and scored once."""

import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from discern.alone import alone
from discern.config import TrainConfig
from discern.data import Dataset
from discern.errors import DiscernError, TrainingError
from discern.model import Model, check_output, load
from discern.model.calibration import fit_temperature, log_loss
from discern.model.folder import INFO
from discern.progress import SILENT, Progress
from discern.training.backbones import DEFAULT, Backbone, load_backbone
from discern.training.divide import divide
from discern.training.facts_beside import fit_spec
from discern.training.frozen import embed_roles, training_rows
from discern.training.gain import Gain, forget, gain, keep, kept, read_gain, scored_gain
from discern.training.head import Rows, Told, cross_validate
from discern.training.held_out import HeldOut
from discern.training.outcome import frozen_roles
from discern.training.search_space import (
    Space,
    check_space,
    configured,
    default_space,
    read_params,
    suggested,
)
from discern.training.sensible import require_sensible
from discern.training.study import (
    DEFAULTS,
    bury_killed,
    counted,
    finished,
    importances,
    open_study,
    own,
    study_folder,
    under_way,
)
from discern.training.train import fit, write_model

POLL_SECONDS = 0.2
END = "end"  # user attribute of a study: what it came to
Try = Callable[[TrainConfig, Told], HeldOut]


@dataclass(frozen=True)
class Tuning:
    """A finished study, and the model it came to; `settings` is empty where the defaults won.

    `gains` compare the best trial with the defaults: on held-out answers, and for frozen heads
    that won also on the split that nothing was chosen on.
    """

    model: Model
    settings: dict[str, Any]
    trials: tuple[FrozenTrial, ...]  # those that went to their end, the best first
    tried: int  # all that count, with those given up early
    importances: dict[str, float]
    gains: tuple[Gain, ...]


def tune(
    dataset: Dataset,
    output: str | Path,
    config: TrainConfig = TrainConfig(),
    *,
    trials: int = 50,
    space: Space | None = None,
    backbones: Sequence[str] = (),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Tuning:
    """Try settings, the defaults first, and train the best into the model folder `output`.

    `config.budget` bounds the search. A trial is judged by its log loss, at its best temperature,
    on held-out answers: frozen heads on folds within train, networks on their selection split.
    No trial sees test, or validation where there is no test. What is killed goes on with the same
    call, and several processes may work on one study. Raises what `train` raises.
    """
    output, started = Path(output), time.monotonic()
    config = replace(config, backbone=config.backbone or (backbones[0] if backbones else DEFAULT))
    budget, config = config.budget, replace(config, budget=None)
    require_sensible(config)
    space = default_space(config, backbones) if space is None else space
    check_space(space, config, "the search space")
    check_output(output, overwrite)
    dataset = divide(dataset, config, progress)
    folder, frozen = study_folder(output), config.mode == "frozen"
    identity = {
        "data": dataset.fingerprint,
        "config": json.loads(json.dumps(asdict(config))),
        "space": repr(sorted(space.items())),
    }
    study = open_study(folder, identity, config.seed, overwrite=overwrite)
    try_out = _frozen_try(dataset, progress) if frozen else _network_try(dataset, folder, progress)
    search = _Search(study, folder, try_out, space, config, progress)
    search.run(trials, None if budget is None else started + budget)
    with alone(folder / "end.lock"):
        if made := _made_by_another(study, output):
            return made
        return _finished(study, dataset, output, config, overwrite, progress, started)


@dataclass(frozen=True)
class _Search:
    """A study with what its trials need."""

    study: optuna.Study
    folder: Path
    try_out: Try
    space: Space
    config: TrainConfig
    progress: Progress

    def run(self, trials: int, deadline: float | None) -> None:
        """Trials until there are enough of them, or the time is over."""
        bury_killed(self.study)
        with self.progress.stage("Trials", trials) as advance:
            advance(min(trials, len(counted(self.study))))
            while len(counted(self.study)) < trials:
                if deadline is not None and time.monotonic() > deadline and finished(self.study):
                    self.progress.say("The budget for the search is used up.")
                    return
                self._one_trial()
                advance(1)
            while under_way(self.study):  # another process's, which may be the best
                time.sleep(POLL_SECONDS)

    def _one_trial(self) -> None:
        """Ask for settings, try them, and tell how they did; what fails costs its own trial."""
        first = not counted(self.study)
        trial = self.study.ask()
        own(trial)
        trial.set_user_attr(DEFAULTS, first)
        values = {} if first else suggested(trial, self.space)

        def told(step: int, loss: float) -> None:
            trial.report(loss, step)
            if not first and trial.should_prune():
                raise optuna.TrialPruned

        try:
            held = self.try_out(configured(self.config, values), told)
        except optuna.TrialPruned:
            self.study.tell(trial, state=TrialState.PRUNED)
        except (DiscernError, MemoryError, RuntimeError) as exc:
            if first:
                raise  # what fails with the defaults fails with everything
            trial.set_user_attr("error", str(exc)[:500])
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self._done(trial, values, held)

    def _done(self, trial: optuna.Trial, values: dict[str, Any], held: HeldOut) -> None:
        loss, best = _loss(held), min((t.value or 0.0 for t in finished(self.study)), default=None)
        keep(self.folder, trial.number, held)  # before it counts: a kill between repeats the trial
        self.study.tell(trial, loss)
        # The best is set beside the defaults in the end; two processes may both have tried them.
        if values and best is not None and loss >= best:
            forget(self.folder, trial.number)
        else:
            self.progress.say(f"Trial {trial.number}: log loss {loss:.4f} {_in_words(values)}")


def _in_words(values: dict[str, Any]) -> str:
    if not values:
        return "the defaults"
    shown = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in values.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _loss(held: HeldOut) -> float:
    """Log loss at the temperature that suits these answers best."""
    temperature = fit_temperature(held.logits, held.truth, held.weights)
    return log_loss(held.logits, held.truth, temperature, held.weights)


def _frozen_try(dataset: Dataset, progress: Progress) -> Try:
    """Cross-validation on embeddings that are loaded once for each backbone."""
    part, classes = frozen_roles(dataset).fit, dataset.classes
    loaded: dict[tuple[str, int], Rows] = {}

    def rows(backbone: Backbone, config: TrainConfig) -> Rows:
        key = backbone.key, config.head.views
        if key not in loaded:
            embedded = embed_roles({"fit": part}, backbone, config, progress)
            loaded[key] = training_rows(part, embedded, classes, fit_spec(part))
        return loaded[key]

    def try_out(config: TrainConfig, told: Told) -> HeldOut:
        found = rows(_backbone(config), config)
        held = cross_validate(found, len(classes), config.head, config.seed, told=told).held_out
        if held is None:
            raise TrainingError(
                "There are too few pictures to judge settings on: each class needs at least 2 in "
                "train. Add some, or use discern train."
            )
        return held

    return try_out


def _network_try(dataset: Dataset, folder: Path, progress: Progress) -> Try:
    """Whole trainings, judged on the split that they select their best epoch on."""

    def try_out(config: TrainConfig, told: Told) -> HeldOut:
        outcome = fit(dataset, folder / "trial", config, progress, told=told)
        assert outcome.held_out is not None
        return outcome.held_out

    return try_out


def _backbone(config: TrainConfig) -> Backbone:
    assert config.backbone is not None
    return load_backbone(
        config.backbone, weights=config.weights, image_size=config.image_size, seed=config.seed
    )


def _finished(
    study: optuna.Study,
    dataset: Dataset,
    output: Path,
    config: TrainConfig,
    overwrite: bool,
    progress: Progress,
    started: float,
) -> Tuning:
    """Train the best settings on all that may be trained on, and set them beside the defaults.

    Of many trials one is the best by chance alone. Where it is not better than the defaults
    beyond that, the defaults are trained.
    """
    done, folder = finished(study), study_folder(output)
    default = next(t for t in done if t.user_attrs.get(DEFAULTS))
    gains = [gain("held-out answers", *(kept(folder, t.number) for t in (done[0], default)))]
    taken = done[0] if gains[0].log_loss.high < 0 else default
    settings = read_params(taken.params)
    everything = _with_validation(dataset)
    progress.say(f"Training trial {taken.number} of {len(counted(study))}: {_in_words(settings)}.")
    outcome = fit(everything, output, configured(config, settings), progress)
    if settings and config.mode == "frozen":
        plain = fit(everything, output, config, progress)
        gains += scored_gain(outcome, plain, dataset.classes)
    model = write_model(
        everything,
        output,
        configured(config, settings),
        outcome,
        time.monotonic() - started,
        overwrite=overwrite,
        progress=progress,
    )
    _write_table(folder / "trials.csv", study)
    end = {"created": model.info.created, "settings": settings, "gains": [asdict(g) for g in gains]}
    study.set_user_attr(END, end)
    return _tuning(study, model, settings, gains)


def _tuning(
    study: optuna.Study, model: Model, settings: dict[str, Any], gains: Sequence[Gain]
) -> Tuning:
    done = finished(study)
    return Tuning(
        model, settings, tuple(done), len(counted(study)), importances(done), tuple(gains)
    )


def _made_by_another(study: optuna.Study, output: Path) -> Tuning | None:
    """What another process that worked on the study has just come to; None if none has."""
    end = study.user_attrs.get(END)
    if end is None or not (output / INFO).is_file():
        return None
    model = load(output)
    if model.info.created != end["created"]:
        return None
    return _tuning(study, model, end["settings"], [read_gain(gain) for gain in end["gains"]])


def _with_validation(dataset: Dataset) -> Dataset:
    """Where there is a test split to score on, validation is trained on too."""
    if "test" not in dataset.split_names:
        return dataset
    splits = dataset.splits.copy()
    splits[splits == "validation"] = "train"
    return dataset.with_splits(splits)


def _write_table(path: Path, study: optuna.Study) -> None:
    """Every trial with its settings, for a spreadsheet."""
    trials = study.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.params})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "state", "log_loss", *names])
        for trial in trials:
            settings = read_params(trial.params)
            row = [trial.number, trial.state.name.lower(), trial.value]
            writer.writerow([*row, *(settings.get(name, "") for name in names)])
