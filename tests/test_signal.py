"""`fastconv.signal` against SciPy for every dtype, shape, mode and border; and what it promises beyond SciPy."""

import itertools
import os
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from fastconv import signal
from fastconv.errors import shown

DTYPES = "?bBhilLefdgFDGO"
MODES = ("full", "same", "valid")
METHODS = ("auto", "direct", "fft")
BOUNDARIES = ("fill", "wrap", "symm", "circular", "pad", "symmetric")
ROUGH = {"e": 5e-2, "f": 2e-5, "F": 2e-5}
FAULTS = [
    (1, 2), ([1], 2), ([], [1]), ([[1]], [1]), (None, [1]), ("a", [1.0]), ([1, 2], [3], "spam"), ([1, 2], [3], 1),
    ([1, 2], [3], ["full"]), ([1, 2], [3], "full", "bacon"), ([1.0, 2], [3.0], "full", None),
    (np.ones(3), np.ones(2), b"full"), (np.ones((2, 3)), np.ones((3, 2)), "valid"),
    (np.ones((2, 3, 4, 5)), np.ones(3)), (np.ones((0, 3)), np.ones((1, 1))),
    (np.ones((5, 6, 2, 1)), np.ones((5, 6, 3, 1)), "full", [0, 1]), (np.ones(3), np.ones(2), "full", []),
    (np.ones(3), np.ones(2), "full", [0, 0]), (np.ones(3), np.ones(2), "full", 1),
    (np.ones(3), np.ones(2), "full", 0.5), (np.ones(3), np.ones(2), "full", "ab"),
    (np.array(["a", "b"]), np.ones(1)), (np.ones(3, "M8[s]"), np.ones(2)),
]  # fmt: skip


def some(rng, shape, char):
    """Random numbers of a dtype."""
    if char in "FDG":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(char)
    if char in "efdg":
        return rng.standard_normal(shape).astype(char)
    return rng.integers(0, 2 if char == "?" else 100, shape).astype(char)


def outcome(function, args, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args, **options)
        except Exception as error:
            return error


def same(name, *args, **options):
    """Both give the same, in one dtype, or raise the same."""
    theirs, ours = (outcome(getattr(module, name), args, options) for module in (scipy.signal, signal))
    call = f"{name}({', '.join(map(shown, args))}, {options})"
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        assert type(theirs) is type(ours) and str(theirs) == str(ours), f"{call}: {theirs!r}, {ours!r}"
        return
    theirs, ours = np.asarray(theirs), np.asarray(ours)
    assert theirs.dtype == ours.dtype and theirs.shape == ours.shape, call
    if theirs.dtype.kind in "biuU":
        assert np.array_equal(theirs, ours), call
        return
    chars = [theirs.dtype.char, *(a.dtype.char for a in args if isinstance(a, np.ndarray))]
    tolerance = max([1e-12, ROUGH.get(chars[0], 0), *(2e-6 for char in chars[1:] if char in ROUGH)])
    theirs, ours = theirs.astype("D"), ours.astype("D")
    np.testing.assert_allclose(ours, theirs, 0, tolerance * max(1.0, np.abs(theirs).max(initial=0.0)), err_msg=call)


@pytest.mark.parametrize("first", DTYPES)
def test_every_pair_of_dtypes(first, rng):
    for second, (sizes, others) in itertools.product(DTYPES, (((30,), (7,)), ((9, 12), (4, 3)))):
        x, w = some(rng, sizes, first), some(rng, others, second)
        mode, method = MODES[rng.integers(3)], METHODS[rng.integers(3)]
        same("convolve", x, w, mode=mode, method=method)
        same("correlate", x, w, mode=mode, method=method)
        same("fftconvolve", x, w, mode=mode)
        if x.ndim == 2:
            boundary = BOUNDARIES[rng.integers(6)]
            same("convolve2d", x, w, mode, boundary)
            same("correlate2d", x, w, mode, boundary)
            same("convolve2d", x, w, mode, "fill", [0.0, 3, 2.5, np.float32(1.5)][rng.integers(4)])


