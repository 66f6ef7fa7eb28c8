"""Gradients of pooling in one, two and three dimensions."""

from __future__ import annotations

from typing import Any

from ..spec import parse_flag
from ._pools import (
    check_divisor,
    check_gradient,
    check_p,
    indices_for,
    operands_of,
    problem_of,
    problem_of_gradient,
    result_of,
)
from ._ranks import ranked


@ranked("max_pool{}d_grad")
def _max_pool_grad(
    rank: int, dy: Any, indices: Any, x_shape: Any, *, layout: str | None = None, device: str | None = None
) -> Any:
    """Gradient of max pooling of images, windowed, adaptive or global: elements of dy go to where their maxima were.

    dx[n,c,k] = sum over the windows i, j with indices[n,c,i,j] = k of dy[n,c,i,j], k = h*W + w

    Parameters
    ----------
    dy : array_like, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``
        Gradient of the output.
    indices : array_like of integers, dy's shape
        What the pool returned as its indices; -1 marks a window without elements.
    x_shape : tuple of int
        Shape of the pool's input.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes; None means "NCHW".
    device : {None, "cpu", "cuda"}
        None follows the arrays; "cuda" copies NumPy arrays to the GPU and back.

    Returns
    -------
    dx : ndarray, x_shape
        dy's dtype; integers become float64.

    Raises
    ------
    InvalidArgument
        `indices` is not of dy's shape or names elements beyond x's planes; dy does not fit x_shape.

    Notes
    -----
    One addition for each element of dy, in their order, so the bits do not depend on the number of threads. No extra
    memory. Indices that live on a GPU are not checked; those beyond a plane are passed over there.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.max_pool2d_grad(np.array([[[[10.0, 20.0]]]]), np.array([[[[4, 3]]]]), (1, 1, 2, 4))
    array([[[[ 0.,  0.,  0., 20.],
             [10.,  0.,  0.,  0.]]]])

    >>> fc.max_pool1d_grad(np.array([[[10.0, 20.0]]]), np.array([[[1, 2]]]), (1, 1, 4))
    array([[[ 0., 10., 20.,  0.]]])

    >>> fc.max_pool3d_grad(np.array([[[[[10.0]]]]]), np.array([[[[[3]]]]]), (1, 1, 1, 2, 2))
    array([[[[[ 0.,  0.],
              [ 0., 10.]]]]])
    """
    operands = operands_of("dy", dy, device=device)
    dy = operands.arrays[0]
    problem = problem_of_gradient("max_pool_grad", dy, x_shape, rank, layout, operands.compute)
    return result_of(problem, operands, problem.x_shape, dy, indices_for(indices, dy, operands))


max_pool1d_grad, max_pool2d_grad, max_pool3d_grad = _max_pool_grad


@ranked("avg_pool{}d_grad")
def _avg_pool_grad(
    rank: int,
    dy: Any,
    x_shape: Any,
    size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: float | None = None,
    layout: str | None = None,
    device: str | None = None,
) -> Any:
    """Gradient of average pooling of images: every element of dy goes in equal shares to its window's elements.

    dx[n,c,h,w] = sum over the windows i, j that hold h, w of dy[n,c,i,j] / K

    where K is what `avg_pool2d` divided the window's sum by.

    Parameters
    ----------
    dy : array_like, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``
        Gradient of the output.
    x_shape : tuple of int
        Shape of the pool's input.
    size, stride, padding, dilation, ceil_mode, count_include_pad, divisor
        As they were given to `avg_pool2d`.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes; None means "NCHW".
    device : {None, "cpu", "cuda"}
        None follows the array; "cuda" copies NumPy arrays to the GPU and back.

    Returns
    -------
    dx : ndarray, x_shape
        dy's dtype; integers become float64.

    Raises
    ------
    InvalidArgument
        Shapes, dtypes or values that do not fit together.

    Notes
    -----
    Every element of dx is summed by itself, in a fixed order: the same bits for any number of threads. Extra memory is
    one row per thread. Error: below (windows that hold an element + 2)*eps of the sum of magnitudes.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.avg_pool2d_grad(np.array([[[[4.0, 8.0]]]]), (1, 1, 2, 4), 2)
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]])

    >>> fc.avg_pool1d_grad(np.array([[[4.0, 8.0]]]), (1, 1, 5), 2)
    array([[[2., 2., 4., 4., 0.]]])

    >>> fc.avg_pool3d_grad(np.array([[[[[8.0]]]]]), (1, 1, 2, 2, 2), 2)
    array([[[[[1., 1.],
              [1., 1.]],
    <BLANKLINE>
             [[1., 1.],
              [1., 1.]]]]])
    """
    divisor = check_divisor(divisor)
    include = parse_flag(count_include_pad, "count_include_pad")
    operands = operands_of("dy", dy, device=device)
    problem = problem_of(
        "avg_pool_grad", rank, x_shape, size, stride, padding, dilation, ceil_mode, layout, operands.compute, include
    )
    check_gradient(operands.arrays[0], problem)
    return result_of(problem, operands, problem.x_shape, *operands.arrays, divisor=divisor)


