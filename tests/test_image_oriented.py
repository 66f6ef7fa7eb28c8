"""Gabor and steerable filters: their definitions, scikit-image's, and the directions they find."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.errors import InvalidArgument

ndimage = pytest.importorskip("scipy.ndimage")

PARAMETERS = [
    {"frequency": 0.2},
    {"frequency": 0.1, "theta": 0.7, "bandwidth": 1.5, "offset": 0.3},
    {"frequency": 0.3, "theta": 2.0, "sigma_x": 3.0, "sigma_y": 1.2, "n_stds": 2},
    {"frequency": 0.5, "theta": np.pi / 2, "sigma_x": 0.1},
]


@pytest.mark.parametrize("given", PARAMETERS)
def test_kernels_are_those_of_scikit_image(given):
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    np.testing.assert_allclose(fc.image.gabor_kernel(**given), filters.gabor_kernel(**given), atol=1e-15)
    assert fc.image.gabor_kernel(**given, dtype="complex64").dtype == "c8"


@pytest.mark.parametrize("mode", ["reflect", "constant", "nearest", "mirror", "wrap"])
@pytest.mark.parametrize(("dtype", "limit"), [("f4", 1e-6), ("f8", 1e-14), ("u1", 1e-12)])
def test_responses_are_convolutions(dtype, limit, mode, rng):
    x = (rng.random((31, 40)) * (200 if dtype == "u1" else 1)).astype(dtype)
    kernel = fc.image.gabor_kernel(**PARAMETERS[1])
    found = fc.image.gabor(x, **PARAMETERS[1], mode=mode, cval=0.5)
    for y, part in zip(found, (kernel.real, kernel.imag), strict=True):
        assert y.dtype == ("f4" if dtype == "f4" else "f8")
        np.testing.assert_allclose(y, ndimage.convolve(x.astype("f8"), part, mode=mode, cval=0.5), atol=limit)


def test_gabor_as_scikit_image(rng):
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    x = rng.random((50, 60))
    for given in PARAMETERS:
        for y, expected in zip(fc.image.gabor(x, **given), filters.gabor(x, **given), strict=True):
            np.testing.assert_allclose(y, expected, atol=1e-14)


def test_a_bank_holds_every_frequency_and_direction(rng):
    x = rng.random((40, 45)).astype("f4")
    frequencies, angles = [0.1, 0.25, 0.4], np.arange(4) * np.pi / 4
    y = fc.image.gabor_bank(x, frequencies, angles)
    assert y.shape == (3, 4, 40, 45)
    assert y.dtype == "c8"
    for i, f in enumerate(frequencies):
        for j, angle in enumerate(angles):
            real, imag = fc.image.gabor(x.astype("f8"), f, angle)
            np.testing.assert_allclose(y[i, j], real + 1j * imag, atol=2e-6)
    assert fc.image.gabor_bank(x, 0.2, 0.0).shape == (1, 1, 40, 45)


def derivative(theta, sigma, order, radius):
    """The filter for one direction, from its formula: scaled so that it answers 1 to a ramp or a parabola."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    u = x * np.cos(theta) + y * np.sin(theta)
    gauss = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    gauss /= gauss.sum()
    if order == 1:
        return u * gauss / (u**2 * gauss).sum()
    k = (u**2 / sigma**2 - 1) * gauss
    return k / (k * u**2 / 2).sum()


@pytest.mark.parametrize("order", [1, 2])
def test_every_direction_is_made_of_the_basis(order, rng):
    """Up to the little by which a cut and sampled Gaussian is not round."""
    x, angles = rng.random((60, 70)), np.linspace(0, np.pi, 7)
    y = fc.image.steerable(x, angles, 2.5, order, truncate=6.0)
    for one, angle in zip(y, angles, strict=True):
        expected = ndimage.correlate(x, derivative(angle, 2.5, order, 15))
        np.testing.assert_allclose(one, expected, atol=1e-5 * abs(expected).max())
    np.testing.assert_allclose(fc.image.steerable(x, angles[2], 2.5, order, truncate=6.0), y[2], atol=1e-14)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0])
def test_steerable_answers_derivatives(sigma, order):
    """Of polynomials exactly: flat images answer nothing."""
    i, j = np.mgrid[:60, :64].astype(float)
    x = 3 + 2 * j - i + (0.5 * j**2 + 3 * i * j - i**2) * (order == 2)
    inside = (slice(25, 35), slice(25, 35))
    for angle in (0.0, 0.4, 2.2):
        cos, sin = np.cos(angle), np.sin(angle)
        expected = 2 * cos - sin if order == 1 else cos**2 + 6 * cos * sin - 2 * sin**2
        np.testing.assert_allclose(fc.image.steerable(x, angle, sigma, order)[inside], expected, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2])
def test_the_strongest_direction(order, rng):
    x = rng.random((40, 50))
    theta, response = fc.image.steerable_orientation(x, 2.0, order)
    np.testing.assert_allclose(fc.image.steerable(x, theta, 2.0, order), response, atol=1e-13)
    every = fc.image.steerable(x, np.linspace(-np.pi, np.pi, 721), 2.0, order)
    np.testing.assert_allclose(abs(response), abs(every).max(axis=0), atol=1e-4 * abs(every).max())


def test_directions_of_pixels_follow_an_edge():
    i, j = np.mgrid[-30:31, -30:31]
    disc = (1 / (1 + np.exp(np.hypot(i, j) - 20))).astype("f4")
    theta, response = fc.image.steerable_orientation(disc, 2.0)
    assert theta.dtype == response.dtype == "f4"
    rim = response > response.max() / 2
    away = np.angle(np.exp(1j * (theta - np.arctan2(-i, -j)))[rim])
    assert abs(away).max() < 0.05


@pytest.mark.parametrize(
    ("function", "given", "message"),
    [
        ("gabor_kernel", {"frequency": 0}, "frequency is 0"),
        ("gabor_kernel", {"frequency": np.nan}, "a finite number"),
        ("gabor_kernel", {"frequency": 0.1, "sigma_x": -1}, "sigma_x is -1"),
        ("gabor_kernel", {"frequency": 1e-6}, "smaller sigmas"),
        ("gabor_kernel", {"frequency": 0.1, "dtype": float}, "complex128 or complex64"),
        ("gabor_kernel", {"frequency": 0.1, "n_stds": -1}, "n_stds is -1"),
        ("gabor_bank", {"image": np.ones((9, 9)), "frequency": [], "theta": 0}, "frequency is"),
        ("steerable_basis", {"sigma": 0}, "sigma is 0"),
        ("steerable_basis", {"sigma": 1, "order": 3}, "order is 3"),
        ("steerable", {"image": np.ones((9, 9)), "theta": "a"}, "theta is 'a'"),
        ("steerable", {"image": np.ones((9, 9)), "theta": np.ones((3, 3))}, "for each pixel"),
        ("steerable", {"image": np.ones(9), "theta": 0}, "image has 1 axes"),
    ],
)
def test_wrong_arguments(function, given, message):
    with pytest.raises(InvalidArgument, match=message):
        getattr(fc.image, function)(**given)
