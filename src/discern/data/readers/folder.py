"""A folder per class, with or without folders per split around them."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from discern.data.dataset import Dataset, Row
from discern.data.listing import PICTURE_FOLDERS, Folder
from discern.data.readers.reader import DEEPEST, ReadOptions, refuse_options
from discern.data.readers.table_file import tables_in
from discern.data.split_names import TRAIN, UNLABELLED, folder_split
from discern.errors import DatasetError
from discern.progress import Progress

name = "folder"


class Branch(NamedTuple):
    """A folder whose pictures, at any depth, share a label and a split."""

    folder: Folder
    label: str
    split: str


class Part(NamedTuple):
    """A split's folder and the class folders in it; none where its pictures lie loose."""

    folder: Folder
    split: str
    classes: tuple[Folder, ...]

    @property
    def is_labelled(self) -> bool:
        return self.split != UNLABELLED and bool(self.classes)

    def branches(self) -> Iterator[Branch]:
        if not self.is_labelled:  # a test folder of loose pictures beside train: to be predicted
            yield Branch(self.folder, "", UNLABELLED)
        else:
            yield from (Branch(folder, folder.name, self.split) for folder in self.classes)


@dataclass(frozen=True)
class Plan:
    """What is taken for what in a tree of folders."""

    branches: tuple[Branch, ...]
    parents: tuple[Folder, ...]  # what lies loose in them belongs to no class
    text: str


def recognises(path: Path) -> bool:
    """Whether there are class folders; a lone folder beside a table holds the table's pictures."""
    if not path.is_dir() or (plan := _plan(Folder(str(path)))) is None:
        return False
    return len(plan.branches) > 1 or not tables_in(path)


def read(path: Path, options: ReadOptions, _progress: Progress) -> Dataset:
    """Every picture below a class folder, labelled with that folder's name.

    Of classes below the first level the name is the way there, animal/cat: so no two have the
    same name, and none gets another when folders are added elsewhere.
    """
    if options.metadata:
        raise DatasetError(
            f"{path}: is read as a folder per class, which has no column {options.metadata[0]!r}.\n"
            "Use --metadata exif for facts from the files, or name a table with that column."
        )
    hint = "Name the table itself to read labels from a CSV."
    refuse_options(path, options, "a folder per class", ("--level",), hint)
    root = str(path)
    if (plan := _plan(Folder(root))) is None:
        raise DatasetError(f"{path}: has no class folders. Put each class in a folder of its name.")
    if options.level is not None:
        plan = _at_level(plan, options.level)
    ignored: Counter[str] = Counter()
    rows = (row for branch in plan.branches for row in _rows(branch, root, ignored))
    dataset = Dataset.from_rows(path, rows)
    return replace(dataset, source=_source(plan, root, ignored))


def _rows(branch: Branch, root: str, ignored: Counter[str]) -> Iterator[Row]:
    for folder in branch.folder.walk():
        prefix = folder.path[len(root) + 1 :]
        for picture in folder.listing.pictures:
            yield Row(f"{prefix}/{picture}", branch.label, branch.split)
        ignored["other file"] += folder.listing.others


def _plan(root: Folder) -> Plan | None:
    top = _unwrapped(root)
    inner = _with_pictures(top)
    where = f" in {top.path[len(root.path) + 1 :]}/" if top != root else ""
    return _split_plan(top, inner, where) or _class_plan(top, inner, where)


def _unwrapped(top: Folder) -> Folder:
    """Past folders that hold one folder only, which holds the class folders."""
    while not top.listing.pictures and len(inner := _with_pictures(top)) == 1:
        if folder_split(inner[0].name) or not _with_pictures(inner[0]):
            break
        top = inner[0]
    return top


def _with_pictures(folder: Folder) -> tuple[Folder, ...]:
    return tuple(inner for inner in folder.inner() if inner.holds_pictures())


def _class_plan(top: Folder, inner: tuple[Folder, ...], where: str) -> Plan | None:
    if all(_is_no_class(folder.name) for folder in inner):
        return None
    branches = tuple(Branch(folder, folder.name, "") for folder in inner)
    return Plan(branches, (top,), f"a folder per class{where}")


