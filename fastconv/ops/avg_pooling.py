"""Average pooling in one, two and three dimensions: by window, adaptive and global."""

from __future__ import annotations

from typing import Any

from ..spec import parse_flag
from ._pools import adaptive_of, check_divisor, operands_of, problem_of, run


def avg_pool2d(
    x: Any,
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
    """The mean of every window of each channel.

    y[n,c,i,j] = (sum over u < KH, v < KW of xp[n, c, i*SH + u*DH, j*SW + v*DW]) / K

    where xp is x with a border of zeros, and K the number of the window's elements that lie in xp
    (``count_include_pad``, the default) or in x, unless `divisor` is given.

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images. float32 and float64 stay what they are; float16 is computed in float32; integers become float64. Copied
        only if not C-contiguous.
    size : int or (int, int)
        Elements (KH, KW) of a window.
    stride : int or (int, int), optional
        Distance of windows; None means `size`, windows that touch.
    padding : int, (int, int), ((int, int), (int, int)), "valid" or "same"
        Border of zeros before and after each axis; less than a dilated window. "same" makes the output ceil(H/SH) high,
        the odd element behind (Keras, which counts only real elements: ``count_include_pad=False``).
    dilation : int or (int, int)
        Distance of the elements of a window.
    ceil_mode : bool
        Keep a last window that overhangs, if it starts inside the input or its leading padding. What overhangs the
        padded input counts in no divisor.
    count_include_pad : bool
        Whether the border counts in K.
    divisor : float, optional
        Divide every sum by this number instead of K.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes; None means "NCHW".
    device : {None, "cpu", "cuda"}
        None follows the array; "cuda" copies NumPy arrays to the GPU and back.

    Returns
    -------
    y : ndarray, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``
        OH = (H + padding - DH*(KH-1) - 1)//SH + 1, or with `ceil_mode` the quotient rounded up; OW alike. A window
        without elements gives 0.

    Raises
    ------
    InvalidArgument
        Shapes, dtypes or values that make no pool; the output would be empty.
    DeviceMissing
        ``device="cuda"`` without a usable GPU.

    Notes
    -----
    Reads each element KH*KW/(SH*SW) times, from the cache; extra memory is a few rows per thread. Windows of more than
    16 elements are summed in float64, smaller ones in x's dtype: the error is below 16*eps times the mean magnitude of
    the window. The result has the same bits for any number of threads.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> x = np.array([[[[1.0, 2.0, 0.0, 3.0], [5.0, 4.0, 3.0, 2.0]]]])
    >>> fc.avg_pool2d(x, 2)
    array([[[[3., 2.]]]])
    >>> fc.avg_pool2d(x, 2, padding=(0, 1), count_include_pad=False)
    array([[[[3.  , 2.25, 2.5 ]]]])
    """
    return _avg_pool(2, x, size, stride, padding, dilation, ceil_mode, count_include_pad, divisor, layout, device)


def avg_pool1d(
    x: Any,
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
    """The mean of every window of each channel of a batch of signals.

    x is (N, C, W), or (N, W, C) with ``layout="NWC"``. Everything else is as for `avg_pool2d`.

    Examples
    --------
    >>> import fastconv as fc
    >>> fc.avg_pool1d([[[1.0, 3.0, 2.0, 0.0]]], 2)
    array([[[2., 1.]]])
    """
    return _avg_pool(1, x, size, stride, padding, dilation, ceil_mode, count_include_pad, divisor, layout, device)


def avg_pool3d(
    x: Any,
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
    """The mean of every window of each channel of a batch of volumes.

    x is (N, C, D, H, W), or (N, D, H, W, C) with ``layout="NDHWC"``. Everything else is as for `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.avg_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), 2)
    array([[[[[6.5, 8.5]]]]])
    """
    return _avg_pool(3, x, size, stride, padding, dilation, ceil_mode, count_include_pad, divisor, layout, device)


def adaptive_avg_pool2d(x: Any, size: Any, *, layout: str | None = None, device: str | None = None) -> Any:
    """The mean of each of `size` windows that cover the input evenly.

    Window i of OH reaches from row floor(i*H/OH) to below ceil((i+1)*H/OH); columns alike. Windows may share elements.

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images, of the dtypes `avg_pool2d` takes.
    size : int, (int or None, int or None) or None
        Size (OH, OW) of the output; None keeps that of the input.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes; None means "NCHW".
    device : {None, "cpu", "cuda"}
        None follows the array; "cuda" copies NumPy arrays to the GPU and back.

    Returns
    -------
    y : ndarray, (N, C, OH, OW), or (N, OH, OW, C) with ``layout="NHWC"``
        float16, float32 and float64 stay what they are; integers become float64.

    Raises
    ------
    InvalidArgument
        Shapes, dtypes or values that make no pool.

    Notes
    -----
    Reads each element about once; no extra memory to speak of. The error is that of `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.adaptive_avg_pool2d(np.arange(15.0).reshape(1, 1, 3, 5), (2, 3))
    array([[[[ 3. ,  4.5,  6. ],
             [ 8. ,  9.5, 11. ]]]])
    """
    return _adaptive_avg_pool(2, x, size, layout, device)


def adaptive_avg_pool1d(x: Any, size: Any, *, layout: str | None = None, device: str | None = None) -> Any:
    """The mean of each of `size` windows that cover the signals evenly.

    x is (N, C, W), or (N, W, C) with ``layout="NWC"``. Everything else is as for `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import fastconv as fc
    >>> fc.adaptive_avg_pool1d([[[1.0, 3.0, 2.0, 0.0, 1.0]]], 2)
    array([[[2., 1.]]])
    """
    return _adaptive_avg_pool(1, x, size, layout, device)


def adaptive_avg_pool3d(x: Any, size: Any, *, layout: str | None = None, device: str | None = None) -> Any:
    """The mean of each of `size` windows that cover the volumes evenly.

    x is (N, C, D, H, W), or (N, D, H, W, C) with ``layout="NDHWC"``. Everything else is as for `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.adaptive_avg_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), (1, 2, 2))
    array([[[[[ 4.5,  6.5],
              [ 8.5, 10.5]]]]])
    """
    return _adaptive_avg_pool(3, x, size, layout, device)


def global_avg_pool2d(x: Any, *, layout: str | None = None, device: str | None = None) -> Any:
    """The mean of every channel; the axes stay, with size 1.

    y[n,c,0,0] = (sum over h, w of x[n,c,h,w]) / (H*W)

    Parameters
    ----------
    x : array_like, (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``
        Images, of the dtypes `avg_pool2d` takes.
    layout : {"NCHW", "NHWC"}, optional
        Order of the axes; None means "NCHW".
    device : {None, "cpu", "cuda"}
        None follows the array; "cuda" copies NumPy arrays to the GPU and back.

    Returns
    -------
    y : ndarray, (N, C, 1, 1), or (N, 1, 1, C) with ``layout="NHWC"``
        float16, float32 and float64 stay what they are; integers become float64.

    Raises
    ------
    InvalidArgument
        Shapes or dtypes that make no pool.

    Notes
    -----
    Reads each element once and sums in float64. The gradient is `adaptive_avg_pool2d_grad`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.global_avg_pool2d(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[[[1.5]],
    <BLANKLINE>
            [[5.5]]]])
    """
    return _adaptive_avg_pool(2, x, 1, layout, device)


def global_avg_pool1d(x: Any, *, layout: str | None = None, device: str | None = None) -> Any:
    """The mean of every channel of a batch of signals; the axis stays, with size 1.

    x is (N, C, W), or (N, W, C) with ``layout="NWC"``. Everything else is as for `global_avg_pool2d`.

    Examples
    --------
    >>> import fastconv as fc
    >>> fc.global_avg_pool1d([[[1.0, 3.0, 2.0]]])
    array([[[2.]]])
    """
    return _adaptive_avg_pool(1, x, 1, layout, device)


def global_avg_pool3d(x: Any, *, layout: str | None = None, device: str | None = None) -> Any:
    """The mean of every channel of a batch of volumes; the axes stay, with size 1.

    x is (N, C, D, H, W), or (N, D, H, W, C) with ``layout="NDHWC"``. Everything else is as for `global_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.global_avg_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2))
    array([[[[[3.5]]]]])
    """
    return _adaptive_avg_pool(3, x, 1, layout, device)


def _avg_pool(
    rank: int, x: Any, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, count_include_pad: bool,
    divisor: float | None, layout: str | None, device: str | None,
) -> Any:  # fmt: skip
    divisor = check_divisor(divisor)
    include = parse_flag(count_include_pad, "count_include_pad")
    operands = operands_of("x", x, device=device)
    x = operands.arrays[0]
    problem = problem_of(
        "avg_pool", rank, x.shape, size, stride, padding, dilation, ceil_mode, layout, operands.compute, include
    )
    y = operands.empty(problem.y_shape)
    run(problem, operands, x, y, divisor=divisor)
    return operands.finish(y)


def _adaptive_avg_pool(rank: int, x: Any, size: Any, layout: str | None, device: str | None) -> Any:
    operands = operands_of("x", x, device=device)
    x = operands.arrays[0]
    problem = adaptive_of("avg_pool", rank, x.shape, size, layout, operands.compute)
    y = operands.empty(problem.y_shape)
    run(problem, operands, x, y, divisor=None)
    return operands.finish(y)
