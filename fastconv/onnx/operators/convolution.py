"""Convolutions and products with matrices; where their weights are constants, these are packed once for a shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...spec import LAYOUTS
from ..graph import Node
from .activations import fused
from .borders import border, extents, refuses_border
from .registry import LAST, Operand, Run, operator, sizes


@operator("Conv", layout=LAST, refuses=refuses_border)
def conv(node: Node, x: Operand, w: Operand, b: Operand | None = None) -> Run:
    rank = w.array.ndim - 2
    kernel, stride = w.array.shape[2:], sizes(node, "strides", rank)
    dilation = sizes(node, "dilations", rank)
    activation = fused(node)
    options = {
        "stride": stride,
        "dilation": dilation,
        "padding": border(node, x.shape[2:], extents(kernel, dilation), stride),
        "groups": node.get("group", 1),
        "layout": LAYOUTS[rank][True],
        "activation": activation,
    }
    order = (*range(2, rank + 2), 1, 0)  # (O, C/groups, KERNEL) -> (KERNEL, C/groups, O)
    if w.constant and (b is None or b.constant):
        plan = getattr(ops, f"plan_conv{rank}d")
        made = plan(w.array.transpose(order), x.array.shape, None if b is None else b.array, **options)
        return lambda x, *_: made(x)
    call = getattr(ops, f"conv{rank}d")
    return lambda x, w, b=None: call(x, w.transpose(order), b, **options)


@operator("ConvTranspose", layout=LAST, refuses=refuses_border)
def conv_transpose(node: Node, x: Operand, w: Operand, b: Operand | None = None) -> Run:
    rank = w.array.ndim - 2
    stride, dilation = sizes(node, "strides", rank), sizes(node, "dilations", rank)
    extent = extents(w.array.shape[2:], dilation)
    cut, extra = _cut(node, x.shape[2:], extent, stride)
    activation = fused(node)
    options = {
        "stride": stride,
        "dilation": dilation,
        "padding": cut,
        "output_padding": extra,
        "groups": node.get("group", 1),
        "layout": LAYOUTS[rank][True],
        "activation": activation,
    }
    call = getattr(ops, f"conv_transpose{rank}d")
    order = (*range(2, rank + 2), 1, 0)  # (C, O/groups, KERNEL) -> (KERNEL, O/groups, C)
    if w.constant:
        arranged = np.ascontiguousarray(w.array.transpose(order))
        return lambda x, _, b=None: call(x, arranged, b, **options)
    return lambda x, w, b=None: call(x, w.transpose(order), b, **options)


def _cut(node: Node, size: Any, extent: list[int], stride: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """Border that is cut off a transposed convolution, and rows that are added behind."""
    rank, auto = len(size), node.get("auto_pad", "NOTSET")
    extra, wanted = sizes(node, "output_padding", rank, 0), node.get("output_shape")
    if not wanted and auto not in ("SAME_UPPER", "SAME_LOWER"):
        return border(node, size, extent, stride), extra
    wanted = list(wanted)[-rank:] if wanted else [n * s for n, s in zip(size, stride, strict=True)]
    cut = []
    for n, e, s, more, out in zip(size, extent, stride, extra, wanted, strict=True):
        total = (n - 1) * s + e + more - out
        small, large = max(0, total) // 2, (max(0, total) + 1) // 2
        cut.append((small, large) if auto == "SAME_UPPER" else (large, small))
    full = [(n - 1) * s + e for n, e, s in zip(size, extent, stride, strict=True)]
    added = (out + sum(pair) - f for out, pair, f in zip(wanted, cut, full, strict=True))
    return tuple(cut), tuple(added)


@operator("Gemm")
def gemm(node: Node, a: Operand, b: Operand, c: Operand | None = None) -> Run:
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    turned_a, turned_b = bool(node.get("transA", 0)), bool(node.get("transB", 0))
    columns = b.array.shape[0 if turned_b else 1]
    if b.constant and not turned_a and (c is None or (c.constant and c.array.size in (1, columns))):
        w = b.array.T if turned_b else b.array
        bias = None if c is None else np.broadcast_to(_times(c.array.reshape(-1), beta), (columns,))
        product = _product(_times(w, alpha), a.array.shape[0], bias, fused(node))
        return lambda a, *_: product(a)

    def run(a: np.ndarray, b: np.ndarray, c: np.ndarray | None = None) -> np.ndarray:
        y = ops.matmul(_times(a, alpha), b, transpose_a=turned_a, transpose_b=turned_b)
        return y if c is None else y + _times(c, beta)

    return run


@operator("MatMul")
def matmul(node: Node, a: Operand, b: Operand, bias: Operand | None = None) -> Run:
    """A product of matrices; a bias is there where `simplify` put one."""
    if b.constant and b.array.ndim == 2 and a.array.ndim >= 2:
        rows = a.array.size // a.array.shape[-1]
        shape = (*a.array.shape[:-1], b.array.shape[1])
        product = _product(b.array, rows, None if bias is None else bias.array, fused(node))
        return lambda a, *_: product(a.reshape(rows, -1)).reshape(shape)
    activation = fused(node)
    return lambda a, b, bias=None: _batched(a, b, bias, activation)


def _batched(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, activation: Any) -> np.ndarray:
    """NumPy's matmul of any number of axes, matrix by matrix."""
    row, column = a.ndim == 1, b.ndim == 1
    a, b = a[None] if row else a, b[:, None] if column else b
    outer = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, outer + a.shape[-2:]), np.broadcast_to(b, outer + b.shape[-2:])
    y = np.empty((*outer, a.shape[-2], b.shape[-1]), np.result_type(a, b))
    for place in np.ndindex(outer):
        y[place] = ops.matmul(a[place], b[place], bias, activation=activation)
    y = y[..., 0, :] if row else y
    return y[..., 0] if column else y


def _times(array: np.ndarray, number: float) -> np.ndarray:
    return array if number == 1 else array * array.dtype.type(number)


def _product(w: np.ndarray, rows: int, bias: np.ndarray | None, activation: Any) -> Run:
    """Rows times a matrix that is packed now: a convolution of a signal with one tap."""
    plan = ops.plan_conv1d(w[None], (1, rows, w.shape[0]), bias, layout="NWC", activation=activation)
    return lambda x: plan(x.reshape(plan.x_shape)).reshape(rows, -1)
