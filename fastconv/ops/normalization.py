"""Batch normalisation as plain functions: statistics, the forward pass and the gradient.

The channel axis is any axis; with ``relu=True`` x goes through a relu first, which then costs no pass of its own.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .. import memory
from ..dispatch import operator
from ..errors import InvalidArgument
from ._exactness import note_extremes
from ._floats import Floats, exact, with_channels
from .halves import is_half, widened


class Part(Protocol):
    """A part of a batch whose other parts other processes have: what they find is put together for all of them."""

    def moments(self, mean: np.ndarray, var: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance over the batch from those over its parts."""

    def mean(self, own: np.ndarray) -> np.ndarray:
        """What the parts give, weighted by their shares of the batch."""


def channel_statistics(x: Any, axis: int, relu: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Mean and (biased) variance of each channel, float64, in one pass over x.

    Sums of x and its square relative to each channel's first element, in double precision: an offset that is large
    beside the spread costs no accuracy.

    Examples
    --------
    >>> channel_statistics(np.array([[1.0, 5.0], [3.0, 5.0]]), axis=1)
    (array([2., 5.]), array([1., 0.]))
    """
    call = Floats("x", x)
    (x,) = call.arrays
    axis %= x.ndim
    _check_elements(call, x)
    mean, var = (call.empty((x.shape[axis],), exact(call)) for _ in range(2))
    operator("channel_statistics", call.device)(x, mean, var, axis=axis, relu=relu)
    return call.finish(mean), call.finish(var)


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
    call, axis, channels = with_channels("x mean var gamma beta", 1, axis, x, mean, var, gamma, beta)
    x = call.arrays[0]
    y = call.empty(x.shape)
    found = operator("batch_norm", call.device)(x, y, *channels, axis=axis, epsilon=epsilon, relu=relu)
    return note_extremes(call.finish(y), found)  # type: ignore[no-any-return]


def batch_norm_training(
    x: Any,
    gamma: Any,
    beta: Any,
    running: tuple[np.ndarray, np.ndarray] | None,
    momentum: float,
    epsilon: float,
    axis: int,
    relu: bool = False,
    maxima: np.ndarray | None = None,
    part: Part | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`batch_norm` by the statistics of x itself, or of the batch that x is a part of: (y, mean, variance).

    `running` mean and variance, unless None, move towards them in place:
    running = momentum*running + (1 - momentum)*batch. With `maxima`, a max pool's result of x, these are normalised in
    place of x: for gamma above 0 that is the pool's result of the normalised x (on the CPU).

    Examples
    --------
    >>> mean, var = np.zeros(1), np.ones(1)
    >>> y, *_ = batch_norm_training(np.array([[1.0], [3.0]]), [1.0], [0.0], (mean, var), 0.5, 0.0, axis=1)
    >>> y.tolist(), mean, var
    ([[-1.0], [1.0]], array([1.]), array([1.]))
    """
    if part is not None:
        mean, var = part.moments(*channel_statistics(x, axis, relu))
        for kept, new in zip(running or (), (mean, var), strict=False):
            kept[...] = kept + (1 - momentum) * (new - kept)
        return batch_norm(x if maxima is None else maxima, mean, var, gamma, beta, epsilon, axis, relu), mean, var
    return _by_statistics(x, gamma, beta, running, momentum, epsilon, axis, relu, maxima)[:3]


def batch_norm_pooled(
    x: Any,
    gamma: Any,
    beta: Any,
    running: tuple[np.ndarray, np.ndarray] | None,
    momentum: float,
    epsilon: float,
    relu: bool,
    window: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`batch_norm_training` of x (N, H, W, C) and a max pool behind it: (y, mean, variance, the maxima of x).

    For gamma above 0, on the CPU, and for windows side by side: rows and columns beyond the last whole one are left
    out. The maxima come out of the pass that the statistics take.

    Examples
    --------
    >>> x = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)
    >>> y, *_, maxima = batch_norm_pooled(x, [1.0], [0.0], None, 0.5, 0.0, False, (1, 2))
    >>> y.tolist(), maxima.tolist()
    ([[[[1.0]]]], [[[[3.0]]]])
    """
    return _by_statistics(x, gamma, beta, running, momentum, epsilon, 3, relu, None, window)  # type: ignore[return-value]


def _by_statistics(
    x: Any, gamma: Any, beta: Any, running: Any, momentum: float, epsilon: float, axis: int, relu: bool, maxima: Any,
    window: tuple[int, int] | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    """y, mean, variance, and the maxima of a window, if there is one."""
    names = "x gamma beta" if running is None else "x gamma beta running_mean running_var"
    call, axis, (gamma, beta, *moving) = with_channels(names, 1, axis, x, gamma, beta, *(running or ()))
    x = call.arrays[0]
    _check_elements(call, x)
    numbers: dict[str, Any] = {"axis": axis, "epsilon": epsilon, "relu": relu, "share": 1 - momentum}
    if window is not None:
        N, H, W, C = x.shape
        maxima = memory.empty((N, H // window[0], W // window[1], C), call.compute)
        numbers["window"] = window
    if maxima is not None:
        numbers["maxima"] = widened(maxima)
    y = call.empty(x.shape if maxima is None else maxima.shape)
    mean, var = (call.empty((x.shape[axis],), exact(call)) for _ in range(2))
    run = operator("batch_norm_training", call.device)
    found = run(x, y, mean, var, gamma, beta, *(moving or (None, None)), **numbers)
    for given, moved in zip(running or (), moving, strict=True):
        if call.device == "cpu" and is_half(given.dtype):
            given[...] = moved
    return note_extremes(call.finish(y), found), call.finish(mean), call.finish(var), maxima


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
    bias_grad: bool = False,
    maxima: tuple[np.ndarray, Any] | None = None,
    part: Part | None = None,
) -> tuple[np.ndarray | None, ...]:
    """Gradients (dx, dgamma, dbeta) of `batch_norm`; in training, mean and variance depend on x (Ioffe & Szegedy 2015).

    With s = 1/sqrt(var + epsilon), M elements per channel and both sums per channel:
    dbeta = sum dy, dgamma = s * sum dy*(x - mean),
    dx = gamma*s * (dy - dbeta/M - (x - mean)*s*dgamma/M), or gamma*s*dy for fixed statistics.
    With `bias_grad` also dx summed per channel, in the same pass: the gradient to a bias that x holds. With `maxima`,
    as `batch_norm_training` was given them, and their places in x, or as `batch_norm_pooled` found them, and the
    window, dy is the gradient to these. Of a `part` of a batch dy is the gradient of its own mean loss, and both sums
    in dx are means over the parts; the others are its own.
    """
    given = x if maxima is None else maxima[0]
    call, axis, (mean, var, gamma) = with_channels("dy x mean var gamma", 2, axis, dy, given, mean, var, gamma)
    dy, x = call.arrays[0], call.arrays[1] if maxima is None else widened(x)
    _check_elements(call, x)
    dx = call.empty(x.shape) if input_grad or bias_grad else None
    sums = [call.empty((x.shape[axis],)) for _ in range(3 if bias_grad else 2)]
    numbers: dict[str, Any] = {"axis": axis, "epsilon": epsilon, "relu": relu, "training": training}
    if maxima is not None:
        numbers["maxima"] = call.arrays[1], maxima[1]
    if part is not None:
        numbers["part"] = part
    operator("batch_norm_grad", call.device)(dy, x, mean, var, gamma, dx, *sums, **numbers)
    return None if dx is None else call.finish(dx), *map(call.sums, sums)


def _check_elements(call: Floats, x: Any) -> None:
    """On a GPU statistics need an element at least."""
    if call.device == "cuda" and x.size == 0:
        raise InvalidArgument(f"x of shape {tuple(x.shape)} has no elements: on CUDA there are no statistics of it")
