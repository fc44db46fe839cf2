"""systemd: one service on a plain machine, API and page in one process."""

from pathlib import Path

from discern.deploy.footprint import rounded_mib
from discern.deploy.images import image_files
from discern.deploy.rendering import Files, render
from discern.deploy.subject import Subject

RESTING_MIB = 60  # the server beside its model, at rest
BUILT_FROM = ("constraints.txt", "wheels/", "models/")  # what images take, and a plain machine too


def systemd_files(subject: Subject, wheel: Path | None = None) -> Files:
    """A folder to copy to a machine, with a script that installs the service."""
    unit = f"discern-{subject.name}"
    took = subject.footprint
    values = {
        "name": subject.name,
        "unit": unit,
        "venv": f"/opt/discern/{subject.discern}",
        "models": f"/var/lib/discern/models/{subject.name}",
        # A server calls a model as its folder is called.
        "model": f"/var/lib/discern/models/{subject.name}/{subject.tag}/{subject.name}",
        "repository": subject.repository,
        "reference": subject.model.references[0].name,
        "python": subject.python,
        "discern": subject.discern,
        "memory_mib": took.memory_mib,
        "most_mib": rounded_mib(2 * took.memory_mib + 512),
        "resting_mib": RESTING_MIB + took.memory_mib,
        "picture_ms": took.picture_ms,
    }
    names = {
        "README.md": "README.md",
        "install.sh": "install.sh",
        "uninstall.sh": "uninstall.sh",
        "unit.service": f"{unit}.service",
        "environment": f"{subject.name}.env",
        "wheels.md": "wheels/README.md",
    }
    own = {to: render(f"systemd/{name}", **values) for name, to in names.items()}
    return {**_built_from(subject, wheel), **own}


def _built_from(subject: Subject, wheel: Path | None) -> Files:
    """The model, the pinned versions and the wheel, as an image of the same server takes them."""
    image = image_files(subject, ("all-in-one",), wheel)
    return {name: content for name, content in image.items() if name.startswith(BUILT_FROM)}
