"""The quick-start notebook: kept without outputs, and run whole, as a reader would."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

NOTEBOOK = Path(__file__).parent.parent / "notebooks/quickstart.ipynb"
PATIENCE = 300  # seconds a cell may take on a busy machine


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_outputs_are_cleared() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in code_cells(notebook):
        assert (cell.outputs, cell.execution_count) == ([], None), (
            f"{NOTEBOOK.name}: clear all outputs before it is committed. {cell.source!r} has some."
        )


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    """The code cells after a run in an empty folder, with nobody's own settings of Jupyter."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCERN_CACHE", str(folder / "cache"))
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(folder / name))
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        client = nbclient.NotebookClient(
            notebook, timeout=PATIENCE, resources={"metadata": {"path": str(folder)}}
        )
        asyncio.run(client.async_execute())
        yield code_cells(notebook)


def said(cell: Any) -> str:
    """What a cell printed."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def shown(cell: Any) -> Any:
    """A cell's last expression, by media type."""
    return next(o.data for o in cell.outputs if o.output_type == "execute_result")


def cell_with(cells: list[Any], source: str) -> Any:
    (found,) = [cell for cell in cells if source in cell.source]
    return found


def test_the_digits_are_looked_at(cells: list[Any]) -> None:
    assert said(cells[0]).startswith("1,797 pictures: a folder per class")
    assert "1,797" in shown(cell_with(cells, "discern.inspect("))["text/html"]


def test_the_model_is_good(cells: list[Any]) -> None:
    scored = re.fullmatch(r"Accuracy ([\d.]+) % \(.*\) on 1[78]\d pictures\n", said(cells[3]))
    assert scored
    assert float(scored[1]) >= 90


def test_predictions_are_written_and_drawn(cells: list[Any]) -> None:
    lines = said(cell_with(cells, "model.predict(")).splitlines()
    pairs = [re.match(r"a (\d): (\d) at \d+%", line) for line in lines]
    assert len(pairs) >= 8
    assert sum(pair is not None and pair[1] == pair[2] for pair in pairs) >= len(pairs) - 2
    assert len(shown(cells[-1])["image/png"]) > 1000
