"""Pools and their gradients, for compiled code to call."""

from __future__ import annotations

from typing import Any

from numba.core import types
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


@ranked("max_pool{}d_grad")
def _max_pool_grad(rank: int, dy: Any, indices: Any, x_shape: tuple[int, ...], layout: str | None = None) -> Any:
    """Gradient of `max_pool2d` to its input, for a batch of images, in compiled code: `fastconv.max_pool2d_grad`.

    Parameters
    ----------
    dy : array_like, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``
        Gradient to the output.
    indices : int64 array of dy's shape
        Where the maxima were.
    x_shape : tuple of int
        The full shape of x.
    layout : constant
        As given to `max_pool2d`.

    Returns
    -------
    dx : ndarray, x_shape

    Raises
    ------
    InvalidArgument
        Shapes that do not belong together, or indices outside of the planes of x.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.njit.max_pool2d_grad(np.array([[[[5.0]]]]), np.array([[[[2]]]]), (1, 1, 2, 2))
    array([[[[0., 0.],
             [5., 0.]]]])

    >>> fc.njit.max_pool1d_grad(np.array([[[5.0]]]), np.array([[[1]]]), (1, 1, 3))
    array([[[0., 5., 0.]]])

    >>> fc.njit.max_pool3d_grad(np.ones((1, 1, 1, 1, 1)), np.zeros((1, 1, 1, 1, 1), np.int64), (1, 1, 1, 1, 2))
    array([[[[[1., 0.]]]]])
    """
    return alone(f"max_pool{rank}d_grad", dy, indices, x_shape, layout=layout)


@ranked("avg_pool{}d_grad")
def _avg_pool_grad(
    rank: int,
    dy: Any,
    x_shape: tuple[int, ...],
    size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    layout: str | None = None,
) -> Any:
    """Gradient of `avg_pool2d` to its input, for a batch of images, in compiled code: `fastconv.avg_pool2d_grad`.

    Parameters
    ----------
    dy : array_like, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``
        Gradient to the output.
    x_shape : tuple of int
        The full shape of x.
    size, stride, padding, dilation, ceil_mode, count_include_pad, layout
        As given to `avg_pool2d`.

    Returns
    -------
    dx : ndarray, x_shape

    Raises
    ------
    InvalidArgument
        As for `avg_pool2d`, or dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.njit.avg_pool2d_grad(np.array([[[[4.0]]]]), (1, 1, 2, 2), 2)
    array([[[[1., 1.],
             [1., 1.]]]])

    >>> fc.njit.avg_pool1d_grad(np.array([[[4.0]]]), (1, 1, 2), 2)
    array([[[2., 2.]]])

    >>> fc.njit.avg_pool3d_grad(np.ones((1, 1, 1, 1, 1)), (1, 1, 1, 1, 2), (1, 1, 2))
    array([[[[[0.5, 0.5]]]]])
    """
    return alone(
        f"avg_pool{rank}d_grad", dy, x_shape, size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode, count_include_pad=count_include_pad, layout=layout,
    )  # fmt: skip


max_pool1d, max_pool2d, max_pool3d = _max_pool
avg_pool1d, avg_pool2d, avg_pool3d = _avg_pool
global_avg_pool1d, global_avg_pool2d, global_avg_pool3d = _global_avg_pool
max_pool1d_grad, max_pool2d_grad, max_pool3d_grad = _max_pool_grad
avg_pool1d_grad, avg_pool2d_grad, avg_pool3d_grad = _avg_pool_grad


