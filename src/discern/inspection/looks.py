"""What a survey says of each picture, as columns beside the dataset."""

import numpy as np

from discern.inspection.inspection import Looks
from discern.survey.survey import Survey


def looks_of(survey: Survey) -> Looks:
    """The looks [k] of those pictures that could be decoded, surveyed in the dataset's order."""
    return Looks(
        samples=np.flatnonzero(survey.index >= 0),
        format=survey.column("format"),
        mode=survey.column("mode"),
        width=survey.column("width"),
        height=survey.column("height"),
        bytes=survey.column("bytes"),
        brightness=survey.column("brightness"),
        contrast=survey.column("contrast"),
        sharpness=survey.column("sharpness"),
    )
