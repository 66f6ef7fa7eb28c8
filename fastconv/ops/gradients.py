"""Gradients of a convolution to its input and to its weights, as functions of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..problem import ConvProblem
from ..spec import is_plain, known_problem, parse_shape
from ..spec.shapes import missing_axes
from ._arrays import Operands, are_ready
from ._kernels import Known, compute, known
from ._ranks import ranked


@ranked("conv{}d_input_grad")
def _input_grad(
    rank: int,
    dy: Any,
    w: Any,
    x_shape: tuple[int, ...],
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    padding_mode: str = "zeros",
    method: str = "auto",
    device: str | None = None,
) -> Any:
    """Gradient of `conv2d` to its input: what each element of x adds to the sum of y*dy.

    dx[n,c,h,k] = sum over o,u,v,i,j with i*SH + u*DH - PH = h and j*SW + v*DW - PW = k of dy[n,o,i,j] * w[o,c,u,v];
    pixels copied into the border (`padding_mode`) gather from all their copies.

    Parameters
    ----------
    dy : array_like, (N, O, OH, OW), or (N, OH, OW, O) with ``layout="NHWC"``
        Gradient to the output.
    w : array_like
        Filters, as for `conv2d`.
    x_shape : tuple of int
        The full shape of x.
    stride, padding, dilation, groups, layout, padding_mode, method, device
        As given to `conv2d`.

    Returns
    -------
    dx : ndarray, x_shape

    Raises
    ------
    InvalidArgument
        As for `conv2d`, or dy does not have the shape of the output.
    Unsupported
        The method named cannot serve this problem.

    Notes
    -----
    Work as for `conv2d`: a stride splits dx into phases, each a convolution of dy with the taps that meet it
    (Dumoulin & Visin, arXiv:1603.07285, section 4). Error bound as for `conv2d` with terms = O/groups*KH*KW.
    NaN and Inf reach exactly the elements they meet, by "direct", "im2col" and "auto"; a call with such weights costs
    two to five times as much.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.conv2d_input_grad(np.ones((1, 1, 1, 2)), np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), (1, 1, 2, 3))
    array([[[[1., 3., 2.],
             [3., 7., 4.]]]])

    >>> fc.conv1d_input_grad([[[1.0, 10.0]]], [[[1.0, 2.0]]], (1, 1, 3))
    array([[[ 1., 12., 20.]]])

    >>> fc.conv3d_input_grad(np.ones((1, 1, 1, 1, 1)), np.ones((1, 1, 2, 2, 2)), (1, 1, 2, 2, 2)).sum()
    np.float64(8.0)
    """
    if device is None and are_ready((dy, w)) and is_plain((x_shape,)):
        options = stride, padding, dilation, groups, layout, padding_mode, None, method
        call = known("conv_input_grad", rank, x_shape, w.shape, None, dy.dtype, options)
        return _run(call, dy, w, dy)
    operands = Operands("dy w", dy, w, device=device, halves=True)
    dy, w = operands.arrays
    problem = known_problem(
        "conv_input_grad", parse_shape(x_shape, "x"), w.shape, None, rank, stride, padding, dilation, groups, layout,
        padding_mode, operands.given,
    )  # fmt: skip
    check_gradient(dy.shape, problem)
    dx = operands.empty(problem.x_shape)
    compute(problem, method, operands, dy, w, None, dx)
    return operands.finish(dx)


conv1d_input_grad, conv2d_input_grad, conv3d_input_grad = _input_grad


@ranked("conv{}d_weight_grad")
def _weight_grad(
    rank: int,
    x: Any,
    dy: Any,
    w_shape: tuple[int, ...],
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    padding_mode: str = "zeros",
    method: str = "auto",
    device: str | None = None,
) -> Any:
    """Gradient of `conv2d` to its weights: what each weight adds to the sum of y*dy.

    dw[o,c,u,v] = sum over n,i,j of xp[n, c, i*SH + u*DH, j*SW + v*DW] * dy[n,o,i,j]

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        The input that was convolved.
    dy : array_like, (N, O, OH, OW), or (N, OH, OW, O) with ``layout="NHWC"``
        Gradient to the output.
    w_shape : tuple of int
        The full shape of w.
    stride, padding, dilation, groups, layout, padding_mode, method, device
        As given to `conv2d`.

    Returns
    -------
    dw : ndarray, w_shape

    Raises
    ------
    InvalidArgument
        As for `conv2d`, or dy does not have the shape of the output.
    Unsupported
        The method named cannot serve this problem.

    Notes
    -----
    Work as for `conv2d`. The sum over pixels is cut into a fixed number of partial sums, added in order, so the result
    has the same bits for any number of threads. Error bound as for `conv2d` with terms = N*OH*OW. On CUDA arrays of 16
    bits are multiplied as they are and summed in float32.
    NaN and Inf reach exactly the weights they meet, by "direct", "im2col" and "auto" (0*NaN is NaN, in a border of
    zeros too).

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> fc.conv2d_weight_grad(x, np.ones((1, 1, 2, 2)), (1, 1, 2, 2))
    array([[[[ 8., 12.],
             [20., 24.]]]])

    >>> fc.conv1d_weight_grad([[[1.0, 2.0, 4.0]]], [[[1.0, 10.0]]], (1, 1, 2))
    array([[[21., 42.]]])

    >>> fc.conv3d_weight_grad(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 1, 1, 1)), (1, 1, 2, 2, 2)).shape
    (1, 1, 2, 2, 2)
    """
    if device is None and are_ready((x, dy)) and is_plain((w_shape,)):
        options = stride, padding, dilation, groups, layout, padding_mode, None, method
        call = known("conv_weight_grad", rank, x.shape, w_shape, None, x.dtype, options)
        return _run(call, x, dy, dy)
    operands = Operands("x dy", x, dy, device=device, halves=True)
    x, dy = operands.arrays
    problem = known_problem(
        "conv_weight_grad", x.shape, parse_shape(w_shape, "w"), None, rank, stride, padding, dilation, groups, layout,
        padding_mode, operands.given,
    )  # fmt: skip
    check_gradient(dy.shape, problem)
    dw = operands.empty(problem.w_shape)
    compute(problem, method, operands, x, dy, None, dw)
    return operands.finish(dw)


conv1d_weight_grad, conv2d_weight_grad, conv3d_weight_grad = _weight_grad


def _run(call: Known, first: np.ndarray, second: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The gradient of arrays that are `are_ready`."""
    check_gradient(dy.shape, call.bound.problem)
    result = call.empty()
    call.run(first, second, None, result)
    return result


def check_gradient(shape: Any, problem: ConvProblem) -> None:
    """A gradient to the output must have the output's shape."""
    if tuple(shape) != problem.y_shape:
        raise InvalidArgument(
            f"dy has shape {shown(tuple(shape))} but the output of this convolution ({problem}) has shape "
            f"{problem.y_shape}{missing_axes('dy', len(shape), problem.rank, problem.channels_last)}"
        )