def _compiled_max_pool(function: Any, rank: int) -> None:
    """How Numba compiles a call of a maximum."""

    @overload(function, prefer_literal=True)
    def choose(  # type: ignore[no-untyped-def]
        x, size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, layout=None
    ):
        given = Arguments(function.__name__, x=x)
        request = _windows("max_pool", given, rank, x, size, stride, padding, dilation, ceil_mode, layout)
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
        request = _windows("avg_pool", given, rank, x, size, stride, padding, dilation, ceil_mode, layout)
        given.flag("count_include_pad", count_include_pad)
        code, dense_x = request.code, dense(x)

        def pool(  # type: ignore[no-untyped-def]
            x, size, stride=None, padding=0, dilation=1, ceil_mode=False, count_include_pad=True, layout=None
        ):
            windows = axes(size, x), axes_or(stride, size, x), axes(dilation, x), pairs(padding, x)
            return served(dense_x(x), None, None, (code, ceil_mode, count_include_pad, False, windows))

        return pool


def _compiled_avg_pool_grad(function: Any, rank: int) -> None:
    """How Numba compiles a call of a mean's gradient."""

    @overload(function, prefer_literal=True)
    def choose(  # type: ignore[no-untyped-def]
        dy, x_shape, size, stride=None, padding=0, dilation=1, ceil_mode=False, count_include_pad=True, layout=None
    ):
        given = Arguments(function.__name__, dy=dy)
        given.shape("x_shape", x_shape, rank + 2)
        request = _windows("avg_pool_grad", given, rank, dy, size, stride, padding, dilation, ceil_mode, layout)
        given.flag("count_include_pad", count_include_pad)
        code, dense_dy = request.code, dense(dy)

        def gradient(  # type: ignore[no-untyped-def]
            dy, x_shape, size, stride=None, padding=0, dilation=1, ceil_mode=False, count_include_pad=True, layout=None
        ):
            windows = axes(size, dy), axes_or(stride, size, dy), axes(dilation, dy), pairs(padding, dy)
            return served(dense_dy(dy), None, None, (code, x_shape, ceil_mode, count_include_pad, False, windows))

        return gradient


def _compiled_global_avg_pool(function: Any, rank: int) -> None:
    """How Numba compiles a call of a mean of whole planes."""

    @overload(function, prefer_literal=True)
    def choose(x, layout=None):  # type: ignore[no-untyped-def]
        given = Arguments(function.__name__, x=x)
        given.axes(rank + 2, x=x)
        code, dense_x = Request("global_avg_pool", rank, given.dtype, _is_last(given, rank, layout)).code, dense(x)

        def pool(x, layout=None):  # type: ignore[no-untyped-def]
            return served(dense_x(x), None, None, (code,))

        return pool


def _compiled_max_pool_grad(function: Any, rank: int) -> None:
    """How Numba compiles a call of a maximum's gradient."""

    @overload(function, prefer_literal=True)
    def choose(dy, indices, x_shape, layout=None):  # type: ignore[no-untyped-def]
        given = Arguments(function.__name__, dy=dy)
        given.axes(rank + 2, dy=dy)
        if not isinstance(indices, types.Array) or indices.dtype != types.int64:
            raise given.wrong("indices", indices, "an int64 array: what max pooling returned")
        given.axes(rank + 2, indices=indices)
        given.shape("x_shape", x_shape, rank + 2)
        code = Request("max_pool_grad", rank, given.dtype, _is_last(given, rank, layout)).code
        dense_dy, dense_indices = dense(dy), dense(indices)

        def gradient(dy, indices, x_shape, layout=None):  # type: ignore[no-untyped-def]
            return served(dense_dy(dy), dense_indices(indices), None, (code, x_shape))

        return gradient


def _windows(
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
    return Request(op, rank, given.dtype, _is_last(given, rank, layout), padding=border)


def _is_last(given: Arguments, rank: int, layout: Any) -> bool:
    first, last = LAYOUTS[rank]
    return bool(given.word("layout", layout, (None, first, last)) == last)


for _rank in (1, 2, 3):
    _compiled_max_pool(_max_pool[_rank - 1], _rank)
    _compiled_avg_pool(_avg_pool[_rank - 1], _rank)
    _compiled_global_avg_pool(_global_avg_pool[_rank - 1], _rank)
    _compiled_max_pool_grad(_max_pool_grad[_rank - 1], _rank)
    _compiled_avg_pool_grad(_avg_pool_grad[_rank - 1], _rank)
