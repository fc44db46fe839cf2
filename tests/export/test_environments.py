"""Converters' environments: made once, whole or not at all, and by one process."""

import subprocess
import threading
from pathlib import Path

import pytest

from discern.errors import ExportError
from discern.export.environments import environment, is_ready, pinned


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """Lists of requirements: one with nothing in it, one that no index has."""
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "impossible.txt").write_text("discern-has-no-such-package==0.0.0\n")
    return tmp_path


@pytest.fixture(autouse=True)
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("DISCERN_CONVERTERS", raising=False)  # made in the test's own cache


def test_made_once_and_again_after_a_kill(requirements: Path) -> None:
    said: list[str] = []
    python = environment("empty", said.append, requirements)
    assert subprocess.run([python, "-c", "import pip"], check=True).returncode == 0
    assert str(python.parent.parent) in said[0]
    assert "GB" in said[1]
    made = python.stat().st_mtime_ns
    assert environment("empty", said.append, requirements) == python
    assert python.stat().st_mtime_ns == made
    assert len(said) == 2
    folder = python.parent.parent
    (folder / ".ready").unlink()  # as a killed run leaves it
    (folder / "half").touch()
    assert not is_ready("empty", requirements)
    environment("empty", said.append, requirements)
    assert is_ready("empty", requirements)
    assert not (folder / "half").exists()
    (requirements / "empty.txt").write_text("# another list is another environment\n")
    assert not is_ready("empty", requirements)


def test_two_that_want_it_at_once(requirements: Path) -> None:
    said: list[str] = []
    makers = [
        threading.Thread(target=environment, args=("empty", said.append, requirements))
        for _ in range(2)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert len(said) == 2  # what one of them did
    assert is_ready("empty", requirements)


def test_what_cannot_be_had(requirements: Path, cache: Path) -> None:
    with pytest.raises(ExportError, match=r"no-such-package(.|\n)*package index(.|\n)*beforehand"):
        environment("impossible", print, requirements)
    assert not is_ready("impossible", requirements)
    assert [path.suffix for path in (cache / "environments").iterdir()] == [".lock"]


def test_pins_are_whole() -> None:
    pins = pinned("tensorflow")
    assert {"tensorflow-cpu", "onnx", "ai-edge-litert", "ai-edge-quantizer"} <= pins.keys()
    assert all(pins.values())


def test_lists_name_no_host() -> None:
    from discern.export.environments import REQUIREMENTS

    for path in REQUIREMENTS.glob("*.txt"):
        assert "://" not in path.read_text()
        assert not path.read_text().startswith("-")
