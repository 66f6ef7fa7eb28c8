"""Normalisation: by statistics that are in the file, and local response normalisation."""

from __future__ import annotations

import numpy as np

from ... import ops
from ...ops import group_normalization, normalization
from ..graph import Node
from .registry import LAST, Operand, Run, only, operator


def _refuses(node: Node) -> str:
    """Statistics among the results are those of training, where older files have no word for it."""
    if len(node.outputs) > 1:
        return f"its {len(node.outputs)} outputs mean training"
    return only(training_mode=(0,), spatial=(1,))(node)


@operator("BatchNormalization", layout=LAST, refuses=_refuses)
def batch_normalization(
    node: Node, x: Operand, scale: Operand, shift: Operand, mean: Operand, variance: Operand
) -> Run:
    epsilon, axis = node.get("epsilon", 1e-5), x.axis(1)
    return lambda x, scale, shift, mean, variance: normalization.batch_norm(
        x, mean, variance, scale, shift, epsilon, axis
    )


@operator("InstanceNormalization")
def instance_normalization(node: Node, x: Operand, scale: Operand, shift: Operand) -> Run:
    epsilon = node.get("epsilon", 1e-5)
    return lambda x, scale, shift: group_normalization.group_norm(x, scale, shift, epsilon, x.shape[1], 1)[0]


@operator("LayerNormalization")
def layer_normalization(node: Node, x: Operand, scale: Operand, shift: Operand | None = None) -> Run:
    epsilon, ndim = node.get("epsilon", 1e-5), x.array.ndim
    axes = tuple(range(node.get("axis", -1) % ndim, ndim))
    sizes = tuple(x.array.shape[a] for a in axes)

    def run(x: np.ndarray, scale: np.ndarray, shift: np.ndarray | None = None) -> np.ndarray:
        scale = np.broadcast_to(scale, sizes)
        shift = np.zeros_like(scale) if shift is None else np.broadcast_to(shift, sizes)
        return group_normalization.layer_norm(x, scale, shift, epsilon, axes)[0]

    return run


@operator("LRN", layout=LAST)
def local_response_normalization(node: Node, x: Operand) -> Run:
    """y = x / (bias + alpha/size * sum of x*x over `size` channels)**beta."""
    size = node.get("size")
    number = x.array.dtype.type
    bias, alpha, beta = number(node.get("bias", 1.0)), number(node.get("alpha", 1e-4)), node.get("beta", 0.75)
    around = ((size - 1) // 2, size // 2)
    channels = x.array.shape[x.axis(1)]

    def run(x: np.ndarray) -> np.ndarray:
        rows = np.square(x).reshape(-1, 1, channels)  # channels along a signal
        total = ops.avg_pool1d(rows, size, stride=1, padding=(around,), divisor=size).reshape(x.shape)
        total *= alpha
        total += bias
        return x / _power(total, beta)

    return run


def _power(x: np.ndarray, exponent: float) -> np.ndarray:
    """A power; three quarters, the exponent of all networks that use it, by roots."""
    if exponent == 0.75:
        root = np.sqrt(x)
        return root * np.sqrt(root)
    return x ** x.dtype.type(exponent)
