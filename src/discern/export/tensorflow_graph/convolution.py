"""Convolutions and pools: what looks at pictures through a window. Channels are stored last."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]

from .node import Node, Operation
from .value import Axes, Constant, Operand, Tensor, Value, arranged, rank

LAST: Axes = (0, 2, 3, 1)  # channels after rows and columns


@dataclass(frozen=True)
class Window:
    """How a kernel goes over one axis of a picture."""

    length: int  # of the axis
    kernel: int
    stride: int
    dilation: int
    before: int  # what is added to the axis
    after: int
    beyond: int = 0  # added after that where the last window would reach out; never counted

    @property
    def reach(self) -> int:
        return (self.kernel - 1) * self.dilation + 1

    @property
    def pads(self) -> tuple[int, int]:
        return self.before, self.after + self.beyond

    @property
    def steps(self) -> int:
        return (self.length + sum(self.pads) - self.reach) // self.stride + 1

    @property
    def is_same(self) -> bool:
        """Does TensorFlow's SAME add just this?"""
        total = _same(self.length, self.reach, self.stride)
        return self.pads == (total // 2, total - total // 2)

    def counts(self, padding_counts: bool) -> Constant:
        """Of how many pixels each of its means is taken."""
        starts = np.arange(self.steps) * self.stride - self.before
        first, end = 0, self.length
        if padding_counts:
            first, end = -self.before, self.length + self.after
        return np.minimum(starts + self.kernel, end) - np.maximum(starts, first)


def conv(node: Node, x: Operand, weight: Operand, bias: Operand | None = None) -> Operand:
    kernel = node.constant(weight, "a kernel")
    images = _pictures(node, x)
    windows = _windows(node, images, kernel.shape[2:])
    images, padding = _padded(images, windows, "CONSTANT")
    made = _convolved(node, images, kernel, windows, padding)
    if bias is not None:
        made = tf.nn.bias_add(made, node.constant(bias, "a bias"))
    return Value(made, LAST)


def _convolved(
    node: Node, images: Tensor, kernel: Constant, windows: list[Window], padding: str
) -> Tensor:
    groups, channels = node.get("group", 1), images.shape[-1]
    strides, dilations = [w.stride for w in windows], [w.dilation for w in windows]
    even = strides[0] == strides[1] and (max(strides) == 1 or max(dilations) == 1)
    if groups == channels > 1 and even:
        made = kernel.reshape(groups, -1, *kernel.shape[2:]).transpose(2, 3, 0, 1)
        return tf.nn.depthwise_conv2d(images, made, [1, *strides, 1], padding, dilations=dilations)
    images = tf.split(images, groups, axis=-1) if groups > 1 else [images]
    parts = [
        tf.nn.conv2d(part, own.transpose(2, 3, 1, 0), strides, padding, dilations=dilations)
        for part, own in zip(images, np.split(kernel, groups), strict=True)
    ]
    return tf.concat(parts, axis=-1) if groups > 1 else parts[0]


def max_pool(node: Node, x: Operand) -> Operand:
    images = _pictures(node, x)
    windows = _windows(node, images, node.get("kernel_shape"))
    # No number is below all others in eight bits. Nought does after Relu; elsewhere what is
    # mirrored at the edge does, which is in the window anyway.
    mirrored = images.op.type not in ("Relu", "Relu6")
    if mirrored and any(2 * max(w.pads) > w.kernel for w in windows):
        raise node.refuse("with more padding than half its window")
    images, padding = _padded(images, windows, "SYMMETRIC" if mirrored else "CONSTANT")
    return Value(_pooled(node, images, windows, padding, tf.nn.max_pool2d), LAST)


def average_pool(node: Node, x: Operand) -> Operand:
    images = _pictures(node, x)
    windows = _windows(node, images, node.get("kernel_shape"))
    padding_counts = bool(node.get("count_include_pad", 0))
    if not padding_counts and all(window.is_same for window in windows):
        return Value(_pooled(node, images, windows, "SAME", tf.nn.avg_pool2d), LAST)
    images, _ = _padded(images, windows, "CONSTANT", explicit=True)
    made = _pooled(node, images, windows, "VALID", tf.nn.avg_pool2d)
    rows, columns = (window.counts(padding_counts) for window in windows)
    counted = np.outer(rows, columns)[None, :, :, None]
    share = np.float32(windows[0].kernel * windows[1].kernel) / counted.astype(np.float32)
    return Value(made if (share == 1).all() else made * share, LAST)


def _pooled(
    node: Node,
    images: Tensor,
    windows: list[Window],
    padding: str,
    pool: Callable[..., Tensor],
) -> Tensor:
    if any(window.dilation > 1 for window in windows):
        raise node.refuse("with a dilated window")
    return pool(images, [w.kernel for w in windows], [w.stride for w in windows], padding)


def _pictures(node: Node, x: Operand) -> Tensor:
    if rank(x) != 4:
        raise node.refuse(f"over {rank(x) - 2} axes")
    return tf.convert_to_tensor(arranged(x, LAST))


def _windows(node: Node, images: Tensor, kernel: Any) -> list[Window]:
    strides, dilations = node.get("strides", [1, 1]), node.get("dilations", [1, 1])
    pads = node.get("pads", [0, 0, 0, 0])
    sizes = images.shape.as_list()[1:3]
    if None in sizes:
        raise node.refuse("over pictures of no fixed size")
    made = []
    for i, (length, size) in enumerate(zip(sizes, kernel, strict=True)):
        reach = (size - 1) * dilations[i] + 1
        before, after = _pads(
            node.get("auto_pad", "NOTSET"), pads[i], pads[i + 2], length, reach, strides[i]
        )
        window = Window(length, size, strides[i], dilations[i], before, after)
        made.append(_reaching_out(window) if node.get("ceil_mode", 0) else window)
    return made


def _pads(
    rule: str, before: int, after: int, length: int, reach: int, stride: int
) -> tuple[int, int]:
    if rule == "NOTSET":
        return before, after
    total = 0 if rule == "VALID" else _same(length, reach, stride)
    less, more = total // 2, total - total // 2
    return (more, less) if rule == "SAME_LOWER" else (less, more)


def _same(length: int, reach: int, stride: int) -> int:
    """What is added in all, so that there are as many windows as strides in the axis."""
    return max((-(-length // stride) - 1) * stride + reach - length, 0)


def _reaching_out(window: Window) -> Window:
    """With one window more where there are pixels left, if that begins within the picture."""
    over = (window.length + sum(window.pads) - window.reach) % window.stride
    begins = window.steps * window.stride
    if over == 0 or begins >= window.length + window.before:
        return window
    return Window(**{**vars(window), "beyond": window.stride - over})


def _padded(
    images: Tensor, windows: list[Window], mode: str, explicit: bool = False
) -> tuple[Tensor, str]:
    """The pictures, and the padding that is left to the operation itself."""
    if not any(sum(window.pads) for window in windows):
        return images, "VALID"
    if not explicit and all(window.is_same for window in windows):
        return images, "SAME"
    return tf.pad(images, [(0, 0), *(window.pads for window in windows), (0, 0)], mode), "VALID"


OPERATIONS: dict[str, Operation] = {
    "AveragePool": average_pool,
    "Conv": conv,
    "MaxPool": max_pool,
}
