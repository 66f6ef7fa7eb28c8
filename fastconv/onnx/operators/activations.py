"""Activations: by themselves, and as what the node before them ends with."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numba
import numpy as np

from ... import memory
from ...ops import elementwise
from ..graph import Node
from .registry import ALIKE, EITHER, Operand, Run, operator, value_of


def fused(node: Node) -> Any:
    """The activation that `simplify` gave a node, as the functions of `ops` take it."""
    kind, *bounds = node.get("activation", (None,))
    return _clip(*bounds) if bounds else kind


@lru_cache(maxsize=64)
def _clip(low: float, high: float) -> Any:
    low = min(low, high)  # where they cross, ONNX takes the upper one

    @numba.njit
    def clip(v):  # type: ignore[no-untyped-def]
        least, most = type(v)(low), type(v)(high)
        return least if v < least else most if v > most else v

    return clip


def limits(node: Node, operands: tuple[np.ndarray | None, ...]) -> tuple[float, float]:
    """The bounds of a Clip: attributes before opset 11, then inputs."""
    low, high = operands if node.opset >= 11 else (node.get("min"), node.get("max"))
    return (-np.inf if low is None else float(np.ravel(low)[0])), (np.inf if high is None else float(np.ravel(high)[0]))


@operator("Clip", layout=EITHER)
def clip(node: Node, x: Operand, low: Operand | None = None, high: Operand | None = None) -> Run:
    bounds = limits(node, (value_of(node, low, "min"), value_of(node, high, "max")))
    if x.array.dtype.kind != "f":  # an open end has no number among integers
        ends = np.iinfo(x.array.dtype)
        return lambda x, *_: np.clip(x, int(max(bounds[0], ends.min)), int(min(bounds[1], ends.max)))
    least, most = map(x.array.dtype.type, bounds)

    def run(x: np.ndarray, *_: Any) -> np.ndarray:
        y = memory.empty(x.shape, x.dtype)
        return np.minimum(np.maximum(x, least, out=y), most, out=y)

    return run


@operator("Relu", layout=EITHER)
def relu(node: Node, x: Operand) -> Run:
    return elementwise.relu if x.array.dtype.kind == "f" else lambda x: np.maximum(x, 0)


@operator("LeakyRelu", layout=EITHER)
def leaky_relu(node: Node, x: Operand) -> Run:
    return partial(elementwise.relu, slope=node.get("alpha", 0.01))


@operator("Sigmoid", layout=EITHER)
def sigmoid(node: Node, x: Operand) -> Run:
    return elementwise.sigmoid


@operator("Tanh", layout=EITHER)
def tanh(node: Node, x: Operand) -> Run:
    return elementwise.tanh


@operator("HardSigmoid", layout=EITHER)
def hard_sigmoid(node: Node, x: Operand) -> Run:
    alpha, beta = (x.array.dtype.type(node.get(*pair)) for pair in (("alpha", 0.2), ("beta", 0.5)))
    return lambda x: np.clip(alpha * x + beta, 0, 1)


@operator("HardSwish", layout=EITHER)
def hard_swish(node: Node, x: Operand) -> Run:
    three, six = x.array.dtype.type(3), x.array.dtype.type(6)
    return lambda x: x * (np.clip(x + three, 0, six) / six)


@operator("Elu", layout=EITHER)
def elu(node: Node, x: Operand) -> Run:
    return partial(elementwise.activate, kind="elu", alpha=node.get("alpha", 1.0))


@operator("Celu", layout=EITHER)
def celu(node: Node, x: Operand) -> Run:
    alpha = x.array.dtype.type(node.get("alpha", 1.0))
    return lambda x: (elementwise.activate(x / alpha, "elu") * alpha).astype(x.dtype, copy=False)


@operator("Selu", layout=EITHER)
def selu(node: Node, x: Operand) -> Run:
    alpha, gamma = node.get("alpha", 1.6732632), node.get("gamma", 1.050701)
    return lambda x: elementwise.activate(x, "elu", alpha) * x.dtype.type(gamma)


@operator("Softplus", "Softsign", "Mish", layout=EITHER)
def smooth(node: Node, x: Operand) -> Run:
    return partial(elementwise.activate, kind=node.op.lower())


@operator("Gelu", layout=EITHER)
def gelu(node: Node, x: Operand) -> Run:
    return partial(elementwise.activate, kind="gelu_tanh" if node.get("approximate", "none") == "tanh" else "gelu")


@operator("ThresholdedRelu", layout=EITHER)
def thresholded_relu(node: Node, x: Operand) -> Run:
    alpha = x.array.dtype.type(node.get("alpha", 1.0))
    return lambda x: np.where(x > alpha, x, x.dtype.type(0))


@operator("Shrink", layout=EITHER)
def shrink(node: Node, x: Operand) -> Run:
    width, bias = (x.array.dtype.type(node.get(*pair)) for pair in (("lambd", 0.5), ("bias", 0.0)))
    return lambda x: np.where(x > width, x - bias, np.where(x < -width, x + bias, x.dtype.type(0)))


@operator("PRelu", layout=ALIKE)
def prelu(node: Node, x: Operand, slope: Operand) -> Run:
    return lambda x, slope: np.where(x < 0, x * slope, x)


@operator("Softmax", "LogSoftmax")
def softmax(node: Node, x: Operand) -> Run:
    run = partial(elementwise.softmax, logarithm=node.op == "LogSoftmax")
    axis = node.get("axis", 1 if node.opset < 13 else -1) % max(1, x.array.ndim)
    if node.opset < 13:  # over all axes from `axis` on
        shape = x.array.shape
        rows = (int(np.prod(shape[:axis])), int(np.prod(shape[axis:])))
        return lambda x: run(x.reshape(rows)).reshape(shape)
    if axis == x.array.ndim - 1:
        return run
    return lambda x: np.moveaxis(run(np.moveaxis(x, axis, -1)), -1, axis)
