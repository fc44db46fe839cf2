"""Copies planted among real pictures: how many are found, and what is found that should not be."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from discern.data import load_dataset
from discern.survey.duplicates import find_duplicates
from discern.survey.survey import Survey, survey
from material import fresh_cache
from serving.table import Figure
from surveying.planting import BEYOND, KINDS, Kind, Planted, plant
from surveying.score import Groups, found, mixed, untouched_share
from surveying.sheets import write_sheets


def planted(data: Path, copies: int, sheets: Path | None) -> list[Figure]:
    """The share of pairs found by kind, then what was grouped of the untouched pictures."""
    with TemporaryDirectory() as folder:
        material = plant(load_dataset(data), Path(folder), copies)
        with fresh_cache():
            seen = survey(material.files)
        return [
            *_figures(material, seen, KINDS[:-1], sheets, mirrored_too=False),
            *_figures(material, seen, KINDS, sheets, mirrored_too=True),
        ]


def beyond(data: Path, copies: int) -> list[Figure]:
    """The share found of copies that were altered more, or otherwise, than is asked for."""
    with TemporaryDirectory() as folder:
        material = plant(load_dataset(data), Path(folder), copies, BEYOND)
        with fresh_cache():
            groups = [group.members for group in find_duplicates(survey(material.files))]
    return [_recall(groups, material, kind) for kind in BEYOND]


def _figures(
    material: Planted, seen: Survey, kinds: Sequence[Kind], sheets: Path | None, mirrored_too: bool
) -> list[Figure]:
    groups = [group.members for group in find_duplicates(seen, mirrored=mirrored_too)]
    name = "with mirrored ones" if mirrored_too else "without mirrored ones"
    if sheets is not None:
        _draw(material, groups, kinds, sheets / name)
    together = mixed(groups, material.source)
    share = untouched_share(groups, material)
    return [
        Figure(f"{name}:"),
        *(_recall(groups, material, kind) for kind in kinds),
        Figure("groups of several photographs", float(len(together)), target="look at them"),
        Figure("untouched pictures in those", share, target="≤ 0.01, but for real twins"),
    ]


def _recall(groups: Groups, material: Planted, kind: Kind) -> Figure:
    target = f"≥ {kind.asked}" if kind.asked else ""
    pairs = found(groups, material, kind)
    return Figure(f"{kind.name}, of {len(pairs)}", float(pairs.mean()), target=target)


def _draw(material: Planted, groups: Groups, kinds: Sequence[Kind], folder: Path) -> None:
    """Every group of several photographs, and every pair that was missed."""
    files = material.files
    together = [[files[i] for i in members] for members in mixed(groups, material.source)]
    write_sheets(together, folder, "together")
    for kind in kinds:
        missed = material.copies(kind)[~found(groups, material, kind)]
        pairs = [(files[material.source[copy]], files[copy]) for copy in missed]
        write_sheets(pairs, folder, f"missed {kind.name}")
