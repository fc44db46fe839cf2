"""What moves elements about and leaves them as they are, and what is told of shapes."""

import math

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]

from .node import Node, Operation
from .value import (
    Operand,
    Tensor,
    Value,
    arranged,
    held,
    logical,
    place,
    plain,
    rank,
    shape,
    without,
)

FAR = np.iinfo(np.int32).max  # TensorFlow's slices are told in 32 bits


def transpose(node: Node, x: Operand) -> Operand:
    """Only the order is noted: what is stored stays where it is."""
    order = node.get("perm", list(range(rank(x)))[::-1])
    if isinstance(x, np.ndarray):
        return x.transpose(order)
    return Value(x.stored, tuple(order.index(axis) for axis in x.axes))


def shape_of(node: Node, x: Operand) -> Operand:
    wanted = slice(node.get("start", 0), node.get("end"))
    found = shape(x)[wanted]
    if None not in found:
        return np.asarray(found, np.int64)
    return plain(tf.shape(logical(x), out_type=tf.int64)[wanted])


def reshape(node: Node, x: Operand, target: Operand) -> Operand:
    tensor = logical(x)
    if isinstance(target, np.ndarray):
        copied = not node.get("allowzero", 0)
        sizes = [
            _size(tensor, i) if copied and size == 0 else int(size) for i, size in enumerate(target)
        ]
        return plain(tf.reshape(tensor, sizes))
    made = tf.reshape(tensor, logical(target))
    if made.shape.rank is None or 0 in made.shape.as_list():
        raise node.refuse("to a shape that is only known when the graph is run")
    return plain(made)


def _size(tensor: Tensor, axis: int) -> Tensor:
    """Of an axis, as a number if that is known."""
    return tensor.shape[axis] or tf.shape(tensor)[axis]


def flatten(node: Node, x: Operand) -> Operand:
    tensor, cut = logical(x), node.get("axis", 1)
    sizes = shape(x)
    cut = cut + len(sizes) if cut < 0 else cut
    first, rest = sizes[:cut], sizes[cut:]
    if None in rest:
        return plain(tf.reshape(tensor, [math.prod(map(int, first)), -1]))  # type: ignore[arg-type]
    return plain(tf.reshape(tensor, [-1, math.prod(map(int, rest))]))  # type: ignore[arg-type]


def squeeze(node: Node, x: Operand, axes: Operand | None = None) -> Operand:
    value, listed = held(x), node.integers(axes, "axes")
    if listed is None:
        listed = [axis for axis, size in enumerate(shape(x)) if size == 1]
    if not listed:
        return x
    made = tf.squeeze(value.stored, [place(value, axis) for axis in listed])
    return Value(made, without(value.axes, (axis % len(value.axes) for axis in listed)))


def unsqueeze(node: Node, x: Operand, axes: Operand | None = None) -> Operand:
    listed = node.integers(axes, "axes") or []
    tensor = logical(x)
    for axis in sorted(axis % (rank(x) + len(listed)) for axis in listed):
        tensor = tf.expand_dims(tensor, axis)
    return plain(tensor)


def concat(node: Node, *operands: Operand) -> Operand:
    """In the order of the first that has one."""
    values = [operand for operand in operands if isinstance(operand, Value)]
    first = values[0] if values else held(operands[0])
    tensors = [arranged(operand, first.axes) for operand in operands]
    return Value(tf.concat(tensors, place(first, node.get("axis"))), first.axes)


