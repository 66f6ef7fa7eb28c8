"""im2col and col2im against plain loops, as adjoints, and as the matrix whose product is the convolution."""

import math

import naive_pool as naive
import numpy as np
import pytest
from cases import UNFOLDS
from hypothesis import given
from hypothesis import strategies as st

import fastconv as fc
from fastconv.errors import InvalidArgument


def functions(rank):
    return getattr(fc, f"unfold{rank}d"), getattr(fc, f"fold{rank}d")


@pytest.mark.parametrize("case", UNFOLDS, ids=str)
@pytest.mark.parametrize("dtype", ("float32", "float64", "int16", "uint8", "bool", "float16", ">f4"))
def test_unfold(case, dtype, rng):
    shape, kernel, stride, padding, dilation = case
    x = rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
    cols = functions(len(kernel))[0](x, kernel, stride=stride, padding=padding, dilation=dilation)
    native = np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(cols, naive.unfold(x, *case[1:]).astype(native), strict=True)


@pytest.mark.parametrize("case", UNFOLDS, ids=str)
@pytest.mark.parametrize("dtype", ("float32", "float64", "int8", "float16"))
def test_fold(case, dtype, rng):
    shape, kernel, stride, padding, dilation = case
    cols = rng.integers(-9, 10, naive.unfold(np.zeros(shape), *case[1:]).shape).astype(dtype)
    dx = functions(len(kernel))[1](cols, shape, kernel, stride=stride, padding=padding, dilation=dilation)
    expected = naive.fold(cols.astype("float64"), *case)
    np.testing.assert_array_equal(dx, expected.astype("float64" if dtype == "int8" else dtype), strict=True)


def test_the_textbook_matrix(rng):
    """The first layer of AlexNet, as CS231n counts it: 55x55 windows of 11x11x3."""
    x = rng.standard_normal((1, 3, 227, 227)).astype("float32")
    cols = fc.unfold2d(x, 11, stride=4)
    assert cols.shape == (1, 363, 3025)
    w = rng.standard_normal((4, 3, 11, 11)).astype("float32")
    y = (w.reshape(4, -1) @ cols[0]).reshape(4, 55, 55)
    windows = np.lib.stride_tricks.sliding_window_view(x[0], (11, 11), (1, 2))[:, ::4, ::4]
    np.testing.assert_allclose(y, np.tensordot(w, windows, ((1, 2, 3), (0, 3, 4))), rtol=0, atol=1e-3)
    np.testing.assert_array_equal(cols[0, :, 56].reshape(3, 11, 11), x[0, :, 4:15, 4:15])


def test_padding_words():
    x = np.arange(20.0).reshape(1, 1, 4, 5)
    np.testing.assert_array_equal(fc.unfold2d(x, 3, padding="valid"), fc.unfold2d(x, 3))
    same = fc.unfold2d(x, (2, 3), padding="same", stride=2)
    np.testing.assert_array_equal(same, fc.unfold2d(x, (2, 3), padding=((0, 0), (1, 1)), stride=2))
    assert fc.fold2d(same, x.shape, (2, 3), padding="same", stride=2).shape == x.shape


def test_not_numbers_are_copied():
    x = np.zeros((1, 1, 3, 40), "float32")
    x[0, 0, 1] = [np.nan, np.inf] * 20
    np.testing.assert_array_equal(
        fc.unfold2d(x, 2, padding=1), naive.unfold(x, (2, 2), (1, 1), ((1, 1), (1, 1)), (1, 1))
    )


def test_inputs_stay_as_they_are(rng):
    x = rng.standard_normal((2, 2, 6, 6))
    kept = x.copy()
    x.setflags(write=False)
    cols = fc.unfold2d(x[:, :, ::2], 2)
    np.testing.assert_array_equal(cols, fc.unfold2d(kept[:, :, ::2].copy(), 2))
    cols.setflags(write=False)
    fc.fold2d(cols, (2, 2, 3, 6), 2)
    np.testing.assert_array_equal(x, kept)


