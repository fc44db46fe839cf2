"""The study behind `tune`: a file that outlives a kill and that several processes may work on."""

import logging
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from discern.errors import OutputError
from discern.whole_folder import writing

JOURNAL = "study.log"
OWNER, KILLED, DEFAULTS = "owner", "killed", "defaults"  # user attributes of trials


def study_folder(output: Path) -> Path:
    """Where the study for the model folder `output` is kept; it stays when all is done."""
    return output.with_name(f"{output.name}.tuning")


def open_study(
    folder: Path, identity: Mapping[str, Any], seed: int, *, overwrite: bool
) -> optuna.Study:
    """The study in this folder, new or gone on with.

    Trials are pruned by successive halving (Jamieson & Talwalkar, 2016) over the folds or epochs
    that each reports. OutputError for a study of other data or settings.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna").setLevel(logging.ERROR)
    if overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        journal = str(folder / JOURNAL)
        # A lock that a killed process left is taken over after the grace period.
        lock = JournalFileOpenLock(journal, grace_period=10)
        storage = JournalStorage(JournalFileBackend(journal, lock_obj=lock))
        study = optuna.create_study(
            storage=storage,
            study_name="discern",
            load_if_exists=True,
            # Each process draws for itself, or two would try the same settings.
            sampler=optuna.samplers.TPESampler(seed=seed + _started(storage)),
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        )
    known = study.user_attrs.get("identity")
    if known is None:
        study.set_user_attr("identity", dict(identity))
    elif known != dict(identity):
        raise OutputError(
            f"{folder} holds a study of other data or settings. "
            "Use --overwrite to begin anew, or another -o."
        )
    return study


def _started(storage: JournalStorage) -> int:
    """How many trials any process has begun."""
    return sum(len(storage.get_all_trials(s._study_id)) for s in storage.get_all_studies())


def own(trial: optuna.Trial) -> None:
    """Sign a trial, so that others can tell when its process has died."""
    trial.set_user_attr(OWNER, [socket.gethostname(), os.getpid()])


def bury_killed(study: optuna.Study) -> None:
    """Fail the trials whose process on this machine is no more; they do not count."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        host, pid = trial.user_attrs.get(OWNER, ("", 0))
        if host == socket.gethostname() and pid != os.getpid() and not _alive(pid):
            study._storage.set_trial_user_attr(trial._trial_id, KILLED, True)
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count: finished or under way, but not those that were killed."""
    return [t for t in study.get_trials(deepcopy=False) if not t.user_attrs.get(KILLED)]


def under_way(study: optuna.Study) -> bool:
    """Whether some living process has a trial under way."""
    bury_killed(study)
    return bool(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that went to their end, the best first."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(done, key=lambda trial: (trial.value, trial.number))


def importances(trials: list[FrozenTrial]) -> dict[str, float]:
    """How much of the differences each setting explains (Hutter et al., fANOVA, 2014).

    Over the trials that vary the same settings as the best; empty where these are too few.
    """
    best = next((t for t in trials if t.params), None)
    if best is None:
        return {}
    alike = [t for t in trials if t.params.keys() == best.params.keys()]
    varied = [n for n in best.params if len({str(t.params[n]) for t in alike}) > 1]
    if len(alike) < 5 or not varied:
        return {}
    study = optuna.create_study()
    study.add_trials(alike)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=varied)
    return {name: round(share, 4) for name, share in found.items()}
