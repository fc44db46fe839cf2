"""The unit and its scripts, read by systemd's own tools, the shell and discern's command line."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from discern.cli import app
from discern.deploy.footprint import Footprint
from discern.deploy.rendering import write
from discern.deploy.subject import Subject
from discern.deploy.systemd import systemd_files
from discern.model import load
from discern.serving.settings import ServeSettings
from discern.serving.single import name_and_version

ANALYZE, SHELLCHECK = shutil.which("systemd-analyze"), shutil.which("shellcheck")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
UNIT = "discern-clothes.service"
MOST_EXPOSED = 1.5  # of 10; systemd calls it "OK" below 5


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    model, took = load(model_folder), Footprint(160, 0.8, 20.0)
    write(systemd_files(Subject("clothes", model, "0.1.0-abcdef12", took)), tmp_path / "rendered")
    return tmp_path / "rendered"


@pytest.fixture
def unit(folder: Path) -> dict[str, str]:
    """The unit's settings; of those that are there twice, the last."""
    lines = (folder / UNIT).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def options(command: str) -> dict[str, Any]:
    """What `discern serve` makes of a command; it exits where the command is wrong."""
    program, verb, *words = shlex.split(command)
    assert program.endswith("/bin/discern")
    group: Any = typer.main.get_command(app)
    with group.commands[verb].make_context(verb, words) as context:
        read: dict[str, Any] = context.params
    return read


def analyzed(*words: object) -> str:
    assert ANALYZE is not None
    ran = subprocess.run([ANALYZE, *map(str, words)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout + ran.stderr


@needs_systemd
def test_systemd_takes_every_line_of_the_unit(folder: Path, tmp_path: Path) -> None:
    text = (folder / UNIT).read_text()
    here = tmp_path / UNIT  # its program is not installed on the machine that tests
    here.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", text))
    said = [line for line in analyzed("verify", here).splitlines() if UNIT in line]
    assert said == []


@needs_systemd
def test_it_is_exposed_as_little_as_a_server_can_be(folder: Path) -> None:
    said = analyzed("security", "--offline=yes", folder / UNIT)
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert exposure is not None
    assert float(exposure[1]) <= MOST_EXPOSED


def test_the_unit_starts_what_discern_understands(unit: dict[str, str], folder: Path) -> None:
    environment = (folder / "clothes.env").read_text()
    given = dict(re.findall(r"(?m)^(\w+)=(.*)$", environment))
    command = re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], unit["ExecStart"])
    asked = options(command)
    assert (asked["host"], asked["port"]) == ("127.0.0.1", 8000)
    assert name_and_version(asked["model"]) == ("clothes", "1")
    assert unit["EnvironmentFile"] == "/etc/discern/clothes.env"


def test_there_is_time_to_finish(unit: dict[str, str]) -> None:
    settings = ServeSettings()
    assert int(unit["TimeoutStopSec"]) > settings.linger_seconds + settings.drain_seconds


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh"])
def test_the_shell_has_nothing_to_say_about_the_scripts(folder: Path, script: str) -> None:
    path = folder / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", path], check=True)
    if SHELLCHECK is None:
        pytest.skip("shellcheck is not installed")
    ran = subprocess.run([SHELLCHECK, path], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_what_is_installed_is_what_the_unit_runs(folder: Path, unit: dict[str, str]) -> None:
    script = (folder / "install.sh").read_text()
    venv, model = (re.search(rf"(?m)^{name}=(\S+)", script) for name in ("venv", "model"))
    assert venv is not None
    assert model is not None
    words = unit["ExecStart"].split()
    assert words[0] == f"{venv[1]}/bin/discern"
    assert words[2] == model[1]
    for name in re.findall(r"install -m \d+ (\S+)", script):
        assert (folder / name).is_file()
    assert (folder / "models/clothes/1/model.json").is_file()
    pins = (folder / "constraints.txt").read_text()
    assert re.search(r"(?m)^onnxruntime==", pins)


def test_nobody_but_root_gets_through(folder: Path) -> None:
    """With an `id` that says so: whoever tests may be root."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "id").write_text("#!/bin/sh\necho 1000\n")
    (programs / "id").chmod(0o755)
    for script in ("install.sh", "uninstall.sh"):
        ran = subprocess.run(
            [folder / script],
            capture_output=True,
            text=True,
            env={"PATH": f"{programs}:/usr/bin:/bin"},
        )
        assert ran.returncode == 1
        assert "Run this as root: sudo" in ran.stderr
