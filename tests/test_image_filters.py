"""Banks of filters against SciPy's filters, one by one."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.errors import InvalidArgument
from fastconv.image._steps import Filter, steps_for

ndimage = pytest.importorskip("scipy.ndimage")

MODES = ("reflect", "constant", "nearest", "mirror", "wrap")


def bank(rng):
    """Filters of many sizes: separable and not, odd and even, of integers and complex ones."""
    gauss = np.exp(-(np.arange(-7, 8) ** 2) / 8.0)
    return [
        rng.standard_normal((3, 3)),
        np.outer(gauss, gauss),
        rng.standard_normal((4, 6)),
        np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]]),
        rng.standard_normal((1, 5)).astype("f4"),
        rng.standard_normal((11, 11)) + 1j * rng.standard_normal((11, 11)),
        rng.standard_normal((3, 3)),
    ]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dtype", "limit"), [("f4", 1e-5), ("f8", 1e-12), ("u1", 1e-12)])
def test_as_scipy_one_by_one(dtype, limit, mode, flip, rng):
    x, kernels = (rng.random((33, 29)) * 9).astype(dtype), bank(rng)
    y = fc.image.filter_bank(x, kernels, mode=mode, cval=2.5, flip=flip)
    assert y.dtype == ("c8" if dtype == "f4" else "c16")
    assert y.shape == (7, 33, 29)
    function = ndimage.convolve if flip else ndimage.correlate
    for found, k in zip(y, kernels, strict=True):
        if k.dtype.kind == "c":  # ndimage.correlate conjugates complex filters
            parts = [function(x.astype("f8"), part, mode=mode, cval=2.5) for part in (k.real, k.imag)]
            expected = parts[0] + 1j * parts[1]
        else:
            expected = function(x.astype("f8"), k.astype("f8"), mode=mode, cval=2.5)
        np.testing.assert_allclose(found, expected, atol=limit * np.abs(k).sum() * 9)


@pytest.mark.parametrize(("shape", "window"), [((40,), (7,)), ((9, 10, 11), (3, 2, 4)), ((2, 3), (5, 7))])
def test_ranks_and_filters_larger_than_the_image(shape, window, rng):
    x, kernels = rng.random(shape), rng.standard_normal((3, *window))
    for found, k in zip(fc.image.filter_bank(x, kernels), kernels, strict=True):
        np.testing.assert_allclose(found, ndimage.correlate(x, k), atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_channels_are_filtered_one_by_one(axis, rng):
    x, kernels = rng.random((5, 6, 7)), bank(rng)[:3]
    y = fc.image.filter_bank(x, kernels, channel_axis=axis)
    assert y.shape == (3, 5, 6, 7)
    for c in range(x.shape[axis]):
        one = np.take(x, c, axis)
        np.testing.assert_allclose(np.take(y, c, axis + 1 if axis >= 0 else -1), fc.image.filter_bank(one, kernels))


def test_a_bank_serves_images_of_any_shape(rng):
    kernels = bank(rng)[:4]
    made = fc.image.FilterBank(kernels, mode="wrap")
    assert len(made) == 4
    for shape, dtype in (((20, 30), "f8"), ((9, 8), "f4"), ((20, 30), "f4"), ((20, 30), "f8")):
        x = rng.random(shape).astype(dtype)
        np.testing.assert_array_equal(made(x), fc.image.filter_bank(x, kernels, mode="wrap"))
    assert made(np.ones((5, 5), "u1"), dtype="float32").dtype == "f4"


def test_steps_are_chosen_by_the_time_they_take():
    """One large Gaussian runs as passes, many filters without factors as one convolution, whatever their sizes."""
    rng, shape = np.random.default_rng(0), (1, 1, 1024, 1024)
    gauss = np.exp(-(np.arange(-20, 21) ** 2) / 80.0)
    (step,) = steps_for([Filter(0, np.outer(gauss, gauss), (20, 20))], shape, "zeros", np.dtype("f4"))
    assert [w.shape for w in step.filters] == [(1, 1, 41, 1), (1, 1, 1, 41)]
    filters = [Filter(i, rng.random((k, k)), (k // 2, k // 2)) for i, k in enumerate((31, 33, 31, 35))]
    (step,) = steps_for(filters, shape, "zeros", np.dtype("f4"))
    assert step.numbers == (0, 1, 2, 3)
    assert step.filters[0].shape == (4, 1, 35, 35)


def test_nan_reaches_the_windows_that_hold_it(rng):
    x = rng.random((40, 40)).astype("f4")
    x[20, 20] = np.nan
    for kernels in ([np.ones((9, 9))], rng.random((4, 9, 9))):
        y = fc.image.filter_bank(x, kernels)
        hit = np.zeros((40, 40), bool)
        hit[16:25, 16:25] = True
        assert np.array_equal(np.isnan(y), np.broadcast_to(hit, y.shape))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernels": []}, "kernels has 0 filters"),
        ({"kernels": "abc"}, "expected a sequence of arrays"),
        ({"kernels": [np.ones(3)]}, "image has 2 axes, but the kernels have 1"),
        ({"kernels": [np.ones((3, 3)), np.ones(3)]}, r"kernels\[1\] has shape"),
        ({"kernels": np.ones((2, 0, 3))}, "not empty"),
        ({"mode": "symmetric"}, "mode is 'symmetric'"),
        ({"cval": "a", "mode": "constant"}, "cval is 'a'"),
        ({"flip": 1}, "True or False"),
        ({"channel_axis": 2}, "channel_axis is 2"),
        ({"image": np.ones((0, 3))}, "expected some pixels"),
        ({"image": np.ones((3, 3), complex)}, "real numbers"),
    ],
)
def test_wrong_arguments(change, message):
    with pytest.raises(InvalidArgument, match=message):
        fc.image.filter_bank(**{"image": np.ones((5, 5)), "kernels": [np.ones((3, 3))], **change})