def test_threads_do_not_change_a_bit(rng):
    x = rng.standard_normal((2, 8, 60, 61)).astype("float32")
    results = []
    for count in (1, 2, 3):
        with fc.threads(count):
            cols = fc.unfold2d(x, 3, padding=1)
            results.append((cols, fc.fold2d(cols, x.shape, 3, padding=1)))
    for cols, dx in results[1:]:
        assert (cols == results[0][0]).all() and (dx == results[0][1]).all()


@given(data=st.data(), rank=st.integers(1, 3))
def test_fold_is_the_adjoint(data, rank):
    """sum(unfold(x) * cols) = sum(x * fold(cols))."""

    def draw(low, high):
        return tuple(data.draw(st.integers(low, high)) for _ in range(rank))

    kernel, stride, dilation = draw(1, 3), draw(1, 3), draw(1, 2)
    padding = tuple(zip(draw(0, 3), draw(0, 3), strict=True))
    size = [max(1, d * (k - 1) + 1 - sum(p)) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    shape = (2, 2, *(n + r for n, r in zip(size, draw(0, 20 // rank), strict=True)))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = random.integers(-9, 10, shape).astype("float64")
    unfold, fold = functions(rank)
    windows = {"stride": stride, "padding": padding, "dilation": dilation}
    cols = unfold(x, kernel, **windows)
    np.testing.assert_array_equal(cols, naive.unfold(x, kernel, stride, padding, dilation))
    other = random.integers(-9, 10, cols.shape).astype("float64")
    assert np.vdot(cols, other) == np.vdot(x, fold(other, shape, kernel, **windows))


BAD = {
    "x has 3 axes; expected 4, (N, C, H, W)": lambda x: fc.unfold2d(x[0], 2),
    "x has 4 axes; expected 3, (N, C, W)": lambda x: fc.unfold1d(x, 2),
    "size is 0; each must be at least 1": lambda x: fc.unfold2d(x, 0),
    "size is (2, 2, 2); expected one whole number or 2": lambda x: fc.unfold2d(x, (2, 2, 2)),
    "stride is -1; each must be at least 1": lambda x: fc.unfold2d(x, 2, stride=-1),
    "dilation is 1.5; expected whole numbers": lambda x: fc.unfold2d(x, 2, dilation=1.5),
    "padding is -1; it must not be negative": lambda x: fc.unfold2d(x, 2, padding=-1),
    'padding is \'full\'; expected "valid", "same"': lambda x: fc.unfold2d(x, 2, padding="full"),
    "the output would be empty along width": lambda x: fc.unfold2d(x, (2, 9)),
    "every axis but the batch must have at least one element": lambda x: fc.unfold2d(x[:, :0], 2),
    "x has dtype complex128; expected real numbers": lambda x: fc.unfold2d(x + 0j, 2),
    "x has dtype object": lambda x: fc.unfold2d(x.astype(object), 2),
    "x is None; expected an array": lambda x: fc.unfold2d(None, 2),
    "cols is None; expected an array": lambda x: fc.fold2d(None, x.shape, 2),
    "cols has dtype complex128; expected real numbers": lambda x: fc.fold2d(np.zeros((1, 8, 20), complex), x.shape, 2),
    "cols has shape (1, 8, 9) but x of shape (1, 2, 5, 6) has columns of shape (1, 8, 20)": lambda x: fc.fold2d(
        np.zeros((1, 8, 9)), x.shape, 2
    ),
    "x_shape has 3 axes; expected 4, (N, C, H, W)": lambda x: fc.fold2d(x, (1, 2, 3), 2),
    "the shape of x is 7; expected a tuple of whole numbers": lambda x: fc.fold2d(x, 7, 2),
}


@pytest.mark.parametrize("message", BAD)
def test_errors_say_what_is_wrong(message):
    with pytest.raises(InvalidArgument) as caught:
        BAD[message](np.ones((1, 2, 5, 6)))
    assert message in str(caught.value)


def test_columns_count_what_they_hold():
    """Every element of x stands in as many columns as windows hold it; for one tap that is a copy."""
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    np.testing.assert_array_equal(fc.unfold2d(x, 1), x.reshape(1, 2, 12))
    held = fc.fold2d(fc.unfold2d(np.ones_like(x), 2), x.shape, 2)
    assert held.sum() == 2 * math.prod((2, 3, 2, 2)) and held[0, 0, 1, 1] == 4 and held[0, 0, 0, 0] == 1
