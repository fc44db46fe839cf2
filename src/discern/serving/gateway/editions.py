"""What a model server has: editions of models."""

from dataclasses import dataclass, field

from discern.model import ModelInfo
from discern.model.facts import FactReader
from discern.model.interpreter import Interpreter


@dataclass(frozen=True, eq=False)
class Edition:
    """One version of one model, with one meaning; the same object for every server that has it.

    A version's number does not tell enough: servers may have different models under it.
    """

    name: str
    version: str
    info: ModelInfo
    interpreter: Interpreter
    facts: FactReader | None
    pinned: bool  # requests name the version, so that no other one answers
    files: dict[str, bytes | None] = field(default_factory=dict)  # fetched so far; None: not there

    @property
    def asked_version(self) -> str | None:
        """The version as requests name it; None for the upstream's own choice."""
        return self.version if self.pinned else None
