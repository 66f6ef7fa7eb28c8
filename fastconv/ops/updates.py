"""One step of an optimizer on one array of weights, in place and in one pass over memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dispatch import operator
from ..errors import InvalidArgument
from ..foreign import is_device_array
from ._floats import Floats


def sgd(
    w: np.ndarray, v: np.ndarray, g: np.ndarray, rate: float, momentum: float = 0.0, nesterov: bool = False
) -> None:
    """v = momentum*v - rate*g; w += v, or w += momentum*v - rate*g with `nesterov`.

    Examples
    --------
    >>> w, v = np.ones(2), np.zeros(2)
    >>> sgd(w, v, np.ones(2), rate=0.5, momentum=0.9)
    >>> w, v
    (array([0.5, 0.5]), array([-0.5, -0.5]))
    """
    together("sgd", [(w, v, g)], rate=rate, momentum=momentum, nesterov=nesterov)


def adam(
    w: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    g: np.ndarray,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    """m and v become running means of g and g*g; w -= rate*m/(sqrt(v) + epsilon) (Kingma & Ba 2015, end of section 2).

    `rate` already holds the correction ``sqrt(1 - beta_2**t)/(1 - beta_1**t)``.
    """
    together("adam", [(w, m, v, g)], rate=rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


def rmsprop(
    w: np.ndarray, m: np.ndarray, v: np.ndarray, g: np.ndarray, rate: float, rho: float, momentum: float, epsilon: float
) -> None:
    """v becomes the running mean of g*g; m = momentum*m + rate*g/sqrt(v + epsilon); w -= m."""
    together("rmsprop", [(w, m, v, g)], rate=rate, rho=rho, momentum=momentum, epsilon=epsilon)


def shortened(g: Any, most: float) -> Any:
    """g itself, or scaled to the length `most` where it is longer.

    Examples
    --------
    >>> shortened(np.array([3.0, 4.0]), 1.0)
    array([0.6, 0.8])
    """
    call = Floats("g", g)
    (g,) = call.arrays
    y = call.empty(g.shape)
    operator("shorten", call.device)(g, y, most)
    return call.finish(y)


def together(name: str, groups: Sequence[tuple[Any, ...]], **numbers: Any) -> None:
    """One step of many weights at once; a group is what one array of weights needs, and the weights come first.

    Arrays are changed in place: they must be what kernels take as they are.
    """
    device = "cuda" if is_device_array(groups[0][0]) else "cpu"
    groups = [_in_place(name, group, device) for group in groups]
    operator(name, device)(*zip(*groups, strict=True), **numbers)


def _in_place(name: str, group: tuple[Any, ...], device: str) -> tuple[Any, ...]:
    """The arrays of a group, all of one shape and dtype, C-contiguous, and all but the gradient writable."""
    if device == "cuda":
        from ..cuda import exchange

        group = tuple(map(exchange.as_device, group))
        if any(a.shape != group[0].shape or a.dtype != group[0].dtype for a in group):
            raise InvalidArgument(f"{name} needs arrays of one shape and dtype; got {_kinds(group)}")
        return group
    w = group[0]
    if any(a.shape != w.shape or a.dtype != w.dtype or not a.flags.c_contiguous for a in group):
        raise InvalidArgument(f"{name} needs C-contiguous arrays of one shape and dtype; got {_kinds(group)}")
    if not all(a.flags.writeable for a in group[:-1]):
        raise InvalidArgument(f"{name} changes its arrays in place but one of them is read-only; pass a copy of it")
    return group


def _kinds(group: tuple[Any, ...]) -> str:
    return ", ".join(f"{tuple(a.shape)} {a.dtype}" for a in group)
