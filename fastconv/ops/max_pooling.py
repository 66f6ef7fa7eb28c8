"""Max pooling in one, two and three dimensions: by window, adaptive and global."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..problem import PoolProblem
from ..spec import parse_flag
from ._arrays import Operands
from ._pools import adaptive_of, operands_of, problem_of, run


def max_pool2d(
    x: Any,
    size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    layout: str | None = None,
    device: str | None = None,
) -> Any:
    """The largest element of every window of each channel.

    y[n,c,i,j] = max over u < KH, v < KW of x[n, c, i*SH + u*DH - PH, j*SW + v*DW - PW], as far as these lie in x

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images: floats, or integers, which stay what they are. Booleans become float64. Copied only if not C-contiguous.
    size : int or (int, int)
        Elements (KH, KW) of a window.
    stride : int or (int, int), optional
        Distance of windows; None means `size`, windows that touch.
    padding : int, (int, int), ((int, int), (int, int)), "valid" or "same"
        How far windows reach over the edge, before and after each axis; less than a dilated window. What lies there
        takes no part. "same" makes the output ceil(H/SH) high, the odd element behind (Keras).
    dilation : int or (int, int)
        Distance of the elements of a window.
    ceil_mode : bool
        Keep a last window that overhangs, if it starts inside the input or its leading padding.
    return_indices : bool
        Also return where the maxima are.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes; None means "NCHW".
    device : {None, "cpu", "cuda"}
        None follows the array; "cuda" copies NumPy arrays to the GPU and back.

    Returns
    -------
    y : ndarray, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``
        x's dtype. OH = (H + padding - DH*(KH-1) - 1)//SH + 1, or with `ceil_mode` the quotient rounded up; OW alike.
        A window without an element of x gives -inf, for integers the smallest.
    indices : int64 ndarray of y's shape, if `return_indices`
        h*W + w of the first largest element; -1 for a window without elements.

    Raises
    ------
    InvalidArgument
        Shapes, dtypes or values that make no pool; the output would be empty.
    DeviceMissing
        ``device="cuda"`` without a usable GPU.

    Notes
    -----
    NaN counts as larger than any number, the first NaN as the first maximum; of +0 and -0 either may be returned. Reads
    each element KH*KW/(SH*SW) times, from the cache; extra memory is a few rows per thread. Exact.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> x = np.array([[[[1.0, 2.0, 0.0, 3.0], [5.0, 4.0, 3.0, 1.0]]]])
    >>> fc.max_pool2d(x, 2)
    array([[[[5., 3.]]]])
    >>> fc.max_pool2d(x, 2, return_indices=True)[1]
    array([[[[4, 3]]]])
    """
    return _max_pool(2, x, size, stride, padding, dilation, ceil_mode, return_indices, layout, device)


def max_pool1d(
    x: Any,
    size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    layout: str | None = None,
    device: str | None = None,
) -> Any:
    """The largest element of every window of each channel of a batch of signals.

    x is (N, C, W), or (N, W, C) with ``layout="NWC"``; an index is w. Everything else is as for `max_pool2d`.

    Examples
    --------
    >>> import fastconv as fc
    >>> fc.max_pool1d([[[1.0, 3.0, 2.0, 0.0]]], 2)
    array([[[3., 2.]]])
    """
    return _max_pool(1, x, size, stride, padding, dilation, ceil_mode, return_indices, layout, device)


def max_pool3d(
    x: Any,
    size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    layout: str | None = None,
    device: str | None = None,
) -> Any:
    """The largest element of every window of each channel of a batch of volumes.

    x is (N, C, D, H, W), or (N, D, H, W, C) with ``layout="NDHWC"``; an index is (d*H + h)*W + w. Everything else is as
    for `max_pool2d`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.max_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), 2)
    array([[[[[13., 15.]]]]])
    """
    return _max_pool(3, x, size, stride, padding, dilation, ceil_mode, return_indices, layout, device)


def adaptive_max_pool2d(
    x: Any, size: Any, *, return_indices: bool = False, layout: str | None = None, device: str | None = None
) -> Any:
    """The largest element of each of `size` windows that cover the input evenly.

    Window i of OH reaches from row floor(i*H/OH) to below ceil((i+1)*H/OH); columns alike. Windows may share elements.

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images: floats or integers, as for `max_pool2d`.
    size : int, (int or None, int or None) or None
        Size (OH, OW) of the output; None keeps that of the input.
    return_indices : bool
        Also return where the maxima are.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes; None means "NCHW".
    device : {None, "cpu", "cuda"}
        None follows the array; "cuda" copies NumPy arrays to the GPU and back.

    Returns
    -------
    y : ndarray, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``
        x's dtype.
    indices : int64 ndarray of y's shape, if `return_indices`
        h*W + w of the first largest element.

    Raises
    ------
    InvalidArgument
        Shapes, dtypes or values that make no pool.

    Notes
    -----
    Reads each element about once; no extra memory to speak of. Exact. The gradient is `max_pool2d_grad`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.adaptive_max_pool2d(np.arange(15.0).reshape(1, 1, 3, 5), (2, 3))
    array([[[[ 6.,  8.,  9.],
             [11., 13., 14.]]]])
    """
    return _adaptive_max_pool(2, x, size, return_indices, layout, device)


def adaptive_max_pool1d(
    x: Any, size: Any, *, return_indices: bool = False, layout: str | None = None, device: str | None = None
) -> Any:
    """The largest element of each of `size` windows that cover the signals evenly.

    x is (N, C, W), or (N, W, C) with ``layout="NWC"``. Everything else is as for `adaptive_max_pool2d`.

    Examples
    --------
    >>> import fastconv as fc
    >>> fc.adaptive_max_pool1d([[[1.0, 3.0, 2.0, 0.0, 1.0]]], 2)
    array([[[3., 2.]]])
    """
    return _adaptive_max_pool(1, x, size, return_indices, layout, device)


def adaptive_max_pool3d(
    x: Any, size: Any, *, return_indices: bool = False, layout: str | None = None, device: str | None = None
) -> Any:
    """The largest element of each of `size` windows that cover the volumes evenly.

    x is (N, C, D, H, W), or (N, D, H, W, C) with ``layout="NDHWC"``. Everything else is as for `adaptive_max_pool2d`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.adaptive_max_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), (1, 2, 2))
    array([[[[[ 9., 11.],
              [13., 15.]]]]])
    """
    return _adaptive_max_pool(3, x, size, return_indices, layout, device)


def global_max_pool2d(x: Any, *, layout: str | None = None, device: str | None = None) -> Any:
    """The largest element of every channel; the axes stay, with size 1.

    y[n,c,0,0] = max over h, w of x[n,c,h,w]

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images: floats or integers, as for `max_pool2d`.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes; None means "NCHW".
    device : {None, "cpu", "cuda"}
        None follows the array; "cuda" copies NumPy arrays to the GPU and back.

    Returns
    -------
    y : ndarray, (N, C, 1, 1), or (N, 1, 1, C) with ``layout="NHWC"``
        x's dtype.

    Raises
    ------
    InvalidArgument
        Shapes or dtypes that make no pool.

    Notes
    -----
    Reads each element once. Exact; NaN counts as larger than any number. For indices and gradients take
    `adaptive_max_pool2d` with size 1.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.global_max_pool2d(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[[[3.]],
    <BLANKLINE>
            [[7.]]]])
    """
    return _adaptive_max_pool(2, x, 1, False, layout, device)


def global_max_pool1d(x: Any, *, layout: str | None = None, device: str | None = None) -> Any:
    """The largest element of every channel of a batch of signals; the axis stays, with size 1.

    x is (N, C, W), or (N, W, C) with ``layout="NWC"``. Everything else is as for `global_max_pool2d`.

    Examples
    --------
    >>> import fastconv as fc
    >>> fc.global_max_pool1d([[[1.0, 3.0, 2.0]]])
    array([[[3.]]])
    """
    return _adaptive_max_pool(1, x, 1, False, layout, device)


def global_max_pool3d(x: Any, *, layout: str | None = None, device: str | None = None) -> Any:
    """The largest element of every channel of a batch of volumes; the axes stay, with size 1.

    x is (N, C, D, H, W), or (N, D, H, W, C) with ``layout="NDHWC"``. Everything else is as for `global_max_pool2d`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.global_max_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2))
    array([[[[[7.]]]]])
    """
    return _adaptive_max_pool(3, x, 1, False, layout, device)


def _max_pool(
    rank: int, x: Any, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, return_indices: bool,
    layout: str | None, device: str | None,
) -> Any:  # fmt: skip
    operands = operands_of("x", x, device=device, integers=True)
    x = operands.arrays[0]
    problem = problem_of(
        "max_pool", rank, x.shape, size, stride, padding, dilation, ceil_mode, layout, operands.compute
    )
    return _maxima(problem, operands, x, return_indices)


def _adaptive_max_pool(
    rank: int, x: Any, size: Any, return_indices: bool, layout: str | None, device: str | None
) -> Any:
    operands = operands_of("x", x, device=device, integers=True)
    x = operands.arrays[0]
    problem = adaptive_of("max_pool", rank, x.shape, size, layout, operands.compute)
    return _maxima(problem, operands, x, return_indices)


def _maxima(problem: PoolProblem, operands: Operands, x: Any, return_indices: bool) -> Any:
    wanted = parse_flag(return_indices, "return_indices")
    y = operands.empty(problem.y_shape)
    indices = operands.empty(problem.y_shape, np.int64) if wanted else None
    run(problem, operands, x, y, indices)
    return (operands.finish(y), operands.finish(indices)) if wanted else operands.finish(y)
