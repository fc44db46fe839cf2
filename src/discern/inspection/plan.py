"""A plan of changes to a dataset, and the dataset that comes of it; neither touches a file."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from discern.data import Dataset
from discern.data.class_names import check_distinct
from discern.data.split_names import UNLABELLED
from discern.errors import DatasetError

Action = Literal["drop", "relabel", "move", "keep"]
ACTIONS: tuple[Action, ...] = get_args(Action)
_SHOWN = 3  # examples in a message


@dataclass(frozen=True)
class Change:
    """What is proposed for one picture, and why; `keep` changes nothing."""

    path: str  # as the dataset has it
    action: Action
    label: str = ""  # the new one; of `keep`, one to think about
    split: str = ""  # the new one
    reason: str = ""
    given_label: str = ""
    given_split: str = ""
    group: int | None = None  # pictures of one number hold the same picture

    @property
    def target(self) -> str:
        """What the picture is to have afterwards: a label or a split; "" where neither is meant."""
        return {"relabel": self.label, "move": self.split}.get(self.action, "")


@dataclass(frozen=True)
class Plan:
    """Changes, the surest first, and the fingerprint of the dataset they are meant for."""

    changes: tuple[Change, ...]
    fingerprint: str = ""  # as much of it as is known

    @property
    def counts(self) -> dict[Action, int]:
        """Rows by action."""
        found = Counter(change.action for change in self.changes)
        return {action: found[action] for action in ACTIONS}


def apply_plan(dataset: Dataset, plan: Plan) -> Dataset:
    """The dataset with the plan's changes, in the order that it had.

    DatasetError for a path that is not in it, for a change without its label or split, for two
    changes that contradict each other, for two classes that are surely one, and where no picture
    would be left.
    """
    changes = [change for change in plan.changes if change.action != "keep"]
    _check_agreement(changes)
    at = _positions(dataset, plan, changes)
    labels, splits = dataset.labels.copy(), dataset.splits.copy()
    stays = np.ones(len(dataset), dtype=bool)
    for change in changes:
        match change.action:
            case "drop":
                stays[at[change.path]] = False
            case "relabel":
                labels[at[change.path]] = change.label
            case "move":
                splits[at[change.path]] = change.split
    if not stays.any():
        raise DatasetError(f"{dataset.root}: the plan drops every picture. Take some rows out.")
    changed = replace(dataset, labels=labels, splits=splits, given=None).where(stays)
    _check_splits(changed, changes)
    check_distinct(changed)
    return changed


def plan_remarks(dataset: Dataset, plan: Plan) -> tuple[str, ...]:
    """What a person should know of a plan that can be applied: other data, new classes."""
    return tuple(_remarks(dataset, plan))


def _remarks(dataset: Dataset, plan: Plan) -> Iterator[str]:
    if not dataset.fingerprint.startswith(plan.fingerprint):
        yield (
            "the data have changed since the plan was made, or are read with other options: "
            "what is new in them was not looked at."
        )
    named = Counter(change.label for change in plan.changes if change.action == "relabel")
    for label in sorted(named.keys() - set(dataset.classes)):
        n = named[label]
        yield f"{label!r} is a new class ({n} picture{'s' * (n > 1)}). Is it spelled as meant?"


def _check_agreement(changes: Iterable[Change]) -> None:
    """A picture may be relabelled and moved, but not to two places, and not when dropped."""
    told: dict[str, dict[Action, str]] = {}
    for change in changes:
        if change.action in ("relabel", "move") and not change.target:
            what = "label" if change.action == "relabel" else "split"
            raise DatasetError(
                f"the plan would {change.action} {change.path!r} but names no {what}. Fill it in."
            )
        others = told.setdefault(change.path, {})
        first = others.setdefault(change.action, change.target)
        if first != change.target or ("drop" in others and len(others) > 1):
            raise DatasetError(
                f"the plan contradicts itself on {change.path!r}: {_told(others, change)}.\n"
                "Keep the row that is right."
            )


def _told(others: dict[Action, str], change: Change) -> str:
    rows = [*others.items(), (change.action, change.target)]
    return " and ".join(
        dict.fromkeys(f"{action} {target!r}" if target else action for action, target in rows)
    )


def _positions(dataset: Dataset, plan: Plan, changes: Iterable[Change]) -> dict[str, int]:
    """Where in the dataset the pictures stand that are to be changed."""
    wanted = dict.fromkeys(change.path for change in changes)
    found = {path: i for i, path in enumerate(dataset.paths.tolist()) if path in wanted}
    if missing := [path for path in wanted if path not in found]:
        raise _missing(dataset, plan, missing)
    return found


def _missing(dataset: Dataset, plan: Plan, paths: list[str]) -> DatasetError:
    shown = ", ".join(map(repr, paths[:_SHOWN])) + (", …" if len(paths) > _SHOWN else "")
    what = "1 picture is" if len(paths) == 1 else f"{len(paths)} pictures are"
    hint = "Write its path as --fix wrote it, or take the row out."
    if not dataset.fingerprint.startswith(plan.fingerprint):
        hint = (
            "It was made of other data, or of these read with other options. "
            "Where files are gone since, take their rows out."
        )
    return DatasetError(f"{dataset.root}: {what} in the plan but not here: {shown}.\n{hint}")


def _check_splits(dataset: Dataset, changes: Iterable[Change]) -> None:
    """Where pictures have no split, a few that are moved into one could not be trained on."""
    labelled = (dataset.labels != "") & (dataset.splits != UNLABELLED)
    given = set(np.unique(dataset.splits[labelled]).tolist())
    if "" in given and len(given) > 1 and any(change.action == "move" for change in changes):
        raise DatasetError(
            f"{dataset.root}: the plan moves pictures to a split, but the others have none.\n"
            "Take the rows out that say move: training divides the data by itself."
        )