def _is_no_class(folder: str) -> bool:
    """A class may be called "test" or "photos", but not every class."""
    return folder.casefold() in PICTURE_FOLDERS or folder_split(folder) is not None


def _split_plan(top: Folder, inner: tuple[Folder, ...], where: str) -> Plan | None:
    """Split folders are known by the class folders in them: a class may be called "test"."""
    parts = [part for folder in inner if (part := _part(folder))]
    labelled = [part for part in parts if part.is_labelled]
    if not any(part.split == TRAIN for part in labelled):
        if not labelled or len(labelled) < len(inner):
            return None
    elif len(parts) < len(inner):
        raise _strangers(top, inner, labelled)
    branches = tuple(branch for part in parts for branch in part.branches())
    parents = (top, *(part.folder for part in labelled))
    return Plan(branches, parents, _split_text(parts, labelled) + where)


def _at_level(plan: Plan, level: int | Literal["deepest"]) -> Plan:
    """The plan with classes further down; a folder without folders of pictures ends sooner."""
    deeper = sys.maxsize if level == DEEPEST else level - 1
    branches: list[Branch] = []
    parents: list[Folder] = []
    for branch in plan.branches:
        if branch.label:
            _descend(branch, deeper, branches, parents)
        else:
            branches.append(branch)
    words = "the deepest folders are classes" if level == DEEPEST else f"classes at level {level}"
    return Plan(tuple(branches), (*plan.parents, *parents), f"{plan.text}, {words}")


def _descend(branch: Branch, deeper: int, branches: list[Branch], parents: list[Folder]) -> None:
    inner = _with_pictures(branch.folder) if deeper else ()
    if not inner:
        branches.append(branch)
        return
    parents.append(branch.folder)
    for folder in inner:
        child = Branch(folder, f"{branch.label}/{folder.name}", branch.split)
        _descend(child, deeper - 1, branches, parents)


def _part(folder: Folder) -> Part | None:
    split = folder_split(folder.name)
    if split is None:
        return None
    body = _undoubled(folder)
    return Part(body, split, _with_pictures(body))


def _undoubled(folder: Folder) -> Folder:
    """`seg_train/seg_train/`, as archives unpack, is one folder."""
    while not folder.listing.pictures and len(inner := folder.inner()) == 1:
        if inner[0].name.casefold() != folder.name.casefold():
            break
        folder = inner[0]
    return folder


def _strangers(top: Folder, inner: tuple[Folder, ...], parts: list[Part]) -> DatasetError:
    strangers = [f.name for f in inner if folder_split(f.name) is None]
    return DatasetError(
        f"{top.path}: {_names(part.folder.name for part in parts)} hold class folders, "
        f"but {_names(strangers[:3])} beside them is no split.\n"
        "Move it away, or give it a split's name: train, validation, test or unlabelled."
    )


def _split_text(parts: list[Part], labelled: list[Part]) -> str:
    loose = [part.folder.name for part in parts if not part.is_labelled]
    text = f"a folder per class under {_names(part.folder.name for part in labelled)}"
    return text + (f", {_names(loose)} unlabelled" if loose else "")


def _source(plan: Plan, root: str, ignored: Counter[str]) -> str:
    for parent in plan.parents:
        ignored["loose picture"] += len(parent.listing.pictures)
        ignored["other file"] += parent.listing.others
    taken = {branch.folder.path for branch in plan.branches}
    taken |= {parent.path for parent in plan.parents}
    empty = [f for parent in plan.parents for f in parent.inner() if not _covers(f, taken)]
    notes = [f"{n} {what}{'s' * (n > 1)} ignored" for what, n in sorted(ignored.items()) if n]
    notes += [f"no pictures in {_names(f.path[len(root) + 1 :] for f in empty)}"] if empty else []
    return "; ".join([plan.text, *notes])


def _covers(folder: Folder, taken: set[str]) -> bool:
    """Whether `folder` is one of those taken, or a doubled folder around one."""
    return any(path == folder.path or path.startswith(f"{folder.path}/") for path in taken)


def _names(folders: Iterator[str] | list[str]) -> str:
    *rest, last = (f"{folder}/" for folder in folders)
    return f"{', '.join(rest)} and {last}" if rest else last
