"""Pools, for compiled code to call."""

from __future__ import annotations

from typing import Any

from numba.extending import overload

from ..ops._ranks import ranked
from ..spec import LAYOUTS
from ._alone import alone
from ._arguments import Arguments, is_none
from ._calls import axes, axes_or, dense, pairs, served, served_with_places
from ._requests import Request


@ranked("max_pool{}d")
def _max_pool(
    rank: int,
    x: Any,
    size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    layout: str | None = None,
) -> Any:
    """The largest element of every window of each channel of images, in compiled code: `fastconv.max_pool2d`.

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images, float32 or float64. Copied if not C-contiguous.
    size : int or (int, int)
        Elements (KH, KW) of a window.
    stride : int or (int, int), optional
        Distance of windows; None means `size`.
    padding : int, (int, int), ((int, int), (int, int)), "valid" or "same"
        How far windows reach over the edge, before and after each axis.
    dilation : int or (int, int)
        Distance of the elements of a window.
    ceil_mode : bool
        Keep a last window that overhangs, if it starts inside the input or its leading padding.
    return_indices : bool
        Also return where the maxima are; a constant.
    layout : constant
        As for `fastconv.max_pool2d`.

    Returns
    -------
    y : ndarray, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``
    indices : int64 ndarray of y's shape
        With `return_indices`.

    Raises
    ------
    InvalidArgument
        Shapes or values that make no pool.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.njit.max_pool2d(np.array([[[[1.0, 2.0, 5.0, 6.0], [3.0, 4.0, 7.0, 0.0]]]]), 2)
    array([[[[4., 7.]]]])

    >>> fc.njit.max_pool1d(np.array([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    array([[[3., 2.]]])

    >>> fc.njit.max_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 2)
    array([[[[[7.]]]]])
    """
    return alone(
        f"max_pool{rank}d", x, size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode,
        return_indices=return_indices, layout=layout,
    )  # fmt: skip


@ranked("avg_pool{}d")
def _avg_pool(
    rank: int,
    x: Any,
    size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    layout: str | None = None,
) -> Any:
    """The mean of every window of each channel of images, in compiled code: as `fastconv.avg_pool2d`.

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images, float32 or float64. Copied if not C-contiguous.
    size, stride, padding, dilation, ceil_mode, layout
        As for `max_pool2d`.
    count_include_pad : bool
        Whether the border counts in the divisor.

    Returns
    -------
    y : ndarray, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``

    Raises
    ------
    InvalidArgument
        Shapes or values that make no pool.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.njit.avg_pool2d(np.array([[[[1.0, 2.0, 5.0, 6.0], [5.0, 4.0, 3.0, 2.0]]]]), 2)
    array([[[[3., 4.]]]])

    >>> fc.njit.avg_pool1d(np.array([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    array([[[2., 1.]]])

    >>> fc.njit.avg_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 2)
    array([[[[[3.5]]]]])
    """
    return alone(
        f"avg_pool{rank}d", x, size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode,
        count_include_pad=count_include_pad, layout=layout,
    )  # fmt: skip


@ranked("global_avg_pool{}d")
def _global_avg_pool(rank: int, x: Any, layout: str | None = None) -> Any:
    """The mean of each channel of images, in compiled code: as `fastconv.global_avg_pool2d`.

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images, float32 or float64. Copied if not C-contiguous.
    layout : constant
        As for `fastconv.global_avg_pool2d`.

    Returns
    -------
    y : ndarray, (N, C, 1, 1), or (N, 1, 1, C) with ``layout="NHWC"``

    Raises
    ------
    InvalidArgument
        x has an axis, but the batch, without elements.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.njit.global_avg_pool2d(np.array([[[[1.0, 2.0], [3.0, 6.0]]]]))
    array([[[[3.]]]])

    >>> fc.njit.global_avg_pool1d(np.array([[[1.0, 3.0]]]))
    array([[[2.]]])

    >>> fc.njit.global_avg_pool3d(np.ones((1, 1, 2, 2, 2)))
    array([[[[[1.]]]]])
    """
    return alone(f"global_avg_pool{rank}d", x, layout=layout)


