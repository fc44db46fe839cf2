"""What is computed of each element, of rows of them, and of matrices."""

from collections.abc import Callable
from functools import partial, reduce

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]

from .node import Node, Operation
from .value import (
    Constant,
    Operand,
    Tensor,
    Value,
    arranged,
    brought_together,
    held,
    logical,
    place,
    plain,
    rank,
    without,
)


def _each(function: Callable[[Tensor], Tensor]) -> Operation:
    """An operation on every element by itself."""

    def operation(_node: Node, x: Operand) -> Operand:
        value = held(x)
        return Value(function(value.stored), value.axes)

    return operation


def _together(function: Callable[..., Tensor]) -> Operation:
    """An operation on the elements of several operands."""

    def operation(_node: Node, *operands: Operand) -> Operand:
        tensors, axes = brought_together(operands)
        return Value(function(*tensors), axes)

    return operation


def _all(function: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    return _together(lambda *tensors: reduce(function, tensors))


def _divided(one: Tensor, other: Tensor) -> Tensor:
    """Whole numbers are divided to whole numbers, towards nought."""
    whole = tf.convert_to_tensor(one).dtype.is_integer
    return tf.truncatediv(one, other) if whole else tf.divide(one, other)


def _power(base: Tensor, exponent: Tensor) -> Tensor:
    if isinstance(exponent, np.ndarray) and exponent.ndim == 0:
        quicker = {2.0: tf.square, 0.5: tf.sqrt}.get(exponent.item())
        if quicker is not None:
            return quicker(base)
    base = tf.convert_to_tensor(base)
    return tf.pow(base, tf.cast(exponent, base.dtype))


def clip(
    node: Node, x: Operand, low: Operand | None = None, high: Operand | None = None
) -> Operand:
    value = held(x)
    bounds = [None if one is None else node.constant(one, "a bound") for one in (low, high)]
    found = tuple(None if bound is None else bound.item() for bound in bounds)
    return Value(_clipped(value.stored, *found), value.axes)


def _clipped(tensor: Tensor, low: float | None, high: float | None) -> Tensor:
    """Between bounds; by the operations that converters merge into the one before."""
    if (low, high) == (0, 6):
        return tf.nn.relu6(tensor)
    if low is not None:
        tensor = tf.nn.relu(tensor) if low == 0 else tf.maximum(tensor, low)
    return tensor if high is None else tf.minimum(tensor, high)


def gelu(node: Node, x: Operand) -> Operand:
    value = held(x)
    made = tf.nn.gelu(value.stored, approximate=node.get("approximate", "none") == "tanh")
    return Value(made, value.axes)


def hard_sigmoid(node: Node, x: Operand) -> Operand:
    value, slope, middle = held(x), node.get("alpha", 0.2), node.get("beta", 0.5)
    if (np.float32(slope), middle) == (np.float32(1 / 6), 0.5):
        return Value(tf.nn.relu6(value.stored + 3.0) * np.float32(1 / 6), value.axes)
    return Value(_clipped(slope * value.stored + middle, 0.0, 1.0), value.axes)


def _hard_swish(tensor: Tensor) -> Tensor:
    return tensor * tf.nn.relu6(tensor + 3.0) * np.float32(1 / 6)


def leaky_relu(node: Node, x: Operand) -> Operand:
    value = held(x)
    return Value(tf.nn.leaky_relu(value.stored, node.get("alpha", 0.01)), value.axes)


def cast(node: Node, x: Operand) -> Operand:
    from onnx import helper

    value = held(x)
    kind = helper.tensor_dtype_to_np_dtype(node.get("to"))
    return Value(tf.cast(value.stored, tf.as_dtype(kind)), value.axes)


def softmax(node: Node, x: Operand) -> Operand:
    value = held(x)
    made = tf.nn.softmax(value.stored, axis=place(value, node.get("axis", -1)))
    return Value(made, value.axes)


def _reduction(function: Callable[..., Tensor]) -> Operation:
    def operation(node: Node, x: Operand, axes: Operand | None = None) -> Operand:
        value = held(x)
        over = node.integers(axes, "axes")
        if not over:
            if node.get("noop_with_empty_axes", 0):
                return x
            over = list(range(rank(x)))
        return _reduced(function, value, over, bool(node.get("keepdims", 1)))

    return operation


def _reduced(function: Callable[..., Tensor], value: Value, over: list[int], keep: bool) -> Value:
    made = function(value.stored, axis=[place(value, axis) for axis in over], keepdims=keep)
    gone = [] if keep else [axis % len(value.axes) for axis in over]
    return Value(made, without(value.axes, gone))


def _length(tensor: Tensor, axis: list[int], keepdims: bool) -> Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(tensor), axis=axis, keepdims=keepdims))


def _global(function: Callable[..., Tensor]) -> Operation:
    def operation(_node: Node, x: Operand) -> Operand:
        return _reduced(function, held(x), list(range(2, rank(x))), keep=True)

    return operation


