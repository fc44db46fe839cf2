"""Several server processes behind one port."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_process import Running

from discern.errors import ConfigError
from discern.serving.processes import shares

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores, and a system that can share them out",
)


@pytest.fixture
def two(served: Path, tmp_path: Path) -> Iterator[Running]:
    config = tmp_path / "serve.toml"
    config.write_text("linger_seconds = 0.0\n")
    server = Running("serve", served, "--config", config, "--processes", 2).wait()
    yield server
    if server.process.stdout and not server.process.stdout.closed:
        server.stop()


def children(process: int) -> list[int]:
    """The process ids of a process's children."""
    return [int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_cores_are_shared_out_whole() -> None:
    assert shares([0, 1, 2, 3, 4], 2) == [[0, 1], [2, 3, 4]]
    assert shares([4, 7], 2) == [[4], [7]]
    with pytest.raises(ConfigError, match="3 processes on 2 cores"):
        shares([0, 1], 3)


def test_both_answer_and_count_together(two: Running, pictures: list[Path]) -> None:
    data = pictures[0].read_bytes()
    answers = {two.get("/predict", data) for _ in range(40)}
    assert len(answers) == 1
    asked = 'discern_requests_total{route="/predict",status="200"} 40.0'
    assert asked in two.get("/metrics").decode()
    affinities = [os.sched_getaffinity(child) for child in children(two.process.pid)]
    assert len(affinities) == 2
    assert not affinities[0] & affinities[1]
    code, out, err = two.stop()
    assert code == 0, err
    assert sum(json.loads(line)["path"] == "/predict" for line in out.splitlines()) == 40


def test_one_that_is_killed_is_started_again(two: Running, pictures: list[Path]) -> None:
    before = children(two.process.pid)
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        now = children(two.process.pid)
        if len(now) == 2 and before[0] not in now:
            break
        time.sleep(0.1)
    else:
        pytest.fail("it was not started again")
    assert two.get("/predict", pictures[0].read_bytes())
    assert two.stop()[0] == 0


def test_what_none_can_do_ends_all(served: Path) -> None:
    (served / "model.onnx").write_bytes(b"other")
    server = Running("serve", served, "--processes", 2)
    _, err = server.process.communicate(timeout=30)
    assert server.process.returncode == 2
    assert "model.onnx: has changed" in err
    assert "Traceback" not in err
