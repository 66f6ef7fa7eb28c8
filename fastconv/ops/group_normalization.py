"""Normalisation of each image by itself, as plain functions: over axes of a layer, and over groups of channels.

On the CPU a compiled pass; on a GPU they are composed of operations of whole arrays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dispatch import operator
from ..errors import InvalidArgument
from ._floats import Floats

Statistics = tuple[Any, Any]  # mean, and 1/sqrt(variance + epsilon), of each row or group


def layer_norm(
    x: Any, gamma: Any, beta: Any, epsilon: float, axes: tuple[int, ...], centred: bool = True
) -> tuple[Any, Statistics]:
    """(x - mean)/sqrt(var + epsilon)*gamma + beta, with mean and (biased) variance over `axes`, and these.

    Sums are of double precision. If not `centred` the mean is taken for 0, and the variance is the mean square.

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
    call = Floats("x gamma beta", x, gamma, beta)
    if call.device == "cuda":
        return _composed(x, gamma, beta, epsilon, axes, centred)
    order = _order(call.arrays[0].ndim, axes)
    rows, gamma, beta = _rows(call.arrays[0], order, len(axes)), *(a.reshape(-1) for a in call.arrays[1:])
    y, (mean, inverse) = call.empty(rows.shape), (np.empty(len(rows)) for _ in range(2))
    operator("layer_norm")(rows, y, mean, inverse, gamma, beta, epsilon=epsilon, centred=centred)
    return _as_it_was(y, call.arrays[0].shape, order), (mean, inverse)


def layer_norm_grad(
    dy: Any, x: Any, statistics: Statistics, gamma: Any, axes: tuple[int, ...], centred: bool = True
) -> tuple[Any, Any, Any]:
    """Gradients (dx, dgamma, dbeta) of `layer_norm`; sums over rows are taken in a fixed order."""
    call = Floats("dy x gamma", dy, x, gamma)
    if call.device == "cuda":
        return _composed_grad(dy, x, statistics, gamma, axes, centred)
    shape = call.arrays[1].shape
    order = _order(len(shape), axes)
    dy, x = (_rows(a, order, len(axes)) for a in call.arrays[:2])
    gamma = call.arrays[2]
    dx, (dgamma, dbeta) = call.empty(x.shape), (call.empty(gamma.shape) for _ in range(2))
    flat = gamma.reshape(-1), dx, dgamma.reshape(-1), dbeta.reshape(-1)
    operator("layer_norm_grad")(dy, x, *statistics, *flat, centred=centred)
    return _as_it_was(dx, shape, order), dgamma, dbeta


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
    call = Floats("x gamma beta", x, gamma, beta)
    if call.device == "cuda":
        return _composed_groups(x, gamma, beta, epsilon, groups, axis)
    images, order, last = _images(call.arrays[0], axis)
    y, (mean, inverse) = call.empty(images.shape), (np.empty((len(images), groups)) for _ in range(2))
    if y.size:
        run = operator("group_norm")
        run(images, y, mean, inverse, *call.arrays[1:], channels_last=last, epsilon=epsilon)
    return _as_it_was(y, call.arrays[0].shape, order), (mean, inverse)


def group_norm_grad(
    dy: Any, x: Any, statistics: Statistics, gamma: Any, groups: int, axis: int
) -> tuple[Any, Any, Any]:
    """Gradients (dx, dgamma, dbeta) of `group_norm`."""
    call = Floats("dy x gamma", dy, x, gamma)
    if call.device == "cuda":
        return _composed_groups_grad(dy, x, statistics, gamma, groups, axis)
    shape = call.arrays[1].shape
    (dy, order, last), (x, *_) = (_images(a, axis) for a in call.arrays[:2])
    gamma = call.arrays[2]
    dx, (dgamma, dbeta) = call.empty(x.shape), (np.zeros(gamma.shape, gamma.dtype) for _ in range(2))
    if dx.size:
        operator("group_norm_grad")(dy, x, *statistics, gamma, dx, dgamma, dbeta, channels_last=last)
    return _as_it_was(dx, shape, order), dgamma, dbeta


# --- the order of axes ------------------------------------------------------------------------------------------------


