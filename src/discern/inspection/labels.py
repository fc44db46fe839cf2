"""Labels that are likely wrong, told by heads that had not seen the pictures they judge.

Confident learning: Northcutt, Jiang & Chuang, Confident Learning: Estimating Uncertainty in
Dataset Labels, 2021 (https://arxiv.org/abs/1911.00068). A head is confident of a class where its
probability is at least the usual one among the pictures that carry the class's label.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from discern.config import HeadConfig
from discern.data import Dataset
from discern.data.dataset import StringArray
from discern.inspection.inspection import LabelFindings, Suspect
from discern.inspection.outliers import find_outliers
from discern.model.calibration import softmax
from discern.progress import SILENT, Progress
from discern.training.backbones import Backbone
from discern.training.embedding import Embeddings, embed
from discern.training.frozen import Embedded, training_rows
from discern.training.head import cross_validate
from discern.training.held_out import HeldOut
from discern.training.outcome import columns

Codes = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What heads that had not seen them said of k pictures; C classes."""

    samples: Codes  # [k] positions in the dataset, ascending
    given: Codes  # [k] columns of the labels that the pictures carry
    probabilities: Floats  # [k, C]
    classes: tuple[str, ...]  # C

    @property
    def of_given(self) -> Floats:
        """Each picture's probability of the label it carries [k]: the self-confidence."""
        own: Floats = self.probabilities[np.arange(len(self.given)), self.given]
        return own


def label_findings(
    dataset: Dataset,
    backbone: Backbone,
    *,
    engine: str,
    precision: str,
    device: str,
    seed: int,
    groups: StringArray,
    progress: Progress = SILENT,
) -> LabelFindings:
    """Suspicious labels and outliers among all pictures, whatever their split.

    `groups` [n] names pictures that are nearly the same, "" for none: they are never judged by a
    head that learned from one of them. What could not be checked is told in the remark.
    """
    embeddings = embed(
        list(dataset.files()),
        backbone,
        engine=engine,
        precision=precision,
        device=device,
        progress=progress,
    )
    grouped = replace(dataset, groups=groups)
    answers = out_of_fold(grouped, embeddings, seed, progress)
    return LabelFindings(
        backbone=backbone.name,
        suspects=() if answers is None else find_suspects(answers),
        outliers=find_outliers(embeddings, groups, seed, progress),
        checked=0 if answers is None else len(answers.samples),
        estimated_errors=0 if answers is None else estimated_errors(answers),
        remark=_remark(grouped, embeddings, answers),
    )


def out_of_fold(
    dataset: Dataset, embeddings: Embeddings, seed: int, progress: Progress = SILENT
) -> OutOfFold | None:
    """What heads say of the labelled pictures they did not learn from; None where none can.

    Copies of a picture, and pictures of a group, are judged by one and the same head.
    """
    samples = np.flatnonzero((dataset.labels != "") & (embeddings.rows >= 0))
    part, index = dataset.where(samples), embeddings.rows[samples]
    if len(part.classes) < 2:
        return None
    rows = training_rows(part, Embedded(embeddings, {"fit": index}), part.classes)
    config = HeadConfig()
    with progress.stage("Checking labels", config.folds) as advance:
        judged = cross_validate(
            rows, len(part.classes), config, seed, told=lambda _done, _loss: advance(1)
        )
    if judged.held_out is None:
        return None
    given = columns(part.labels, part.classes)
    answered, rows_of = _copies(index * len(part.classes) + given, judged.held_out)
    probabilities = softmax(judged.held_out.logits)[rows_of]
    return OutOfFold(samples[answered], given[answered], probabilities, part.classes)


def _copies(keys: Codes, held_out: HeldOut) -> tuple[Codes, Codes]:
    """Which pictures [n] share (picture, class) with a judged row, and with which one.

    `keys` name each picture's pair. Rows are one for each pair, in the pairs' order.
    """
    known = keys[held_out.samples]
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    answered = np.flatnonzero(known[at] == keys)
    return answered, at[answered]


def ranked(answers: OutOfFold) -> Codes:
    """Positions among the answers [k], the most suspect first: by self-confidence.

    With 5 % of the labels of photographs of clothes flipped, 90 % of these were among the first
    7 %; 81 % by normalised margin, 89 % by self-confidence over entropy, 76 % by self-confidence
    less what is usual for the class.
    """
    return np.argsort(answers.of_given, kind="stable")


def confident_joint(answers: OutOfFold) -> Codes:
    """Pictures counted by given label and by the class that the head is confident of [C, C].

    A picture counts for the head's answer if that reaches its threshold: the mean probability of
    the class among the pictures that carry its label (the paper's equation 2). The paper takes the
    likeliest class of those that reach theirs, even where another one is likelier: a class of two
    pictures, whose threshold is near zero, so took in all that were doubtful (600 of 3,409).
    """
    given, p = answers.given, answers.probabilities
    classes = p.shape[1]
    counts = np.bincount(given, minlength=classes)
    thresholds = np.bincount(given, answers.of_given, classes) / np.maximum(counts, 1)
    thresholds[counts == 0] = np.inf
    likeliest = p.argmax(axis=1)
    sure = p[np.arange(len(p)), likeliest] >= thresholds[likeliest]
    cells = given[sure] * classes + likeliest[sure]
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def estimated_errors(answers: OutOfFold) -> int:
    """How many labels are wrong: what is off the joint's diagonal, for all pictures of each label.

    The joint's rows are scaled from the pictures that the head is confident of to all that carry
    the label (the paper's equation 3).
    """
    joint = confident_joint(answers)
    confident = joint.sum(axis=1)
    wrong = confident - np.diagonal(joint)
    carrying = np.bincount(answers.given, minlength=len(joint))
    return round(float(np.sum(wrong * carrying / np.maximum(confident, 1))))


def find_suspects(answers: OutOfFold) -> tuple[Suspect, ...]:
    """The head of the ranking: as many as the head is confident are wrong.

    Not the very pictures off the joint's diagonal: where 5 % of the labels of clothes were flipped,
    these held 68 % of the flipped ones, and 54 % of them were flipped; of as many from the ranking
    70 % were, and they held 89 %.
    """
    joint = confident_joint(answers)
    first = ranked(answers)[: int(joint.sum() - np.trace(joint))]
    suggested = answers.probabilities[first].argmax(axis=1)
    differ = suggested != answers.given[first]
    pairs = zip(first[differ].tolist(), suggested[differ].tolist(), strict=True)
    return tuple(_suspect(answers, i, column) for i, column in pairs)


def _suspect(answers: OutOfFold, i: int, suggested: int) -> Suspect:
    given = int(answers.given[i])
    return Suspect(
        sample=int(answers.samples[i]),
        given=answers.classes[given],
        suggested=answers.classes[suggested],
        probability=float(answers.probabilities[i, suggested]),
        of_given=float(answers.probabilities[i, given]),
    )


def _remark(dataset: Dataset, embeddings: Embeddings, answers: OutOfFold | None) -> str:
    """Why not all labels could be checked, or nothing."""
    usable = dataset.where((dataset.labels != "") & (embeddings.rows >= 0))
    if len(usable) == 0:
        return "No labels were checked: no picture that can be decoded has one."
    if len(usable.classes) == 1:
        return f"No labels were checked: all are {usable.classes[0]!r}."
    if answers is None:
        return "No labels were checked: no class has two pictures that differ."
    if left := len(usable) - len(answers.samples):
        return (
            f"{left} of {len(usable)} labels were not checked:"
            " no other picture of their class could be learned."
        )
    return ""