@pytest.mark.parametrize("mode", MODES)
def test_every_shape_of_images(mode, rng):
    shapes = [(1, 1), (3, 1), (1, 4), (3, 4), (4, 3), (6, 7), (2, 9), (13, 14)]
    for sizes, others in itertools.product(shapes, repeat=2):
        first, second = rng.choice(list("dD"), 2)
        x, w = some(rng, sizes, first), some(rng, others, second)
        same("convolve", x, w, mode, METHODS[rng.integers(3)])
        same("correlate", x, w, mode, METHODS[rng.integers(3)])
        same("convolve2d", x, w, mode, BOUNDARIES[rng.integers(6)])
        same("correlate2d", x, w, mode, BOUNDARIES[rng.integers(6)])
        same("oaconvolve", x, w, mode, [None, 0, 1, [0, 1], -1][rng.integers(5)])


@pytest.mark.parametrize("mode", MODES)
def test_axes_and_broadcasting(mode, rng):
    shapes = [(2, 3, 4), (1, 3, 5), (5, 1, 2), (2, 6, 1, 3), (2, 1, 4, 3), (1, 3, 4, 1), (5, 3, 4, 6), (2, 2, 2, 2, 2)]
    choices = [None, 0, 1, [0, 2], -1, [1, 2], (2, 0, 1), [3], [2, 3], [0, 1, 2, 3]]
    for sizes, others in itertools.product(shapes, repeat=2):
        x, w = some(rng, sizes, "d"), some(rng, others, "D")
        same("convolve", x, w, mode)
        same("correlate", w, x, mode)
        for _ in range(3):
            same("fftconvolve", x, w, mode, choices[rng.integers(len(choices))])


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(MODES), st.sampled_from("fdFDlhB"), st.integers(0, 9))
def test_every_length(n, k, mode, char, seed):
    rng = np.random.default_rng(seed)
    x, w = some(rng, (n,), char), some(rng, (k,), "d" if char in "fd" else char)
    same("convolve", x, w, mode)
    same("correlate", x, w, mode)
    same("correlation_lags", n, k, mode)


def test_faults_are_scipys():
    for args in FAULTS:
        for name in ("convolve", "correlate", "fftconvolve", "oaconvolve", "convolve2d", "correlate2d"):
            same(name, *args)
    image, taps = np.ones((4, 5)), np.ones(3)
    for fill in (1j, [1, 2], [], [3], "a", None, np.array(2.0)):
        for mode in MODES:
            same("convolve2d", image, np.ones((2, 2)), mode, "fill", fill)
    for args in (
        (image, taps[:2], taps),
        (image, taps[None], taps),
        (taps, taps, taps),
        (image, [], taps),
        (image, "a", taps),
    ):
        same("sepfir2d", *args)
    x = np.arange(18.0)
    for args in (
        (x, 5, 5), (x, 19, 2), (x, 0, 0), (x, 5, -1), (x, 5, 2, -1), (x, 5, 2, 1, 0.0), (x, 5.0, 2), ("x", 1, 0),
        (x, 5, 2, 0, 1.0, 3), (x, 5, 2, 0, 1.0, -1, "some"), (x, 5, 2, 0, 1.0, -1, "constant", "a"),
    ):  # fmt: skip
        same("savgol_filter", *args)
    for size in (0, -1, "a", 2.5, [3], (3, 3)):
        same("wiener", x, size)


