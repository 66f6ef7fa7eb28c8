"""A user's own function at every place of an array."""

from __future__ import annotations

from functools import lru_cache
from types import FunctionType
from typing import Any

import numpy as np

from .. import memory
from ..errors import InvalidArgument, shown
from ..foreign import is_device_array
from ..spec import PADDING_MODES, parse_axes, parse_word
from ._arrays import contiguous
from ._kernels import is_compiled
from ._reading import as_array, check_out

MODES = {"constant": "zeros", **PADDING_MODES}
KINDS = "biufc"


def stencil(
    x: Any, size: Any, fn: Any, *, mode: str = "zeros", cval: Any = 0, args: tuple[Any, ...] = (), out: Any = None
) -> Any:
    """Apply a compiled function of your own to the window around every element of an array, on all threads.

    y[i,j] = fn(xp[i - KH//2 : i - KH//2 + KH, j - KW//2 : j - KW//2 + KW])

    where xp is x with its border.

    Parameters
    ----------
    x : array_like, one to three axes
        Booleans, integers, floats or complex numbers; they keep their dtype, but float16 becomes float32.
    size : int or tuple of int
        Elements of a window along each axis. Of an even number one more lies before the element than behind.
    fn : function compiled with ``numba.njit``
        ``fn(window, *args)`` returns a number. The window is an array of shape `size` that can be read only;
        ``window[0, 0]`` is its first corner, ``window[KH // 2, KW // 2]`` the element itself.
    mode : {"zeros", "constant", "edge", "reflect", "symmetric", "wrap"}
        What lies outside of x, in ``np.pad``'s words ("replicate" and "circular" mean "edge" and "wrap").
    cval : number
        What lies outside with "constant".
    args : tuple
        Further arguments of `fn`: numbers, arrays, what Numba takes.
    out : ndarray, optional
        Where to write y: a C-contiguous array of its exact shape and dtype, which is not x.

    Returns
    -------
    y : ndarray of x's shape
        Its dtype is that of what `fn` returns: float64 for ``0.5 * window[1, 1]`` of float32, as Numba counts.

    Raises
    ------
    InvalidArgument
        x, size, mode or cval are of no use, or `fn` does not return a number for a window of x.
    TooLarge
        y does not fit into this machine's memory.

    What `fn` raises is raised here, for the first window in order.

    Notes
    -----
    `fn` is compiled into the loop over the windows, so that loops over it vectorise; it should be small, or call
    functions that are. The first call with a function, a size and a dtype compiles that in one to three seconds, in
    each process anew. Work is shared among `fastconv.get_num_threads` threads, and its result does not depend on them.

    Numba's own ``@numba.stencil`` indexes relative to the element, and writes a constant to results whose window
    leaves the array: its ``a[-1, 0]`` is ``window[0, 1]`` here for a size of 3.

    Examples
    --------
    >>> import numba, numpy as np, fastconv as fc
    >>> @numba.njit
    ... def slope(window):
    ...     return (window[2] - window[0]) / 2
    >>> fc.stencil(np.array([1.0, 2.0, 4.0, 8.0]), 3, slope, mode="edge")
    array([0.5, 1.5, 3. , 2. ])
    """
    from ..cpu import stencil as kernels

    x = _array(x)
    rank = x.ndim
    size = parse_axes(size, "size", rank)
    border = MODES[parse_word(mode, "mode", tuple(MODES))]
    fill = _fill(cval, x.dtype) if mode == "constant" else x.dtype.type(0)
    if not isinstance(args, tuple):
        raise InvalidArgument(f"args is {shown(args)}; expected a tuple of what fn takes behind the window")
    dtype = _result(fn, x.dtype, rank, tuple(map(_kind, args)))
    y = memory.empty(x.shape, dtype) if out is None else _out(out, x, dtype)
    ones = (1,) * (3 - rank)
    kernels.apply(
        x.reshape(*ones, *x.shape), (*ones, *size), rank, fn, border, fill, args, y.reshape(*ones, *y.shape)
    )  # fmt: skip
    return y


def _array(x: Any) -> np.ndarray:
    """x as kernels take it."""
    if is_device_array(x):
        raise InvalidArgument("x is an array on a GPU; stencil runs on the CPU: pass fastconv.to_host(x)")
    array = as_array(x, "x")
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype.kind not in KINDS or array.dtype.itemsize > (16 if array.dtype.kind == "c" else 8):
        raise InvalidArgument(f"x has dtype {array.dtype}; expected booleans, integers, floats or complex numbers")
    if not 1 <= array.ndim <= 3:
        raise InvalidArgument(f"x has {array.ndim} axes; expected 1, 2 or 3 (x: {shown(array.shape)})")
    return contiguous(array, array.dtype.newbyteorder("="))


def _fill(cval: Any, dtype: np.dtype) -> Any:
    """cval as an element of x."""
    try:
        value = np.asarray(cval)
        fill = value.astype(dtype)
        same = value.ndim == 0 and value.dtype.kind in KINDS and (dtype.kind in "fc" or fill == value)
        if same and (dtype.kind == "c" or value.dtype.kind != "c"):
            return fill[()]
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidArgument(f"cval is {shown(cval)}; expected a number that an element of x, {dtype}, can have")


def _kind(argument: Any) -> Any:
    from numba import typeof

    try:
        return typeof(argument)
    except ValueError:
        raise InvalidArgument(f"args holds {shown(argument)}; expected numbers and arrays, what Numba takes") from None


def _result(fn: Any, dtype: np.dtype, rank: int, kinds: tuple[Any, ...]) -> np.dtype:
    """The dtype of what a user's function returns."""
    if not is_compiled(fn):
        advice = "; put @numba.njit above it" if type(fn) is FunctionType else ""
        raise InvalidArgument(f"fn is {shown(fn)}; expected a function compiled with numba.njit{advice}")
    return _returned(fn, dtype, rank, kinds)


@lru_cache(maxsize=64)
def _returned(fn: Any, dtype: np.dtype, rank: int, kinds: tuple[Any, ...]) -> np.dtype:
    from numba import from_dtype, typeof, types
    from numba.core.registry import cpu_target
    from numba.np.numpy_support import as_dtype

    from ..cpu.stencil import window_type

    window, name = window_type(from_dtype(dtype), rank), shown(getattr(fn, "__name__", fn))
    expected = f"expected a function of a window of {rank} axes{' and args' if kinds else ''} that returns a number"
    try:
        signature = typeof(fn).get_call_type(cpu_target.typing_context, (window, *kinds), {})
    except Exception as error:  # Numba's own, or TypeError for another number of arguments
        raise InvalidArgument(f"fn, {name}, cannot take a window of {dtype}: {shown(error, 400)}; {expected}") from None
    result = None if signature is None else types.unliteral(signature.return_type)
    if not isinstance(result, (types.Number, types.Boolean)):
        raise InvalidArgument(f"fn, {name}, returns {shown(str(result))}; {expected}")
    return np.dtype(as_dtype(result))


def _out(out: Any, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    check_out(out, x.shape, dtype)
    if not out.flags.c_contiguous:
        raise InvalidArgument("out is not C-contiguous; pass an array of numpy.empty")
    if np.may_share_memory(out, x):
        raise InvalidArgument("out is x, or a part of it; windows would hold results: pass another array")
    return out  # type: ignore[no-any-return]
