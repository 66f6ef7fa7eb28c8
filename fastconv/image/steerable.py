"""Steerable filters: derivatives of a Gaussian in any direction, made of few in fixed directions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..spec import parse_real
from .filters import FilterBank
from .gabor import _row

ORDERS = (1, 2)
MOST_SIGMA = 1 << 12


def steerable_basis(sigma: float, order: int = 1, truncate: float = 4.0) -> np.ndarray:
    """The filters that a Gaussian's derivatives in all directions are made of.

    Order 1: its derivatives by x and by y. Order 2: those by x twice, by x and y, and by y twice. Each is an outer
    product. To be correlated with: each answers 1 to a ramp, or a parabola, whose derivative is 1.

    Parameters
    ----------
    sigma : float
        Standard deviation of the Gaussian in pixels.
    order : {1, 2}
    truncate : float
        How many sigmas the filters reach from their centres.

    Returns
    -------
    ndarray, (order + 1, K, K)

    Raises
    ------
    InvalidArgument
        `sigma` or `truncate` not positive, another order.

    Examples
    --------
    >>> import fastconv as fc
    >>> x, y = fc.image.steerable_basis(1.0)
    >>> x.shape, bool((x == y.T).all()), x[4, 3:6].round(3).tolist()
    ((9, 9), True, [-0.097, 0.0, 0.097])
    """
    scale, reach = parse_real(sigma, "sigma", "a number above 0"), parse_real(truncate, "truncate", "a number above 0")
    if not (0 < scale <= MOST_SIGMA and 0 < reach <= MOST_SIGMA and scale * reach <= MOST_SIGMA):
        raise InvalidArgument(
            f"sigma is {shown(sigma)} and truncate {shown(truncate)}; expected numbers above 0, their product at most "
            f"{MOST_SIGMA}"
        )
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)) or order not in ORDERS:
        raise InvalidArgument(f"order is {shown(order)}; expected 1 or 2")
    radius = max(1, int(reach * scale + 0.5))
    t = np.arange(-radius, radius + 1)
    gauss = np.exp(-((t / scale) ** 2) / 2)
    gauss /= gauss.sum()
    first = _answering(t * gauss, t)
    if order == 1:
        return np.array([np.outer(gauss, first), np.outer(first, gauss)])
    second = (t / scale) ** 2 * gauss
    second = _answering(second - gauss * second.sum(), t**2 / 2)
    return np.array([np.outer(gauss, second), np.outer(first, first), np.outer(second, gauss)])


def _answering(taps: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Taps scaled to answer 1."""
    return taps / (taps @ to)


def steerable(
    image: Any,
    theta: Any,
    sigma: float = 1.0,
    order: int = 1,
    *,
    truncate: float = 4.0,
    mode: str = "reflect",
    cval: float = 0.0,
    dtype: Any = None,
) -> np.ndarray:
    """The first or second derivative of an image, smoothed by a Gaussian, in any directions.

        order 1:  y = cos(t)*Gx + sin(t)*Gy
        order 2:  y = cos(t)**2*Gxx + 2*cos(t)*sin(t)*Gxy + sin(t)**2*Gyy

    where the G are the responses to `steerable_basis`: two or three filters, run as passes, serve all directions.

    Parameters
    ----------
    image : array_like, (H, W)
    theta : float, sequence of float, or ndarray (..., H, W)
        Directions in radians, from that of the rows to that of the columns; an array of at least two axes has a
        direction for each pixel.
    sigma, order, truncate
        As for `steerable_basis`.
    mode, cval, dtype
        As for `filter_bank`.

    Returns
    -------
    ndarray
        (H, W) for one direction, (directions, H, W) for several, (..., H, W) for directions of pixels.

    Raises
    ------
    InvalidArgument
        As `steerable_basis` and `filter_bank`; directions of pixels of another shape.

    Notes
    -----
    Source: Freeman & Adelson, "The design and use of steerable filters" (1991), section III. The sum of the outer
    products has the error of `filter_bank` for each of them.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> ramp = np.arange(30.0) + 2 * np.arange(30.0)[:, None]
    >>> fc.image.steerable(ramp, [0, np.pi / 2, np.pi / 4])[:, 15, 15].round(6)
    array([1.     , 2.     , 2.12132])
    """
    basis = FilterBank(steerable_basis(sigma, order, truncate), mode=mode, cval=cval)(image, dtype=dtype)
    angles = _angles(theta, basis.shape[1:])
    if order == 1:
        weights = np.array([np.cos(angles), np.sin(angles)])
    else:
        weights = np.array([np.cos(angles) ** 2, 2 * np.cos(angles) * np.sin(angles), np.sin(angles) ** 2])
    weights = weights.astype(basis.dtype)
    if angles.ndim < 2:
        y = weights.reshape(len(basis), -1).T @ basis.reshape(len(basis), -1)
        return y.reshape(*angles.shape, *basis.shape[1:])
    return sum((w * b for w, b in zip(weights[1:], basis[1:], strict=True)), start=weights[0] * basis[0])


def steerable_orientation(
    image: Any,
    sigma: float = 1.0,
    order: int = 1,
    *,
    truncate: float = 4.0,
    mode: str = "reflect",
    cval: float = 0.0,
    dtype: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The direction in which `steerable` answers strongest at each pixel, and how strongly.

    Order 1 finds edges: the direction and size of the gradient. Order 2 finds lines: of both curvatures of the image
    the one that is larger in size, with its sign (dark lines answer above 0).

    Parameters
    ----------
    image : array_like, (H, W)
    sigma, order, truncate, mode, cval, dtype
        As for `steerable`.

    Returns
    -------
    theta, response : ndarray, (H, W)
        Directions from -pi to pi (order 1) or -pi/2 to pi/2 (order 2), and ``steerable(image, theta, ...)`` there.

    Raises
    ------
    InvalidArgument
        As `steerable`.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> ramp = np.arange(30.0) + np.arange(30.0)[:, None]
    >>> theta, response = fc.image.steerable_orientation(ramp)
    >>> float(np.degrees(theta[15, 15]).round(6)), float(response[15, 15].round(6))
    (45.0, 1.414214)
    """
    basis = FilterBank(steerable_basis(sigma, order, truncate), mode=mode, cval=cval)(image, dtype=dtype)
    if order == 1:
        return np.arctan2(basis[1], basis[0]), np.hypot(basis[0], basis[1])
    xx, xy, yy = basis
    mean, half = (xx + yy) / 2, (xx - yy) / 2
    swing = np.hypot(half, xy)
    theta = np.arctan2(xy, half) / 2  # where the response is mean + swing
    turned = np.where(theta > 0, theta - math.pi / 2, theta + math.pi / 2).astype(theta.dtype)
    return np.where(mean < 0, turned, theta), np.where(mean < 0, mean - swing, mean + swing)


def _angles(theta: Any, shape: tuple[int, ...]) -> np.ndarray:
    """One direction, some, or one for each pixel."""
    try:
        angles = np.asarray(theta)
        if angles.dtype.kind not in "biuf" or not angles.size:
            raise TypeError
    except Exception:  # of what is no array
        raise InvalidArgument(f"theta is {shown(theta)}; expected directions in radians") from None
    angles = angles.astype(np.float64)
    if angles.ndim < 2:
        return np.asarray(_row(angles, "theta")).reshape(angles.shape)
    if angles.shape[-2:] != shape:
        raise InvalidArgument(f"theta has shape {angles.shape}; expected a direction for each pixel of {shape}")
    return angles
