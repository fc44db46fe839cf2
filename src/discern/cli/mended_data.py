"""What `discern inspect --apply` does: from a plan to a listing of the mended data."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from discern.cli.inspection_summary import counts_table
from discern.cli.output_file import output_file
from discern.cli.terminal import Terminal
from discern.config import cache_dir
from discern.data import Dataset
from discern.errors import ConfigError, OutputError
from discern.evaluation.markup import count
from discern.inspection.listing_file import reading_options, write_listing
from discern.inspection.plan import Plan, apply_plan, plan_remarks

_DONE = {"drop": "dropped", "relabel": "relabelled", "move": "moved", "keep": "left as they are"}


def listing_path(plan: Path, output: Path | None, data: str, others: Mapping[str, object]) -> Path:
    """Where the listing goes; `others` are options that make no sense beside --apply.

    ConfigError where one of them was given or there is no -o, OutputError where it would replace
    the plan or the data, also with --overwrite.
    """
    if strange := [option for option, value in others.items() if value]:
        raise ConfigError(
            f"{strange[0]} is for inspecting, and --apply does not. Leave one of them out."
        )
    if output is None:
        raise ConfigError("--apply writes a new listing. Name it with -o CLEAN.csv.")
    for original in (plan, Path(data)):
        if output.exists() and original.exists() and output.samefile(original):
            raise OutputError(f"-o {output} would replace {original} itself. Use another name.")
    return output


def mend(dataset: Dataset, plan: Plan, listing: Path, overwrite: bool, terminal: Terminal) -> None:
    """Write the listing and tell what was done. DatasetError where the plan cannot be applied."""
    with output_file(listing, "-o", overwrite) as file:
        changed = apply_plan(dataset, plan)
        write_listing(changed, file, listing.parent)
    remarks = [*plan_remarks(dataset, plan), *_in_cache(dataset, listing)]
    words = ("discern", "train", str(listing), *reading_options(changed, listing.parent))
    train = shlex.join((*words, "-o", "my-model"))
    for remark in remarks:
        terminal.say(f"Note: {remark}")
    document = {
        "listing": str(listing),
        "pictures": len(changed),
        "classes": changed.classes,
        "counts": changed.counts(),
        "changes": plan.counts,
        "remarks": remarks,
        "train": train,
    }
    terminal.result(_summary(changed, plan, listing, train), document)


def _in_cache(dataset: Dataset, listing: Path) -> list[str]:
    """A word of warning where the pictures are files of the cache."""
    root = Path(os.path.abspath(dataset.root))
    if not root.is_relative_to(os.path.abspath(cache_dir())):
        return []
    return [
        f"the pictures were unpacked into the cache, and {listing} points there: {root}.\n"
        "It holds until the cache is cleared; inspecting the data again unpacks them again."
    ]


def _summary(changed: Dataset, plan: Plan, listing: Path, train: str) -> str:
    done = [f"{n:,} {_DONE[action]}" for action, n in plan.counts.items() if n]
    return "\n".join(
        [
            *counts_table(changed),
            "",
            f"{count(len(plan.changes), 'row')} of the plan: {', '.join(done) or 'none'}.",
            f"{listing}: {count(len(changed), 'picture')}. The files are where they were.",
            "",
            "Next:",
            f"  {train}",
        ]
    )
