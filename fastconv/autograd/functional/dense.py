"""Matrix products and biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...errors import InvalidArgument
from ...ops import elementwise
from ..operation import Saved
from ._defined import operation


@operation
def matmul(a: Any, b: Any) -> Saved:
    """Product of two matrices."""
    return ops.matmul(a, b), (a, b)


@matmul.vjp
def _(dy: Any, needs: Any, a: Any, b: Any) -> tuple[Any, ...]:
    da = ops.matmul(dy, b, transpose_b=True) if needs[0] else None
    return da, ops.matmul(a, dy, transpose_a=True) if needs[1] else None


@operation
def dense(x: Any, w: Any, b: Any = None, *, activation: str | None = None) -> Saved:
    """activation(x w + b) along the last axis of x (..., C), for w (C, O) and b (O,)."""
    if x.shape[-1] != w.shape[0]:
        raise InvalidArgument(f"x has {x.shape[-1]} features but w {w.shape} takes {w.shape[0]} (x: {x.shape})")
    rows = x.reshape(-1, x.shape[-1])
    y = ops.matmul(rows, w, b, activation=activation)
    return y.reshape(*x.shape[:-1], w.shape[1]), (rows, w, y if activation else None, activation, x.shape)


@dense.vjp
def _(dy: Any, needs: Any, rows: Any, w: Any, y: Any, activation: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    bias = len(needs) > 2 and needs[2]
    dz, db = elementwise.activation_grad(dy.reshape(-1, w.shape[1]), y, activation, 1 if bias else None)
    dx = ops.matmul(dz, w, transpose_b=True).reshape(shape) if needs[0] else None
    dw = ops.matmul(rows, dz, transpose_a=True) if needs[1] else None
    return (dx, dw, db)[: len(needs)]


@operation
def bias_add(x: Any, b: Any, *, axis: int = -1) -> Saved:
    """x plus one number per channel along `axis`."""
    if tuple(np.shape(b)) != (x.shape[axis],):
        raise InvalidArgument(f"b has shape {tuple(np.shape(b))}; expected ({x.shape[axis]},): one number per channel")
    return x + b.reshape((-1,) + (1,) * (x.ndim - 1 - axis % x.ndim)), (axis,)


@bias_add.vjp
def _(dy: Any, needs: Any, axis: int) -> tuple[Any, ...]:
    return dy, elementwise.channel_sum(dy, axis) if needs[1] else None
