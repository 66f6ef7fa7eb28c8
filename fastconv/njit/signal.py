"""Convolution and correlation of signals, images and volumes without batch and channels, for compiled code to call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic, overload, register_jitable

from ..errors import InvalidArgument, shown
from ..ops._reading import as_array
from ..simd.emit import I64
from ..spec import parse_word
from ._alone import alone
from ._arguments import Arguments
from ._calls import dense, same, served
from ._requests import Request

MODES = ("full", "same", "valid")


class Kind(NamedTuple):
    """What tells the four functions apart."""

    name: str
    ranks: tuple[int, ...]
    flips: bool
    later: bool = False  # "same" of an even filter begins an element later

    def padding(self, k: int, mode: str) -> tuple[int, int]:
        """Before and after an axis, for a filter of k elements there."""
        if mode == "valid":
            return 0, 0
        if mode == "full":
            return k - 1, k - 1
        first = (k if self.later else k - 1) // 2
        return k - 1 - first, first


CONVOLVE = Kind("convolve", (1, 2, 3), True)
CORRELATE = Kind("correlate", (1, 2, 3), False)
CONVOLVE2D = Kind("convolve2d", (2,), True)
CORRELATE2D = Kind("correlate2d", (2,), False, later=True)


def convolve(a: Any, b: Any, mode: str = "full") -> Any:
    """Convolve two arrays of one, two or three axes in compiled code, as ``scipy.signal.convolve`` does.

    y[i] = sum over k of a[k] * b[i - k]

    Parameters
    ----------
    a : array_like
        float32 or float64, one to three axes.
    b : array_like
        The filter, with as many axes and of the same dtype: it is flipped.
    mode : {"full", "same", "valid"}
        Which part: all places where the two meet, as many in the middle as `a` has, or those where the filter lies
        inside of `a`. A constant.

    Returns
    -------
    y : ndarray
        Of n + k - 1, n, or n - k + 1 elements along each axis.

    Raises
    ------
    InvalidArgument
        An array is empty; with "valid", the filter is longer than `a` along an axis (SciPy would swap the two).

    Notes
    -----
    Errors, methods and cost are those of `fastconv.conv2d`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.njit.convolve(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.5]))
    array([0. , 1. , 2.5, 4. , 1.5])
    """
    return _slide(CONVOLVE, a, b, mode)


def correlate(a: Any, b: Any, mode: str = "full") -> Any:
    """Correlate two arrays of one, two or three axes in compiled code, as ``scipy.signal.correlate`` does.

    y[i] = sum over k of a[i + k] * b[k]

    Parameters
    ----------
    a, b, mode
        As for `convolve`, but that the filter is not flipped.

    Returns
    -------
    y : ndarray
        Sizes as for `convolve`.

    Raises
    ------
    InvalidArgument
        As for `convolve`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.njit.correlate(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.5]), "same")
    array([2. , 3.5, 3. ])
    """
    return _slide(CORRELATE, a, b, mode)


def convolve2d(a: Any, b: Any, mode: str = "full") -> Any:
    """`convolve` of two axes.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.njit.convolve2d(np.ones((2, 2)), np.array([[1.0, 2.0]]))
    array([[1., 3., 2.],
           [1., 3., 2.]])
    """
    return _slide(CONVOLVE2D, a, b, mode)


def correlate2d(a: Any, b: Any, mode: str = "full") -> Any:
    """`correlate` of two axes; "same" of an even filter begins an element later, as SciPy's does.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.njit.correlate2d(np.ones((2, 2)), np.array([[1.0, 2.0]]))
    array([[2., 3., 1.],
           [2., 3., 1.]])
    """
    return _slide(CORRELATE2D, a, b, mode)


def _slide(kind: Kind, a: Any, b: Any, mode: str) -> Any:
    """What the functions do where Python calls them."""
    a, b = as_array(a, "a"), as_array(b, "b")
    if a.ndim != b.ndim or a.ndim not in kind.ranks:
        expected = f"{_listed(kind)} axes, as many each"
        raise InvalidArgument(f"a and b have shapes {shown(a.shape)} and {shown(b.shape)}; expected {expected}")
    parse_word(mode, "mode", MODES)
    padding = tuple(kind.padding(k, mode) for k in b.shape)
    filters = np.flip(b) if kind.flips else b
    return alone(f"conv{a.ndim}d", a[None, None], filters[None, None], padding=padding if b.size else 0)[0, 0]


def _listed(kind: Kind) -> str:
    return f"{kind.ranks[0]} to {kind.ranks[-1]}" if len(kind.ranks) > 1 else str(kind.ranks[0])


@register_jitable
def _flipped(b):  # type: ignore[no-untyped-def]
    """A copy of a contiguous array with all axes reversed."""
    made = np.empty_like(b)
    given, taken = b.reshape(b.size), made.reshape(b.size)
    for i in range(b.size):
        taken[i] = given[b.size - 1 - i]
    return made


@register_jitable
def _image(a):  # type: ignore[no-untyped-def]
    """A batch of one image of one channel."""
    return a.reshape((1, 1) + a.shape)


def _compiled(function: Any, kind: Kind) -> None:
    """How Numba compiles a call of one of the functions."""

    @overload(function, prefer_literal=True)
    def choose(a, b, mode="full"):  # type: ignore[no-untyped-def]
        given = Arguments(kind.name, a=a, b=b)
        if a.ndim not in kind.ranks:
            raise given.wrong("a", a, f"{_listed(kind)} axes")
        given.axes(a.ndim, b=b)
        word, rank = given.word("mode", mode, MODES), a.ndim
        code = Request("conv", rank, given.dtype).code
        dense_a, dense_b = dense(a), dense(b)
        order = _flipped if kind.flips else same
        ones, border = (1,) * (2 * rank), _border(kind, word)  # strides and dilations

        def slide(a, b, mode="full"):  # type: ignore[no-untyped-def]
            x, w = _image(dense_a(a)), _image(order(dense_b(b)))
            y = served(x, w, None, (code, ones, border(b), 1))
            return y.reshape(y.shape[2:])

        return slide


def _border(kind: Kind, mode: str) -> Any:
    """An intrinsic of a filter: the padding before and after each axis."""

    @intrinsic
    def border(typingctx, b):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            shape = cgutils.unpack_tuple(builder, context.make_array(b)(context, builder, args[0]).shape, b.ndim)
            zero, one = I64(0), I64(1)
            numbers = []
            for k in shape:
                less = builder.sub(k, one)
                first = builder.sdiv(k if kind.later else less, I64(2))
                numbers += {"valid": [zero, zero], "full": [less, less], "same": [builder.sub(less, first), first]}[
                    mode
                ]
            return context.make_tuple(builder, signature.return_type, numbers)

        return types.UniTuple(types.int64, 2 * b.ndim)(b), codegen

    return border


for _kind in (CONVOLVE, CORRELATE, CONVOLVE2D, CORRELATE2D):
    _compiled(globals()[_kind.name], _kind)
