"""Losses: the mean over all rows, each row being what the last axis holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InvalidArgument
from ...ops import elementwise
from ...ops.devices import as_device
from ...spec import parse_flag
from ..operation import Saved
from ..tensor import Tensor, as_data
from ._checked import checked
from ._defined import operation, single
from .arithmetic import absolute, multiply, subtract
from .reduction import mean

EPSILON = 1e-7  # how far probabilities are kept from 0 and 1, as in Keras


@operation
def softmax_cross_entropy(z: Any, *, target: Any) -> Saved:
    """Mean over the rows of -sum(target * log(softmax(z))): z (..., K) are logits.

    `target` is a distribution per row, (..., K), or the number of its class, whole numbers of shape (...).
    """
    target = _distributions(target, z)
    loss, p = elementwise.mean_cross_entropy(z, target)
    return loss, (p, target)


@softmax_cross_entropy.vjp
def _(dy: Any, needs: Any, p: Any, target: Any) -> tuple[Any, ...]:
    return (elementwise.mean_cross_entropy_grad(dy, p, target),)


@single
def categorical_cross_entropy(p: Any, *, target: Any) -> Saved:
    """Mean over the rows of -sum(target * log(p)), for probabilities p that are scaled to sum to 1 first."""
    _must_fit(target, p)
    total = p.sum(axis=-1, keepdims=True)
    q = p / total
    inside = (q > EPSILON) & (q < 1 - EPSILON)
    q = np.clip(q, EPSILON, 1 - EPSILON)
    rows = max(1, q.size // q.shape[-1])
    loss = -(target * np.log(q)).sum(dtype=np.float64) / rows
    return as_data(loss, like=p), (q, inside, total, target, rows)


@categorical_cross_entropy.vjp
def _(dy: Any, needs: Any, q: Any, inside: Any, total: Any, target: Any, rows: int) -> tuple[Any, ...]:
    dq = np.where(inside, -target / q, 0) * (dy / dy.dtype.type(rows))
    return (((dq - (dq * q).sum(axis=-1, keepdims=True)) / total).astype(q.dtype, copy=False),)


@single
def binary_cross_entropy(x: Any, *, target: Any, from_logits: bool = False) -> Saved:
    """Mean of -target*log(p) - (1 - target)*log(1 - p), for p = x, or p = sigmoid(x) with `from_logits`."""
    _must_fit(target, x)
    target, from_logits = as_data(target, like=x), parse_flag(from_logits, "from_logits")
    if from_logits:
        loss = np.maximum(x, 0) - x * target + np.log1p(np.exp(-np.abs(x)))
        return as_data(loss.mean(dtype=np.float64), like=x), (x, target, from_logits)
    p = np.clip(x, EPSILON, 1 - EPSILON)
    loss = -(target * np.log(p) + (1 - target) * np.log1p(-p))
    return as_data(loss.mean(dtype=np.float64), like=x), (x, target, from_logits)


@binary_cross_entropy.vjp
def _(dy: Any, needs: Any, x: Any, target: Any, from_logits: bool) -> tuple[Any, ...]:
    share = dy / dy.dtype.type(x.size)
    if from_logits:
        return (share * (elementwise.sigmoid(x) - target),)
    p = np.clip(x, EPSILON, 1 - EPSILON)
    return (np.where(p == x, share * (p - target) / (p * (1 - p)), 0),)


@checked
def mean_squared_error(y: Any, target: Any) -> Tensor:
    """Mean of (y - target)**2."""
    _must_fit(target, y)
    difference = subtract(y, target)
    return mean(multiply(difference, difference))


@checked
def mean_absolute_error(y: Any, target: Any) -> Tensor:
    """Mean of the absolute value of y - target."""
    _must_fit(target, y)
    return mean(absolute(subtract(y, target)))


def _distributions(target: Any, z: Any) -> Any:
    """Classes' numbers as rows with a single 1, in z's dtype; what is not numbers of classes as it is."""
    target = target if hasattr(target, "dtype") else np.asarray(target)
    if target.dtype.kind not in "iu" or tuple(target.shape) != tuple(z.shape[:-1]):
        return target
    classes = z.shape[-1]
    if target.size and not (int(target.min()) >= 0 and int(target.max()) < classes):
        raise InvalidArgument(
            f"the target holds classes from {int(target.min())} to {int(target.max())} but z has {classes} columns: "
            f"expected 0 to {classes - 1}"
        )
    numbers = np.arange(classes, dtype=target.dtype)
    numbers = numbers if isinstance(target, np.ndarray) else as_device(numbers)
    return (target.reshape(*target.shape, 1) == numbers).astype(z.dtype)


def _must_fit(target: Any, y: Any) -> None:
    """A target is a number or has the outputs' shape: another that broadcasts would be compared with all of them."""
    shapes = [getattr(value, "shape", None) for value in (target, y)]
    given, expected = (np.shape(v) if s is None else tuple(s) for v, s in zip((target, y), shapes, strict=True))
    if given not in ((), expected):
        raise InvalidArgument(f"the target has shape {given} but the outputs have {expected}; they must be the same")
