"""One step of an optimizer on one array of weights, in place and in one pass over memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from ..threads import team
from ._twins import on_device
from ._twins import together as together
from .elementwise import kernels


@on_device
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
    _step("sgd", [w, v, g], [rate, momentum], nesterov)


@on_device
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
    _step("adam", [w, m, v, g], [rate, beta_1, beta_2, epsilon])


@on_device
def rmsprop(
    w: np.ndarray, m: np.ndarray, v: np.ndarray, g: np.ndarray, rate: float, rho: float, momentum: float, epsilon: float
) -> None:
    """v becomes the running mean of g*g; m = momentum*m + rate*g/sqrt(v + epsilon); w -= m."""
    _step("rmsprop", [w, m, v, g], [rate, rho, momentum, epsilon])


@on_device
def shortened(g: Any, most: float) -> Any:
    """g itself, or scaled to the length `most` where it is longer.

    Examples
    --------
    >>> shortened(np.array([3.0, 4.0]), 1.0)
    array([0.6, 0.8])
    """
    norm = math.sqrt(float(np.square(g, dtype=np.float64).sum()))
    return g * g.dtype.type(most / norm) if norm > most else g


def _step(name: str, arrays: list[np.ndarray], numbers: list[float], *options: Any) -> None:
    """`arrays` are writable, C-contiguous, of one shape and dtype; the weights come first."""
    cpu, w = kernels("elementwise"), arrays[0]
    if any(a.shape != w.shape or a.dtype != w.dtype or not a.flags.c_contiguous for a in arrays):
        kinds = ", ".join(f"{a.shape} {a.dtype}" for a in arrays)
        raise InvalidArgument(f"{name} needs C-contiguous arrays of one shape and dtype; got {kinds}")
    if not all(a.flags.writeable for a in arrays[:-1]):
        raise InvalidArgument(f"{name} changes its arrays in place but one of them is read-only; pass a copy of it")
    tasks = -(-w.size // cpu.BLOCK)
    cast = (w.dtype.type(number) for number in numbers)
    getattr(cpu, name)(team(tasks, 4 * w.size), tasks, *(a.reshape(-1) for a in arrays), *cast, *options)
