"""Gabor filters: a wave under a Gaussian, alone and in banks of many orientations and frequencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..spec import parse_real
from .filters import FilterBank

DTYPES = (np.dtype(np.complex64), np.dtype(np.complex128))
MOST_TAPS = 1 << 24  # of a kernel


def gabor_kernel(
    frequency: float,
    theta: float = 0,
    bandwidth: float = 1,
    sigma_x: float | None = None,
    sigma_y: float | None = None,
    n_stds: float = 3,
    offset: float = 0,
    dtype: Any = np.complex128,
) -> np.ndarray:
    """A complex Gabor filter, with the parameters of ``skimage.filters.gabor_kernel``.

        g[y,x] = exp(-(u**2/sigma_x**2 + v**2/sigma_y**2)/2 + 1j*(2*pi*frequency*u + offset)) / (2*pi*sigma_x*sigma_y)

    with u = x*cos(theta) + y*sin(theta) and v = y*cos(theta) - x*sin(theta).

    Parameters
    ----------
    frequency : float
        Of the wave, in periods a pixel.
    theta : float
        Its direction in radians: 0 is along the rows.
    bandwidth : float
        In octaves, at half of the response; it sets the sigmas that are not given.
    sigma_x, sigma_y : float, optional
        Standard deviations along the wave and across.
    n_stds : float
        How many of these the filter reaches from its centre.
    offset : float
        Phase of the wave in radians.
    dtype : {complex128, complex64}

    Returns
    -------
    ndarray
        Of odd sizes.

    Raises
    ------
    InvalidArgument
        Numbers that are not finite, sigmas, a bandwidth or a frequency that are not positive, another dtype.

    Notes
    -----
    Source: Daugman, "Uncertainty relation for resolution in space, spatial frequency, and orientation optimized by
    two-dimensional visual cortical filters" (1985).

    Examples
    --------
    >>> import fastconv as fc
    >>> kernel = fc.image.gabor_kernel(0.25, sigma_x=1, sigma_y=1)
    >>> kernel.shape, kernel.real[3].round(3).tolist()
    ((7, 7), [-0.0, -0.022, 0.0, 0.159, 0.0, -0.022, -0.0])
    """
    numbers = _finite(frequency=frequency, theta=theta, n_stds=n_stds, offset=offset)
    wave, angle, reach, phase = numbers
    sigmas = [_sigma(s, name, wave, bandwidth) for s, name in ((sigma_x, "sigma_x"), (sigma_y, "sigma_y"))]
    if reach < 0:
        raise InvalidArgument(f"n_stds is {shown(n_stds)}; expected a number from 0 on")
    cos, sin = math.cos(angle), math.sin(angle)
    along, across = reach * sigmas[0], reach * sigmas[1]
    x0, y0 = max(abs(along * cos), abs(across * sin), 1.0), max(abs(across * cos), abs(along * sin), 1.0)
    if (2 * x0 + 3) * (2 * y0 + 3) > MOST_TAPS:
        raise InvalidArgument(f"the filter would reach {x0:.3g} and {y0:.3g} pixels; expected smaller sigmas or n_stds")
    y, x = np.mgrid[-math.ceil(y0) : math.ceil(y0) + 1, -math.ceil(x0) : math.ceil(x0) + 1]
    u, v = x * cos + y * sin, y * cos - x * sin
    envelope = np.exp(-((u / sigmas[0]) ** 2 + (v / sigmas[1]) ** 2) / 2) / (2 * math.pi * sigmas[0] * sigmas[1])
    return (envelope * np.exp(1j * (2 * math.pi * wave * u + phase))).astype(_complex_dtype(dtype))


def gabor(
    image: Any,
    frequency: float,
    theta: float = 0,
    bandwidth: float = 1,
    sigma_x: float | None = None,
    sigma_y: float | None = None,
    n_stds: float = 3,
    offset: float = 0,
    mode: str = "reflect",
    cval: float = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The real and the imaginary response of an image to a Gabor filter, as ``skimage.filters.gabor``.

    Parameters
    ----------
    image : array_like, (H, W)
    frequency, theta, bandwidth, sigma_x, sigma_y, n_stds, offset
        As for `gabor_kernel`.
    mode, cval
        As for `filter_bank`.

    Returns
    -------
    real, imag : ndarray, (H, W)
        float32 for images of float32 and float16, else float64: scikit-image's are integers for images of integers,
        which cuts responses off, most of them below 1, to 0.

    Raises
    ------
    InvalidArgument
        As `gabor_kernel` and `filter_bank`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> stripes = np.cos(2 * np.pi * 0.25 * np.arange(32)) * np.ones((32, 1))
    >>> along, across = (fc.image.gabor(stripes, 0.25, theta)[0] for theta in (0, np.pi / 2))
    >>> float(abs(along).max().round(2)), float(abs(across).max().round(2))
    (0.5, 0.0)
    """
    kernel = gabor_kernel(frequency, theta, bandwidth, sigma_x, sigma_y, n_stds, offset)
    real, imag = FilterBank([kernel.real, kernel.imag], mode=mode, cval=cval, flip=True)(image)
    return real, imag


