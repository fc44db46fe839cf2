"""The names of the splits, and the many ways people write them."""

import re

TRAIN, VALIDATION, TEST, UNLABELLED = "train", "validation", "test", "unlabelled"
SPLITS = (TRAIN, VALIDATION, TEST, UNLABELLED)

_USUAL = {
    TRAIN: ("train", "training"),
    VALIDATION: ("val", "valid", "validation", "dev", "eval"),
    TEST: ("test", "testing"),
    UNLABELLED: ("unlabelled", "unlabeled", "pred"),
}
_CANONICAL = {usual: split for split, names in _USUAL.items() for usual in names}
_PADDING = frozenset({"set", "data", "images", "imgs", "pictures", "photos"})


def canonical_split(name: str) -> str | None:
    """The split that `name` stands for, in any case; None when it is no usual split name."""
    return _CANONICAL.get(name.strip().casefold())


def folder_split(name: str) -> str | None:
    """As `canonical_split`, for folders: also `seg_train`, `test-set`, `Training Data`."""
    words = re.split(r"[\s_.-]+", name.strip().casefold())
    if len(words) > 1 and words[-1] in _PADDING:
        words.pop()
    return _CANONICAL.get(words[-1])


def split_order(name: str) -> tuple[int, str]:
    """A sort key that puts train before validation before test, and the rest behind."""
    return (SPLITS.index(name) if name in SPLITS else len(SPLITS), name)
