"""Pools, by window and of whole images."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...spec import LAYOUTS
from ..graph import Node
from .borders import border, extents, refuses_border
from .registry import LAST, Operand, Run, only, operator, sizes


def _window(node: Node, x: Operand) -> tuple[int, dict[str, Any]]:
    """The rank of a pool, and the arguments of the function that computes it."""
    rank = x.array.ndim - 2
    size = sizes(node, "kernel_shape", rank)
    stride, dilation = sizes(node, "strides", rank), sizes(node, "dilations", rank)
    return rank, {
        "size": size,
        "stride": stride,
        "dilation": dilation,
        "padding": border(node, x.shape[2:], extents(size, dilation), stride),
        "ceil_mode": bool(node.get("ceil_mode", 0)),
        "layout": LAYOUTS[rank][True],
    }


def _refuses_columns(node: Node) -> str:
    """Maxima are numbered by rows."""
    return refuses_border(node) or only(storage_order=(0,))(node)


@operator("MaxPool", layout=LAST, outputs=2, refuses=_refuses_columns)
def max_pool(node: Node, x: Operand) -> Run:
    rank, options = _window(node, x)
    pool = getattr(ops, f"max_pool{rank}d")
    if len(node.outputs) < 2 or not node.outputs[1]:
        return lambda x: pool(x, **options)
    images, channels, *size = x.shape
    planes = np.arange(images * channels).reshape(images, *(1,) * rank, channels) * int(np.prod(size))

    def run(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y, places = pool(x, return_indices=True, **options)
        return y, places + planes  # fastconv numbers the elements of a plane, ONNX those of the whole array

    return run


@operator("AveragePool", layout=LAST, refuses=refuses_border)
def average_pool(node: Node, x: Operand) -> Run:
    rank, options = _window(node, x)
    pool, include = getattr(ops, f"avg_pool{rank}d"), bool(node.get("count_include_pad", 0))
    return lambda x: pool(x, count_include_pad=include, **options)


@operator("LpPool", layout=LAST, refuses=refuses_border)
def lp_pool(node: Node, x: Operand) -> Run:
    rank, options = _window(node, x)
    pool, p = getattr(ops, f"lp_pool{rank}d"), node.get("p", 2)
    return lambda x: pool(x, p=p, **options)


@operator("GlobalAveragePool", "GlobalMaxPool", layout=LAST)
def global_pool(node: Node, x: Operand) -> Run:
    rank = x.array.ndim - 2
    pool = getattr(ops, f"global_{'avg' if node.op == 'GlobalAveragePool' else 'max'}_pool{rank}d")
    return lambda x: pool(x, layout=LAYOUTS[rank][True])
