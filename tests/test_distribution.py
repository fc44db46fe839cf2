"""One version in one place; wheel and sdist that hold everything, and work without torch.

What is built is looked at by `make distribution`, which builds it first and names the folder in
DISCERN_DISTRIBUTION; a package index must be in reach.
"""

import json
import os
import re
import signal
import socket
import subprocess
import tarfile
import urllib.request
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import discern

ROOT = Path(__file__).parent.parent
BUILT = os.environ.get("DISCERN_DISTRIBUTION")
built = pytest.mark.skipif(not BUILT, reason="make distribution builds what is looked at here")
SERVED = "is served at "


def test_the_version_stands_in_one_place() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", discern.__version__)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in project
    assert 'path = "src/discern/__init__.py"' in project
    sources = [p for p in (ROOT / "src").rglob("*.py") if p.name != "__init__.py"]
    assert not [p for p in sources if "__version__ =" in p.read_text(encoding="utf-8")]


def test_the_changelog_knows_the_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] in ("Unreleased", discern.__version__)


@pytest.fixture
def wheel() -> Path:
    (found,) = Path(str(BUILT)).glob("*.whl")
    return found


@built
def test_the_wheel_holds_everything(wheel: Path) -> None:
    names = {n.removeprefix("discern/") for n in zipfile.ZipFile(wheel).namelist()}
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src/discern"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    there = {n.removeprefix("src/discern/") for n in listed if (ROOT / n).is_file()}
    assert there - names == set()
    assert {n for n in names if "dist-info" not in n} - there == set()
    assert any(n.endswith("licenses/LICENSE") for n in names)
    kinds = {Path(n).suffix for n in there}
    assert {".html", ".proto", ".binpb", ".sh", ".tf", ".yaml"} <= kinds
    assert {"py.typed", "deploy/templates/ci/.gitlab-ci.yml"} <= names


@built
def test_the_sdist_builds_the_same_wheel(wheel: Path) -> None:
    (direct,) = Path(str(BUILT), "direct").glob("*.whl")
    # `wheel` was built of the sdist, `direct` of the working tree.
    contents = [{i.filename: i.CRC for i in zipfile.ZipFile(w).infolist()} for w in (wheel, direct)]
    assert contents[0] == contents[1]
    (sdist,) = Path(str(BUILT)).glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "constraints.txt", "pyproject.toml"} <= names
    assert {"tests/conftest.py", "docs/design.md", "mkdocs.yml", "Makefile"} <= names
    assert not [n for n in names if n.startswith((".venv", "dist", "site"))]


@pytest.fixture
def clean(tmp_path: Path, wheel: Path) -> Path:
    """The commands of an environment with discern[serve] of the wheel, and nothing else."""
    folder = tmp_path / "clean"
    venv.create(folder, with_pip=True)
    install = [folder / "bin/pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    subprocess.run([*install, f"{wheel}[serve]"], check=True)
    return folder / "bin"


@built
def test_it_predicts_and_serves_without_torch(
    clean: Path, make_model: Callable[..., Path], pictures: list[Path], tmp_path: Path
) -> None:
    model = make_model(tmp_path / "my-model")
    for absent in ("torch", "timm", "sklearn", "jinja2"):
        asked = subprocess.run([clean / "python", "-c", f"import {absent}"], capture_output=True)
        assert asked.returncode == 1, f"{absent} is there"
    run = [clean / "discern", "predict", model, pictures[0], "--json"]
    said = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    (expected,) = json.loads(said.stdout)["predictions"]
    answer = served(clean, model, pictures[0])
    assert answer["label"] == expected["label"]
    assert answer["probability"] == pytest.approx(expected["probability"], abs=1e-5)
    needs_more = subprocess.run(
        [clean / "discern", "train", pictures[0].parent, "-o", tmp_path / "x"],
        capture_output=True,
        text=True,
    )
    assert needs_more.returncode == 2
    assert "Traceback" not in needs_more.stderr


def served(clean: Path, model: Path, picture: Path) -> dict[str, object]:
    """What a server of its own, on a free port, answers for a picture."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [clean / "discern", "serve", model, "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            line = next(line for line in server.stderr if SERVED in line)
            asked = urllib.request.Request(
                line.partition(SERVED)[2].strip() + "/predict",
                data=picture.read_bytes(),
                headers={"Content-Type": "image/png"},
            )
            with urllib.request.urlopen(asked, timeout=10) as response:
                return dict(json.load(response))
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