avg_pool1d_grad, avg_pool2d_grad, avg_pool3d_grad = _avg_pool_grad


@ranked("lp_pool{}d_grad")
def _lp_pool_grad(
    rank: int,
    dy: Any,
    x: Any,
    y: Any,
    size: Any,
    *,
    p: float = 2,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    layout: str | None = None,
    device: str | None = None,
) -> Any:
    """Gradient of l^p pooling of images.

    dx[n,c,h,w] = sum over the windows i, j that hold h, w of dy[n,c,i,j] * sign(x) * (|x| / y[n,c,i,j])^(p-1)

    Parameters
    ----------
    dy : array_like, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``
        Gradient of the output.
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        What was pooled.
    y : array_like, dy's shape
        What `lp_pool2d` returned.
    size, p, stride, padding, dilation, ceil_mode
        As they were given to `lp_pool2d`.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes; None means "NCHW".
    device : {None, "cpu", "cuda"}
        None follows the arrays; "cuda" copies NumPy arrays to the GPU and back.

    Returns
    -------
    dx : ndarray, x's shape
        dtype by NumPy's promotion of dy, x and y. 0 where x or its window's y is 0; with p = inf every largest |x| of a
        window gets its dy.

    Raises
    ------
    InvalidArgument
        Shapes, dtypes or values that do not fit together.

    Notes
    -----
    p = 1 and 2 cost about as much as the gradient of an average; other p a power for every element and window that
    holds it. Summed in float64 (p = 1: in the dtype of the result), with the same bits for any number of threads.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> x = np.array([[[[3.0, 0.0, -1.0, 2.0], [4.0, 0.0, 2.0, 0.0]]]])
    >>> y = fc.lp_pool2d(x, 2)
    >>> fc.lp_pool2d_grad(np.array([[[[5.0, 3.0]]]]), x, y, 2)
    array([[[[ 3.,  0., -1.,  2.],
             [ 4.,  0.,  2.,  0.]]]])

    >>> x = np.array([[[3.0, -4.0]]])
    >>> fc.lp_pool1d_grad(np.array([[[5.0]]]), x, fc.lp_pool1d(x, 2), 2)
    array([[[ 3., -4.]]])

    >>> x = np.array([[[[[3.0, -4.0]]]]])
    >>> fc.lp_pool3d_grad(np.array([[[[[5.0]]]]]), x, fc.lp_pool3d(x, (1, 1, 2)), (1, 1, 2))
    array([[[[[ 3., -4.]]]]])
    """
    p = check_p(p)
    operands = operands_of("dy x y", dy, x, y, device=device)
    dy, x, y = operands.arrays
    problem = problem_of(
        "lp_pool_grad", rank, x.shape, size, stride, padding, dilation, ceil_mode, layout, operands.compute
    )
    check_gradient(dy, problem)
    check_gradient(y, problem, "y")
    return result_of(problem, operands, problem.x_shape, dy, x, y, p=p)


lp_pool1d_grad, lp_pool2d_grad, lp_pool3d_grad = _lp_pool_grad


@ranked("adaptive_avg_pool{}d_grad")
def _adaptive_avg_pool_grad(
    rank: int, dy: Any, x_shape: Any, *, layout: str | None = None, device: str | None = None
) -> Any:
    """Gradient of adaptive and of global average pooling of images; the pool's output size is dy's.

    Parameters
    ----------
    dy : array_like, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``
        Gradient of the output.
    x_shape : tuple of int
        Shape of the pool's input.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes; None means "NCHW".
    device : {None, "cpu", "cuda"}
        None follows the array; "cuda" copies NumPy arrays to the GPU and back.

    Returns
    -------
    dx : ndarray, x_shape
        dy's dtype; integers become float64.

    Raises
    ------
    InvalidArgument
        Shapes or dtypes that do not fit together.

    Notes
    -----
    As for `avg_pool2d_grad`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.adaptive_avg_pool2d_grad(np.array([[[[6.0]]]]), (1, 1, 2, 3))
    array([[[[1., 1., 1.],
             [1., 1., 1.]]]])

    >>> fc.adaptive_avg_pool1d_grad(np.array([[[6.0, 3.0]]]), (1, 1, 5))
    array([[[2., 2., 3., 1., 1.]]])

    >>> fc.adaptive_avg_pool3d_grad(np.array([[[[[4.0]]]]]), (1, 1, 1, 2, 2))
    array([[[[[1., 1.],
              [1., 1.]]]]])
    """
    operands = operands_of("dy", dy, device=device)
    dy = operands.arrays[0]
    problem = problem_of_gradient("avg_pool_grad", dy, x_shape, rank, layout, operands.compute)
    return result_of(problem, operands, problem.x_shape, dy, divisor=None)


adaptive_avg_pool1d_grad, adaptive_avg_pool2d_grad, adaptive_avg_pool3d_grad = _adaptive_avg_pool_grad
