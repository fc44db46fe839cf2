"""CleanVision's default issues: python cleanvision_issues.py FILES.json ANSWER.json."""

import json
import sys
from pathlib import Path

from cleanvision import Imagelab


def main(files: str, answer: str) -> None:
    paths = json.loads(Path(files).read_text())
    place = {path: i for i, path in enumerate(paths)}
    imagelab = Imagelab(filepaths=paths, verbose=False)
    imagelab.find_issues(verbose=False)
    sets = [
        found
        for issue in ("exact_duplicates", "near_duplicates")
        for found in imagelab.info[issue]["sets"]
    ]
    Path(answer).write_text(json.dumps({"groups": [[place[p] for p in paths] for paths in sets]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
