"""Gradients of convolutions, for compiled code to call."""

from __future__ import annotations

from typing import Any

from numba.extending import overload

from ..ops._ranks import ranked
from ._alone import alone
from ._arguments import Arguments
from ._calls import axes, dense, pairs, served
from .convolution import request_of_types


@ranked("conv{}d_input_grad")
def _input_grad(
    rank: int,
    dy: Any,
    w: Any,
    x_shape: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    padding_mode: str = "zeros",
) -> Any:
    """Gradient of `conv2d` to its input, for a batch of images, in compiled code: as `fastconv.conv2d_input_grad`.

    Parameters
    ----------
    dy : array_like, (N, O, OH, OW), or (N, OH, OW, O) with ``layout="NHWC"``
        Gradient to the output.
    w : array_like
        Filters, as for `conv2d`.
    x_shape : tuple of int
        The full shape of x.
    stride, padding, dilation, groups, layout, padding_mode
        As given to `conv2d`.

    Returns
    -------
    dx : ndarray, x_shape

    Raises
    ------
    InvalidArgument
        As for `conv2d`, or dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.njit.conv2d_input_grad(np.ones((1, 1, 1, 2)), np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), (1, 1, 2, 3))
    array([[[[1., 3., 2.],
             [3., 7., 4.]]]])

    >>> fc.njit.conv1d_input_grad(np.array([[[1.0, 10.0]]]), np.array([[[1.0, 2.0]]]), (1, 1, 3))
    array([[[ 1., 12., 20.]]])

    >>> fc.njit.conv3d_input_grad(np.ones((1, 1, 1, 1, 1)), np.ones((1, 1, 2, 2, 2)), (1, 1, 2, 2, 2)).sum()
    np.float64(8.0)
    """
    return alone(
        f"conv{rank}d_input_grad", dy, w, x_shape, stride=stride, padding=padding, dilation=dilation, groups=groups,
        layout=layout, padding_mode=padding_mode,
    )  # fmt: skip


conv1d_input_grad, conv2d_input_grad, conv3d_input_grad = _input_grad


@ranked("conv{}d_weight_grad")
def _weight_grad(
    rank: int,
    x: Any,
    dy: Any,
    w_shape: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    padding_mode: str = "zeros",
) -> Any:
    """Gradient of `conv2d` to its weights, from a batch of images, in compiled code: `fastconv.conv2d_weight_grad`.

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        The input that was convolved.
    dy : array_like, (N, O, OH, OW), or (N, OH, OW, O) with ``layout="NHWC"``
        Gradient to the output.
    w_shape : tuple of int
        The full shape of w.
    stride, padding, dilation, groups, layout, padding_mode
        As given to `conv2d`.

    Returns
    -------
    dw : ndarray, w_shape

    Raises
    ------
    InvalidArgument
        As for `conv2d`, or dy does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> fc.njit.conv2d_weight_grad(x, np.ones((1, 1, 2, 2)), (1, 1, 2, 2))
    array([[[[ 8., 12.],
             [20., 24.]]]])

    >>> fc.njit.conv1d_weight_grad(np.array([[[1.0, 2.0, 4.0]]]), np.array([[[1.0, 10.0]]]), (1, 1, 2))
    array([[[21., 42.]]])

    >>> fc.njit.conv3d_weight_grad(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 1, 1, 1)), (1, 1, 2, 2, 2)).shape
    (1, 1, 2, 2, 2)
    """
    return alone(
        f"conv{rank}d_weight_grad", x, dy, w_shape, stride=stride, padding=padding, dilation=dilation, groups=groups,
        layout=layout, padding_mode=padding_mode,
    )  # fmt: skip


conv1d_weight_grad, conv2d_weight_grad, conv3d_weight_grad = _weight_grad


def _compiled_input_grad(function: Any, rank: int) -> None:
    """How Numba compiles a call of a gradient to the input."""

    @overload(function, prefer_literal=True)
    def choose(  # type: ignore[no-untyped-def]
        dy, w, x_shape, stride=1, padding=0, dilation=1, groups=1, layout=None, padding_mode="zeros"
    ):
        given = Arguments(function.__name__, dy=dy, w=w)
        given.axes(rank + 2, dy=dy, w=w)
        given.shape("x_shape", x_shape, rank + 2)
        code = request_of_types(
            "conv_input_grad", given, rank, stride, padding, dilation, groups, layout, padding_mode
        ).code
        dense_dy, dense_w = dense(dy), dense(w)

        def gradient(  # type: ignore[no-untyped-def]
            dy, w, x_shape, stride=1, padding=0, dilation=1, groups=1, layout=None, padding_mode="zeros"
        ):
            numbers = code, x_shape, axes(stride, dy), axes(dilation, dy), pairs(padding, dy), groups
            return served(dense_dy(dy), dense_w(w), None, numbers)

        return gradient


def _compiled_weight_grad(function: Any, rank: int) -> None:
    """How Numba compiles a call of a gradient to the weights."""

    @overload(function, prefer_literal=True)
    def choose(  # type: ignore[no-untyped-def]
        x, dy, w_shape, stride=1, padding=0, dilation=1, groups=1, layout=None, padding_mode="zeros"
    ):
        given = Arguments(function.__name__, x=x, dy=dy)
        given.axes(rank + 2, x=x, dy=dy)
        given.shape("w_shape", w_shape, rank + 2)
        code = request_of_types(
            "conv_weight_grad", given, rank, stride, padding, dilation, groups, layout, padding_mode
        ).code
        dense_x, dense_dy = dense(x), dense(dy)

        def gradient(  # type: ignore[no-untyped-def]
            x, dy, w_shape, stride=1, padding=0, dilation=1, groups=1, layout=None, padding_mode="zeros"
        ):
            numbers = code, w_shape, axes(stride, x), axes(dilation, x), pairs(padding, x), groups
            return served(dense_x(x), dense_dy(dy), None, numbers)

        return gradient


for _rank in (1, 2, 3):
    _compiled_input_grad(_input_grad[_rank - 1], _rank)
    _compiled_weight_grad(_weight_grad[_rank - 1], _rank)
