"""Templates to files: rendered by Jinja2, written whole or not at all."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discern.whole_folder import add_file, whole_folder

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
README = "README.md"
MARK = ".discern-deploy"  # says that a folder may be rendered anew
KIND = "a folder that discern deploy wrote"

Files = Mapping[str, str | bytes | Path]  # relative name → text, bytes, or a file to copy


def render(template: str, **values: object) -> str:
    """The text of a file below `templates/`; a name it asks for and does not get is an error.

    `{= name =}`, `{% if … %}` and `{## … ##}`, since YAML, shells, Terraform and Grafana have
    other uses for Jinja's own braces.
    """
    return _environment().get_template(template).render(**values)


def rendered(folder: str, **values: object) -> dict[str, str]:
    """Every file below a folder of `templates/`, by its name relative to it."""
    root = TEMPLATES / folder
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    return {name: render(f"{folder}/{name}", **values) for name in names}


def copied(folder: Path, to: str) -> dict[str, Path]:
    """Every file of a folder, to be copied below `to`."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    return {f"{to}/{path.relative_to(folder).as_posix()}": path for path in paths}


def write(files: Files, output: Path, overwrite: bool = False) -> None:
    """Write `files` to the folder `output`, whole or not at all; `*.sh` can be run.

    OutputError where it exists and `overwrite` is not given, or was not written by `write`.
    """
    with whole_folder(output, overwrite, mark=MARK, kind=KIND) as stage:
        for name, content in {MARK: _ABOUT_MARK, **files}.items():
            path = stage / name
            add_file(path, content.encode() if isinstance(content, str) else content)
            if path.suffix == ".sh":
                path.chmod(0o755)


_ABOUT_MARK = "discern deploy --overwrite replaces a folder that has this file, and no other.\n"


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    settings: dict[str, Any] = {
        "variable_start_string": "{=",
        "variable_end_string": "=}",
        "comment_start_string": "{##",
        "comment_end_string": "##}",
        "trim_blocks": True,
        "lstrip_blocks": True,
        "keep_trailing_newline": True,
    }
    return Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, **settings)
