"""Reductions along axes, and sums of products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...autograd import functional as F
from .. import arguments
from ..layers.operations import PLAIN
from ._operands import named, tensor

Axis = int | Sequence[int] | None


def _reduction(name: str, doc: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def reduction(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
        x, axis = tensor(name, x), arguments.axes(name, "axis", axis)
        arguments.check_axes(name, "axis", axis, x.shape)
        return function(x, axis=axis, keepdims=arguments.flag(name, "keepdims", keepdims))

    return named(name, f"{doc} along an axis, or several; along all without one.", reduction)


mean = _reduction("mean", "Mean", F.mean)
sum = _reduction("sum", "Sum", F.sum)
max = _reduction("max", "Largest element", F.max)
min = _reduction("min", "Smallest element", F.min)
var = _reduction("var", "Variance", F.var)
std = _reduction("std", "Standard deviation", F.std)


def argmax(x: Any, axis: int | None = None) -> Any:
    """Place of the largest element along an axis."""
    return _place("argmax", x, axis)


def argmin(x: Any, axis: int | None = None) -> Any:
    """Place of the smallest element along an axis."""
    return _place("argmin", x, axis)


def _place(name: str, x: Any, axis: int | None) -> Any:
    x, axis = tensor(name, x), None if axis is None else arguments.axis(name, "axis", axis)
    arguments.check_axes(name, "axis", axis, x.shape)
    return PLAIN[name](x, axis=axis)


def einsum(subscripts: str, *operands: Any) -> Any:
    """Products summed, in Einstein's notation.

    Examples
    --------
    >>> import numpy as np
    >>> einsum("ij,ij->i", np.ones((2, 3)), np.ones((2, 3))).numpy()
    array([3., 3.])
    """
    subscripts = arguments.text("einsum", "subscripts", subscripts)
    return F.einsum(subscripts, *(tensor("einsum", x, "operands") for x in operands))
