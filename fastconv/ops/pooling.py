"""Pooling by window in one, two and three dimensions: maxima, means and l^p norms."""

from __future__ import annotations

from typing import Any

from ..spec import parse_flag
from ._pools import check_divisor, check_p, is_ready, known_call, maxima, operands_of, problem_of, result_of
from ._ranks import ranked


@ranked("max_pool{}d")
def _max_pool(
    rank: int,
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
    """The largest element of every window of each channel of a batch of images.

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
        h*W + w of the first largest element, of signals w, of volumes (d*H + h)*W + w; -1 for a window without
        elements.

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

    >>> fc.max_pool1d([[[1.0, 3.0, 2.0, 0.0]]], 2)
    array([[[3., 2.]]])

    >>> fc.max_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), 2)
    array([[[[[13., 15.]]]]])
    """
    if device is None and return_indices is False and is_ready(x):
        call = known_call("max_pool", rank, x, size, stride, padding, dilation, ceil_mode, layout)
        if call is not None:
            return call(x)
    operands = operands_of("x", x, device=device, integers=True)
    problem = problem_of(
        "max_pool", rank, operands.arrays[0].shape, size, stride, padding, dilation, ceil_mode, layout, operands.compute
    )
    return maxima(problem, operands, return_indices)


max_pool1d, max_pool2d, max_pool3d = _max_pool


@ranked("avg_pool{}d")
def _avg_pool(
    rank: int,
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
    """The mean of every window of each channel of a batch of images.

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

    >>> fc.avg_pool1d([[[1.0, 3.0, 2.0, 0.0]]], 2)
    array([[[2., 1.]]])

    >>> fc.avg_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), 2)
    array([[[[[6.5, 8.5]]]]])
    """
    divisor, include = check_divisor(divisor), count_include_pad
    if device is None and is_ready(x):
        call = known_call("avg_pool", rank, x, size, stride, padding, dilation, ceil_mode, layout, include, divisor)
        if call is not None:
            return call(x)
    include = parse_flag(include, "count_include_pad")
    operands = operands_of("x", x, device=device)
    problem = problem_of(
        "avg_pool", rank, operands.arrays[0].shape, size, stride, padding, dilation, ceil_mode, layout,
        operands.compute, include,
    )  # fmt: skip
    return result_of(problem, operands, problem.y_shape, *operands.arrays, divisor=divisor)


avg_pool1d, avg_pool2d, avg_pool3d = _avg_pool


@ranked("lp_pool{}d")
def _lp_pool(
    rank: int,
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
    """The l^p norm of every window of each channel of a batch of images.

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

    >>> fc.lp_pool1d([[[3.0, -4.0, 2.0, 0.0]]], 2)
    array([[[5., 2.]]])

    >>> fc.lp_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 2, p=1)
    array([[[[[28.]]]]])
    """
    p = check_p(p)
    operands = operands_of("x", x, device=device)
    problem = problem_of(
        "lp_pool", rank, operands.arrays[0].shape, size, stride, padding, dilation, ceil_mode, layout, operands.compute
    )
    return result_of(problem, operands, problem.y_shape, *operands.arrays, p=p)


lp_pool1d, lp_pool2d, lp_pool3d = _lp_pool
