"""Tensors of a graph, and the order in which their axes are stored.

ONNX has channels before rows and columns, TensorFlow wants them last. A `Value` says which of its
axes is stored where, so that no operation has to guess it, and a transposition costs nothing until
something needs another order than the one there is. Constants are arrays in ONNX's order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]

Axes: TypeAlias = tuple[int, ...]
Constant: TypeAlias = np.ndarray[Any, Any]
Tensor: TypeAlias = Any  # TensorFlow's, or a constant


@dataclass(frozen=True)
class Value:
    """A tensor of a graph that is run; `axes[i]` is the ONNX axis that is stored as the i-th."""

    stored: Tensor
    axes: Axes


Operand: TypeAlias = Value | Constant


def plain(tensor: Tensor) -> Value:
    """A tensor in ONNX's own order."""
    return Value(tensor, tuple(range(len(tensor.shape))))


def rank(operand: Operand) -> int:
    return operand.ndim if isinstance(operand, np.ndarray) else len(operand.axes)


def shape(operand: Operand) -> list[int | None]:
    """In ONNX's order; None for what is not known before the graph is run."""
    if isinstance(operand, np.ndarray):
        return list(operand.shape)
    sizes = operand.stored.shape.as_list()
    return [sizes[operand.axes.index(axis)] for axis in range(len(sizes))]


def arranged(operand: Operand, axes: Axes) -> Tensor:
    """The tensor, stored in this order; a constant is brought into it here and now."""
    if isinstance(operand, np.ndarray):
        return operand.transpose(axes)
    if operand.axes == axes:
        return operand.stored
    return _transposed(operand.stored, tuple(operand.axes.index(axis) for axis in axes))


def logical(operand: Operand) -> Tensor:
    """The tensor in ONNX's order."""
    return arranged(operand, tuple(range(rank(operand))))


def held(operand: Operand) -> Value:
    """The operand as a value; a constant in ONNX's order."""
    return plain(operand) if isinstance(operand, np.ndarray) else operand


def place(value: Value, axis: int) -> int:
    """Where an ONNX axis, which may count from the end, is stored."""
    return value.axes.index(axis % len(value.axes))


def without(axes: Axes, gone: Iterable[int]) -> Axes:
    """The order of what is left when these ONNX axes are taken away."""
    dropped = set(gone)
    left = [axis for axis in axes if axis not in dropped]
    return tuple(sorted(left).index(axis) for axis in left)


def brought_together(operands: Sequence[Operand]) -> tuple[list[Tensor], Axes]:
    """Operands that are broadcast against each other, all in the order of the first full one."""
    most = max(rank(operand) for operand in operands)
    full = [each for each in operands if isinstance(each, Value) and rank(each) == most]
    axes = full[0].axes if full else tuple(range(most))
    tensors = [arranged(_widened(operand, most), axes) for operand in operands]
    return [_trimmed(tensor) if full else tensor for tensor in tensors], axes


def _widened(operand: Operand, most: int) -> Operand:
    """With axes of length 1 before its own, as broadcasting sees it."""
    missing = most - rank(operand)
    if missing == 0:
        return operand
    if isinstance(operand, np.ndarray):
        return operand[(None,) * missing]
    axes = (*range(missing), *(axis + missing for axis in operand.axes))
    return Value(operand.stored[(None,) * missing], axes)


def _trimmed(tensor: Tensor) -> Tensor:
    """A constant without its leading axes of length 1: as a vector it is seen to be a bias."""
    if not isinstance(tensor, np.ndarray):
        return tensor
    first = next((i for i, size in enumerate(tensor.shape) if size != 1), tensor.ndim)
    return tensor.reshape(tensor.shape[first:])


def _transposed(tensor: Tensor, order: Axes) -> Tensor:
    """A reshape where only axes of length 1 change places."""
    sizes = tensor.shape.as_list()
    moved = [axis for axis in order if sizes[axis] != 1]
    if moved == sorted(moved) and sizes.count(None) <= 1:
        return tf.reshape(tensor, [-1 if sizes[i] is None else sizes[i] for i in order])
    return tf.transpose(tensor, order)