max_pool1d, max_pool2d, max_pool3d = _max_pool
avg_pool1d, avg_pool2d, avg_pool3d = _avg_pool
global_avg_pool1d, global_avg_pool2d, global_avg_pool3d = _global_avg_pool


def _compiled_max_pool(function: Any, rank: int) -> None:
    """How Numba compiles a call of a maximum."""

    @overload(function, prefer_literal=True)
    def choose(  # type: ignore[no-untyped-def]
        x, size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, layout=None
    ):
        given = Arguments(function.__name__, x=x)
        request = request_of_windows("max_pool", given, rank, x, size, stride, padding, dilation, ceil_mode, layout)
        wanted = given.word("return_indices", return_indices, (False, True))
        code, dense_x = request.code, dense(x)
        serve = served_with_places if wanted else served

        def pool(  # type: ignore[no-untyped-def]
            x, size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, layout=None
        ):
            windows = axes(size, x), axes_or(stride, size, x), axes(dilation, x), pairs(padding, x)
            return serve(dense_x(x), None, None, (code, ceil_mode, False, wanted, windows))

        return pool


def _compiled_avg_pool(function: Any, rank: int) -> None:
    """How Numba compiles a call of a mean."""

    @overload(function, prefer_literal=True)
    def choose(  # type: ignore[no-untyped-def]
        x, size, stride=None, padding=0, dilation=1, ceil_mode=False, count_include_pad=True, layout=None
    ):
        given = Arguments(function.__name__, x=x)
        request = request_of_windows("avg_pool", given, rank, x, size, stride, padding, dilation, ceil_mode, layout)
        given.flag("count_include_pad", count_include_pad)
        code, dense_x = request.code, dense(x)

        def pool(  # type: ignore[no-untyped-def]
            x, size, stride=None, padding=0, dilation=1, ceil_mode=False, count_include_pad=True, layout=None
        ):
            windows = axes(size, x), axes_or(stride, size, x), axes(dilation, x), pairs(padding, x)
            return served(dense_x(x), None, None, (code, ceil_mode, count_include_pad, False, windows))

        return pool


def _compiled_global_avg_pool(function: Any, rank: int) -> None:
    """How Numba compiles a call of a mean of whole planes."""

    @overload(function, prefer_literal=True)
    def choose(x, layout=None):  # type: ignore[no-untyped-def]
        given = Arguments(function.__name__, x=x)
        given.axes(rank + 2, x=x)
        code, dense_x = Request("global_avg_pool", rank, given.dtype, is_last(given, rank, layout)).code, dense(x)

        def pool(x, layout=None):  # type: ignore[no-untyped-def]
            return served(dense_x(x), None, None, (code,))

        return pool


def request_of_windows(
    op: str, given: Arguments, rank: int, x: Any, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any,
    layout: Any,
) -> Request:  # fmt: skip
    """What the types of a pool's arguments tell."""
    (name,) = given.names
    given.axes(rank + 2, **{name: x})
    given.each("size", size, rank)
    if not is_none(stride):
        given.each("stride", stride, rank)
    given.each("dilation", dilation, rank)
    given.flag("ceil_mode", ceil_mode)
    border = given.border(padding, rank)
    return Request(op, rank, given.dtype, is_last(given, rank, layout), padding=border)


def is_last(given: Arguments, rank: int, layout: Any) -> bool:
    """Whether channels come last."""
    first, last = LAYOUTS[rank]
    return bool(given.word("layout", layout, (None, first, last)) == last)


for _rank in (1, 2, 3):
    _compiled_max_pool(_max_pool[_rank - 1], _rank)
    _compiled_avg_pool(_avg_pool[_rank - 1], _rank)
    _compiled_global_avg_pool(_global_avg_pool[_rank - 1], _rank)
