"""What an import loads, each in a fresh process: quick starts and small images depend on it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HEAVY = {"torch", "timm", "torchvision", "openvino", "sklearn"}
TORCH = {"torch", "timm", "torchvision"}


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh process has loaded after `code`."""
    report = (
        f"{code}\nimport sys\nprint('\\n' + ' '.join({{m.split('.')[0] for m in sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "room",
    [
        *("runtime", "survey.duplicates", "model", "evaluation", "inspection.inspect"),
        *("cli", "serving.app", "serving.gateway"),
    ],
)
def test_a_room_loads_nothing_heavy(room: str) -> None:
    assert not loaded_by(f"import discern.{room}") & HEAVY


def test_the_package_loads_next_to_nothing() -> None:
    assert not loaded_by("import discern") & {"numpy", "PIL", "onnxruntime", *HEAVY}


def test_public_names_but_train_load_nothing_heavy() -> None:
    code = "import discern\nfor name in set(discern.__all__) - {'train'}: getattr(discern, name)"
    assert not loaded_by(code) & HEAVY


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom discern.cli import main\nsys.argv = ['discern', '--help']\n"
        "try: main()\nexcept SystemExit as done: assert not done.code"
    )
    assert not loaded_by(code) & {"numpy", "PIL", "onnxruntime", *HEAVY}


def test_frozen_training_loads_no_torch() -> None:
    rooms = ("frozen", "head", "embedding", "backbones", "train")
    code = "\n".join(f"import discern.training.{room}" for room in rooms)
    assert not loaded_by(code) & TORCH


def test_a_look_without_a_backbone_loads_nothing_of_training(
    tmp_path: Path, pictures: list[Path]
) -> None:
    """So it is quick, and there for those who have installed discern without [train]."""
    table = tmp_path / "pictures.csv"
    rows = [f"{path.relative_to(tmp_path)},{'ab'[i % 2]}" for i, path in enumerate(pictures)]
    table.write_text("\n".join(["image,label", *rows]))
    code = (
        f"import discern\nfound = discern.inspect(discern.load_dataset({str(table)!r}), "
        "backbone='none')\nassert len(found.looks.samples) == 21, found\nfound.to_html()"
    )
    assert not loaded_by(code) & {"onnx", "onnxruntime", "safetensors", "scipy", *HEAVY}


def test_nothing_is_reported_to_the_makers_of_onnx_runtime(
    tmp_path: Path, make_graph: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would leave an identifier of the machine and a queue of events in the user's cache."""
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    graph = make_graph()
    loaded_by(
        "from pathlib import Path\nfrom discern.runtime.engine import create_engine\n"
        f"create_engine(Path({str(graph)!r}), 'onnxruntime')"
    )
    assert not list((tmp_path / "home").rglob("*onnxruntime*"))