def gabor_bank(
    image: Any,
    frequency: Any,
    theta: Any,
    bandwidth: float = 1,
    sigma_x: float | None = None,
    sigma_y: float | None = None,
    n_stds: float = 3,
    offset: float = 0,
    mode: str = "reflect",
    cval: float = 0,
    *,
    dtype: Any = None,
) -> np.ndarray:
    """The responses of an image to Gabor filters of all given frequencies and directions, the image transformed once.

    Parameters
    ----------
    image : array_like, (H, W)
    frequency, theta : float or sequence of float
        All frequencies and all directions; each frequency meets each direction.
    bandwidth, sigma_x, sigma_y, n_stds, offset
        As for `gabor_kernel`.
    mode, cval, dtype
        As for `filter_bank`.

    Returns
    -------
    responses : ndarray, (frequencies, directions, H, W)
        Complex; their absolute values are the energies that textures are told apart by.

    Raises
    ------
    InvalidArgument
        As `gabor_kernel` and `filter_bank`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> stripes = np.cos(2 * np.pi * 0.25 * np.arange(32)) * np.ones((32, 1))
    >>> energy = abs(fc.image.gabor_bank(stripes, [0.1, 0.25], np.arange(4) * np.pi / 4)).mean((2, 3))
    >>> [int(i) for i in np.unravel_index(energy.argmax(), energy.shape)]
    [1, 0]
    """
    frequencies, angles = _row(frequency, "frequency"), _row(theta, "theta")
    kernels = [gabor_kernel(f, a, bandwidth, sigma_x, sigma_y, n_stds, offset) for f in frequencies for a in angles]
    y = FilterBank(kernels, mode=mode, cval=cval, flip=True)(image, dtype=dtype)
    return y.reshape(len(frequencies), len(angles), *y.shape[1:])


def _finite(**given: Any) -> list[float]:
    """The values as finite real numbers."""
    numbers = []
    for name, value in given.items():
        number = parse_real(value, name, "a finite number")
        if not math.isfinite(number):
            raise InvalidArgument(f"{name} is {shown(value)}; expected a finite number")
        numbers.append(number)
    return numbers


def _sigma(given: Any, name: str, frequency: float, bandwidth: Any) -> float:
    """A standard deviation: the one given, or that of a bandwidth."""
    if given is None:
        octaves = _finite(bandwidth=bandwidth)[0]
        if not (0 < octaves < 64 and frequency > 0):
            raise InvalidArgument(
                f"frequency is {shown(frequency)} and bandwidth {shown(bandwidth)}; expected both above 0, and at most "
                "64 octaves, or sigma_x and sigma_y"
            )
        ratio = (2.0**octaves + 1) / (2.0**octaves - 1)
        return math.sqrt(math.log(2) / 2) / math.pi * ratio / frequency
    sigma = _finite(**{name: given})[0]
    if sigma <= 0:
        raise InvalidArgument(f"{name} is {shown(given)}; expected a number above 0")
    return sigma


def _row(values: Any, name: str) -> Sequence[float]:
    """One number or some as a list of finite ones."""
    try:
        given = list(np.asarray(values, np.float64).reshape(-1)) if not isinstance(values, (str, bytes)) else []
    except Exception:  # of what is no array of real numbers
        given = []
    if not given or np.ndim(values) > 1:
        raise InvalidArgument(f"{name} is {shown(values)}; expected a number or a sequence of numbers")
    return _finite_row(given, name)


def _finite_row(values: Sequence[float], name: str) -> Sequence[float]:
    return [_finite(**{name: v})[0] for v in values]


def _complex_dtype(dtype: Any) -> np.dtype:
    try:
        found = np.dtype(dtype)
    except Exception:  # of whatever is no dtype
        found = None
    if found not in DTYPES:
        raise InvalidArgument(f"dtype is {shown(dtype)}; expected complex128 or complex64")
    return found
