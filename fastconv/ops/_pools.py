"""From the arguments of a pool to its kernel: the steps that all pooling functions share."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from .. import dispatch
from ..errors import InvalidArgument, shown
from ..spec import PoolSpec, adaptive_spec, parse_flag, parse_real, pool_spec
from ..spec.shapes import missing_axes
from ..windows import Windows, tables
from . import _strips
from ._arrays import Operands, as_array, contiguous, is_device_array
from ._kernels import lifted


def operands_of(names: str, *values: Any, device: str | None, integers: bool = False) -> Operands:
    """The arrays of a pool: real numbers."""
    operands = Operands(names, *values, device=device, integers=integers)
    if operands.compute.kind == "c":
        raise InvalidArgument(
            f"{names.replace(' ', ', ')} have dtype {operands.compute}; pooling takes real numbers: pool the real and "
            "the imaginary parts"
        )
    return operands


def spec_of(
    rank: int,
    x_shape: Any,
    size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    layout: Any,
    dtype: Any,
) -> PoolSpec:
    """`pool_spec`, which remembers what it was asked where the question is plain enough to be recognised."""
    ceil_mode = parse_flag(ceil_mode, "ceil_mode")
    ask = _remembered if _is_plain((x_shape, size, stride, padding, dilation, layout)) else pool_spec
    return ask(
        x_shape,
        size,
        rank=rank,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        layout=layout,
        dtype=dtype,
    )


def adaptive_of(rank: int, x_shape: Any, size: Any, layout: Any, dtype: Any) -> PoolSpec:
    """`adaptive_spec` with a memory, as `spec_of`."""
    ask = _remembered_adaptive if _is_plain((x_shape, size, layout)) else adaptive_spec
    return ask(x_shape, size, rank=rank, layout=layout, dtype=dtype)


_remembered = lru_cache(maxsize=1024)(pool_spec)
_remembered_adaptive = lru_cache(maxsize=1024)(adaptive_spec)


_PLAIN = frozenset((int, str, type(None)))


def _is_plain(values: tuple[Any, ...]) -> bool:
    """Whole numbers, words, None, and tuples of such: what compares equal among these means the same."""
    for value in values:
        kind = type(value)
        if kind not in _PLAIN and not (kind is tuple and _is_plain(value)):
            return False
    return True


@lru_cache(maxsize=256)
def windows_of(spec: PoolSpec, count_include_pad: bool = False) -> Windows:
    """The windows of a problem."""
    return spec.rules(count_include_pad)


def run(op: str, spec: PoolSpec, operands: Operands, *arrays: Any, **plain: Any) -> None:
    """Run a pooling kernel on arrays in the caller's shape, and the windows if it takes any; None stays None."""
    kernel = dispatch.load(dispatch.find(op, spec, "auto", operands.device))
    last, windows = spec.channels_last, arrays[-1] if isinstance(arrays[-1], tuple) else None
    given = arrays if windows is None else arrays[:-1]
    brought = [None if a is None else lifted(a, spec.rank, last) for a in given]
    if windows is None:
        kernel(*brought, channels_last=last, **plain)
    elif operands.device == "cuda":
        kernel(*brought, tables(windows), channels_last=last, **plain)
    else:
        (_strips.gradient if op.endswith("_grad") else _strips.pool)(kernel, windows, *brought, last=last, **plain)


def check_divisor(divisor: Any) -> float | None:
    """None or a finite number other than 0."""
    if divisor is None:
        return None
    number = parse_real(divisor, "divisor", "None or a finite number other than 0")
    if number == 0 or not math.isfinite(number):
        raise InvalidArgument(f"divisor is {shown(divisor)}; expected None or a finite number other than 0")
    return number


def check_p(p: Any) -> float:
    """A number above 0; infinity means the largest magnitude."""
    number = parse_real(p, "p", "a number above 0")
    if not number > 0:
        raise InvalidArgument(f"p is {shown(p)}; expected a number above 0 (inf for the largest magnitude)")
    return number


def check_gradient(dy: Any, spec: PoolSpec, what: str = "dy") -> None:
    """dy must have the shape of the pool's output."""
    if tuple(dy.shape) != spec.y_shape:
        raise InvalidArgument(
            f"{what} has shape {shown(tuple(dy.shape))} but pooling x of shape {spec.x_shape} gives "
            f"{spec.y_shape}; pass the x_shape, size and windows of the forward call, and {what} in its output's shape"
        )


def spec_of_gradient(dy: Any, x_shape: Any, rank: int, layout: str | None, dtype: Any) -> PoolSpec:
    """The adaptive pool from x_shape to dy, for gradients that need no windows or those of an adaptive pool."""
    last = adaptive_of(rank, x_shape, 1, layout, dtype).channels_last
    if dy.ndim != rank + 2:
        raise InvalidArgument(
            f"dy has shape {shown(tuple(dy.shape))}; expected {rank + 2} axes, as many as x_shape {shown(x_shape)}"
            f"{missing_axes('dy', dy.ndim, rank, last)}"
        )
    out = dy.shape[1:-1] if last else dy.shape[2:]
    spec = adaptive_of(rank, x_shape, tuple(out), layout, dtype)
    check_gradient(dy, spec)
    return spec


def indices_for(indices: Any, dy: Any, operands: Operands) -> Any:
    """int64 indices of dy's shape on the operands' device."""
    if is_device_array(indices):
        if operands.device == "cpu":
            raise InvalidArgument("indices is a CUDA array but dy is not; bring both to one device")
        _check_shape_of_indices(indices, dy)
        from ..cuda import exchange

        return exchange.as_device(indices, np.dtype(np.int64))
    array = as_array(indices, "indices")
    _check_shape_of_indices(array, dy)
    if array.dtype.kind not in "iu":
        raise InvalidArgument(f"indices has dtype {array.dtype}; expected whole numbers")
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise InvalidArgument(f"indices holds {array.max()}; no plane has as many elements")
    array = contiguous(array, np.dtype(np.int64))
    if operands.device == "cpu":
        return array
    from ..cuda import backend

    return backend.to_device(array)


def _check_shape_of_indices(indices: Any, dy: Any) -> None:
    if tuple(indices.shape) != tuple(dy.shape):
        raise InvalidArgument(
            f"indices has shape {shown(tuple(indices.shape))} but dy has shape {tuple(dy.shape)}; they must be equal: "
            "pass the indices that max pooling returned"
        )
