"""Pooling to an output of a given size in one, two and three dimensions: adaptive, and global for the size 1."""

from __future__ import annotations

from typing import Any

from ._pools import adaptive_of, maxima, operands_of, result_of
from ._ranks import ranked


@ranked("adaptive_max_pool{}d")
def _adaptive_max_pool(
    rank: int, x: Any, size: Any, *, return_indices: bool = False, layout: str | None = None, device: str | None = None
) -> Any:
    """The largest element of each of `size` windows that cover the images evenly.

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
        h*W + w of the first largest element, of signals w, of volumes (d*H + h)*W + w.

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

    >>> fc.adaptive_max_pool1d([[[1.0, 3.0, 2.0, 0.0, 1.0]]], 2)
    array([[[3., 2.]]])

    >>> fc.adaptive_max_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), (1, 2, 2))
    array([[[[[ 9., 11.],
              [13., 15.]]]]])
    """
    return _maxima(rank, x, size, return_indices, layout, device)


adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = _adaptive_max_pool


@ranked("adaptive_avg_pool{}d")
def _adaptive_avg_pool(rank: int, x: Any, size: Any, *, layout: str | None = None, device: str | None = None) -> Any:
    """The mean of each of `size` windows that cover the images evenly.

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

    >>> fc.adaptive_avg_pool1d([[[1.0, 3.0, 2.0, 0.0, 1.0]]], 2)
    array([[[2., 1.]]])

    >>> fc.adaptive_avg_pool3d(np.arange(16.0).reshape(1, 1, 2, 2, 4), (1, 2, 2))
    array([[[[[ 4.5,  6.5],
              [ 8.5, 10.5]]]]])
    """
    return _means(rank, x, size, layout, device)


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = _adaptive_avg_pool


@ranked("global_max_pool{}d")
def _global_max_pool(rank: int, x: Any, *, layout: str | None = None, device: str | None = None) -> Any:
    """The largest element of every channel of a batch of images; the axes stay, with size 1.

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

    >>> fc.global_max_pool1d([[[1.0, 3.0, 2.0]]])
    array([[[3.]]])

    >>> fc.global_max_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2))
    array([[[[[7.]]]]])
    """
    return _maxima(rank, x, 1, False, layout, device)


global_max_pool1d, global_max_pool2d, global_max_pool3d = _global_max_pool


@ranked("global_avg_pool{}d")
def _global_avg_pool(rank: int, x: Any, *, layout: str | None = None, device: str | None = None) -> Any:
    """The mean of every channel of a batch of images; the axes stay, with size 1.

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

    >>> fc.global_avg_pool1d([[[1.0, 3.0, 2.0]]])
    array([[[2.]]])

    >>> fc.global_avg_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2))
    array([[[[[3.5]]]]])
    """
    return _means(rank, x, 1, layout, device)


global_avg_pool1d, global_avg_pool2d, global_avg_pool3d = _global_avg_pool


def _maxima(rank: int, x: Any, size: Any, return_indices: bool, layout: str | None, device: str | None) -> Any:
    operands = operands_of("x", x, device=device, integers=True)
    problem = adaptive_of("max_pool", rank, operands.arrays[0].shape, size, layout, operands.compute)
    return maxima(problem, operands, return_indices)


def _means(rank: int, x: Any, size: Any, layout: str | None, device: str | None) -> Any:
    operands = operands_of("x", x, device=device)
    problem = adaptive_of("avg_pool", rank, operands.arrays[0].shape, size, layout, operands.compute)
    return result_of(problem, operands, problem.y_shape, *operands.arrays, divisor=None)