@pytest.mark.parametrize("char", "Bldf")
def test_smoothing(char, rng):
    for shape in ((30,), (12, 13), (4, 20, 3)):
        x = some(rng, shape, char)
        for (length, order), edge in itertools.product(
            ((5, 2), (4, 2), (1, 0), (2, 1)), ("interp", "mirror", "nearest", "wrap", "constant")
        ):
            axis, deriv = int(rng.integers(-x.ndim, x.ndim)), int(rng.integers(4))
            same("savgol_filter", x, length, order, deriv, 0.5, axis, edge, 1.5)
        for size in (None, 3, 4, (3,) * x.ndim, 11):
            same("wiener", x, size, [None, 0.3][rng.integers(2)])


@pytest.mark.parametrize("char", "BldfFD")
def test_sepfir2d(char, rng):
    x = some(rng, (150, 141), char)
    for rows, columns in ((5, 3), (1, 7), (9, 9)):
        same("sepfir2d", x, some(rng, rows, "f"), some(rng, columns, "f"))
        same("sepfir2d", x[:9, :9], some(rng, rows, "f"), some(rng, columns, "f").tolist())


@pytest.mark.parametrize("char", DTYPES)
def test_medfilt2d(char, rng):
    x = some(rng, (12, 15), char)
    for size in (3, 1, 5, [5, 3], (1, 7), None, np.array([3, 3]), 2, [3], [3, 3, 3], 3.0, 0, -1, "a", (13, 3)):
        same("medfilt2d", x, size)
    same("medfilt2d", x[0], 3)
    same("medfilt2d", x[::2, ::-1], 3)


def test_ends_of_savgol_are_exact():
    """Polynomials of its degree pass through, also at the ends of a long window: powers of an index lose digits."""
    t = np.linspace(-1, 1, 200)
    x = 3 * t**3 - t**2 + 5 * t - 1
    np.testing.assert_allclose(signal.savgol_filter(x, 101, 3), x, rtol=0, atol=1e-12)
    slope = signal.savgol_filter(x, 101, 3, deriv=1, delta=t[1] - t[0])
    np.testing.assert_allclose(slope, 9 * t**2 - 2 * t + 5, rtol=0, atol=1e-10)


def test_nan_and_infinities_stay_in_their_windows(rng):
    x, w = rng.standard_normal(5000), rng.standard_normal(501)
    x[2000], x[4000] = np.nan, np.inf
    for name in ("convolve", "fftconvolve", "oaconvolve"):
        y = getattr(signal, name)(x, w, "full")
        bad = ~np.isfinite(y)
        expected = np.zeros(5500, bool)
        expected[2000:2501] = expected[4000:4501] = True
        assert np.array_equal(bad, expected), name
    with pytest.warns(RuntimeWarning):
        assert np.isnan(signal.convolve(x, w, method="fft")).all()  # as SciPy's


@pytest.mark.parametrize("size", [100, 5_000, 70_000, 3_000_000])
def test_integers_are_exact(size, rng):
    """Whatever they are computed in: float32, float64, a transform, or SciPy's integers."""
    x, w = rng.integers(-size, size, 3000), rng.integers(-size, size, 300)
    expected = np.convolve(x, w)
    for method in METHODS[:2]:
        assert np.array_equal(signal.convolve(x, w, method=method), expected)
        assert np.array_equal(signal.correlate(x, w[::-1], method=method), expected)


