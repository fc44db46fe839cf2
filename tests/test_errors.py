"""The error tree is as its docstring draws it, and every error means something to a shell."""

import inspect
import re

import pytest

from discern import errors
from discern.cli.exit_codes import EXIT_CODES, WORK_FAILED, WRONG_INPUT, exit_code
from discern.errors import DiscernError

CLASSES = [
    thing
    for thing in vars(errors).values()
    if inspect.isclass(thing) and issubclass(thing, DiscernError)
]


def drawn() -> dict[str, str | None]:
    """Class → the class above it, read from the drawing."""
    parents: dict[str, str | None] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"([│├└─ ]*)([A-Z]\w+Error)\b(?!,)", line):
            depth = len(found[1]) // 4
            del above[depth:]
            parents[found[2]] = above[-1] if above else None
            above.append(found[2])
    return parents


def test_the_tree_is_as_drawn() -> None:
    actual = {cls.__name__: cls.__base__.__name__ for cls in CLASSES if cls is not DiscernError}
    assert drawn() == {"DiscernError": None} | actual


@pytest.mark.parametrize("cls", CLASSES)
def test_each_error_is_documented(cls: type[DiscernError]) -> None:
    assert cls.__doc__


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not DiscernError])
def test_each_error_has_an_exit_code_or_inherits_one(cls: type[DiscernError]) -> None:
    assert any(kind in EXIT_CODES for kind in cls.__mro__)
    assert exit_code(cls("message")) in (WORK_FAILED, WRONG_INPUT)


def test_an_error_below_another_may_have_a_code_of_its_own() -> None:
    assert exit_code(errors.BackboneError("unknown")) == WRONG_INPUT
    assert exit_code(errors.WeightsError("offline")) == WORK_FAILED
    assert exit_code(errors.ModelDamagedError("changed")) == WRONG_INPUT
