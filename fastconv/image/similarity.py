"""How alike two images are: the structural similarity of their windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dispatch, ndimage
from ..errors import InvalidArgument, shown
from ..memory import empty
from ..spec import parse_count, parse_flag, parse_real
from ._reading import DOUBLE, floating, parse_channel_axis, read_image

TRUNCATE = 3.5  # sigmas that a Gaussian window reaches: 11 taps for 1.5, as Wang et al. have it
UNIFORM = 7
MOST_SIGMA = 1 << 16


def structural_similarity(
    im1: Any,
    im2: Any,
    *,
    win_size: int | None = None,
    gradient: bool = False,
    data_range: float | None = None,
    channel_axis: int | None = None,
    gaussian_weights: bool = False,
    full: bool = False,
    use_sample_covariance: bool = True,
    K1: float = 0.01,
    K2: float = 0.03,
    sigma: float = 1.5,
) -> Any:
    """The mean structural similarity of two images (SSIM), as ``skimage.metrics.structural_similarity``.

        S = (2*mx*my + c1)*(2*vxy + c2) / ((mx**2 + my**2 + c1)*(vx + vy + c2))

    with the means m, variances v and the covariance of both images in each window, c1 = (K1*R)**2, c2 = (K2*R)**2.

    Parameters
    ----------
    im1, im2 : array_like
        Images of one shape, any number of axes.
    win_size : int, optional
        Odd size of the windows: 7 by default; for Gaussian windows it is what they reach.
    gradient, full : bool
        Whether to return the gradient with respect to `im2`, and the similarity of each window. The gradient is that of
        the mean with the edges, for variances divided by the number of pixels, whatever `use_sample_covariance` says.
    data_range : float, optional
        R, the distance of the largest and the smallest value possible: for integers by default that of their dtype.
    channel_axis : int, optional
        Axis whose channels are compared one by one.
    gaussian_weights : bool
        Windows weighted by a Gaussian of `sigma` instead of even ones.
    use_sample_covariance : bool
        Divide by the number of pixels less one.
    K1, K2, sigma : float

    Returns
    -------
    mean : float
        Over all windows within the image.
    grad : ndarray
        With `gradient`.
    S : ndarray
        With `full`: float32 for images of float32 and float16, else float64, as the gradient.

    Raises
    ------
    InvalidArgument
        Images of different shapes, smaller than a window, an even `win_size`; floats without `data_range`.

    Notes
    -----
    Five filters (`fastconv.ndimage`), three more for the gradient, all in float64: the variance of a window is the
    difference of two means, which in float32 would leave nothing of small ones. So is what is returned up to its last
    rounding. Source: Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to structural
    similarity" (2004); the gradient: Avanaki, arXiv:0901.0065, equations 7 and 8.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    >>> fc.image.structural_similarity(image, image)
    1.0
    >>> round(fc.image.structural_similarity(image, image // 2), 3)
    0.645
    """
    x, y = read_image(im1, "im1"), read_image(im2, "im2")
    if x.shape != y.shape:
        raise InvalidArgument(f"im1 has shape {x.shape} and im2 {y.shape}; expected the same")
    axis = parse_channel_axis(channel_axis, x.ndim)
    wanted = parse_flag(gradient, "gradient"), parse_flag(full, "full")
    size, blur = _window(win_size, parse_flag(gaussian_weights, "gaussian_weights"), sigma, x.ndim, axis)
    if any(n < size for a, n in enumerate(x.shape) if a != axis) or x.size == 0:
        raise InvalidArgument(f"the images have shape {x.shape}; expected no side below the window's {size}")
    constants = [parse_real(k, name, "a number from 0 on") for k, name in ((K1, "K1"), (K2, "K2"))]
    if not all(0 <= k < math.inf for k in constants):
        raise InvalidArgument(f"K1 is {shown(K1)} and K2 {shown(K2)}; expected finite numbers from 0 on")
    extent = _range(data_range, x.dtype, y.dtype)
    pixels = size ** (x.ndim - (axis is not None))
    sample = parse_flag(use_sample_covariance, "use_sample_covariance") and pixels > 1
    found, grad = _similarity(
        x.astype(DOUBLE), y.astype(DOUBLE), blur, pixels / (pixels - 1) if sample else 1.0,
        ((constants[0] * extent) ** 2, (constants[1] * extent) ** 2), wanted[0],
    )  # fmt: skip
    edge = (size - 1) // 2
    inner = found[tuple(slice(None) if a == axis else slice(edge, n - edge) for a, n in enumerate(found.shape))]
    mean, dtype = float(inner.mean()), floating(x.dtype)
    if axis is not None and grad is not None:
        grad *= x.shape[axis]  # of each channel's own mean
    result = (mean, *([] if grad is None else [grad.astype(dtype)]), *([found.astype(dtype)] if wanted[1] else []))
    return result if len(result) > 1 else mean


def _similarity(
    x: np.ndarray, y: np.ndarray, blur: Callable[[np.ndarray, np.ndarray], None], spread: float,
    small: tuple[float, float], gradient: bool,
) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
    """The similarity of each window, and the gradient of its mean to y."""
    means, product = empty((5, *x.shape), DOUBLE), empty(x.shape, DOUBLE)
    blur(x, means[0])
    blur(y, means[1])
    for to, (a, b) in zip(means[2:], ((x, x), (y, y), (x, y)), strict=True):
        blur(np.multiply(a, b, out=product), to)
    found = product
    parts = empty((3, *x.shape), DOUBLE) if gradient else np.empty((3, 0))
    with np.errstate(all="ignore"):  # as silent as the compiled kernels
        dispatch.operator("similarity")(
            means.reshape(5, -1), found.reshape(-1), parts.reshape(3, -1), spread=spread, small=small
        )
    if not gradient:
        return found, None
    for part, again in zip(parts, means, strict=False):
        blur(part, again)
    grad = (means[0] * x + means[1] * y + means[2]) * (2 / x.size)
    return found, grad


def _window(
    win_size: Any, gaussian: bool, sigma: Any, ndim: int, channel_axis: int | None
) -> tuple[int, Callable[[np.ndarray, np.ndarray], None]]:
    """The size of a window, and what writes the means over windows."""
    width = parse_real(sigma, "sigma", "a number from 0 on")
    if not 0 <= width <= MOST_SIGMA:
        raise InvalidArgument(f"sigma is {shown(sigma)}; expected a number from 0 to {MOST_SIGMA}")
    reach = 2 * int(TRUNCATE * width + 0.5) + 1 if gaussian else UNIFORM
    size = reach if win_size is None else parse_count(win_size, "win_size")
    if size % 2 == 0:
        raise InvalidArgument(f"win_size is {size}; expected an odd number")
    if gaussian:
        sigmas = [0.0 if a == channel_axis else width for a in range(ndim)]
        return size, lambda x, y: ndimage.gaussian_filter(x, sigmas, output=y, truncate=TRUNCATE)
    sizes = [1 if a == channel_axis else size for a in range(ndim)]
    return size, lambda x, y: ndimage.uniform_filter(x, sizes, output=y)


def _range(given: Any, *dtypes: np.dtype) -> float:
    """The distance of the largest and the smallest possible value."""
    if given is not None:
        extent = parse_real(given, "data_range", "a number above 0")
        if not 0 < extent < math.inf:
            raise InvalidArgument(f"data_range is {shown(given)}; expected a finite number above 0")
        return extent
    if any(dtype.kind not in "biu" for dtype in dtypes):
        raise InvalidArgument(
            f"data_range is None for images of {', '.join(map(str, dtypes))}; expected the distance of the largest and "
            "the smallest value possible: floats do not tell"
        )
    if dtypes[0].kind == "b":
        return 1.0
    limits = np.iinfo(dtypes[0])
    return float(limits.max) - float(limits.min)
