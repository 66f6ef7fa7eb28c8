"""unsharp_mask, difference_of_gaussians, structural_similarity: their formulas by SciPy's filters, and scikit-image."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.errors import InvalidArgument

ndimage = pytest.importorskip("scipy.ndimage")

DTYPES = ("f4", "f8", "u1", "i1", "u2", "?")


def picture(shape, dtype, rng):
    """Numbers of a dtype, floats around 0 and beyond 1."""
    if dtype == "?":
        return rng.random(shape) > 0.5
    if dtype[0] == "f":
        return (rng.standard_normal(shape) * 0.5).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("preserve_range", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_unsharp_mask_as_scikit_image(dtype, preserve_range, rng):
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    # scikit-image 0.26 takes channel_axis=-1 for the first axis: axes counted from 0 only
    for shape, axis, radius in (((20, 30), None, 1.5), ((9, 20, 3), 2, (1, 2)), ((6, 7, 8), None, (0, 1, 2))):
        x = picture(shape, dtype, rng)
        options = {"radius": radius, "amount": 1.7, "preserve_range": preserve_range, "channel_axis": axis}
        y, expected = fc.image.unsharp_mask(x, **options), filters.unsharp_mask(x, **options)
        assert y.dtype == expected.dtype
        np.testing.assert_allclose(y, expected, atol=1e-5 if dtype == "f4" else 1e-10)


@pytest.mark.parametrize("mode", ["reflect", "constant", "nearest", "mirror", "wrap"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_difference_of_gaussians_as_scikit_image(dtype, mode, rng):
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    for shape, axis, sigmas in (((20, 30), None, (1, 3)), ((20, 30), None, ((1, 2),)), ((20, 3, 30), 1, (1.5, (2, 3)))):
        x = picture(shape, dtype, rng)
        options = {"mode": mode, "cval": 0.5, "channel_axis": axis, "truncate": 3.0}
        y = fc.image.difference_of_gaussians(x, *sigmas, **options)
        expected = filters.difference_of_gaussians(x, *sigmas, **options)
        assert y.dtype == expected.dtype
        np.testing.assert_allclose(y, expected, atol=1e-6 if dtype == "f4" else 1e-13)


def test_the_formulas_of_sharpening(rng):
    x = rng.random((20, 30))
    blurred = ndimage.gaussian_filter(x, 2)
    y = fc.image.unsharp_mask(x, 2, 3)
    np.testing.assert_allclose(y, np.clip(x + 3 * (x - blurred), 0, 1), atol=1e-13)
    y = fc.image.difference_of_gaussians(x, 2)
    expected = ndimage.gaussian_filter(x, 2, mode="nearest") - ndimage.gaussian_filter(x, 3.2, mode="nearest")
    np.testing.assert_allclose(y, expected, atol=1e-14)


OPTIONS = (
    {},
    {"win_size": 5, "use_sample_covariance": False, "K1": 0.02, "K2": 0.05},
    {"gaussian_weights": True, "sigma": 1.2},
    {"gaussian_weights": True, "win_size": 9},
)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "u2"])
def test_similarity_as_scikit_image(dtype, options, rng):
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    limit = 1e-4 if dtype == "f4" else 1e-10  # theirs of float32 is computed in float32
    for shape, axis in (((30, 40), None), ((20, 21, 3), -1), ((11, 12, 13), None)):
        x, z = picture(shape, dtype, rng), picture(shape, dtype, rng)
        y = (x * 0.7 + z * 0.3).astype(dtype)
        given = {**options, "channel_axis": axis, "data_range": 2.0 if dtype[0] == "f" else 100}
        found = fc.image.structural_similarity(x, y, gradient=True, full=True, **given)
        expected = metrics.structural_similarity(x, y, gradient=True, full=True, **given)
        for a, b in zip(found, expected, strict=True):
            assert np.dtype(a.dtype if isinstance(a, np.ndarray) else "f8") == (b.dtype if np.ndim(b) else "f8")
            np.testing.assert_allclose(a, b, atol=limit * np.abs(b).max())
        assert fc.image.structural_similarity(x, y, **given) == found[0]


def test_similarity_of_equal_images_and_its_gradient(rng):
    x = rng.random((20, 22))
    y = x + 0.1 * rng.random(x.shape)
    assert fc.image.structural_similarity(x, x, data_range=1) == 1
    options = {"data_range": 1.0, "win_size": 3, "use_sample_covariance": False}
    _, grad = fc.image.structural_similarity(x, y, gradient=True, **options)

    def mean_of_all(y):  # the gradient is that of the mean with the edges, which the mean leaves out
        return fc.image.structural_similarity(x, y, full=True, **options)[1].mean()

    step = np.zeros_like(y)
    step[10, 11] = 1e-6
    difference = (mean_of_all(y + step) - mean_of_all(y - step)) / 2e-6
    assert grad[10, 11] == pytest.approx(difference, rel=1e-4)


def test_float32_similarity_of_faint_structure(rng):
    """An offset that is large beside the structure leaves the similarity as it is."""
    x, y = rng.integers(0, 64, (2, 40, 40)).astype("f4")
    options = {"data_range": 64.0, "K1": 0.0}
    expected = fc.image.structural_similarity(x.astype("f8") + 2**17, y.astype("f8") + 2**17, **options)
    assert fc.image.structural_similarity(x + 2**17, y + 2**17, **options) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("function", "given", "message"),
    [
        ("unsharp_mask", {"image": np.ones((9, 9)), "radius": -1}, "radius is -1"),
        ("unsharp_mask", {"image": np.ones((9, 9)), "radius": (1, 2, 3)}, "one for each of 2 axes"),
        ("unsharp_mask", {"image": np.ones((9, 9)), "preserve_range": 2}, "True or False"),
        ("difference_of_gaussians", {"image": np.ones((9, 9)), "low_sigma": 2, "high_sigma": 1}, "at least that"),
        ("difference_of_gaussians", {"image": np.ones((9, 9)), "low_sigma": 2, "mode": "edge"}, "mode is 'edge'"),
        ("structural_similarity", {"im1": np.ones((9, 9)), "im2": np.ones((9, 9))}, "floats do not tell"),
        ("structural_similarity", {"im1": np.ones((9, 9)), "im2": np.ones((9, 8))}, "expected the same"),
        ("structural_similarity", {"im1": np.ones((5, 9), "u1"), "im2": np.ones((5, 9), "u1")}, "window's 7"),
        ("structural_similarity", {"im1": np.ones((9, 9)), "im2": np.ones((9, 9)), "win_size": 4}, "an odd number"),
    ],
)
def test_wrong_arguments(function, given, message):
    with pytest.raises(InvalidArgument, match=message):
        getattr(fc.image, function)(**given)
