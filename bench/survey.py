"""What is found of planted copies and of flipped labels, how time grows, and what others find.

Each section (`bench/surveying/`) can be run alone: `python bench/survey.py planted --sheets out`.
Nothing is cached beforehand, and no backbone takes part, but in `labels`.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from material import arguments, data_folder
from serving.table import Figure, as_json, show
from surveying.labels import labels
from surveying.peers import peers
from surveying.planted import beyond, planted
from surveying.scale import scale


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help="planted, beyond, labels, scale, peers"
    )
    parser.add_argument("--copies", type=int, default=200, help="planted of each kind")
    parser.add_argument("--sheets", type=Path, help="a folder for contact sheets of what is wrong")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        data = data_folder(options.data, Path(folder))
        sections: dict[str, Callable[[], Sequence[Figure]]] = {
            "planted": functools.partial(planted, data, options.copies, options.sheets),
            "beyond": functools.partial(beyond, data, options.copies),
            "labels": functools.partial(labels, data, options.backbone),
            "scale": functools.partial(scale, options.sizes),
            "peers": functools.partial(peers, data, options.copies, options.rounds),
        }
        if unknown := set(options.sections) - sections.keys():
            parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(sections)}")
        found = {}
        for name in options.sections or sections:
            found[name] = sections[name]()
            show(name, found[name])
    print(as_json(found))


if __name__ == "__main__":
    main()
