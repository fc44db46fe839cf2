"""What a careful person might change in a dataset, after what an inspection found in it.

The rules, the surest first:

- A file that cannot be used is dropped.
- Of the same picture twice (the same file, the same pixels) one stays: the one in the earlier
  split, train before validation before test. So a test set loses the pictures that are in train
  too, as in ciFAIR (Barz and Denzler, 2020, https://arxiv.org/abs/1902.00423), and models that
  were trained already can be scored again on what is left of it, without training them again.
- Nearly the same picture in two splits moves to the earlier one, where it does no harm: it is
  another view to learn from. Within one split nearly the same pictures are left alone.
- One picture with two labels gets the one that two thirds of at least three copies have, or that
  a backbone is sure of. Where neither says which, or they disagree, a person decides.
- A label that a backbone doubts is changed where it rules it out and is sure of another one, in
  pictures to train on; the other doubted ones are listed, for a person to look at. With 5 % of
  the labels of 3,409 photographs of clothes flipped, 69 pictures pass, 67 of them rightly; of the
  photographs as they are 11, of which 4 seen by eye are right. (A bar on the suggestion alone, at
  0.9, let 41 pass there, most of them wrongly.) Held-out pictures are for a person to look at: a
  test set mended by what models say flatters models (people did it in Northcutt et al., 2021,
  https://arxiv.org/abs/2103.14749).

Pictures to be predicted, which have no label, are left alone unless they cannot be read.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from discern.config import cache_dir
from discern.data import Dataset
from discern.data.split_names import TRAIN, UNLABELLED, split_order
from discern.images.digest import file_digests
from discern.inspection.inspection import DuplicateGroup, Inspection, Suspect
from discern.inspection.plan import Action, Change, Plan

SURE = 0.8  # a suggested label's probability from which it is proposed
RULED_OUT = 0.01  # the given one's, at most


class _Tier(IntEnum):
    """How sure a proposal is; in a plan the first come first."""

    BAD = 0
    TWICE = 1  # in one split
    EXACT_LEAK = 2
    NEAR_LEAK = 3
    CONFLICT = 4
    SUSPECT = 5
    UNDECIDED = 6
    UNSURE = 7


@dataclass(frozen=True)
class _Proposal:
    tier: _Tier
    sample: int
    change: Change


@dataclass(frozen=True)
class _Evidence:
    """What proposals are made of."""

    dataset: Dataset
    suspects: Mapping[int, Suspect]  # by sample
    files: Mapping[int, bytes | None]  # hashes of the files in groups of nearly the same pictures

    def split(self, sample: int) -> str:
        return str(self.dataset.splits[sample])

    def label(self, sample: int) -> str:
        return str(self.dataset.labels[sample])

    def proposal(
        self,
        tier: _Tier,
        sample: int,
        action: Action,
        reason: str,
        *,
        label: str = "",
        split: str = "",
        group: int | None = None,
    ) -> _Proposal:
        """A row of the plan for one picture."""
        path, given = str(self.dataset.paths[sample]), (self.label(sample), self.split(sample))
        return _Proposal(tier, sample, Change(path, action, label, split, reason, *given, group))

    def named(self, sample: int) -> str:
        """A picture's path, with its split where it has one."""
        split = self.split(sample)
        return f"{self.dataset.paths[sample]}" + (f" ({split})" if split else "")


@dataclass(frozen=True)
class _Copies:
    """The pictures of one group that may be changed: those with a label."""

    number: int
    group: DuplicateGroup
    members: tuple[int, ...]


def propose(inspection: Inspection) -> Plan:
    """A plan of what to change in the dataset that was inspected; see above for the rules.

    Of nearly the same pictures the files are hashed, unless the cache knows their hashes, to tell
    those that are the same file.
    """
    copies = list(_copies(inspection))
    evidence = _evidence(inspection, copies)
    found = [
        evidence.proposal(_Tier.BAD, bad.sample, "drop", f"cannot be used: {bad.reason}")
        for bad in inspection.bad
    ]
    found += [each for group in copies for each in _of_copies(group, evidence)]
    settled = {proposal.sample for proposal in found}
    found += [
        _of_suspect(suspect, evidence)
        for suspect in evidence.suspects.values()
        if suspect.sample not in settled
    ]
    found.sort(key=lambda proposal: proposal.tier)  # a stable sort: groups stay together
    return Plan(tuple(proposal.change for proposal in found), inspection.dataset.fingerprint)


def _copies(inspection: Inspection) -> Iterator[_Copies]:
    """The groups in which something might be changed, numbered as the inspection has them."""
    dataset = inspection.dataset
    for number, group in enumerate(inspection.duplicates, start=1):
        members = tuple(
            sample
            for sample in group.samples
            if dataset.labels[sample] and dataset.splits[sample] != UNLABELLED
        )
        if len(members) > 1:
            yield _Copies(number, group, members)


