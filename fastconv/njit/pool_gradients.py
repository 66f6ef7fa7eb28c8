"""Gradients of pools, for compiled code to call."""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import overload

from ..ops._ranks import ranked
from ._alone import alone
from ._arguments import Arguments
from ._calls import axes, axes_or, dense, pairs, served
from ._requests import Request
from .pooling import is_last, request_of_windows


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


max_pool1d_grad, max_pool2d_grad, max_pool3d_grad = _max_pool_grad
avg_pool1d_grad, avg_pool2d_grad, avg_pool3d_grad = _avg_pool_grad


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
        code = Request("max_pool_grad", rank, given.dtype, is_last(given, rank, layout)).code
        dense_dy, dense_indices = dense(dy), dense(indices)

        def gradient(dy, indices, x_shape, layout=None):  # type: ignore[no-untyped-def]
            return served(dense_dy(dy), dense_indices(indices), None, (code, x_shape))

        return gradient


def _compiled_avg_pool_grad(function: Any, rank: int) -> None:
    """How Numba compiles a call of a mean's gradient."""

    @overload(function, prefer_literal=True)
    def choose(  # type: ignore[no-untyped-def]
        dy, x_shape, size, stride=None, padding=0, dilation=1, ceil_mode=False, count_include_pad=True, layout=None
    ):
        given = Arguments(function.__name__, dy=dy)
        given.shape("x_shape", x_shape, rank + 2)
        request = request_of_windows(
            "avg_pool_grad", given, rank, dy, size, stride, padding, dilation, ceil_mode, layout
        )
        given.flag("count_include_pad", count_include_pad)
        code, dense_dy = request.code, dense(dy)

        def gradient(  # type: ignore[no-untyped-def]
            dy, x_shape, size, stride=None, padding=0, dilation=1, ceil_mode=False, count_include_pad=True, layout=None
        ):
            windows = axes(size, dy), axes_or(stride, size, dy), axes(dilation, dy), pairs(padding, dy)
            return served(dense_dy(dy), None, None, (code, x_shape, ceil_mode, count_include_pad, False, windows))

        return gradient


for _rank in (1, 2, 3):
    _compiled_max_pool_grad(_max_pool_grad[_rank - 1], _rank)
    _compiled_avg_pool_grad(_avg_pool_grad[_rank - 1], _rank)
