"""l^p pooling in one, two and three dimensions, and its gradient."""

from __future__ import annotations

from typing import Any

from ._pools import check_gradient, check_p, operands_of, problem_of, run


def lp_pool2d(
    x: Any,
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
    """The l^p norm of every window of each channel.

    y[n,c,i,j] = (sum over u < KH, v < KW of |xp[n, c, i*SH + u*DH, j*SW + v*DW]|^p)^(1/p)

    where xp is x with a border of zeros.

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images. float32 and float64 stay what they are; float16 is computed in float32; integers become float64.
    size : int or (int, int)
        Elements (KH, KW) of a window.
    p : float
        Above 0. 1 sums magnitudes, 2 is the Euclidean norm, ``inf`` the largest magnitude.
    stride : int or (int, int), optional
        Distance of windows; None means `size`, windows that touch.
    padding : int, (int, int), ((int, int), (int, int)), "valid" or "same"
        Border of zeros before and after each axis; less than a dilated window.
    dilation : int or (int, int)
        Distance of the elements of a window.
    ceil_mode : bool
        Keep a last window that overhangs, if it starts inside the input or its leading padding.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes; None means "NCHW".
    device : {None, "cpu", "cuda"}
        None follows the array; "cuda" copies NumPy arrays to the GPU and back.

    Returns
    -------
    y : ndarray, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``
        Sizes as for `avg_pool2d`.

    Raises
    ------
    InvalidArgument
        Shapes, dtypes or values that make no pool; p is not above 0.

    Notes
    -----
    This is the norm itself: PyTorch's lp_pool sums signed powers, which for odd p differs where x is negative. Powers
    are summed in float64; windows whose powers overflow or underflow are summed in units of their largest element.
    p = 1 and 2 cost about as much as an average; other p need a float64 copy of x.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.lp_pool2d(np.array([[[[3.0, 0.0, -1.0, 2.0], [4.0, 0.0, 2.0, 0.0]]]]), 2)
    array([[[[5., 3.]]]])
    """
    return _lp_pool(2, x, size, p, stride, padding, dilation, ceil_mode, layout, device)


def lp_pool1d(
    x: Any,
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
    """The l^p norm of every window of each channel of a batch of signals.

    x is (N, C, W), or (N, W, C) with ``layout="NWC"``. Everything else is as for `lp_pool2d`.

    Examples
    --------
    >>> import fastconv as fc
    >>> fc.lp_pool1d([[[3.0, -4.0, 2.0, 0.0]]], 2)
    array([[[5., 2.]]])
    """
    return _lp_pool(1, x, size, p, stride, padding, dilation, ceil_mode, layout, device)


def lp_pool3d(
    x: Any,
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
    """The l^p norm of every window of each channel of a batch of volumes.

    x is (N, C, D, H, W), or (N, D, H, W, C) with ``layout="NDHWC"``. Everything else is as for `lp_pool2d`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.lp_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 2, p=1)
    array([[[[[28.]]]]])
    """
    return _lp_pool(3, x, size, p, stride, padding, dilation, ceil_mode, layout, device)


def lp_pool2d_grad(
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
    """The gradient of l^p pooling.

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
    """
    return _lp_pool_grad(2, dy, x, y, size, p, stride, padding, dilation, ceil_mode, layout, device)


def lp_pool1d_grad(
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
    """The gradient of l^p pooling of signals.

    x is (N, C, W), or (N, W, C) with ``layout="NWC"``. Everything else is as for `lp_pool2d_grad`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> x = np.array([[[3.0, -4.0]]])
    >>> fc.lp_pool1d_grad(np.array([[[5.0]]]), x, fc.lp_pool1d(x, 2), 2)
    array([[[ 3., -4.]]])
    """
    return _lp_pool_grad(1, dy, x, y, size, p, stride, padding, dilation, ceil_mode, layout, device)


def lp_pool3d_grad(
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
    """The gradient of l^p pooling of volumes.

    x is (N, C, D, H, W), or (N, D, H, W, C) with ``layout="NDHWC"``. Everything else is as for `lp_pool2d_grad`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> x = np.array([[[[[3.0, -4.0]]]]])
    >>> fc.lp_pool3d_grad(np.array([[[[[5.0]]]]]), x, fc.lp_pool3d(x, (1, 1, 2)), (1, 1, 2))
    array([[[[[ 3., -4.]]]]])
    """
    return _lp_pool_grad(3, dy, x, y, size, p, stride, padding, dilation, ceil_mode, layout, device)


def _lp_pool(
    rank: int, x: Any, size: Any, p: float, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    layout: str | None, device: str | None,
) -> Any:  # fmt: skip
    p = check_p(p)
    operands = operands_of("x", x, device=device)
    x = operands.arrays[0]
    problem = problem_of("lp_pool", rank, x.shape, size, stride, padding, dilation, ceil_mode, layout, operands.compute)
    y = operands.empty(problem.y_shape)
    run(problem, operands, x, y, p=p)
    return operands.finish(y)


def _lp_pool_grad(
    rank: int, dy: Any, x: Any, y: Any, size: Any, p: float, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    layout: str | None, device: str | None,
) -> Any:  # fmt: skip
    p = check_p(p)
    operands = operands_of("dy x y", dy, x, y, device=device)
    dy, x, y = operands.arrays
    problem = problem_of(
        "lp_pool_grad", rank, x.shape, size, stride, padding, dilation, ceil_mode, layout, operands.compute
    )
    check_gradient(dy, problem)
    check_gradient(y, problem, "y")
    dx = operands.empty(problem.x_shape)
    run(problem, operands, dy, x, y, dx, p=p)
    return operands.finish(dx)
