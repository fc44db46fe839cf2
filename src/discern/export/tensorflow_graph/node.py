"""A node of an ONNX graph as the operations see it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .value import Constant, Operand


class CannotConvertError(Exception):
    """The graph has something that is not brought to TensorFlow."""


@dataclass(frozen=True)
class Node:
    """Its kind, its outputs' names, and its attributes as plain Python values."""

    kind: str
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or what ONNX takes where it is not given."""
        return self.attributes.get(name, default)

    def refuse(self, what: str) -> CannotConvertError:
        return CannotConvertError(f"the graph has {self.kind} {what} ({self.outputs[0]})")

    def constant(self, operand: Operand | None, what: str) -> Constant:
        """An input that must be known now."""
        if not isinstance(operand, np.ndarray):
            raise self.refuse(f"with {what} that is only known when the graph is run")
        return operand

    def integers(self, operand: Operand | None, name: str) -> list[int] | None:
        """Whole numbers that older operators have as an attribute, newer ones as an input."""
        if operand is None:
            found: list[int] | None = self.get(name)
            return found
        return [int(number) for number in self.constant(operand, name).ravel()]


Operation: TypeAlias = Callable[..., Operand | tuple[Operand, ...]]
"""Called with the node and its inputs, None for one that is left out; gives its outputs."""
