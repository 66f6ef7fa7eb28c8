"""Element-wise operations that training needs: activations, dropout, channel sums, softmax and cross-entropy.

They take arrays of one floating dtype and return new ones; half precision is computed in float32. The same bits come
out for any number of threads.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from ..memory import empty
from ..threads import team
from ._arrays import FLOATS, as_array, computing_dtype, contiguous
from ._twins import kept_below, on_device

ACTIVATIONS = (None, "relu", "leaky_relu", "sigmoid", "tanh")
LEAKY_SLOPE = 0.01
NATIVE = tuple(map(np.dtype, FLOATS))


@lru_cache(maxsize=8)
def kernels(name: str) -> ModuleType:
    """A module of CPU kernels, imported on first use."""
    return import_module(f"fastconv.cpu.{name}")


def floats(names: str, *values: Any) -> list[Any]:
    """The arguments as arrays that kernels take, of one shape and of one dtype, float32 or float64."""
    first = values[0]
    if all(_is_ready(v, first) for v in values):
        return _alike(names, list(values))
    arrays = [as_array(v, n) for v, n in zip(values, names.split(), strict=True)]
    dtype = computing_dtype([a.dtype for a in arrays], names.split(), False)[1]
    if dtype.name not in FLOATS:
        raise InvalidArgument(f"{names} have dtype {dtype}; expected real floating-point numbers")
    return _alike(names, [contiguous(a, dtype) for a in arrays])


def _alike(names: str, arrays: list[np.ndarray]) -> list[np.ndarray]:
    if any(a.shape != arrays[0].shape for a in arrays):
        shapes = " and ".join(f"{name} {a.shape}" for name, a in zip(names.split(), arrays, strict=True))
        raise InvalidArgument(f"the shapes differ: {shapes}; expected the same")
    return arrays


def _is_ready(value: Any, first: Any) -> bool:
    if type(value) is not np.ndarray or value.dtype != first.dtype or value.dtype not in NATIVE:
        return False
    flags = value.flags
    return flags.c_contiguous and flags.aligned and flags.writeable


@on_device
def relu(x: Any, slope: float = 0.0) -> np.ndarray:
    """x where x > 0, else ``slope*x`` (0 for slope 0); NaN stays NaN.

    Examples
    --------
    >>> relu(np.array([-2.0, 3.0]), slope=0.5)
    array([-1.,  3.])
    """
    (x,) = floats("x", x)
    cpu, y = kernels("elementwise"), empty(x.shape, x.dtype)
    tasks = -(-x.size // cpu.BLOCK)
    cpu.activate(team(tasks, x.size), tasks, x.reshape(-1), y.reshape(-1), x.dtype.type(slope))
    return y


@on_device
def sigmoid(x: Any) -> np.ndarray:
    """1/(1 + exp(-x)), without overflow at either end.

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0]))
    array([0. , 0.5])
    """
    (x,) = floats("x", x)
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


@on_device
def tanh(x: Any) -> np.ndarray:
    """Hyperbolic tangent.

    Examples
    --------
    >>> tanh(np.array([0.0, 1000.0]))
    array([0., 1.])
    """
    return np.tanh(x)


@on_device
def activation_grad(
    dy: Any, y: Any, activation: str | None, axis: int | None = None, slope: float = LEAKY_SLOPE
) -> tuple[np.ndarray, np.ndarray | None]:
    """Gradient through an activation, from its output, and the gradient's sums per channel in the same pass.

    Parameters
    ----------
    dy, y : array_like
        Gradient to the output, and the output itself.
    activation : None, "relu", "leaky_relu", "sigmoid" or "tanh"
        None passes dy on.
    axis : int or None
        Channel axis whose sums (the gradient of a bias) are wanted; None for none.

    Returns
    -------
    dz : ndarray
    db : ndarray, (C,), or None

    Examples
    --------
    >>> activation_grad(np.ones((2, 2)), np.array([[0.0, 1.0], [2.0, 3.0]]), "relu", axis=1)
    (array([[0., 1.],
           [1., 1.]]), array([1., 2.]))
    """
    if activation not in ACTIVATIONS:
        known = ", ".join(map(repr, ACTIVATIONS))
        raise InvalidArgument(f"the gradient of activation {activation!r} is not known; known are {known}")
    dy, y = floats("dy y", dy, dy if activation is None else y)
    if activation in ("sigmoid", "tanh"):  # from their outputs: y*(1 - y) and 1 - y*y
        one = dy.dtype.type(1)
        dy, activation = dy * (y * (one - y) if activation == "sigmoid" else one - y * y), None
    if activation is None and axis is None:
        return dy, None
    cpu, runs = kernels("elementwise"), kernels("runs").cut_runs(dy.shape, dy.ndim - 1 if axis is None else axis % dy.ndim)
    fold = 0 if axis is None else runs.fold
    dz = dy if activation is None else empty(dy.shape, dy.dtype)
    partial = np.zeros(runs.tasks * fold)
    cpu.activation_grad(
        team(runs.tasks, 2 * dy.size),
        runs.tasks if dy.size else 0,
        *(a.reshape(-1) for a in (dy, y, dz)),
        partial,
        activation is not None,
        dy.dtype.type(0 if activation == "relu" else slope),
        *runs.geometry,
        runs.width,
        fold,
    )
    return dz, None if axis is None else runs.reduce(partial).astype(dy.dtype)


def channel_sum(x: Any, axis: int) -> np.ndarray:
    """Sums over every axis but `axis`, added in double precision: the gradient of a bias.

    Examples
    --------
    >>> channel_sum(np.ones((4, 3, 3, 2)), axis=-1)
    array([36., 36.])
    """
    sums = activation_grad(x, None, None, axis)[1]
    assert sums is not None
    return sums


@on_device
def dropout(x: Any, rate: float, seed: int) -> np.ndarray:
    """Zero each element with probability `rate` and divide the others by ``1 - rate``.

    Which elements go is a hash of (seed, index): the same seed gives the same mask, so the gradient is
    ``dropout(dy, rate, seed)``.

    Examples
    --------
    >>> y = dropout(np.ones(10000), 0.25, seed=1)
    >>> bool(abs(y.mean() - 1) < 0.05), sorted(set(y.tolist()))
    (True, [0.0, 1.3333333333333333])
    """
    (x,) = floats("x", x)
    cpu, y = kernels("elementwise"), empty(x.shape, x.dtype)
    tasks = -(-x.size // cpu.BLOCK)
    threshold = kept_below(rate)
    scale = x.dtype.type(1 / (1 - rate))
    members = team(tasks, 8 * x.size)
    cpu.dropout(members, tasks, x.reshape(-1), y.reshape(-1), np.uint64(seed), np.uint32(threshold), scale)
    return y


@on_device
def softmax(x: Any, logarithm: bool = False) -> np.ndarray:
    """exp(x) over its sum along the last axis, or the logarithm of that, without overflow.

    Examples
    --------
    >>> softmax(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    (x,) = floats("x", x)
    y = empty(x.shape, x.dtype)
    _by_rows("softmax", x, [x, y], logarithm)
    return y


@on_device
def softmax_grad(dy: Any, y: Any, logarithm: bool = False) -> np.ndarray:
    """Gradient of `softmax` along the last axis, from its output."""
    dy, y = floats("dy y", dy, y)
    dx = empty(y.shape, y.dtype)
    _by_rows("softmax_grad", y, [dy, y, dx], logarithm)
    return dx


@on_device
def softmax_cross_entropy(z: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Cross-entropy of each row of logits z against a distribution, and the probabilities.

    loss[n] = sum over k of target[n,k] * (log(sum over j of exp(z[n,j])) - z[n,k])

    Parameters
    ----------
    z, target : array_like, (..., K)
        N rows along the last axis.

    Returns
    -------
    loss : ndarray, (N,), float64
    p : ndarray, (..., K)
        ``softmax(z)``.

    Examples
    --------
    >>> softmax_cross_entropy(np.zeros((1, 4)), np.eye(4)[:1])[0].round(4)
    array([1.3863])
    """
    z, target = floats("z target", z, target)
    p, loss = np.empty(z.shape, z.dtype), np.empty(z.size // max(1, z.shape[-1]))
    _by_rows("softmax_cross_entropy", z, [z, target, p, loss])
    return loss, p


@on_device
def softmax_cross_entropy_grad(dloss: Any, p: Any, target: Any) -> np.ndarray:
    """Gradient of `softmax_cross_entropy` to its logits, from the gradient to each row's loss (N,), float64."""
    p, target = floats("p target", p, target)
    dz = np.empty(p.shape, p.dtype)
    _by_rows("softmax_cross_entropy_grad", p, [np.ascontiguousarray(dloss, np.float64), p, target, dz])
    return dz


@on_device
def mean_cross_entropy(z: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """The mean of `softmax_cross_entropy` over all rows, an array of one element in z's dtype, and the probabilities.

    Examples
    --------
    >>> loss, p = mean_cross_entropy(np.zeros((3, 2)), np.eye(3, 2))
    >>> float(loss.round(4)), p.shape
    (0.4621, (3, 2))
    """
    loss, p = softmax_cross_entropy(z, target)
    return np.asarray(loss.mean(), p.dtype), p


@on_device
def mean_cross_entropy_grad(dloss: Any, p: Any, target: Any) -> np.ndarray:
    """Gradient of `mean_cross_entropy` to its logits, from the gradient to the loss."""
    rows = p.size // max(1, p.shape[-1])
    return softmax_cross_entropy_grad(np.full(rows, dloss / rows), p, target)


def _by_rows(name: str, x: np.ndarray, arrays: list[np.ndarray], *options: Any) -> None:
    if x.size == 0:
        return
    cpu, K = kernels("elementwise"), x.shape[-1]
    N = x.size // K
    tasks = -(-N // cpu.ROWS)
    members = team(tasks, 20 * x.size)
    getattr(cpu, name)(members, tasks, *(a.reshape(-1) for a in arrays), N, K, *options)
