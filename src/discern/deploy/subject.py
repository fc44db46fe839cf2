"""What is deployed: a model, and everything that templates say about it."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import discern
from discern.deploy.footprint import Footprint, measure_footprint
from discern.errors import ConfigError
from discern.model import Model, load
from discern.model.folder import INFO, sha256_of
from discern.model.reference import FOLDER

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,40}[a-z0-9])?")  # leaves room for "-model-server"


@dataclass(frozen=True)
class Subject:
    """A model under the name it is deployed by."""

    name: str  # a DNS label: "clothes"
    model: Model
    tag: str  # of its images: changes with the model and with discern
    footprint: Footprint
    registry: str = ""  # "eu.example.org/team/", or "" for images that are only here

    @property
    def repository(self) -> str:
        """Where the model folder lies, as one version in a repository of models."""
        return f"models/{self.name}/1"

    @property
    def reference(self) -> str:
        """A picture with a known answer, to try it on: "models/clothes/1/reference/00.jpg"."""
        return f"{self.repository}/{FOLDER}/{self.model.references[0].name}"

    @property
    def python(self) -> str:
        """The Python that versions are pinned for: "3.11"."""
        return f"{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def discern(self) -> str:
        return discern.__version__

    def image(self, kind: str) -> str:
        """The full name of one of its images: "example.org/team/clothes-gateway:0.1.0-1a2b3c4d"."""
        return f"{self.registry}{self.name}-{kind}:{self.tag}"


def read_subject(folder: Path, name: str | None = None, registry: str = "") -> Subject:
    """Load and measure the model in `folder`; ConfigError for a name that no DNS would take."""
    model = load(folder)
    name = name or _as_label(folder.resolve().name)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a host's name, which it is deployed under. "
            "Give one of small letters, digits and hyphens: --name clothes"
        )
    registry = f"{registry.rstrip('/')}/" if registry else ""
    return Subject(name, model, _tag(folder), measure_footprint(model), registry)


def _as_label(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _tag(folder: Path) -> str:
    digest = sha256_of(folder / INFO)  # it has every file's hash
    return f"{discern.__version__}-{digest[:8]}"
