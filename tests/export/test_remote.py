"""A worker in another process: what goes through its pipes, and how it fails."""

import sys
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from discern.errors import EngineError
from discern.export.remote import RemoteEngine, Worker
from discern.export.worker import read_message, write_message
from discern.runtime.engine import create_engine

PYTHON = Path(sys.executable)
ARRAYS = st.dictionaries(
    st.text(max_size=5),
    st.sampled_from(("uint8", "float32")).flatmap(
        lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
    ),
    max_size=3,
)
SCRIPT = """
import os, sys
import numpy as np
import onnxruntime as ort

opened = []

def open_graph(values, arrays):
    print("a library's noise")
    opened.append(ort.InferenceSession(values["graph"], providers=["CPUExecutionProvider"]))
    return {"version": "here", "metadata_size": 0}, {}

def run(values, arrays):
    names = [output.name for output in opened[-1].get_outputs()]
    return {}, dict(zip(names, opened[-1].run(names, arrays)))

def fail(values, arrays):
    raise KeyError("no such thing")

def end(values, arrays):
    print("last words", file=sys.stderr, flush=True)
    os._exit(3)

def modules(values, arrays):
    return {"path": sys.path}, {}

COMMANDS = {"open": open_graph, "run": run, "fail": fail, "end": end, "modules": modules}
"""


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    (tmp_path / "script.py").write_text(SCRIPT)
    return Worker(PYTHON, tmp_path / "script.py")


@given(ARRAYS, st.dictionaries(st.text(max_size=5).filter("arrays".__ne__), st.text()))
def test_messages_come_through(arrays: dict[str, np.ndarray], values: dict[str, str]) -> None:
    pipe = BytesIO()
    for _ in range(2):  # one does not eat of the next
        write_message(pipe, values, arrays)
    pipe.seek(0)
    for _ in range(2):
        read, results = read_message(pipe)
        assert read == values
        assert results.keys() == arrays.keys()
        for name, array in arrays.items():
            assert results[name].dtype == array.dtype
            np.testing.assert_array_equal(results[name], array)


@given(ARRAYS, st.data())
def test_half_a_message_is_none(arrays: dict[str, np.ndarray], data: st.DataObject) -> None:
    pipe = BytesIO()
    write_message(pipe, {}, arrays)
    whole = pipe.getvalue()
    with pytest.raises(EOFError):
        read_message(BytesIO(whole[: data.draw(st.integers(0, len(whole) - 1))]))


def test_objects_do_not_come_through() -> None:
    with pytest.raises(ValueError, match="object"):
        read_message(BytesIO(b'{"arrays": [["x", "object", [1]]]}\n12345678'))


def test_the_same_answers_as_here(worker: Worker, graph: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    there = RemoteEngine(worker, "there", "f32", graph)
    here = create_engine(graph, "onnxruntime").run(images)
    for name, values in there.run(images).items():
        np.testing.assert_allclose(values, here[name], atol=1e-6)
    with pytest.raises(EngineError, match="takes no metadata"):
        there.run(images, np.zeros((5, 2), np.float32))


def test_threads_get_their_own_answers(worker: Worker, graph: Path) -> None:
    engine = RemoteEngine(worker, "there", "f32", graph)
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
    alone = [engine.run(images[i : i + 1])["probabilities"] for i in range(8)]
    together: dict[int, np.ndarray] = {}

    def ask(i: int) -> None:
        together[i] = engine.run(images[i : i + 1])["probabilities"]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(8):
        np.testing.assert_array_equal(together[i], alone[i])


def test_a_failure_is_told_and_the_next_thing_done(worker: Worker) -> None:
    with pytest.raises(EngineError, match="no such thing"):
        worker.ask("fail")
    assert worker.ask("modules")[0]["path"]


def test_an_end_is_told_with_its_last_words(worker: Worker) -> None:
    with pytest.raises(EngineError, match=r"ended with status 3.*last words"):
        worker.ask("end")


def test_a_killed_worker(worker: Worker) -> None:
    worker._process.kill()
    worker._process.wait()
    for _ in range(2):
        with pytest.raises(EngineError, match="killed by signal 9"):
            worker.ask("modules")


def test_a_script_that_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import no_such_module")
    with pytest.raises(EngineError, match="no_such_module"):
        Worker(PYTHON, tmp_path / "script.py").ask("modules")


def test_neither_pythonpath_nor_this_folder_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    (tmp_path / "script.py").write_text(SCRIPT)
    path = Worker(PYTHON, tmp_path / "script.py").ask("modules")[0]["path"]
    assert str(tmp_path / "elsewhere") not in path
    assert not any(place.endswith("discern/export") for place in path)


def test_it_ends_with_the_last_who_holds_it(worker: Worker) -> None:
    worker.ask("modules")
    process = worker._process
    worker.close()
    assert process.returncode == 0