def _order(ndim: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes with those that are normalised behind the others."""
    return (*(a for a in range(ndim) if a not in axes), *axes)


def _rows(x: np.ndarray, order: tuple[int, ...], count: int) -> np.ndarray:
    """x as rows of what is normalised."""
    x = np.ascontiguousarray(np.transpose(x, order))
    return x.reshape(-1, math.prod(x.shape[x.ndim - count :])) if x.size else x.reshape(0, 1)


def _images(x: np.ndarray, axis: int) -> tuple[np.ndarray, tuple[int, ...], bool]:
    """x as (N, S, C), or (N, C, S) where channels come first; the order of its axes for that; whether they are last."""
    order = tuple(range(x.ndim))
    if axis == 1 and x.ndim > 2:
        return x.reshape(*x.shape[:2], -1) if x.size else x.reshape(0, 1, 1), order, False
    order = _order(x.ndim, (axis,))
    x = np.ascontiguousarray(np.transpose(x, order))
    return x.reshape(len(x), -1, x.shape[-1]) if x.size else x.reshape(0, 1, 1), order, True


def _as_it_was(y: np.ndarray, shape: tuple[int, ...], order: tuple[int, ...]) -> np.ndarray:
    """A result in the shape and the order of what it was made of."""
    y = y.reshape([shape[a] for a in order])
    return np.ascontiguousarray(np.transpose(y, np.argsort(order)))


# --- of whole arrays, wherever they lie -------------------------------------------------------------------------------


def _shaped(gamma: Any, ndim: int, axes: tuple[int, ...]) -> Any:
    """gamma in a shape that is broadcast to x's."""
    sizes = iter(gamma.shape)
    return gamma.reshape(tuple(next(sizes) if a in axes else 1 for a in range(ndim)))


def _composed(
    x: Any, gamma: Any, beta: Any, epsilon: float, axes: tuple[int, ...], centred: bool
) -> tuple[Any, Statistics]:
    number = np.dtype(x.dtype).type
    mean = np.mean(x, axis=axes, keepdims=True)
    mean = mean if centred else mean * number(0)
    inverse = number(1) / np.sqrt(np.mean(np.square(x - mean), axis=axes, keepdims=True) + number(epsilon))
    gamma, beta = (_shaped(a, x.ndim, axes) for a in (gamma, beta))
    return (x - mean) * inverse * gamma + beta, (mean, inverse)


def _composed_grad(
    dy: Any, x: Any, statistics: Statistics, gamma: Any, axes: tuple[int, ...], centred: bool
) -> tuple[Any, Any, Any]:
    mean, inverse = statistics
    others = tuple(a for a in range(x.ndim) if a not in axes)
    z, g = (x - mean) * inverse, dy * _shaped(gamma, x.ndim, axes)
    dx = g - z * np.mean(g * z, axis=axes, keepdims=True)
    dx = inverse * (dx - np.mean(g, axis=axes, keepdims=True) if centred else dx)
    return dx, (dy * z).sum(axis=others).reshape(gamma.shape), dy.sum(axis=others).reshape(gamma.shape)


def _in_groups(x: Any, groups: int, axis: int) -> tuple[Any, tuple[int, ...]]:
    """x with the axis of channels cut in two, and the axes of one group."""
    shape = (*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])
    return x.reshape(shape), tuple(a for a in range(1, len(shape)) if a != axis)


def _composed_groups(x: Any, gamma: Any, beta: Any, epsilon: float, groups: int, axis: int) -> tuple[Any, Statistics]:
    parts, axes = _in_groups(x, groups, axis)
    ones = np.ones_like(gamma, shape=[parts.shape[a] for a in axes])
    z, statistics = _composed(parts, ones, ones * 0, epsilon, axes, True)
    return z.reshape(x.shape) * _shaped(gamma, x.ndim, (axis,)) + _shaped(beta, x.ndim, (axis,)), statistics


def _composed_groups_grad(
    dy: Any, x: Any, statistics: Statistics, gamma: Any, groups: int, axis: int
) -> tuple[Any, Any, Any]:
    (parts, axes), (g, _) = _in_groups(x, groups, axis), _in_groups(dy * _shaped(gamma, x.ndim, (axis,)), groups, axis)
    ones = np.ones_like(gamma, shape=[parts.shape[a] for a in axes])
    dx = _composed_grad(g, parts, statistics, ones, axes, True)[0]
    z = ((parts - statistics[0]) * statistics[1]).reshape(x.shape)
    others = tuple(a for a in range(x.ndim) if a != axis)
    return dx.reshape(x.shape), (dy * z).sum(axis=others), dy.sum(axis=others)


def check_groups(channels: int, groups: int) -> None:
    """Raise unless the channels can be divided into so many groups."""
    if groups < 1 or channels % groups:
        raise InvalidArgument(f"groups is {groups}, which must divide the {channels} channels of x")