@pytest.mark.parametrize("boundary", ["wrap", "symm"])
def test_integers_of_filters_larger_than_the_image(boundary):
    """Beyond a border there are elements, so a sum has a product for each tap."""
    x, w = np.full((1, 4), 2**26 - 1), np.full((1, 21), 2**24 + 1)
    same("convolve2d", x, w, "same", boundary)
    same("correlate2d", x // 2**13, w // 2**13, "full", boundary)


def test_integers_wrap_around_as_scipys():
    x, w = np.full((40, 40), 200, np.uint8), np.full((3, 3), 100, np.uint8)
    assert np.array_equal(signal.convolve2d(x, w), scipy.signal.convolve2d(x, w))
    assert np.array_equal(
        signal.convolve2d(x.view(np.int8), w.view(np.int8)), scipy.signal.convolve2d(x.view("b"), w.view("b"))
    )


@pytest.mark.parametrize("char", "fdF")
def test_outer_products_run_as_passes(char, rng, monkeypatch):
    from fastconv.signal import _core

    column, row = some(rng, 13, char), some(rng, 11, char)
    x = some(rng, (200, 190), char)
    calls = []
    conv2d = _core.ops.conv2d
    monkeypatch.setattr(_core.ops, "conv2d", lambda *args, **options: calls.append(1) or conv2d(*args, **options))
    w = np.multiply.outer(column, row)
    for boundary in ("fill", "symm"):
        y = signal.convolve2d(x, w, "same", boundary)
        expected = scipy.signal.convolve2d(x.astype("D"), w.astype("D"), "same", boundary)
        bound = 13 * 11 * np.finfo(char).eps * scipy.signal.convolve2d(np.abs(x), np.abs(w), "same", boundary)
        assert (np.abs(y - expected) <= bound).all()
    assert len(calls) == (4 if char != "F" else 0)


def test_inputs_are_left_alone_and_may_have_any_layout(rng):
    x, w = rng.standard_normal((20, 30))[::2, ::-3], rng.standard_normal((5, 3)).T
    copies = x.copy(), w.copy()
    for name in ("convolve", "correlate", "fftconvolve", "convolve2d", "correlate2d"):
        given_as = getattr(signal, name)(x, w, "same")
        assert np.array_equal(given_as, getattr(signal, name)(*copies, "same"))
    x.flags.writeable = w.flags.writeable = False
    signal.convolve2d(x, w)
    assert np.array_equal(x, copies[0]) and np.array_equal(w, copies[1])
    swapped = x.astype(">f8")
    assert np.array_equal(signal.convolve2d(swapped, w), signal.convolve2d(copies[0], w))


def test_the_method_that_is_chosen(rng):
    long, short = rng.standard_normal(100_000), rng.standard_normal(5_000)
    assert (
        signal.choose_conv_method(long, short) == "fft" and signal.choose_conv_method(long[:200], short[:9]) == "direct"
    )
    for mode in MODES:
        method, times = signal.choose_conv_method(short, long, mode, measure=True)
        assert method == min(times, key=times.get) and set(times) == {"direct", "fft"}
    huge = np.full(2000, 2**30)
    assert signal.choose_conv_method(huge, huge) == "direct"
    same("choose_conv_method", np.ones(5, bool), np.ones(2, bool))
    same("choose_conv_method", np.ones(5), np.ones(2), "some")


class Labelled:
    """As a series of pandas, or an array of xarray: NumPy can read it."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def test_what_numpy_can_read(rng):
    """SciPy makes NumPy's arrays of it, without its mask, and so do we."""
    x = rng.standard_normal(50)
    for module in (scipy.signal, signal):
        y = module.convolve(Labelled(x), [1.0, 2.0], "same")
        assert type(y) is np.ndarray
    same("convolve", np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False]), np.ones(2))
    same("wiener", np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False]))


def test_arrays_of_other_libraries_under_scipys_switch():
    """They come back as they went, and what SciPy refuses then is refused."""
    code = """
        import numpy as np
        from fastconv import signal
        class Namespace:
            @staticmethod
            def asarray(a): return Other(a)
        class Other:
            def __init__(self, a): self.a = np.asarray(a)
            def __array__(self, dtype=None, copy=None): return self.a
            def __array_namespace__(self, api_version=None): return Namespace
        x, w = Other(np.arange(300.0)), Other([1.0, 2.0])
        for y in (signal.convolve(x, w), signal.fftconvolve(x, w), signal.savgol_filter(x, 5, 2), signal.wiener(x)):
            assert type(y) is Other, type(y)
        try:
            signal.convolve(np.ma.array(np.ones(3), mask=True), np.ones(2))
        except TypeError as error:
            print(error)
    """
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    assert "MaskedArray" in subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
