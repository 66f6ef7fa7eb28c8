"""NumPy's functions on device arrays: what ``__array_ufunc__`` and ``__array_function__`` look up.

Only what networks, losses and gradients need is here. Anything else raises a TypeError that names the function: no
array goes to the host unnoticed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import Unsupported
from ...foreign import is_device_array
from .. import backend
from ..exchange import as_device, from_host
from . import ufuncs
from .base import Wrapper
from .windows import Window, broadcast, indexed, whole

REDUCTIONS = {"add": "sum", "maximum": "max", "minimum": "min", "logical_or": "any", "logical_and": "all"}
FUNCTIONS: dict[Any, Callable[..., Any]] = {}
Array = Any  # `array.Array`, whose module stands above this one: results are made of the operands' class


def served(function: Any) -> Callable[..., Any]:
    """The implementation of one of NumPy's functions; TypeError if there is none."""
    try:
        return FUNCTIONS[function]
    except KeyError:
        name = getattr(function, "__name__", str(function))
        raise TypeError(f"np.{name} is not there for device arrays: take .numpy() first") from None


def ufunc(function: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A ufunc's call, ``reduce`` or ``at``."""
    out = options.pop("out", None)
    out = out[0] if isinstance(out, tuple) else out
    unknown = set(options) - ({"dtype", "axis", "keepdims"} if method == "reduce" else {"dtype"})
    if method == "__call__" and not unknown:
        y = ufuncs.call(function, inputs, out, options.get("dtype"))
        return _like(inputs, y) if out is None else out
    if method == "reduce" and function.__name__ in REDUCTIONS and not unknown:
        options = {"axis": 0, "keepdims": False, "dtype": None, **options}
        name = REDUCTIONS[function.__name__]
        return inputs[0]._reduced(name, options["axis"], options["dtype"], out, options["keepdims"])
    if method == "at" and not unknown:
        return _at(function, *inputs)
    detail = f"with {', '.join(sorted(unknown))}" if unknown else f".{method}"
    raise TypeError(f"np.{function.__name__} {detail} is not there for device arrays: take .numpy() first")


def _at(function: np.ufunc, x: Array, index: Any, *values: Any) -> None:
    """``function.at``: an index of integers and slices names no element twice, so it is ``x[index] = f(x[index])``."""
    x[index] = function(x[index], *values)


def _like(operands: Sequence[Any], handle: Any) -> Array:
    """An executor's array as the device arrays among the operands are."""
    return type(next(o for o in operands if isinstance(o, Wrapper)))(handle)


def _implements(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.update(dict.fromkeys(functions, implementation))
        return implementation

    return register


def _method(name: str) -> Callable[..., Any]:
    def call(a: Array, *args: Any, **options: Any) -> Any:
        return getattr(a, name)(*args, **{k: v for k, v in options.items() if v is not np._NoValue})

    return call


for _function in (np.sum, np.mean, np.max, np.min, np.any, np.all, np.argmax):
    FUNCTIONS[_function] = _method(_function.__name__.replace("amax", "max").replace("amin", "min"))
FUNCTIONS[np.copy] = _method("copy")
FUNCTIONS[np.shape] = lambda a: a.shape
FUNCTIONS[np.ndim] = lambda a: a.ndim


@_implements(np.size)
def _size(a: Array, axis: int | None = None) -> int:
    return a.size if axis is None else a.shape[axis]


@_implements(np.reshape)
def _reshape(a: Array, shape: Any, order: str = "C") -> Array:
    if order != "C":
        raise TypeError(f"np.reshape with order={order!r} is not there for device arrays: take .numpy() first")
    return a.reshape(shape)


@_implements(np.ravel)
def _ravel(a: Array) -> Array:
    return a.reshape(-1)


@_implements(np.transpose, np.permute_dims)
def _transpose(a: Array, axes: Any = None) -> Array:
    return a.transpose() if axes is None else a.transpose(tuple(int(n) for n in axes))


@_implements(np.moveaxis)
def _moveaxis(a: Array, source: Any, destination: Any) -> Array:
    sources, targets = ([int(n) % a.ndim for n in np.atleast_1d(v)] for v in (source, destination))
    order = [n for n in range(a.ndim) if n not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return a.transpose(tuple(order))


@_implements(np.swapaxes)
def _swapaxes(a: Array, axis1: int, axis2: int) -> Array:
    order = list(range(a.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return a.transpose(tuple(order))


@_implements(np.expand_dims)
def _expand_dims(a: Array, axis: Any) -> Array:
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    ndim = a.ndim + len(axes)
    new = {operator.index(n) % ndim for n in axes}
    sizes = iter(a.shape)
    return a.reshape(tuple(1 if n in new else next(sizes) for n in range(ndim)))


@_implements(np.squeeze)
def _squeeze(a: Array, axis: Any = None) -> Array:
    axes = range(a.ndim) if axis is None else (axis if isinstance(axis, tuple) else (axis,))
    gone = {n % a.ndim for n in axes if axis is not None or a.shape[n] == 1}
    if any(a.shape[n] != 1 for n in gone):
        raise ValueError(f"axes {sorted(gone)} of shape {a.shape} are not all of size 1")
    return a.reshape(tuple(n for i, n in enumerate(a.shape) if i not in gone))


@_implements(np.broadcast_to)
def _broadcast_to(a: Array, shape: Any) -> Array:
    """A copy: device arrays are C-contiguous."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return a if shape == a.shape else type(a)(ufuncs.contiguous(broadcast(whole(a.handle), shape)))


@_implements(np.empty_like)
def _empty_like(a: Array, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None) -> Array:
    shape = a.shape if shape is None else ((shape,) if isinstance(shape, int) else tuple(shape))
    with backend.scope(a.handle):
        return type(a)(backend.empty(shape, a.dtype if dtype is None else dtype))


@_implements(np.full_like)
def _full_like(a: Array, fill_value: Any, *args: Any, **options: Any) -> Array:
    y = _empty_like(a, *args, **options)
    with backend.scope(a.handle, y.handle):
        y[...] = fill_value
    return y


FUNCTIONS[np.zeros_like] = lambda a, *args, **options: _full_like(a, 0, *args, **options)
FUNCTIONS[np.ones_like] = lambda a, *args, **options: _full_like(a, 1, *args, **options)


@_implements(np.copyto)
def _copyto(dst: Array, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    if where is not True:
        raise TypeError("np.copyto with where is not there for device arrays: take .numpy() first")
    dst[...] = src


@_implements(np.where)
def _where(condition: Any, x: Any, y: Any) -> Array:
    operands = [ufuncs.operand(v) for v in (condition, x, y)]
    kinds = [np.zeros(1, ufuncs.kind_of(o)) if isinstance(o, Window) else o for o in operands[1:]]
    result = np.result_type(*kinds)
    if not isinstance(operands[0], Window) or operands[0].handle.dtype != np.bool_:
        operands[0] = ufuncs.truth(operands[0])
    return _like((condition, x, y), ufuncs.evaluate("where", operands, [np.dtype(bool), result, result, result]))


@_implements(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Array | None = None) -> Array:
    if a_min is None or a_max is None:
        bound, function = (a_max, np.minimum) if a_min is None else (a_min, np.maximum)
        return a.copy() if bound is None else function(a, bound, out=out)
    operands = [ufuncs.operand(v) for v in (a, a_min, a_max)]
    kinds = [np.zeros(1, ufuncs.kind_of(o)) if isinstance(o, Window) else o for o in operands]
    result = np.result_type(*kinds)
    y = ufuncs.evaluate("clip", operands, [result] * 4, out)
    return _like((a, a_min, a_max), y) if out is None else out


@_implements(np.concatenate)
def _concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Array:
    operands = [ufuncs.operand(a) for a in arrays]
    if axis is None:
        operands = [whole(o.handle.reshape((o.size,))) for o in operands]
        axis = 0
    first = operands[0].shape
    axis %= len(first)
    if any(len(o.shape) != len(first) or o.shape[:axis] + o.shape[axis + 1 :] != first[:axis] + first[axis + 1 :]
           for o in operands):  # fmt: skip
        raise ValueError(f"shapes {[o.shape for o in operands]} cannot be joined along axis {axis}")
    total = sum(o.shape[axis] for o in operands)
    with backend.scope(*(o.handle for o in operands)):
        y = backend.empty(
            (*first[:axis], total, *first[axis + 1 :]), np.result_type(*(o.handle.dtype for o in operands))
        )
    at = 0
    for o in operands:
        end = at + o.shape[axis]
        ufuncs.copy_to(o, indexed(whole(y), (*(slice(None),) * axis, slice(at, end))))
        at = end
    return _like(arrays, y)


@_implements(np.stack)
def _stack(arrays: Sequence[Any], axis: int = 0) -> Array:
    return _concatenate([_expand_dims(a, axis) for a in arrays], axis if axis >= 0 else axis % (arrays[0].ndim + 1))


@_implements(np.split, np.array_split)
def _split(a: Array, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    n = a.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        if n % indices_or_sections:
            raise ValueError(f"{n} elements cannot be split into {indices_or_sections} equal parts")
        cuts = list(range(0, n, n // indices_or_sections))[1:]
    else:
        cuts = [int(cut) for cut in indices_or_sections]
    before = (slice(None),) * (axis % a.ndim)
    return [a[(*before, slice(*ends))] for ends in zip([0, *cuts], [*cuts, n], strict=True)]


@_implements(np.pad)
def _pad(array: Array, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Array:
    if mode != "constant":
        raise Unsupported(
            f"np.pad with mode={mode!r} is not there for device arrays; padding_mode= of a convolution is"
        )
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    shape = tuple(n + before + after for n, (before, after) in zip(array.shape, widths, strict=True))
    y = _full_like(array, constant_values, shape=shape)
    y[tuple(slice(before, before + n) for n, (before, _) in zip(array.shape, widths, strict=True))] = array
    return y


@_implements(np.array_equal)
def _array_equal(a1: Any, a2: Any) -> bool:
    a1, a2 = (_like((a1, a2), as_device(a) if is_device_array(a) else from_host(a)) for a in (a1, a2))
    return a1.shape == a2.shape and bool(np.equal(a1, a2).all())


@_implements(np.may_share_memory, np.shares_memory)
def _may_share_memory(a: Any, b: Any) -> bool:
    return isinstance(a, Wrapper) and isinstance(b, Wrapper) and ufuncs.overlap(a.handle, b.handle)
