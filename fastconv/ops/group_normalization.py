"""Normalisation of each image by itself, as plain functions: over axes of a layer, and over groups of channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dispatch import operator
from ..errors import InvalidArgument
from ..foreign import is_device_array
from ._floats import Floats, exact
from ._reading import as_array

Statistics = tuple[Any, Any]  # mean, and 1/sqrt(variance + epsilon), of each row or group


def layer_norm(
    x: Any, gamma: Any, beta: Any, epsilon: float, axes: tuple[int, ...], centred: bool = True
) -> tuple[Any, Statistics]:
    """(x - mean)/sqrt(var + epsilon)*gamma + beta, with mean and (biased) variance over `axes`, and these.

    On the CPU sums are of double precision. If not `centred` the mean is taken for 0, and the variance is the mean
    square.

    Parameters
    ----------
    x : array_like
    gamma, beta : array_like
        Of the sizes of `axes`.
    epsilon : float
    axes : tuple of int
        Counted from 0, in order.
    centred : bool

    Returns
    -------
    y : ndarray
    statistics : tuple of ndarray
        What `layer_norm_grad` needs.

    Examples
    --------
    >>> layer_norm(np.array([[1.0, 3.0], [5.0, 5.0]]), np.ones(2), np.zeros(2), 0.0, (1,))[0][0]
    array([-1.,  1.])
    """
    order = _order(np.ndim(x), axes)
    rows, shape = _rows(x, order, len(axes))
    call = Floats("x gamma beta", rows, *(_flat(a) for a in (gamma, beta)), whole=1)
    y, statistics = _results(call, rows.shape, rows.shape[:1])
    if math.prod(rows.shape):
        operator("layer_norm", call.device)(
            call.arrays[0], y, *statistics, *call.arrays[1:], epsilon=epsilon, centred=centred
        )
    return _as_it_was(call.finish(y), shape, order), tuple(map(call.finish, statistics))  # type: ignore[return-value]


def layer_norm_grad(
    dy: Any, x: Any, statistics: Statistics, gamma: Any, axes: tuple[int, ...], centred: bool = True
) -> tuple[Any, Any, Any]:
    """Gradients (dx, dgamma, dbeta) of `layer_norm`; sums over rows are taken in a fixed order."""
    order, sizes = _order(np.ndim(x), axes), np.shape(gamma)
    (dy, _), (x, shape) = (_rows(a, order, len(axes)) for a in (dy, x))
    call = Floats("dy x gamma", dy, x, _flat(gamma), whole=2)
    found = _gradients(call, "layer_norm_grad", statistics, centred=centred)
    return _as_it_was(found[0], shape, order), *(g.reshape(sizes) for g in found[1:])  # type: ignore[return-value]


def group_norm(x: Any, gamma: Any, beta: Any, epsilon: float, groups: int, axis: int) -> tuple[Any, Statistics]:
    """(x - mean)/sqrt(var + epsilon)*gamma + beta, with the statistics of each image's group of channels, and these.

    Parameters
    ----------
    x : array_like, (N, ...)
    gamma, beta : array_like, (C,)
    epsilon : float
    groups : int
        Into how many groups of neighbours the channels are divided.
    axis : int
        That of the channels, counted from 0; not 0.

    Examples
    --------
    >>> x = np.array([[[1.0, 0.0, 5.0, 5.0], [3.0, 4.0, 7.0, 3.0]]])
    >>> group_norm(x, np.ones(4), np.zeros(4), 0.0, 2, axis=2)[0][0, :, 2].round(3)
    array([0.   , 1.414])
    """
    images, shape, order, last = _images(x, axis)
    call = Floats("x gamma beta", images, gamma, beta, whole=1)
    y, statistics = _results(call, images.shape, (images.shape[0], groups))
    if math.prod(images.shape):
        run = operator("group_norm", call.device)
        run(call.arrays[0], y, *statistics, *call.arrays[1:], channels_last=last, epsilon=epsilon)
    return _as_it_was(call.finish(y), shape, order), tuple(map(call.finish, statistics))  # type: ignore[return-value]


def group_norm_grad(dy: Any, x: Any, statistics: Statistics, gamma: Any, axis: int) -> tuple[Any, Any, Any]:
    """Gradients (dx, dgamma, dbeta) of `group_norm`."""
    (dy, *_), (x, shape, order, last) = (_images(a, axis) for a in (dy, x))
    call = Floats("dy x gamma", dy, x, gamma, whole=2)
    dx, dgamma, dbeta = _gradients(call, "group_norm_grad", statistics, channels_last=last)
    return _as_it_was(dx, shape, order), dgamma, dbeta


def _results(call: Floats, shape: tuple[int, ...], rows: tuple[int, ...]) -> tuple[Any, list[Any]]:
    """Room for a result and its statistics."""
    return call.empty(shape), [call.empty(rows, exact(call)) for _ in range(2)]


def _gradients(call: Floats, name: str, statistics: Statistics, **options: bool) -> list[Any]:
    """dx, dgamma and dbeta."""
    dy, x, gamma = call.arrays
    dx, *sums = call.empty(tuple(x.shape)), *(call.empty(tuple(gamma.shape)) for _ in range(2))
    numbers = [Floats("statistics", s).arrays[0] for s in statistics]
    if math.prod(x.shape):
        operator(name, call.device)(dy, x, *numbers, gamma, dx, *sums, **options)
        return [call.finish(dx), *map(call.sums, sums)]
    dx, *sums = call.finish(dx), *map(call.sums, sums)
    for total in sums:
        total.fill(0)
    return [dx, *sums]


# --- the order of axes ------------------------------------------------------------------------------------------------


def _order(ndim: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes with those that are normalised behind the others."""
    return (*(a for a in range(ndim) if a not in axes), *axes)


