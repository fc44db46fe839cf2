"""The public API is a list that can be read; these keep it true."""

import ast
import inspect
from pathlib import Path

import pytest

import discern

NAMES = [name for name in discern.__all__ if name != "__version__"]


def imported_for_type_checkers() -> dict[str, str]:
    """Name → module, of the imports under `if TYPE_CHECKING`."""
    tree = ast.parse(Path(discern.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: str(node.module)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_list_is_sorted() -> None:
    assert discern.__all__ == sorted(discern.__all__)
    assert dir(discern) == discern.__all__


def test_the_list_the_table_and_the_type_checker_agree() -> None:
    table = {name: f"discern.{home}" for name, home in discern._HOME.items()}
    assert table == imported_for_type_checkers()
    assert sorted(table) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_there_and_documented(name: str) -> None:
    thing = getattr(discern, name)
    assert thing.__name__ == name
    doc = inspect.getdoc(thing)
    assert doc
    assert not doc.startswith(f"{name}(")  # what dataclasses write for themselves


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        discern.trian  # noqa: B018
