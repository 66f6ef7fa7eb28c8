"""Batch normalisation as plain functions: statistics, the forward pass and the gradient.

The channel axis is any axis; with ``relu=True`` x goes through a relu first, which then costs no pass of its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from ..memory import empty
from ..threads import team
from ._reading import as_array
from ._twins import on_device
from .elementwise import floats, kernels


@on_device
def channel_statistics(x: Any, axis: int, relu: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Mean and (biased) variance of each channel, float64, in one pass over x.

    Sums of x and its square relative to each channel's first element, in double precision: an offset that is large
    beside the spread costs no accuracy.

    Examples
    --------
    >>> channel_statistics(np.array([[1.0, 5.0], [3.0, 5.0]]), axis=1)
    (array([2., 5.]), array([1., 0.]))
    """
    (x,) = floats("x", x)
    axis %= x.ndim
    runs = kernels("runs").cut_runs(x.shape, axis)
    first = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])[0] if x.size else np.zeros(x.shape[axis], x.dtype)
    shift = np.maximum(first, 0) if relu else first
    sums, squares = np.zeros((2, runs.tasks * runs.fold))
    kernels("normalization").statistics(
        team(runs.tasks, 4 * x.size),
        runs.tasks if x.size else 0,
        x.reshape(-1),
        runs.spread(shift, x.dtype),
        _floor(x.dtype, relu),
        sums,
        squares,
        runs.periods,
        runs.width,
        runs.fold,
        *runs.geometry,
    )
    count = x.size // x.shape[axis]
    offset = runs.reduce(sums) / max(count, 1)
    variance = np.maximum(runs.reduce(squares) / max(count, 1) - offset * offset, 0)
    return shift + offset, variance


@on_device
def batch_norm(
    x: Any, mean: Any, var: Any, gamma: Any, beta: Any, epsilon: float, axis: int, relu: bool = False
) -> np.ndarray:
    """y = (x - mean) * gamma/sqrt(var + epsilon) + beta, per channel.

    Examples
    --------
    >>> batch_norm(np.array([[1.0], [3.0]]), [2.0], [1.0], [10.0], [0.0], 0.0, axis=1)
    array([[-10.],
           [ 10.]])
    """
    (x,) = floats("x", x)
    axis %= x.ndim
    runs = kernels("runs").cut_runs(x.shape, axis)
    mean, var, gamma, beta = (
        per_channel(v, n, x.shape[axis]) for v, n in ((mean, "mean"), (var, "var"), (gamma, "gamma"), (beta, "beta"))
    )
    scale = gamma / np.sqrt(var.astype(np.float64) + epsilon)
    y = empty(x.shape, x.dtype)
    kernels("normalization").normalize(
        team(runs.tasks, 3 * x.size),
        runs.tasks if x.size else 0,
        x.reshape(-1),
        y.reshape(-1),
        *(runs.spread(v, x.dtype) for v in (mean, scale, beta)),
        _floor(x.dtype, relu),
        runs.periods,
        runs.width,
        *runs.geometry,
    )
    return y


@on_device
def batch_norm_training(
    x: Any,
    gamma: Any,
    beta: Any,
    running: tuple[np.ndarray, np.ndarray] | None,
    momentum: float,
    epsilon: float,
    axis: int,
    relu: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`batch_norm` by the statistics of x itself: (y, mean, variance).

    `running` mean and variance, unless None, move towards them in place:
    running = momentum*running + (1 - momentum)*batch.

    Examples
    --------
    >>> mean, var = np.zeros(1), np.ones(1)
    >>> y, *_ = batch_norm_training(np.array([[1.0], [3.0]]), [1.0], [0.0], (mean, var), 0.5, 0.0, axis=1)
    >>> y.tolist(), mean, var
    ([[-1.0], [1.0]], array([1.]), array([1.]))
    """
    mean, var = channel_statistics(x, axis, relu)
    if running is not None:
        for kept, new in zip(running, (mean, var), strict=True):
            kept += (1 - momentum) * (new - kept)
    return batch_norm(x, mean, var, gamma, beta, epsilon, axis, relu), mean, var


@on_device
def batch_norm_grad(
    dy: Any,
    x: Any,
    mean: Any,
    var: Any,
    gamma: Any,
    epsilon: float,
    axis: int,
    relu: bool = False,
    training: bool = True,
    input_grad: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Gradients (dx, dgamma, dbeta) of `batch_norm`; in training, mean and variance depend on x (Ioffe & Szegedy 2015).

    With s = 1/sqrt(var + epsilon), M elements per channel and both sums per channel:
    dbeta = sum dy, dgamma = s * sum dy*(x - mean),
    dx = gamma*s * (dy - dbeta/M - (x - mean)*s*dgamma/M), or gamma*s*dy for fixed statistics.
    """
    dy, x = floats("dy x", dy, x)
    axis %= x.ndim
    runs, cpu = kernels("runs").cut_runs(x.shape, axis), kernels("normalization")
    mean, var, gamma = (per_channel(v, n, x.shape[axis]) for v, n in ((mean, "mean"), (var, "var"), (gamma, "gamma")))
    members, tasks = team(runs.tasks, 4 * x.size), runs.tasks if x.size else 0
    floor, sums, products = _floor(x.dtype, relu), *np.zeros((2, runs.tasks * runs.fold))
    center = runs.spread(mean, x.dtype)
    flat_x, flat_dy = x.reshape(-1), dy.reshape(-1)
    cpu.grad_sums(
        members,
        tasks,
        flat_x,
        flat_dy,
        center,
        floor,
        sums,
        products,
        runs.periods,
        runs.width,
        runs.fold,
        *runs.geometry,
    )
    inverse = 1 / np.sqrt(var.astype(np.float64) + epsilon)
    dbeta, dgamma = runs.reduce(sums), runs.reduce(products) * inverse
    dx = None
    if input_grad:
        dx = empty(x.shape, x.dtype)
        count = math.prod(x.shape) // x.shape[axis]
        by_dy = gamma * inverse
        share = by_dy / count if training and count else np.zeros_like(by_dy)
        factors = (by_dy, -share * inverse * dgamma, -share * dbeta)
        spread = (runs.spread(v, x.dtype) for v in factors)
        cpu.grad_input(
            members,
            tasks,
            flat_x,
            flat_dy,
            dx.reshape(-1),
            center,
            *spread,
            floor,
            runs.periods,
            runs.width,
            *runs.geometry,
        )
    return dx, dgamma.astype(x.dtype), dbeta.astype(x.dtype)


def per_channel(values: Any, name: str, C: int) -> np.ndarray:
    """One number per channel, or `InvalidArgument`."""
    array = as_array(values, name)
    if array.shape != (C,):
        raise InvalidArgument(f"{name} has shape {array.shape} but x has {C} channels; expected ({C},)")
    return array


def _floor(dtype: np.dtype, relu: bool) -> Any:
    return dtype.type(0 if relu else -np.inf)
