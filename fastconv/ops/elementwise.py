"""Element-wise operations that training needs: activations, dropout, channel sums, softmax and cross-entropy.

They take arrays of one floating dtype and return new ones; half precision is computed in float32 and rounded once, and
sums of it stay in float32. The same bits come out for any number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dispatch import operator
from ..errors import InvalidArgument, Unsupported, shown
from ._floats import Floats, exact
from .halves import SINGLE, is_floating, is_half, widened

FROM_INPUT = ("elu", "selu", "gelu", "gelu_tanh", "silu", "mish", "softplus", "softsign")
ACTIVATIONS = (None, "relu", "leaky_relu", "sigmoid", "tanh", *FROM_INPUT)
LEAKY_SLOPE = 0.01


def relu(x: Any, slope: float = 0.0) -> np.ndarray:
    """x where x > 0, else ``slope*x`` (0 for slope 0); NaN stays NaN.

    Examples
    --------
    >>> relu(np.array([-2.0, 3.0]), slope=0.5)
    array([-1.,  3.])
    """
    return _activated(x, "leaky_relu" if slope else "relu", slope)


def sigmoid(x: Any) -> np.ndarray:
    """1/(1 + exp(-x)), without overflow at either end; 0 where float32 or float64 has no normal number.

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0]))
    array([0. , 0.5])
    """
    return _activated(x, "sigmoid")


def tanh(x: Any) -> np.ndarray:
    """Hyperbolic tangent.

    Examples
    --------
    >>> tanh(np.array([0.0, 1000.0]))
    array([0., 1.])
    """
    return _activated(x, "tanh")


def activate(x: Any, kind: str, alpha: float = 1.0) -> np.ndarray:
    """One of the activations of `FROM_INPUT`, whose gradient `activation_grad` computes from their input.

    * "elu": x above 0, else alpha*(exp(x) - 1); "selu" the same with fixed numbers (Klambauer et al. 2017)
    * "gelu": x*P(X <= x) for a standard normal X; "gelu_tanh": its approximation (Hendrycks & Gimpel 2016)
    * "silu": x*sigmoid(x); "mish": x*tanh(log(1 + exp(x))); "softplus": log(1 + exp(x)); "softsign": x/(1 + |x|)

    Errors are a few units in the last place of the larger of x and the result.

    Examples
    --------
    >>> activate(np.array([-1000.0, 0.0, 2.0]), "softplus").round(4)
    array([0.    , 0.6931, 2.1269])
    """
    if kind not in FROM_INPUT:
        raise InvalidArgument(f"kind is {shown(kind)}; expected one of {', '.join(map(repr, FROM_INPUT))}")
    return _activated(x, kind, alpha)


def _activated(x: Any, kind: str, slope: float = 0.0) -> Any:
    call = Floats("x", x)
    (x,) = call.arrays
    y = call.empty(x.shape)
    operator("activate", call.device)(x, y, kind=kind, slope=slope)
    return call.finish(y)


def relu_max_pool(x: Any, window: tuple[int, int]) -> np.ndarray:
    """The maxima of relu(x) in windows that lie side by side in images (N, H, W, C), on the CPU.

    Examples
    --------
    >>> relu_max_pool(np.array([-2.0, 3.0, 1.0, 0.0, -1.0]).reshape(1, 1, 5, 1), (1, 2)).tolist()
    [[[[3.0], [1.0]]]]
    """
    call = Floats("x", x)
    (x,) = call.arrays
    N, H, W, C = x.shape
    y = call.empty((N, H // window[0], W // window[1], C))
    operator("activate", call.device)(x, y, kind="relu", window=window)
    return call.finish(y)


def activation_grad(
    dy: Any,
    y: Any,
    activation: str | None,
    axis: int | None = None,
    slope: float = LEAKY_SLOPE,
    pooled: tuple[Any, tuple[int, int]] | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Gradient through an activation, from its output, and the gradient's sums per channel in the same pass.

    Parameters
    ----------
    dy, y : array_like
        Gradient to the output, and the output itself; the input of an activation of `FROM_INPUT`.
    activation : None, "relu", "leaky_relu", "sigmoid", "tanh", or one of `FROM_INPUT`
        None passes dy on.
    axis : int or None
        Channel axis whose sums (the gradient of a bias) are wanted; None for none.
    slope : float
        Of leaky_relu, and elu's alpha.
    pooled : (ndarray, (int, int)), optional
        An image (N, H, W, C) of the host and the window of a max pool whose windows lie side by side: y are the maxima
        of relu of it, and dz is the gradient to the image.

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
    if (
        activation is None
        and axis is None
        and type(dy) is np.ndarray
        and is_floating(dy.dtype)
        and dy.flags.c_contiguous
    ):
        return dy, None  # nothing is to be done; others are copied once, here
    if activation is None and axis is None and is_half(getattr(dy, "dtype", SINGLE)):
        return dy, None  # not widened for nothing
    call = Floats("dy", dy) if activation is None else Floats("dy y", dy, y)
    call.alike()
    given, y = call.arrays[0], call.arrays[-1]
    dz = None if activation is None else call.empty(given.shape if pooled is None else pooled[0].shape)
    axis = None if axis is None else axis % given.ndim
    db = None if axis is None else call.empty((given.shape[axis],))
    if dz is not None or db is not None:
        more = {} if pooled is None else {"pooled": (widened(pooled[0]), pooled[1])}
        run = operator("activation_grad", call.device)
        run(given, y, dz, db, kind=activation, axis=axis, slope=slope, **more)
    unchanged = given if call.device == "cpu" and given.dtype == call.result else dy
    return unchanged if dz is None else call.finish(dz), None if db is None else call.sums(db)


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


def dropout(x: Any, rate: float, seed: int, first: int = 0) -> np.ndarray:
    """Zero each element with probability `rate` and divide the others by ``1 - rate``.

    Which elements go is a hash of (seed, index): the same seed gives the same mask, so the gradient is
    ``dropout(dy, rate, seed)``. Indices begin at `first`: for a part of an array; on CUDA at 0 only.

    Examples
    --------
    >>> y = dropout(np.ones(10000), 0.25, seed=1)
    >>> bool(abs(y.mean() - 1) < 0.05), sorted(set(y.tolist()))
    (True, [0.0, 1.3333333333333333])
    >>> np.array_equal(dropout(np.ones(7000), 0.25, seed=1, first=3000), y[3000:])
    True
    """
    call = Floats("x", x)
    (x,) = call.arrays
    y = call.empty(x.shape)
    threshold = min(round((1 - rate) * 2**32), 2**32 - 1)  # what the hash of an element that is kept is below
    place = {"first": first} if call.device == "cpu" else {}
    if first and not place:
        raise Unsupported("dropout of a part of an array runs on the CPU only; use the whole array")
    operator("dropout", call.device)(x, y, seed=seed, threshold=threshold, scale=1 / (1 - rate), **place)
    return call.finish(y)


def softmax(x: Any, logarithm: bool = False) -> np.ndarray:
    """exp(x) over its sum along the last axis, or the logarithm of that, without overflow.

    Examples
    --------
    >>> softmax(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    call = Floats("x", x)
    (x,) = call.arrays
    y = call.empty(x.shape)
    operator("softmax", call.device)(x, y, logarithm=logarithm)
    return call.finish(y)


def softmax_grad(dy: Any, y: Any, logarithm: bool = False) -> np.ndarray:
    """Gradient of `softmax` along the last axis, from its output."""
    call = Floats("dy y", dy, y)
    call.alike()
    dy, y = call.arrays
    dx = call.empty(y.shape)
    operator("softmax_grad", call.device)(dy, y, dx, logarithm=logarithm)
    return call.finish(dx)


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
    return _cross_entropy(z, target, False)


def softmax_cross_entropy_grad(dloss: Any, p: Any, target: Any) -> np.ndarray:
    """Gradient of `softmax_cross_entropy` to its logits, from the gradient to each row's loss (N,), float64."""
    return _cross_entropy_grad(dloss, p, target, False)


def mean_cross_entropy(z: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """The mean of `softmax_cross_entropy` over all rows, an array of one element in z's dtype, and the probabilities.

    Examples
    --------
    >>> loss, p = mean_cross_entropy(np.zeros((3, 2)), np.eye(3, 2))
    >>> float(loss.round(4)), p.shape
    (0.4621, (3, 2))
    """
    return _cross_entropy(z, target, True)


def mean_cross_entropy_grad(dloss: Any, p: Any, target: Any) -> np.ndarray:
    """Gradient of `mean_cross_entropy` to its logits, from the gradient to the loss."""
    return _cross_entropy_grad(dloss, p, target, True)


def _cross_entropy(z: Any, target: Any, mean: bool) -> Any:
    call = Floats("z target", z, target)
    call.alike()
    z, target = call.arrays
    rows = z.size // max(1, tuple(z.shape)[-1])
    p, loss = call.empty(z.shape), call.empty(() if mean else (rows,), call.compute if mean else exact(call))
    operator("softmax_cross_entropy", call.device)(z, target, p, loss, mean=mean)
    return call.finish(loss), call.finish(p)


def _cross_entropy_grad(dloss: Any, p: Any, target: Any, mean: bool) -> Any:
    call = Floats("p target", p, target)
    if call.device == "cuda":
        call = Floats("p target dloss", p, target, dloss)
        dloss = call.arrays[2]
    call.alike(0, 2)
    p, target = call.arrays[:2]
    dz = call.empty(p.shape)
    operator("softmax_cross_entropy_grad", call.device)(dloss, p, target, dz, mean=mean)
    return call.finish(dz)