def _evidence(inspection: Inspection, copies: Sequence[_Copies]) -> _Evidence:
    found = inspection.labels.suspects if inspection.labels else ()
    near = [sample for each in copies if each.group.kind == "near" for sample in each.members]
    hashes = file_digests((inspection.dataset.file(sample) for sample in near), cache_dir())
    return _Evidence(
        inspection.dataset,
        {suspect.sample: suspect for suspect in found},
        dict(zip(near, hashes, strict=True)),
    )


def _of_copies(copies: _Copies, evidence: _Evidence) -> Iterator[_Proposal]:
    """What to do with one group: one label, one of each file, and all that stay in one split."""
    votes = Counter(map(evidence.label, copies.members))
    label, why = _settled(copies, votes, evidence)
    if not label:
        yield from _undecided(copies, votes, evidence)
        return
    order = sorted(
        copies.members,
        key=lambda i: (split_order(evidence.split(i)), evidence.label(i) != label, i),
    )
    for stays, *others in _same_files(order, copies, evidence):
        for sample in others:
            yield _dropped(sample, stays, copies, evidence)
        if evidence.label(stays) != label:
            yield evidence.proposal(
                *(_Tier.CONFLICT, stays, "relabel", f"one picture, {_told(votes)}: {why}"),
                label=label,
                group=copies.number,
            )
        if evidence.split(stays) not in ("", home := evidence.split(order[0])):
            reason = f"nearly the same as {evidence.named(order[0])}"
            yield evidence.proposal(
                *(_Tier.NEAR_LEAK, stays, "move", reason), split=home, group=copies.number
            )


def _settled(copies: _Copies, votes: Counter[str], evidence: _Evidence) -> tuple[str, str]:
    """The label that the picture should have, and why that one; "" where it is not clear."""
    (most, n), total = votes.most_common(1)[0], votes.total()
    if n == total:
        return most, ""
    reasons = {most: f"most copies say {most}"} if 3 * n >= 2 * total >= 6 else {}
    for sample in copies.members:
        suspect = evidence.suspects.get(sample)
        if suspect and suspect.suggested in votes and suspect.probability >= SURE:
            reasons[suspect.suggested] = f"the backbone says {_suggestion(suspect)}"
    return next(iter(reasons.items())) if len(reasons) == 1 else ("", "")


def _undecided(copies: _Copies, votes: Counter[str], evidence: _Evidence) -> Iterator[_Proposal]:
    """Rows that change nothing, for a person to decide on."""
    across = f", in {' and '.join(copies.group.splits)}" if copies.group.leak else ""
    reason = f"one picture, {_told(votes)}{across}: which label is right?"
    for sample in copies.members:
        yield evidence.proposal(_Tier.UNDECIDED, sample, "keep", reason, group=copies.number)


def _same_files(
    order: Sequence[int], copies: _Copies, evidence: _Evidence
) -> Iterator[Sequence[int]]:
    """The samples by the picture they hold exactly, in this order."""
    if copies.group.kind != "near":
        yield order
        return
    found: dict[bytes | int, list[int]] = {}
    for sample in order:
        found.setdefault(evidence.files[sample] or sample, []).append(sample)
    yield from found.values()


def _dropped(sample: int, stays: int, copies: _Copies, evidence: _Evidence) -> _Proposal:
    tier = _Tier.TWICE if evidence.split(sample) == evidence.split(stays) else _Tier.EXACT_LEAK
    if evidence.label(sample) != evidence.label(stays):
        tier = _Tier.CONFLICT
    what = "the same pixels as" if copies.group.kind == "pixels" else "the same file as"
    reason = f"{what} {evidence.named(stays)}"
    return evidence.proposal(tier, sample, "drop", reason, group=copies.number)


def _of_suspect(suspect: Suspect, evidence: _Evidence) -> _Proposal:
    """A new label where the backbone is sure and nothing is scored on it, else a question."""
    sure = suspect.probability >= SURE and suspect.of_given <= RULED_OUT
    held_out = evidence.split(suspect.sample) not in ("", TRAIN)
    action: Action = "keep" if held_out or not sure else "relabel"
    hint = ": held out, look at it yourself" if held_out else "" if sure else ": look at it"
    reason = f"the backbone says {_suggestion(suspect)}{hint}"
    tier = _Tier.SUSPECT if action == "relabel" else _Tier.UNSURE
    return evidence.proposal(tier, suspect.sample, action, reason, label=suspect.suggested)


def _suggestion(suspect: Suspect) -> str:
    return (
        f"{suspect.suggested} ({suspect.probability:.2f}), "
        f"not {suspect.given} ({suspect.of_given:.2f})"
    )


def _told(votes: Counter[str]) -> str:
    """How often the picture has each label."""
    return " and ".join(f"{n} × {label}" for label, n in votes.most_common())
