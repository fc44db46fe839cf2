"""Environments of their own for converters whose pins no other install should bear.

Each is a virtual environment in the cache, made once, with what `requirements/<name>.txt` lists.
Its folder's name holds a hash of that list and of this Python, so that neither is ever changed
under it. `python -m discern.export.environments` makes them all, before they are needed.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from discern.alone import alone
from discern.config import cache_dir
from discern.errors import ExportError
from discern.whole_folder import writing

Say = Callable[[str], None]

REQUIREMENTS = Path(__file__).with_name("requirements")
READY = ".ready"  # written last: a folder without it is what a killed run left


def environment(name: str, say: Say, requirements: Path = REQUIREMENTS) -> Path:
    """The Python of the environment `name`, which is made first where it is not there yet.

    Of processes that want it at once, one makes it and the others wait. ExportError where it
    cannot be made; then nothing is left behind.
    """
    listed = _read(name, requirements)
    folder = _folder(name, listed)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / READY).is_file():
        with writing(folder), alone(folder.with_name(f"{folder.name}.lock")):
            if not (folder / READY).is_file():
                _make(folder, python, requirements / f"{name}.txt", say)
    return python


def is_ready(name: str, requirements: Path = REQUIREMENTS) -> bool:
    """Is the environment there already?"""
    return (_folder(name, _read(name, requirements)) / READY).is_file()


def pinned(name: str, requirements: Path = REQUIREMENTS) -> Mapping[str, str]:
    """The packages of the environment and their versions."""
    lines = (line.split("#")[0].strip() for line in _read(name, requirements).splitlines())
    pairs = (line.partition("==") for line in lines if line)
    return {package: version for package, _, version in pairs}


def environments_folder() -> Path:
    """Where environments are kept: DISCERN_CONVERTERS, or in the cache."""
    named = os.environ.get("DISCERN_CONVERTERS")
    return Path(named).expanduser() if named else cache_dir() / "environments"


def _read(name: str, requirements: Path) -> str:
    return (requirements / f"{name}.txt").read_text(encoding="utf-8")


def _folder(name: str, listed: str) -> Path:
    facts = "\n".join((listed, platform.python_version(), platform.machine(), sys.base_prefix))
    key = hashlib.sha256(facts.encode()).hexdigest()[:12]
    return environments_folder().absolute() / f"{name}-{key}"  # scripts in it hold its path


def _make(folder: Path, python: Path, requirements: Path, say: Say) -> None:
    """Make it in place, for virtual environments cannot be moved; the mark comes last."""
    shutil.rmtree(folder, ignore_errors=True)
    say(f"The converters get an environment of their own, once, in {folder}. It takes minutes.")
    started = time.monotonic()
    try:
        _run([sys.executable, "-m", "venv", str(folder)], folder)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        _run([*pip, "install", "--quiet", "--no-deps", "-r", str(requirements)], folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    (folder / READY).touch()
    say(f"Made in {time.monotonic() - started:.0f} s; {_size(folder) / 1e9:.1f} GB.")


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    raise ExportError(
        f"The converters' environment in {folder} cannot be made: {_last_words(done)}\n"
        f"It needs Python 3.11 or 3.12 (this is {platform.python_version()}) with venv, a package "
        "index, and about 2 GB.\nWhere there is no index now, make it where there is one, or "
        "beforehand: python -m discern.export.environments"
    )


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    """What it said last, its errors rather than its warnings."""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return next(reversed(errors or lines), f"it ended with {done.returncode}.")


def _size(folder: Path) -> int:
    """Bytes of the files in it."""
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def main() -> None:
    """Make every environment there is a list for."""
    for requirements in sorted(REQUIREMENTS.glob("*.txt")):
        print(environment(requirements.stem, print))


if __name__ == "__main__":
    main()
