"""Matrix products and biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...errors import InvalidArgument
from ...ops import elementwise
from ...spec import parse_flag
from ..operation import Saved
from ._defined import operation, single
from .shape import unbroadcast


@operation
def matmul(
    a: Any,
    b: Any,
    bias: Any = None,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    activation: str | None = None,
    device: str | None = None,
) -> Saved:
    """``fastconv.matmul``: products of matrices, of vectors and of stacks of matrices; an `activation` is fused."""
    turned = parse_flag(transpose_a, "transpose_a"), parse_flag(transpose_b, "transpose_b")
    y = ops.matmul(a, b, bias, transpose_a=turned[0], transpose_b=turned[1], activation=activation, device=device)
    return y, (a, b, y if activation else None, *turned, activation, device)


@matmul.vjp
def _(
    dy: Any, needs: Any, a: Any, b: Any, y: Any, transpose_a: bool, transpose_b: bool, activation: Any, device: Any
) -> tuple[Any, ...]:
    dy, _ = elementwise.activation_grad(dy, y, activation)
    a_shape, b_shape = a.shape, b.shape
    if b.ndim == 1:
        b, dy, transpose_b = b.reshape(-1, 1), dy.reshape(*dy.shape, 1), False
    if a.ndim == 1:
        a, dy, transpose_a = a.reshape(1, -1), dy.reshape(*dy.shape[:-1], 1, dy.shape[-1]), False
    da = db = None
    if needs[0]:  # da = dy bT, or where a was transposed daT = b dyT
        if transpose_a:
            da = ops.matmul(b, dy, transpose_a=transpose_b, transpose_b=True, device=device)
        else:
            da = ops.matmul(dy, b, transpose_b=not transpose_b, device=device)
        da = unbroadcast(da, a.shape).reshape(a_shape)
    if needs[1]:
        if b.ndim == 2 and a.ndim > 2 and not transpose_a:  # one product over the rows of all matrices
            a, dy = a.reshape(-1, a.shape[-1]), dy.reshape(-1, dy.shape[-1])
        if transpose_b:
            db = ops.matmul(dy, a, transpose_a=True, transpose_b=transpose_a, device=device)
        else:
            db = ops.matmul(a, dy, transpose_a=not transpose_a, device=device)
        db = unbroadcast(db, b.shape).reshape(b_shape)
    dbias = elementwise.channel_sum(dy, -1) if len(needs) > 2 and needs[2] else None
    return (da, db, dbias)[: len(needs)]


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


@single
def bias_add(x: Any, b: Any, *, axis: int = -1) -> Saved:
    """x plus one number per channel along `axis`."""
    if tuple(np.shape(b)) != (x.shape[axis],):
        raise InvalidArgument(f"b has shape {tuple(np.shape(b))}; expected ({x.shape[axis]},): one number per channel")
    return x + b.reshape((-1,) + (1,) * (x.ndim - 1 - axis % x.ndim)), (axis,)


@bias_add.vjp
def _(dy: Any, needs: Any, axis: int) -> tuple[Any, ...]:
    return dy, elementwise.channel_sum(dy, axis) if needs[1] else None
