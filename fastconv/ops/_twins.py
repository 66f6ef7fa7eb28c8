"""The device's side of element-wise functions, normalisation and optimizer steps: checks, new arrays, then the kernels.

`on_device` sends a call whose first argument is a device array to the function of the same name in this module, which
takes what that function takes. Arrays must all be on the device; results are of the kind of the first argument.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..cuda import backend
from ..errors import InvalidArgument
from ._arrays import FLOATS, _are_resident, computing_dtype, is_device_array

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


@lru_cache(maxsize=8)
def _kernels(name: str) -> ModuleType:
    """A module of CUDA kernels, imported on first use."""
    return import_module(f"fastconv.cuda.{name}")


def relu(x: Any, slope: float = 0.0) -> Any:
    return _activate(x, "leaky_relu" if slope else "relu", slope)


def sigmoid(x: Any) -> Any:
    return _activate(x, "sigmoid")


def tanh(x: Any) -> Any:
    return _activate(x, "tanh")


def _activate(x: Any, kind: str, slope: float = 0.0) -> Any:
    elementwise = _kernels("elementwise")
    call = _Call("x", x)
    (x,) = call.arrays
    y = call.empty(x.shape)
    elementwise.activate(x, y, kind=kind, slope=slope)
    return call.result(y)


def activation_grad(dy: Any, y: Any, activation: str | None, axis: int | None = None, slope: float = 0.01) -> Any:
    elementwise = _kernels("elementwise")
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


def kept_below(rate: float) -> int:
    """What the hash of an element that dropout keeps is below, of 2**32."""
    return min(round((1 - rate) * 2**32), 2**32 - 1)


def dropout(x: Any, rate: float, seed: int) -> Any:
    from ..cuda import elementwise

    call = _Call("x", x)
    (x,) = call.arrays
    y = call.empty(x.shape)
    elementwise.dropout(x, y, seed=seed, threshold=kept_below(rate), scale=1 / (1 - rate))
    return call.result(y)


def softmax(x: Any, logarithm: bool = False) -> Any:
    kernels = _kernels("softmax")
    call = _Call("x", x)
    (x,) = call.arrays
    y = call.empty(x.shape)
    kernels.softmax(x, y, logarithm=logarithm)
    return call.result(y)


def softmax_grad(dy: Any, y: Any, logarithm: bool = False) -> Any:
    kernels = _kernels("softmax")
    call = _Call("dy y", dy, y)
    call.alike()
    dy, y = call.arrays
    dx = call.empty(y.shape)
    kernels.softmax_grad(dy, y, dx, logarithm=logarithm)
    return call.result(dx)


def softmax_cross_entropy(z: Any, target: Any) -> Any:
    call = _Call("z target", z, target)
    return _cross_entropy(call, (call.arrays[0].size // max(1, tuple(call.arrays[0].shape)[-1]),), False)


def mean_cross_entropy(z: Any, target: Any) -> Any:
    return _cross_entropy(_Call("z target", z, target), (), True)


def _cross_entropy(call: _Call, shape: tuple[int, ...], mean: bool) -> Any:
    kernels = _kernels("softmax")
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
    kernels = _kernels("softmax")
    call = _Call("dloss p target", dloss, p, target)
    call.alike(1)
    dloss, p, target = call.arrays
    dz = call.empty(p.shape)
    kernels.softmax_cross_entropy_grad(dloss, p, target, dz, mean=mean)
    return call.result(dz)


def channel_statistics(x: Any, axis: int, relu: bool = False) -> Any:
    normalization = _kernels("normalization")
    call = _Call("x", x)
    (x,) = call.arrays
    axis %= x.ndim
    mean, var = (call.empty((x.shape[axis],)) for _ in range(2))
    call.not_empty(x)
    normalization.channel_statistics(x, mean, var, axis=axis, relu=relu)
    return call.result(mean), call.result(var)


def batch_norm(
    x: Any, mean: Any, var: Any, gamma: Any, beta: Any, epsilon: float, axis: int, relu: bool = False
) -> Any:
    normalization = _kernels("normalization")
    call = _Call("x mean var gamma beta", x, mean, var, gamma, beta)
    axis = call.channels(axis)
    y = call.empty(call.arrays[0].shape)
    x, *channels = call.arrays
    normalization.batch_norm(x, y, *channels, axis=axis, epsilon=epsilon, relu=relu)
    return call.result(y)


def batch_norm_training(
    x: Any, gamma: Any, beta: Any, running: Any, momentum: float, epsilon: float, axis: int, relu: bool = False
) -> Any:
    normalization = _kernels("normalization")
    names = "x gamma beta" if running is None else "x gamma beta running_mean running_var"
    call = _Call(names, x, gamma, beta, *(running or ()))
    axis = call.channels(axis)
    x, gamma, beta, *moving = call.arrays
    call.not_empty(x)
    y, mean, var = (call.empty(shape) for shape in (x.shape, gamma.shape, gamma.shape))
    numbers: dict[str, Any] = {"axis": axis, "epsilon": epsilon, "relu": relu, "share": 1 - momentum}
    normalization.batch_norm_training(x, y, mean, var, gamma, beta, *(moving or (None, None)), **numbers)
    return call.result(y), call.result(mean), call.result(var)


def batch_norm_grad(
    dy: Any, x: Any, mean: Any, var: Any, gamma: Any, epsilon: float, axis: int, relu: bool = False,
    training: bool = True, input_grad: bool = True,
) -> Any:  # fmt: skip
    normalization = _kernels("normalization")
    call = _Call("dy x mean var gamma", dy, x, mean, var, gamma)
    call.alike(0, 2)
    axis = call.channels(axis, 2)
    dy, x, mean, var, gamma = call.arrays
    call.not_empty(x)
    dx = call.empty(x.shape) if input_grad else None
    dgamma, dbeta = (call.empty(gamma.shape) for _ in range(2))
    numbers: dict[str, Any] = {"axis": axis, "epsilon": epsilon, "relu": relu, "training": training}
    normalization.batch_norm_grad(dy, x, mean, var, gamma, dx, dgamma, dbeta, **numbers)
    return None if dx is None else call.result(dx), call.result(dgamma), call.result(dbeta)


def sgd(w: Any, v: Any, g: Any, rate: float, momentum: float = 0.0, nesterov: bool = False) -> None:
    together("sgd", [(w, v, g)], rate=rate, momentum=momentum, nesterov=nesterov)


def adam(w: Any, m: Any, v: Any, g: Any, rate: float, beta_1: float, beta_2: float, epsilon: float) -> None:
    together("adam", [(w, m, v, g)], rate=rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


def rmsprop(w: Any, m: Any, v: Any, g: Any, rate: float, rho: float, momentum: float, epsilon: float) -> None:
    together("rmsprop", [(w, m, v, g)], rate=rate, rho=rho, momentum=momentum, epsilon=epsilon)


def together(name: str, groups: Sequence[tuple[Any, ...]], **numbers: Any) -> None:
    """One step of many weights at once; a group is what one array of weights needs, and the weights come first."""
    updates = _kernels("updates")

    handles = []
    for group in groups:
        arrays = tuple(map(_kernels("exchange").as_device, group))
        if any(a.shape != arrays[0].shape or a.dtype != arrays[0].dtype for a in arrays):
            kinds = ", ".join(f"{tuple(a.shape)} {a.dtype}" for a in arrays)
            raise InvalidArgument(f"{name} needs arrays of one shape and dtype; got {kinds}")
        handles.append(arrays)
    getattr(updates, name)(*zip(*handles, strict=True), **numbers)


def shortened(g: Any, most: float) -> Any:
    updates = _kernels("updates")
    call = _Call("g", g)
    y = call.empty(call.arrays[0].shape)
    updates.shorten(call.arrays[0], y, most)
    return call.result(y)


class _Call:
    """The arrays of a call on the device, in the dtype that it is computed in."""

    def __init__(self, names: str, *values: Any) -> None:
        self.names, self.given = names.split(), values[0]
        if _are_resident(values):
            self.arrays = [v.handle for v in values]
            self.dtype = self.compute = self.arrays[0].dtype
            return
        on_host = [n for n, v in zip(self.names, values, strict=True) if not is_device_array(v)]
        if on_host:
            raise InvalidArgument(
                f"host and device arrays are mixed: {', '.join(on_host)} must be on the CUDA device too"
            )
        exchange = _kernels("exchange")
        arrays = [exchange.as_device(v) for v in values]
        self.dtype, self.compute = computing_dtype([np.dtype(a.dtype) for a in arrays], self.names, False)
        if self.compute.name not in FLOATS:
            raise InvalidArgument(f"{names} have dtype {self.compute}; expected real floating-point numbers")
        self.arrays = [exchange.as_device(a, self.compute) for a in arrays]

    def empty(self, shape: Any) -> Any:
        """A new array of the computing dtype."""
        return backend.empty(tuple(shape), self.compute)

    def result(self, y: Any) -> Any:
        """A kernel's result as the caller's kind of array, in the caller's dtype."""
        return _kernels("exchange").like(y, self.given, self.dtype)

    def alike(self, first: int = 0, stop: int | None = None) -> None:
        """Some of the arrays must have one shape."""
        shapes = [tuple(a.shape) for a in self.arrays[first:stop]]
        if any(shape != shapes[0] for shape in shapes):
            pairs = zip(self.names[first:stop], shapes, strict=True)
            raise InvalidArgument(f"the shapes differ: {' and '.join(f'{n} {s}' for n, s in pairs)}; expected the same")

    def channels(self, axis: int, whole: int = 1) -> int:
        """The channel axis of the first array, counted from 0; those behind `whole` have a number per channel."""
        x = self.arrays[0]
        axis %= x.ndim
        for name, a in zip(self.names[whole:], self.arrays[whole:], strict=True):
            if tuple(a.shape) != (x.shape[axis],):
                raise InvalidArgument(
                    f"{name} has shape {tuple(a.shape)} but x has {x.shape[axis]} channels; expected ({x.shape[axis]},)"
                )
        return axis

    def not_empty(self, x: Any) -> None:
        """Statistics need an element at least."""
        if x.size == 0:
            raise InvalidArgument(f"x of shape {tuple(x.shape)} has no elements: on CUDA there are no statistics of it")