def layer_normalization(
    node: Node, x: Operand, scale: Operand, bias: Operand | None = None
) -> Operand:
    over = range(node.get("axis", -1) % rank(x), rank(x))
    normal = _scaled(_normal(node, held(x), over), scale)
    return normal if bias is None else _shifted(normal, bias)


def instance_normalization(node: Node, x: Operand, scale: Operand, bias: Operand) -> Operand:
    normal = _normal(node, held(x), range(2, rank(x)))
    factor, shift = (_for_channels(node.constant(each, "weights"), x) for each in (scale, bias))
    return _shifted(_scaled(normal, factor), shift)


def _normal(node: Node, value: Value, over: range) -> Value:
    """Of mean 0 and variance 1 over these axes."""
    axes = [place(value, axis) for axis in over]
    centred = value.stored - tf.reduce_mean(value.stored, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axes, keepdims=True)
    return Value(centred * tf.math.rsqrt(variance + node.get("epsilon", 1e-5)), value.axes)


def _scaled(one: Operand, factor: Operand) -> Value:
    tensors, axes = brought_together([one, factor])
    return Value(tf.multiply(*tensors), axes)


def _shifted(one: Operand, shift: Operand) -> Value:
    tensors, axes = brought_together([one, shift])
    return Value(tf.add(*tensors), axes)


def _for_channels(numbers: Constant, x: Operand) -> Constant:
    """One for each place on the second axis."""
    return numbers.reshape(-1, *(1,) * (rank(x) - 2))


def batch_normalization(node: Node, x: Operand, *learned: Operand) -> Operand:
    """As one product and one sum, for what was learned does not change any more."""
    if node.get("training_mode", 0):
        raise node.refuse("in training")
    scale, bias, mean, variance = (
        node.constant(each, "statistics").astype(np.float64) for each in learned
    )
    factor = scale / np.sqrt(variance + node.get("epsilon", 1e-5))
    product, total = (
        _for_channels(each.astype(np.float32), x) for each in (factor, bias - mean * factor)
    )
    return _shifted(_scaled(x, product), total)


def matmul(_node: Node, one: Operand, other: Operand) -> Operand:
    if isinstance(other, np.ndarray) and other.ndim == 2 and rank(one) >= 2:
        return _by_weights(one, other)
    return plain(tf.linalg.matmul(logical(one), logical(other)))


def _by_weights(one: Operand, weights: Constant) -> Operand:
    """Rows by a matrix of weights, as one flat product, which is a fully connected layer."""
    value = held(one)
    if value.axes[-1] != len(value.axes) - 1:
        value = plain(logical(value))
    sizes = [-1 if size is None else size for size in value.stored.shape.as_list()[:-1]]
    if len(sizes) == 1 or sizes.count(-1) > 1:
        return Value(tf.linalg.matmul(value.stored, weights), value.axes)
    rows = tf.linalg.matmul(tf.reshape(value.stored, [-1, weights.shape[0]]), weights)
    return Value(tf.reshape(rows, [*sizes, weights.shape[1]]), value.axes)


def gemm(node: Node, one: Operand, other: Operand, bias: Operand | None = None) -> Operand:
    alpha, beta = np.float32(node.get("alpha", 1.0)), np.float32(node.get("beta", 1.0))
    left, right = (
        arranged(each, (1, 0) if node.get(turn, 0) else (0, 1))
        for each, turn in ((one, "transA"), (other, "transB"))
    )
    made = tf.linalg.matmul(left, right if alpha == 1 else right * alpha)
    if bias is None:
        return plain(made)
    tensors, _ = brought_together([plain(made), bias])
    return plain(made + (tensors[1] if beta == 1 else tensors[1] * beta))


OPERATIONS: dict[str, Operation] = {
    "Abs": _each(tf.abs),
    "Add": _together(tf.add),
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Clip": clip,
    "Div": _together(_divided),
    "Exp": _each(tf.exp),
    "Gelu": gelu,
    "Gemm": gemm,
    "GlobalAveragePool": _global(tf.reduce_mean),
    "GlobalMaxPool": _global(tf.reduce_max),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": _each(_hard_swish),
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "LeakyRelu": leaky_relu,
    "Log": _each(tf.math.log),
    "MatMul": matmul,
    "Max": _all(tf.maximum),
    "Min": _all(tf.minimum),
    "Mul": _together(tf.multiply),
    "Neg": _each(tf.negative),
    "Pow": _together(_power),
    "Reciprocal": _each(partial(tf.divide, np.float32(1))),
    "ReduceL2": _reduction(_length),
    "ReduceMax": _reduction(tf.reduce_max),
    "ReduceMean": _reduction(tf.reduce_mean),
    "ReduceMin": _reduction(tf.reduce_min),
    "ReduceSum": _reduction(tf.reduce_sum),
    "Relu": _each(tf.nn.relu),
    "Sigmoid": _each(tf.sigmoid),
    "Softmax": softmax,
    "Softplus": _each(tf.math.softplus),
    "Sqrt": _each(tf.sqrt),
    "Sub": _together(tf.subtract),
    "Sum": _all(tf.add),
    "Tanh": _each(tf.tanh),
}
