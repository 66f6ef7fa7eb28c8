"""The device's side of element-wise functions, normalisation and optimizer steps: checks, new arrays, then the kernels.

`on_device` sends a call whose first argument is a device array to the function of the same name in this module, which
takes what that function takes. Arrays must all be on the device; results are of the kind of the first argument.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..errors import InvalidArgument
from ._arrays import FLOATS, computing_dtype, is_device_array

P = ParamSpec("P")
R = TypeVar("R")


def on_device(function: Callable[P, R]) -> Callable[P, R]:
    """Call this module's function of the same name where the first argument is a device array."""
    name = function.__name__

    @functools.wraps(function)
    def routed(*args: P.args, **options: P.kwargs) -> R:
        if type(args[0]) is np.ndarray or not is_device_array(args[0]):
            return function(*args, **options)
        return globals()[name](*args, **options)

    return routed


def relu(x: Any, slope: float = 0.0) -> Any:
    return _activate(x, "leaky_relu" if slope else "relu", slope)


def sigmoid(x: Any) -> Any:
    return _activate(x, "sigmoid")


def tanh(x: Any) -> Any:
    return _activate(x, "tanh")


def _activate(x: Any, kind: str, slope: float = 0.0) -> Any:
    from ..cuda import elementwise

    call = _Call("x", x)
    (x,) = call.arrays
    y = call.empty(x.shape)
    elementwise.activate(x, y, kind=kind, slope=slope)
    return call.result(y)


def activation_grad(dy: Any, y: Any, activation: str | None, axis: int | None = None, slope: float = 0.01) -> Any:
    from ..cuda import elementwise

    if activation is None and axis is None:
        return dy, None
    call = _Call("dy y", dy, dy if activation is None else y)
    call.alike()
    d, y = call.arrays
    dz = None if activation is None else call.empty(d.shape)
    axis = None if axis is None else axis % d.ndim
    db = None if axis is None else call.empty((d.shape[axis],))
    elementwise.activation_grad(d, y, dz, db, kind=activation, axis=axis, slope=slope)
    return dy if dz is None else call.result(dz), None if db is None else call.result(db)


def dropout(x: Any, rate: float, seed: int) -> Any:
    from ..cuda import elementwise
    from .elementwise import kept_below

    call = _Call("x", x)
    (x,) = call.arrays
    y = call.empty(x.shape)
    elementwise.dropout(x, y, seed=seed, threshold=kept_below(rate), scale=1 / (1 - rate))
    return call.result(y)


def softmax(x: Any, logarithm: bool = False) -> Any:
    from ..cuda import softmax as kernels

    call = _Call("x", x)
    (x,) = call.arrays
    y = call.empty(x.shape)
    kernels.softmax(x, y, logarithm=logarithm)
    return call.result(y)


def softmax_grad(dy: Any, y: Any, logarithm: bool = False) -> Any:
    from ..cuda import softmax as kernels

    call = _Call("dy y", dy, y)
    call.alike()
    dy, y = call.arrays
    dx = call.empty(y.shape)
    kernels.softmax_grad(dy, y, dx, logarithm=logarithm)
    return call.result(dx)


def softmax_cross_entropy(z: Any, target: Any) -> Any:
    call = _Call("z target", z, target)
    return _cross_entropy(call, (call.arrays[0].size // max(1, call.arrays[0].shape[-1]),), False)


def mean_cross_entropy(z: Any, target: Any) -> Any:
    return _cross_entropy(_Call("z target", z, target), (), True)


def _cross_entropy(call: _Call, shape: tuple[int, ...], mean: bool) -> Any:
    from ..cuda import softmax as kernels

    call.alike()
    z, target = call.arrays
    p, loss = call.empty(z.shape), call.empty(shape)
    kernels.softmax_cross_entropy(z, target, p, loss, mean=mean)
    return call.result(loss), call.result(p)


def softmax_cross_entropy_grad(dloss: Any, p: Any, target: Any) -> Any:
    return _cross_entropy_grad(dloss, p, target, False)


def mean_cross_entropy_grad(dloss: Any, p: Any, target: Any) -> Any:
    return _cross_entropy_grad(dloss, p, target, True)


def _cross_entropy_grad(dloss: Any, p: Any, target: Any, mean: bool) -> Any:
    from ..cuda import softmax as kernels

    call = _Call("dloss p target", dloss, p, target)
    call.alike(1)
    dloss, p, target = call.arrays
    dz = call.empty(p.shape)
    kernels.softmax_cross_entropy_grad(dloss, p, target, dz, mean=mean)
    return call.result(dz)


def channel_statistics(x: Any, axis: int, relu: bool = False) -> Any:
    from ..cuda import normalization

    call = _Call("x", x)
    (x,) = call.arrays
    axis %= x.ndim
    kept = call.empty((2, x.shape[axis]))
    normalization.channel_statistics(x, kept, axis=axis, relu=relu)
    return call.result(kept)


def batch_norm(
    x: Any, statistics: Any, gamma: Any, beta: Any, epsilon: float, axis: int, relu: bool = False
) -> Any:
    from ..cuda import normalization

    call = _Call("x statistics gamma beta", x, statistics, gamma, beta)
    x, kept, gamma, beta = call.arrays
    y = call.empty(x.shape)
    normalization.batch_norm(x, y, kept, gamma, beta, axis=call.channels(axis), epsilon=epsilon, relu=relu)
    return call.result(y)
