"""fc.stencil: users' functions of windows, against windows of a padded copy."""

import numba
import numpy as np
import pytest

import fastconv as fc
from fastconv.cpu import stencil as kernels
from fastconv.errors import InvalidArgument, TooLarge

MODES = ("zeros", "constant", "edge", "reflect", "symmetric", "wrap")
FILL = 3


@numba.njit
def total(window):
    found = window.flat[0] * 0
    for value in window.flat:
        found += value
    return found


@numba.njit
def any_of(window):
    found = False
    for value in window.flat:
        found |= value
    return found


@numba.njit
def weighted(window, weights, offset):
    found = offset
    for i in range(window.shape[0]):
        for j in range(window.shape[1]):
            found += window[i, j] * weights[i, j]
    return found


@numba.njit
def laplace(window):
    return window[0, 1] + window[1, 0] + window[1, 2] + window[2, 1] - 4 * window[1, 1]


@numba.njit
def refuse_large(window):
    if window[1, 1] > 1000:
        raise ValueError("too large")
    return window[1, 1]


def windows(x, size, mode):
    """Every window of x with its border, in NumPy."""
    pairs = [(k // 2, k - 1 - k // 2) for k in size]
    if mode in ("zeros", "constant"):
        padded = np.pad(x, pairs, constant_values=FILL if mode == "constant" else 0)
    else:
        padded = np.pad(x, pairs, mode=mode)
    return np.lib.stride_tricks.sliding_window_view(padded, size)


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        (((17,), (1,), (5000,)), (4,)),
        (((13, 11), (1, 1), (2, 70), (70, 2)), (3, 5)),
        (((6, 5, 7), (1, 2, 1)), (3, 3, 2)),
    ],
)
def test_windows_at_every_border(shapes, size):
    rng = np.random.default_rng(0)
    axes = tuple(range(-len(size), 0))
    for shape in shapes:
        x = rng.integers(-9, 9, shape).astype(float)
        for mode in MODES:
            y = fc.stencil(x, size, total, mode=mode, cval=FILL)
            np.testing.assert_array_equal(y, windows(x, size, mode).sum(axis=axes), err_msg=f"{shape} {mode}")


def test_blocks_have_the_bits_of_the_whole(monkeypatch):
    """Whatever a task's block is, and however many threads share them."""
    x = np.random.default_rng(1).standard_normal((150, 170))
    whole = fc.stencil(x, 3, laplace, mode="reflect")
    np.testing.assert_allclose(whole, (windows(x, (3, 3), "reflect") * [[0, 1, 0], [1, -4, 1], [0, 1, 0]]).sum((2, 3)))
    for rows, cols in ((1, 1), (7, 13), (150, 16), (1, 170), (149, 169)):
        monkeypatch.setattr(kernels, "_block", lambda *_, block=(rows, cols): block)
        for count in (1, 2, 3):
            with fc.threads(count):
                np.testing.assert_array_equal(fc.stencil(x, 3, laplace, mode="reflect"), whole)


def test_dtypes_are_those_of_the_function():
    rng = np.random.default_rng(2)
    flags = rng.random((20, 30)) < 0.1
    y = fc.stencil(flags, 3, any_of, mode="constant", cval=True)
    assert y.dtype == bool
    np.testing.assert_array_equal(y[1:-1, 1:-1], windows(flags, (3, 3), "zeros").any((2, 3))[1:-1, 1:-1])
    assert y[0].all() and y[:, -1].all()
    x, weights = rng.standard_normal((9, 8)).astype("f4")[::-1], rng.standard_normal((3, 3))
    y = fc.stencil(x, 3, weighted, args=(weights, 2.0), mode="wrap")
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, 2 + (windows(x, (3, 3), "wrap").astype("f8") * weights).sum((2, 3)), rtol=1e-6)
    z = rng.standard_normal((5, 6)) + 1j
    np.testing.assert_allclose(fc.stencil(z, (1, 3), total), windows(z, (1, 3), "zeros").sum((2, 3)))
    out = np.empty((20, 30), bool)
    assert fc.stencil(flags, 3, any_of, out=out) is out
    assert fc.stencil(np.zeros((0, 4)), 3, laplace).shape == (0, 4)


@numba.stencil
def laplace_of_numba(a):
    return a[-1, 0] + a[0, -1] + a[0, 1] + a[1, 0] - 4 * a[0, 0]


def test_numbas_stencil_gives_the_same_inside():
    x = np.random.default_rng(3).standard_normal((40, 50))
    y = fc.stencil(x, 3, laplace)
    np.testing.assert_allclose(y[1:-1, 1:-1], laplace_of_numba(x)[1:-1, 1:-1], atol=1e-14)


def test_what_the_function_raises_is_raised():
    x = np.arange(5000.0).reshape(50, 100)
    for count in (1, 2):
        with fc.threads(count), pytest.raises(ValueError, match="too large"):
            fc.stencil(x, 3, refuse_large)
    np.testing.assert_array_equal(fc.stencil(x[:10], 3, refuse_large), x[:10])


def test_windows_too_large_for_this_machine():
    with pytest.raises(TooLarge, match="the border of an array"):
        fc.stencil(np.ones((4, 4)), 2**31 - 1, laplace)


def test_windows_cannot_be_written_to():
    @numba.njit
    def greedy(window):
        window[0, 0] = 1
        return window[0, 0]

    with pytest.raises(InvalidArgument, match="cannot take a window of float64"):
        fc.stencil(np.ones((4, 4)), 3, greedy)


X = np.ones((4, 5), np.uint8)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fc.stencil(X, 3, lambda window: 1), "put @numba.njit above it"),
        (lambda: fc.stencil(X, 3, laplace_of_numba), "expected a function compiled with numba.njit"),
        (lambda: fc.stencil(X, (3, 3, 3), total), "size is"),
        (lambda: fc.stencil(X, 0, total), "size is"),
        (lambda: fc.stencil(X, 3, total, mode="constant", cval=1.5), "an element of x, uint8"),
        (lambda: fc.stencil(X, 3, total, mode="mirror"), "mode is 'mirror'"),
        (lambda: fc.stencil(X, 3, weighted), "cannot take a window of uint8"),
        (lambda: fc.stencil(X, 3, total, args=3), "expected a tuple"),
        (lambda: fc.stencil(X, 3, total, args=(object(),)), "what Numba takes"),
        (lambda: fc.stencil(1.0, 3, total), "x has 0 axes"),
        (lambda: fc.stencil(X.astype(object), 3, total), "x has dtype object"),
        (lambda: fc.stencil(X, 3, total, out=np.empty((4, 5), "f4")), "expected an array of shape"),
    ],
)
def test_wrong_arguments(call, words):
    with pytest.raises(InvalidArgument, match=words):
        call()
