"""Arithmetic element by element, and sums and means along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from ... import memory
from ...ops import elementwise
from ..graph import Node
from .registry import ALIKE, EITHER, FIRST, Operand, Run, operator, value_of


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of integers rounded towards zero, as in C."""
    if np.result_type(a, b).kind == "f":
        return np.divide(a, b)
    quotient = np.floor_divide(np.abs(a), np.abs(b))
    return (quotient * np.sign(a) * np.sign(b)).astype(np.result_type(a, b))


def _power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """In the dtype of the base."""
    return np.power(a, b).astype(a.dtype, copy=False)


_BINARY: dict[str, Callable[..., Any]] = {"Sub": np.subtract, "Div": _quotient, "Pow": _power}
_MANY = {"Add": np.add, "Mul": np.multiply, "Sum": np.add, "Max": np.maximum, "Min": np.minimum}
_UNARY = {
    "Abs": np.abs,
    "Ceil": np.ceil,
    "Erf": special.erf,
    "Exp": np.exp,
    "Floor": np.floor,
    "Log": np.log,
    "Neg": np.negative,
    "Reciprocal": np.reciprocal,
    "Sqrt": np.sqrt,
}
_REDUCED: dict[str, Callable[..., Any]] = {
    "ReduceMean": np.mean,
    "ReduceSum": np.sum,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
}


@operator(*_MANY, layout=ALIKE)
def many(node: Node, *operands: Operand) -> Run:
    function, positive = _MANY[node.op], node.get("activation") == ("relu",)
    shape = np.broadcast_shapes(*(o.array.shape for o in operands))
    dtype = np.result_type(*(o.array for o in operands))

    def run(*arrays: np.ndarray) -> np.ndarray:
        if len(arrays) == 1:
            return arrays[0]
        y = function(arrays[0], arrays[1], out=memory.empty(shape, dtype))
        for array in arrays[2:]:
            function(y, array, out=y)
        return elementwise.relu(y) if positive else y

    return run


@operator(*_BINARY, layout=ALIKE)
def binary(node: Node, a: Operand, b: Operand) -> Run:
    return _BINARY[node.op]


@operator(*_UNARY, layout=EITHER)
def unary(node: Node, x: Operand) -> Run:
    return _UNARY[node.op]


@operator(*_REDUCED, layout=FIRST)
def reduced(node: Node, x: Operand, axes: Operand | None = None) -> Run:
    given = value_of(node, axes, "axes")
    chosen = node.get("axes") if given is None else given.tolist()
    if not chosen and node.get("noop_with_empty_axes", 0):
        return lambda x, *_: x
    along = tuple(chosen) if chosen else None
    function, keep = _REDUCED[node.op], bool(node.get("keepdims", 1))
    return lambda x, *_: np.asarray(function(x, axis=along, keepdims=keep), x.dtype)
