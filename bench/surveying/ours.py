"""A process that surveys and finds duplicates: python ours.py FILES.json ANSWER.json."""

import json
import resource
import sys
import time
from pathlib import Path

from discern.survey.duplicates import find_duplicates
from discern.survey.survey import survey


def peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main(files: str, answer: str) -> None:
    paths = [Path(name) for name in json.loads(Path(files).read_text())]
    started = time.perf_counter()
    seen = survey(paths)
    surveyed, survey_mb = time.perf_counter(), peak_mb()
    groups = find_duplicates(seen)
    document = {
        "survey": surveyed - started,
        "find": time.perf_counter() - surveyed,
        "survey_mb": survey_mb,
        "mb": peak_mb(),
        "groups": [group.members for group in groups],
    }
    Path(answer).write_text(json.dumps(document))


if __name__ == "__main__":
    main(*sys.argv[1:])