def _ordered(x: Any, order: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """x with its axes in this order, side by side in memory, and the shape that it had."""
    shape = tuple(np.shape(x))
    if is_device_array(x):
        return (x if order == tuple(range(len(shape))) else np.transpose(x, order)), shape
    return np.ascontiguousarray(np.transpose(as_array(x, "x"), order)), shape


def _flat(a: Any) -> Any:
    return (a if is_device_array(a) else as_array(a, "gamma")).reshape(-1)


def _rows(x: Any, order: tuple[int, ...], count: int) -> tuple[Any, tuple[int, ...]]:
    """x as rows of what is normalised, and its shape."""
    x, shape = _ordered(x, order)
    K = math.prod(x.shape[len(shape) - count :])
    return x.reshape((math.prod(x.shape[: len(shape) - count]), K)), shape


def _images(x: Any, axis: int) -> tuple[Any, tuple[int, ...], tuple[int, ...], bool]:
    """x as (N, S, C), or (N, C, S) where channels come first, as on a GPU; shape; order; whether channels are last."""
    ndim = np.ndim(x)
    last = not is_device_array(x) and (axis != 1 or ndim == 2)
    others = tuple(a for a in range(1, ndim) if a != axis)
    order = (0, *others, axis) if last else (0, axis, *others)
    x, shape = _ordered(x, order)
    N, C, S = shape[0], shape[axis], math.prod(shape[a] for a in others)
    return x.reshape((N, S, C) if last else (N, C, S)), shape, order, last


def _as_it_was(y: Any, shape: tuple[int, ...], order: tuple[int, ...]) -> Any:
    """A result in the shape and the order of what it was made of."""
    y = y.reshape(tuple(shape[a] for a in order))
    if order == tuple(range(len(shape))):
        return y
    y = np.transpose(y, np.argsort(order).tolist())
    return np.ascontiguousarray(y) if isinstance(y, np.ndarray) else y


def check_groups(channels: int, groups: int) -> None:
    """Raise unless the channels can be divided into so many groups."""
    if groups < 1 or channels % groups:
        raise InvalidArgument(f"groups is {groups}, which must divide the {channels} channels of x")