def split(node: Node, x: Operand, sizes: Operand | None = None) -> tuple[Operand, ...]:
    value, axis = held(x), node.get("axis", 0)
    listed = node.integers(sizes, "split")
    if listed is None:
        parts, whole = len(node.outputs), shape(x)[axis]
        if whole is None:
            raise node.refuse("of an axis of unknown length")
        each = -(-whole // parts)
        listed = [min(each, whole - i * each) for i in range(parts)]
    made = tf.split(value.stored, listed, axis=place(value, axis))
    return tuple(Value(part, value.axes) for part in made)


def slice_of(
    node: Node,
    x: Operand,
    starts: Operand,
    ends: Operand,
    axes: Operand | None = None,
    steps: Operand | None = None,
) -> Operand:
    value, sizes = held(x), shape(x)
    first, end = node.integers(starts, "starts") or [], node.integers(ends, "ends") or []
    listed = node.integers(axes, "axes") or list(range(len(first)))
    step = node.integers(steps, "steps") or [1] * len(first)
    taken = [slice(None)] * len(sizes)
    for i, axis in enumerate(listed):
        taken[place(value, axis)] = _within(slice(first[i], end[i], step[i]), sizes[axis])
    return Value(value.stored[tuple(taken)], value.axes)


def _within(wanted: slice, size: int | None) -> slice:
    """The slice by bounds that TensorFlow takes."""
    if size is None:
        start, stop = (max(-FAR, min(FAR, bound)) for bound in (wanted.start, wanted.stop))
        return slice(start, None if stop == -FAR and wanted.step < 0 else stop, wanted.step)
    start, stop, step = wanted.indices(size)
    return slice(max(start, 0), None if stop < 0 else stop, step)


def gather(node: Node, x: Operand, indices: Operand) -> Operand:
    value, axis = held(x), node.get("axis", 0) % rank(x)
    if not isinstance(indices, np.ndarray):
        return plain(tf.gather(logical(x), logical(indices), axis=axis))
    size = shape(x)[axis]
    if indices.ndim == 0:
        taken = [slice(None)] * rank(x)
        taken[place(value, axis)] = int(indices)  # type: ignore[call-overload]
        return Value(value.stored[tuple(taken)], without(value.axes, [axis]))
    if size is None:
        raise node.refuse("by fixed indices of an axis of unknown length")
    wanted = np.mod(indices, size)
    before, after = shape(x)[:axis], shape(x)[axis + 1 :]
    if None not in (*before, *after) and np.array_equal(wanted.ravel(), np.arange(size)):
        return plain(tf.reshape(logical(x), [*before, *wanted.shape, *after]))  # all, as they are
    return plain(tf.gather(logical(x), wanted, axis=axis))


def gather_places(node: Node, x: Operand, indices: Operand) -> Operand:
    places = node.constant(indices, "indices")
    if (places < 0).any():
        raise node.refuse("by indices that count from the end")
    return plain(tf.gather_nd(logical(x), places, batch_dims=node.get("batch_dims", 0)))


def expand(node: Node, x: Operand, target: Operand) -> Operand:
    """By adding nought: unlike tf.broadcast_to, that lets both sides be stretched."""
    tensor = tf.convert_to_tensor(logical(x))
    if tensor.dtype == tf.bool:
        raise node.refuse("of truth values")
    return plain(tensor + tf.zeros(logical(target), tensor.dtype))


def pad(
    node: Node,
    x: Operand,
    pads: Operand,
    number: Operand | None = None,
    axes: Operand | None = None,
) -> Operand:
    value, mode = held(x), node.get("mode", "constant")
    amounts = node.integers(pads, "pads") or []
    listed = node.integers(axes, "axes") or list(range(rank(x)))
    if mode not in ("constant", "reflect") or min(amounts, default=0) < 0:
        raise node.refuse(f"of the kind {mode}, or of less than nothing")
    around = [(0, 0)] * rank(x)
    for axis, before, after in zip(
        listed, amounts[: len(listed)], amounts[len(listed) :], strict=True
    ):
        around[place(value, axis)] = (before, after)
    filled = 0 if number is None else node.constant(number, "a number").item()
    return Value(tf.pad(value.stored, around, mode.upper(), filled), value.axes)


def range_of(_node: Node, start: Operand, limit: Operand, step: Operand) -> Operand:
    return plain(tf.range(logical(start), logical(limit), logical(step)))


def constant(node: Node) -> Operand:
    from onnx import numpy_helper

    if "value" not in node.attributes:
        raise node.refuse("that is not a tensor")
    found: Operand = numpy_helper.to_array(node.get("value"))
    return found


def identity(_node: Node, x: Operand, *_unused: Operand | None) -> Operand:
    return x


OPERATIONS: dict[str, Operation] = {
    "Concat": concat,
    "Constant": constant,
    "Dropout": identity,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "GatherND": gather_places,
    "Identity": identity,
    "Pad": pad,
    "Range": range_of,
    "Reshape": reshape,
    "Shape": shape_of,
    "Slice": slice_of,
    "Split": split,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
