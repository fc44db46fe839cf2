"""How a picture of the dataset is shown: its file, its label, its split, and itself."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

from discern.data import Dataset
from discern.evaluation.markup import clipped, name
from discern.evaluation.report.thumbnails import Thumbnails, in_frame


def file_of(dataset: Dataset, sample: int) -> str:
    """Its path within the dataset; of one that lies elsewhere, the file and its folder."""
    path = str(dataset.paths[sample])
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).drive:
        return "/".join(path.replace("\\", "/").split("/")[-2:])
    return path


def label_of(dataset: Dataset, sample: int) -> str:
    """Its label as it is shown."""
    return clipped(str(dataset.labels[sample])) or "no label"


def split_of(dataset: Dataset, sample: int) -> str:
    """Its split as it is shown."""
    return clipped(str(dataset.splits[sample])) or "no split"


def framed_sample(dataset: Dataset, sample: int, thumbnails: Thumbnails) -> str:
    """The picture in its frame."""
    return in_frame(thumbnails.of(dataset.file(sample), ""), file_of(dataset, sample))


def file_line(dataset: Dataset, sample: int) -> str:
    """The line below a picture that names its file."""
    return f'<p class="file" dir="auto">{name(file_of(dataset, sample))}</p>'
