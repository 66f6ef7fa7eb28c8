"""Sharpening and band-pass filtering by Gaussians, with scikit-image's names and results."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ndimage
from ..errors import InvalidArgument, shown
from ..spec import parse_flag, parse_real, parse_word
from ._reading import floating, parse_channel_axis, read_image
from .filters import BORDERS

RATIO = 1.6  # of the sigmas of a difference of Gaussians that is about a Laplacian of one (Marr & Hildreth, 1980)
MOST_REACH = 1 << 20  # elements that a Gaussian may reach


def unsharp_mask(
    image: Any, radius: Any = 1.0, amount: float = 1.0, preserve_range: bool = False, *, channel_axis: int | None = None
) -> np.ndarray:
    """Sharpen an image: add what a Gaussian blur takes away, as ``skimage.filters.unsharp_mask``.

        y = x + amount*(x - blurred)

    Parameters
    ----------
    image : array_like
        Real numbers, any number of axes.
    radius : float or sequence of float
        Sigma of the Gaussian, one for all axes or one for each but that of channels.
    amount : float
        How often the details are added.
    preserve_range : bool
        False: integers are scaled by their dtype's largest, and results are cut to [0, 1], or to [-1, 1] where the
        image has numbers below 0. True: neither.
    channel_axis : int, optional
        Axis that is not blurred along.

    Returns
    -------
    ndarray
        float32 for images of float32 and float16, else float64.

    Raises
    ------
    InvalidArgument
        Sigmas that are negative, or not as many as axes.

    Notes
    -----
    The blur is `fastconv.ndimage.gaussian_filter`, computed in float64.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> step = np.array([[10, 10, 10, 20, 20, 20]] * 3, np.uint8)
    >>> fc.image.unsharp_mask(step, 0.5, 1, preserve_range=True)[1].round(1)
    array([10. , 10. ,  8.9, 21.1, 20. , 20. ])
    """
    x = read_image(image, "image")
    axis = parse_channel_axis(channel_axis, x.ndim)
    sigmas = _sigmas(radius, "radius", x.ndim, axis)
    strength = parse_real(amount, "amount", "a real number")
    if parse_flag(preserve_range, "preserve_range"):
        x = x.astype(floating(x.dtype), copy=False)
        lowest = None
    else:
        x = as_float(x)
        lowest = -1.0 if x.size and x.min() < 0 else 0.0
    y = np.subtract(x, ndimage.gaussian_filter(x, sigmas, mode="reflect"))
    y *= x.dtype.type(strength)
    y += x
    return y if lowest is None else np.clip(y, lowest, 1.0, out=y)


def difference_of_gaussians(
    image: Any,
    low_sigma: Any,
    high_sigma: Any = None,
    *,
    mode: str = "nearest",
    cval: float = 0,
    channel_axis: int | None = None,
    truncate: float = 4.0,
) -> np.ndarray:
    """Keep what is larger than one sigma and smaller than another, as ``skimage.filters.difference_of_gaussians``.

    Parameters
    ----------
    image : array_like
        Real numbers, any number of axes; integers are scaled by their dtype's largest.
    low_sigma, high_sigma : float or sequence of float
        Of the Gaussians whose difference is taken, one for all axes or one for each but that of channels; by default
        the high one is 1.6 times the low one.
    mode, cval
        As for `filter_bank`.
    channel_axis : int, optional
        Axis that is not filtered along.
    truncate : float
        How many sigmas the Gaussians reach.

    Returns
    -------
    ndarray
        float32 for images of float32 and float16, else float64.

    Raises
    ------
    InvalidArgument
        Sigmas that are negative, not as many as axes, or higher ones below the lower ones.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> fc.image.difference_of_gaussians(np.eye(5), 1, 2).shape
    (5, 5)
    """
    x = read_image(image, "image")
    axis = parse_channel_axis(channel_axis, x.ndim)
    reach = parse_real(truncate, "truncate", "a number above 0")
    low = _sigmas(low_sigma, "low_sigma", x.ndim, axis, reach)
    high = [RATIO * s for s in low] if high_sigma is None else _sigmas(high_sigma, "high_sigma", x.ndim, axis, reach)
    if any(h < s for s, h in zip(low, high, strict=True)):
        raise InvalidArgument(
            f"high_sigma is {shown(high_sigma)} but low_sigma {shown(low_sigma)}; expected it to be at least that"
        )
    parse_word(mode, "mode", tuple(BORDERS))
    options: dict[str, Any] = {"mode": mode, "cval": parse_real(cval, "cval", "a real number"), "truncate": reach}
    x = as_float(x)
    y = ndimage.gaussian_filter(x, low, **options)
    y -= ndimage.gaussian_filter(x, high, **options)
    return y  # type: ignore[no-any-return]


def as_float(x: np.ndarray) -> np.ndarray:
    """An image as scikit-image's ``img_as_float`` has it: integers from 0 or -1 to 1."""
    dtype = floating(x.dtype)
    if x.dtype.kind not in "iu":
        return x.astype(dtype, copy=False)
    y = np.multiply(x, 1.0 / np.iinfo(x.dtype).max, dtype=dtype)
    return np.maximum(y, -1.0, out=y) if x.dtype.kind == "i" else y


def _sigmas(values: Any, name: str, ndim: int, channel_axis: int | None, truncate: float = 4.0) -> list[float]:
    """A sigma for each axis, 0 for that of channels."""
    axes = ndim - (channel_axis is not None)
    try:
        given = np.asarray(values)
        if given.dtype.kind not in "biuf" or given.ndim > 1:
            raise TypeError
        sigmas = [float(s) for s in np.broadcast_to(given, (axes,))]
    except Exception:  # of whatever is no row of numbers
        raise InvalidArgument(f"{name} is {shown(values)}; expected a number, or one for each of {axes} axes") from None
    if not all(s >= 0 and truncate * s <= MOST_REACH for s in sigmas) or not 0 < truncate < math.inf:
        raise InvalidArgument(
            f"{name} is {shown(values)} and truncate {truncate}; expected numbers from 0 on, their product at most "
            f"{MOST_REACH}"
        )
    if channel_axis is not None:
        sigmas.insert(channel_axis, 0.0)
    return sigmas
