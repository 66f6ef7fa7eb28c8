"""im2col and col2im: the matrix whose product with the filters is the convolution, and its adjoint."""

from __future__ import annotations

import math
from typing import Any

from ..dispatch import operator
from ..errors import InvalidArgument, shown
from ..problem import ConvProblem
from ..spec import LAYOUTS, known_problem, parse_axes, parse_shape
from ..spec.shapes import missing_axes
from ._arrays import Operands
from ._ranks import ranked


@ranked("unfold{}d")
def _unfold(rank: int, x: Any, size: Any, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Any:
    """Write the window of every output element of a batch of images as a column (im2col).

    cols[n, (c*KH + u)*KW + v, i*OW + j] = xp[n, c, i*SH + u*DH, j*SW + v*DW]

    where xp is x with a border of zeros. With the filters as a matrix (O, C*KH*KW), ``w @ cols`` is the convolution.

    Parameters
    ----------
    x : array_like, (N, C, H, W)
        Images of any real dtype, on the host or a CUDA device. Copied only if not C-contiguous.
    size : int or (int, int)
        Elements (KH, KW) of a window.
    stride, dilation : int or (int, int)
        Distance of windows, and of the elements of a window.
    padding : int, (int, int), ((int, int), (int, int)), "valid" or "same"
        Border, before and after each axis, as for `conv2d`.

    Returns
    -------
    cols : ndarray, or the kind of device array x is, (N, C*KH*KW, OH*OW)
        x's dtype; rows are ordered by channel, then by tap. OH = (H + padding - DH*(KH-1) - 1)//SH + 1, OW alike.

    Raises
    ------
    InvalidArgument
        Shapes, dtypes or values that make no windows; the output would be empty.
    TooLarge
        The matrix does not fit into this machine's memory.

    Notes
    -----
    The matrix has about KH*KW/(SH*SW) times as many elements as x: 231 MB for 32 images of 64x56x56 and 3x3 windows in
    float32. `conv2d` never makes it whole; this function is for those who want to see it, or to do something else with
    it. Elements are copied, not computed with. Source: Chellapilla, Puri and Simard, "High performance convolutional
    neural networks for document processing" (2006).

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.unfold2d(np.arange(9).reshape(1, 1, 3, 3), 2)
    array([[[0, 1, 3, 4],
            [1, 2, 4, 5],
            [3, 4, 6, 7],
            [4, 5, 7, 8]]])
    >>> fc.unfold2d(np.zeros((1, 3, 227, 227)), 11, stride=4).shape
    (1, 363, 3025)

    >>> fc.unfold1d(np.arange(4).reshape(1, 1, 4), 2)
    array([[[0, 1, 2],
            [1, 2, 3]]])

    >>> fc.unfold3d(np.arange(8).reshape(1, 1, 2, 2, 2), (1, 2, 2))
    array([[[0, 4],
            [1, 5],
            [2, 6],
            [3, 7]]])
    """
    operands = Operands("x", x, halves=True, moved=True)
    (x,) = operands.arrays
    if x.dtype.kind == "c" or x.dtype.itemsize > 8:
        raise InvalidArgument(f"x has dtype {x.dtype}; expected real numbers of at most 8 bytes")
    problem = _problem(rank, tuple(x.shape), "x", size, stride, padding, dilation)
    cols = operands.empty(_matrix_shape(problem))
    operator("unfold", operands.device)(problem, _elements(x).reshape(problem.x_shape3), _elements(cols))
    return operands.finish(cols)


unfold1d, unfold2d, unfold3d = _unfold


@ranked("fold{}d")
def _fold(
    rank: int, cols: Any, x_shape: Any, size: Any, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> Any:
    """Add every element of a column matrix to where `unfold2d` took it from (col2im).

    dx[n,c,h,w] = sum of the cols[n, (c*KH + u)*KW + v, i*OW + j] with h = i*SH + u*DH - PH, w = j*SW + v*DW - PW

    This is the adjoint of `unfold2d`: sum(unfold2d(x) * cols) = sum(x * fold2d(cols)).

    Parameters
    ----------
    cols : array_like, (N, C*KH*KW, OH*OW)
        Columns. float32 and float64 stay what they are; float16 is computed in float32; integers become float64.
    x_shape : (int, int, int, int)
        Shape (N, C, H, W) of the result.
    size, stride, padding, dilation
        As they were given to `unfold2d`.

    Returns
    -------
    dx : ndarray, (N, C, H, W)

    Raises
    ------
    InvalidArgument
        Shapes, dtypes or values that do not fit together.

    Notes
    -----
    One addition for each element of `cols`, tap by tap, so the bits do not depend on the number of threads. No extra
    memory.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.fold2d(np.ones((1, 4, 4)), (1, 1, 3, 3), 2)
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])

    >>> fc.fold1d(np.ones((1, 2, 3)), (1, 1, 4), 2)
    array([[[1., 2., 2., 1.]]])

    >>> fc.fold3d(np.ones((1, 4, 2)), (1, 1, 1, 2, 3), (1, 2, 2))
    array([[[[[1., 2., 1.],
              [1., 2., 1.]]]]])
    """
    operands = Operands("cols", cols)
    if operands.compute.kind == "c":
        raise InvalidArgument(f"cols has dtype {operands.compute}; expected real numbers")
    cols = operands.arrays[0]
    problem = _problem(rank, parse_shape(x_shape, "x"), "x_shape", size, stride, padding, dilation)
    if tuple(cols.shape) != _matrix_shape(problem):
        raise InvalidArgument(
            f"cols has shape {shown(tuple(cols.shape))} but x of shape {problem.x_shape} has columns of shape "
            f"{_matrix_shape(problem)}; pass the size, stride, padding and dilation of the unfolding"
        )
    dx = operands.empty(problem.x_shape)
    operator("fold", operands.device)(problem, cols, dx.reshape(problem.x_shape3))
    return operands.finish(dx)


fold1d, fold2d, fold3d = _fold


def _elements(array: Any) -> Any:
    """What is copied: of 16-bit numbers on a GPU the bits."""
    return getattr(array, "bits", array)


def _problem(
    rank: int, shape: tuple[int, ...], name: str, size: Any, stride: Any, padding: Any, dilation: Any
) -> ConvProblem:
    """The convolution by one filter whose windows these are."""
    if len(shape) != rank + 2:
        form = ", ".join(LAYOUTS[rank][0])
        raise InvalidArgument(
            f"{name} has {len(shape)} axes; expected {rank + 2}, ({form}) ({name}: {shown(shape)})"
            f"{missing_axes('x', len(shape), rank) if name == 'x' else ''}"
        )
    w_shape = (1, shape[1], *parse_axes(size, "size", rank))
    return known_problem("unfold", shape, w_shape, None, rank, stride, padding, dilation, 1, None, "zeros", "float32")


def _matrix_shape(problem: ConvProblem) -> tuple[int, int, int]:
    return problem.N, problem.C * problem.taps, math.prod(problem.out)
