"""fastconv.ndimage against SciPy's functions, to the last bit, and against plain sums over padded arrays."""

import itertools
import platform
import warnings

import numpy as np
import pytest
from child import run_script
from scipy import ndimage as theirs

import fastconv as fc
from fastconv import ndimage

MODES = {"reflect": "symmetric", "constant": "constant", "nearest": "edge", "mirror": "reflect", "wrap": "wrap"}
DTYPES = ("f8", "f4", "u1", "i2", "i4", "u4", "?", "i8", "c8")
WHOLE = ("gaussian_filter", "uniform_filter", "sobel", "prewitt", "laplace", "gaussian_laplace")
RANKS = ("median_filter", "rank_filter", "percentile_filter")
BOXES = ("maximum_filter", "minimum_filter", *RANKS, "grey_erosion", "grey_dilation", "footprint", "structure")


def numbers(rng, shape, dtype):
    x = rng.standard_normal(shape) * rng.choice([3, 40])
    return (np.abs(x) if np.dtype(dtype).kind == "u" else x).astype(dtype)


def outcome(function, *args, **kwargs):
    """The result, or the error with its words, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            return type(error), str(error)
    return result, [(w.category, str(w.message)) for w in caught]


def assert_same(name, *args, rounding=0.0, **kwargs):
    """Our result and SciPy's, or the errors: the same bits, or numbers that close."""
    ours, theirs_ = (outcome(getattr(library, name), *args, **kwargs) for library in (ndimage, theirs))
    if isinstance(theirs_[0], type):
        assert ours == theirs_
        return
    (y, warned), (expected, expected_warnings) = ours, theirs_
    assert warned == expected_warnings
    assert y.dtype == expected.dtype and y.shape == expected.shape
    if expected.dtype == bool:  # SciPy keeps 0 to 255 in its bytes
        expected = expected.view(np.uint8) != 0
    if rounding:
        np.testing.assert_allclose(y, expected, rtol=rounding, atol=rounding * 100)
    else:
        np.testing.assert_array_equal(y, expected)


def any_call(rng):
    """A function and arguments of any kind."""
    ndim = int(rng.integers(1, 4))
    shape = tuple(map(int, rng.integers(1, (60, 40, 14)[ndim - 1], ndim)))
    name, dtype = str(rng.choice(WHOLE + BOXES)), str(rng.choice(DTYPES))
    if name in BOXES and dtype == "c8":
        dtype = "f4"
    if name in RANKS or (name in BOXES and dtype in ("u4", "i4")):
        dtype = str(rng.choice(["f8", "f4", "u1", "?"]))  # a kernel for each width
    x, k = numbers(rng, shape, dtype), int(rng.integers(1, 8))
    mode = str(rng.choice([*MODES, "grid-wrap", "grid-mirror", "grid-constant"]))
    options = {"mode": mode, "cval": float(rng.choice([0, 2.5, -3]))}
    output = rng.choice(["", "f4", "f8", "i2", "u1"])
    if output and not (ndim == 1 and name in RANKS):  # SciPy's one-dimensional ranks write bits of x's dtype
        options["output"] = np.dtype("c16" if dtype == "c8" else output)
    if k > 2 and name in ("uniform_filter", *BOXES):
        options["origin"] = int(rng.integers(-1, 2))
    window = (k,) * ndim
    if name == "footprint":
        footprint = rng.random(window) < 0.6
        footprint.flat[0] = True
        return "maximum_filter", (x,), {**options, "footprint": footprint}
    if name == "structure":
        return str(rng.choice(["grey_erosion", "grey_dilation"])), (x,), {
            **options, "structure": rng.standard_normal(window)
        }  # fmt: skip
    more = {"rank_filter": (int(rng.integers(k**ndim)), k), "percentile_filter": (float(rng.random() * 100), k)}
    sigma = float(rng.choice([0.6, 1, 2.3]))
    plain = () if name in ("sobel", "prewitt", "laplace") else (sigma,) if "gaussian" in name else (k,)
    return name, (x, *more.get(name, plain)), options


def check_calls(rng, count):
    for _ in range(count):
        name, args, options = any_call(rng)
        single = "f4" in (args[0].dtype.str[1:], np.dtype(options.get("output", "f8")).str[1:])
        floats = np.dtype(options.get("output", args[0].dtype)).kind in "fc"
        rounding = (1e-5 if single or args[0].dtype == np.complex64 else 1e-12) if name == "uniform_filter" else 0
        assert_same(name, *args, rounding=rounding if floats else 0, **options)


def test_any_call_is_scipys(rng):
    check_calls(rng, 400)


@pytest.mark.slow
def test_many_calls_are_scipys(rng):
    check_calls(rng, 20_000)


@pytest.mark.parametrize("name", ["correlate", "convolve", "correlate1d", "convolve1d"])
def test_correlations_are_scipys(rng, name):
    for shape in ((13,), (7, 9), (5, 6, 7), (40, 30, 3), (3, 4, 5, 6), (1, 1)):
        for dtype, mode, complex_weights in itertools.product(("f8", "f4", "u1", "c16"), MODES, (False, True)):
            size = rng.integers(1, 4, len(shape)) if "1d" not in name else rng.integers(1, 8, 1)
            w = rng.standard_normal(size) + (1j * rng.standard_normal(size) if complex_weights else 0)
            axis = {"axis": int(rng.integers(len(shape)))} if "1d" in name else {}
            assert_same(name, numbers(rng, shape, dtype), w, mode=mode, cval=1.5, **axis)


@pytest.mark.parametrize(
    "shape, dtype", [((700, 900), "f4"), ((400, 500, 3), "u1"), ((300_000,), "f8"), ((9, 90, 300), "f8")]
)
def test_arrays_of_many_blocks(rng, shape, dtype):
    x = numbers(rng, shape, dtype)
    for mode in ("mirror", "wrap", "constant"):
        assert_same("gaussian_filter", x, 3.0, mode=mode, cval=2.0)
        assert_same("sobel", x, 0, mode=mode, cval=2.0)
        assert_same("correlate", x, rng.standard_normal((3,) * x.ndim), mode=mode, cval=2.0)
        assert_same("maximum_filter", x, 5, mode=mode, cval=2.0)
    assert_same("uniform_filter", x, 7, rounding=1e-5 if dtype == "f4" else 1e-11)
    assert_same("median_filter", x, 3)
    assert_same("laplace", x)


def test_windows_larger_than_the_array(rng):
    x = rng.standard_normal((5, 4))
    for mode in MODES:
        assert_same("gaussian_filter", x, 6.0, mode=mode, cval=1.0)
        assert_same("correlate", x, rng.standard_normal((13, 17)), mode=mode, cval=1.0)
        assert_same("median_filter", x, 15, mode=mode, cval=1.0)
        assert_same("maximum_filter", x, 15, mode=mode, cval=1.0)
        assert_same("uniform_filter", x, 15, rounding=1e-12, mode=mode, cval=1.0)


@pytest.mark.parametrize("axes", [*itertools.permutations(range(4), 2), (1,), (-1, 0), ()])
def test_some_axes(rng, axes):
    x, axes = rng.standard_normal((6, 5, 7, 8)), tuple(axes)
    if len(axes) == 2:
        w = rng.standard_normal((3, 5))
        assert_same("correlate", x, w, axes=axes, origin=(1, 0))
        assert_same("maximum_filter", x, footprint=w > 0, axes=axes)
        assert_same("rank_filter", x, 1, footprint=w > 0, axes=axes, mode="wrap")
        assert_same("gaussian_filter", x, (1, 2), axes=axes, mode=("wrap", "mirror"))
    assert_same("uniform_filter", x, 3, axes=axes, rounding=1e-12)
    assert_same("laplace", x, axes=axes)
    assert_same("gaussian_laplace", x, 1.0, axes=axes)
    assert_same("median_filter", x, 3, axes=axes)


@pytest.mark.parametrize("mode", MODES)
def test_plain_sums(rng, mode):
    """The formulas, over an array padded by NumPy."""
    x, w = rng.standard_normal((6, 7)), rng.standard_normal((3, 4))
    options = {"constant_values": 0.5} if mode == "constant" else {}
    padded = np.pad(x, ((1, 1), (2, 1)), mode=MODES[mode], **options)
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape).reshape(6, 7, -1)
    np.testing.assert_allclose(ndimage.correlate(x, w, mode=mode, cval=0.5), windows @ w.ravel(), atol=1e-14)
    for name, expected in (
        ("maximum", windows.max(-1)),
        ("minimum", windows.min(-1)),
        ("median", np.sort(windows)[..., 6]),
    ):
        y = getattr(ndimage, f"{name}_filter")(x, size=w.shape, mode=mode, cval=0.5)
        np.testing.assert_array_equal(y, expected)
    mean = ndimage.uniform_filter(x, size=w.shape, mode=mode, cval=0.5)
    np.testing.assert_allclose(mean, windows.mean(-1), atol=1e-14)


def test_means_do_not_drift():
    """An error of SciPy's running sum stays to the end of the axis; ours is that of one window."""
    x = np.ones(200_000)
    x[100] = 1e16
    y = ndimage.uniform_filter1d(x, 5)
    assert (y[103:] == 1).all() and (theirs.uniform_filter1d(x, 5)[103:] != 1).any()


def test_nan_and_infinity_stay_in_their_windows(rng):
    x = rng.standard_normal((20, 30)).astype(np.float32)
    x[7, 9], x[15, 20] = np.nan, np.inf
    near = theirs.maximum_filter(np.isnan(x), 3)
    for name in ("uniform_filter", "maximum_filter", "minimum_filter"):
        assert (np.isnan(getattr(ndimage, name)(x, 3)) == near).all()
    infinite = ndimage.uniform_filter(x, 3)
    assert (np.isinf(infinite) == theirs.maximum_filter(np.isinf(x), 3)).all()
    filled = np.where(np.isnan(x), np.float32(3e38), x)
    ranked = ndimage.median_filter(x, 3)  # NaN is the largest number
    assert (ranked == ndimage.median_filter(filled, 3)).all()
    assert np.isnan(ndimage.percentile_filter(x, 99, 5)[7, 9])
    negative = np.array([1.0, -np.nan, 2.0, 0.0, 1.0])  # as 0/0 gives it on x86
    assert (ndimage.median_filter(negative, 3) == [1, 2, 2, 1, 1]).all()


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
@pytest.mark.parametrize("size", [2, 3, 5, 8, 13])
def test_ranks_of_every_way(rng, dtype, size):
    """Networks in registers and in scratch, and bit by bit."""
    x = numbers(rng, (23, 41), dtype)
    for rank in (0, 1, size * size // 2, size * size - 1):
        assert_same("rank_filter", x, rank, size=size)


def test_large_integers_are_exact():
    x = np.array([[2**62 + 1, 2**62 + 3, 5], [2**62 + 2, 7, 2**62 + 4], [1, 2, 3]])
    assert ndimage.median_filter(x, 3)[1, 1] == 7
    assert ndimage.rank_filter(x, -2, size=3)[1, 1] == 2**62 + 3  # SciPy's has passed through float64


def test_bits_do_not_depend_on_threads(rng):
    x = rng.standard_normal((300, 400)).astype(np.float32)
    calls = [
        lambda: ndimage.gaussian_filter(x, 2),
        lambda: ndimage.correlate(x, x[:5, :5]),
        lambda: ndimage.uniform_filter(x, 9),
        lambda: ndimage.median_filter(x, 5),
    ]
    for call in calls:
        with fc.threads(1):
            alone = call()
        with fc.threads(3):
            assert (call() == alone).all()


def test_arrays_of_any_layout(rng):
    x, w = rng.standard_normal((12, 15)), rng.standard_normal((3, 3))
    expected = theirs.correlate(x, w)
    frozen = x.copy()
    frozen.flags.writeable = False
    wide = np.zeros((24, 30))
    wide[::2, ::-2] = x
    for given in (np.asfortranarray(x), x.astype(">f8"), frozen, wide[::2, ::-2], x.tolist()):
        np.testing.assert_array_equal(ndimage.correlate(given, w), expected)
    out = np.zeros((24, 15))[::2]
    assert ndimage.correlate(x, w, output=out) is out and (out == expected).all()
    same = x.copy()
    ndimage.gaussian_filter(same, 1, output=same)
    np.testing.assert_array_equal(same, theirs.gaussian_filter(x, 1))
    shifted = np.concatenate([x, x])
    ndimage.median_filter(shifted[:12], 3, output=shifted[1:13])
    np.testing.assert_array_equal(shifted[1:13], theirs.median_filter(x, 3))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (1, 1, 1)])
def test_hardly_any_elements(shape):
    x = np.full(shape, 3.0)
    for name, args in (
        ("gaussian_filter", (1.0,)),
        ("uniform_filter", (3,)),
        ("maximum_filter", (3,)),
        ("laplace", ()),
    ):
        assert_same(name, x, *args)


def test_what_scipy_refuses():
    """Its own errors and words."""
    x, w = np.ones((4, 5)), np.ones((3, 3))
    wrong = [
        ("correlate", (x, np.ones(3)), {}),
        ("correlate", (x, w), {"mode": "periodic"}),
        ("correlate", (x, w), {"mode": ["reflect", "wrap"]}),
        ("convolve", (x, w), {"origin": 2}),
        ("convolve", (x, w), {"output": np.zeros((3, 3))}),
        ("correlate", (x, w), {"axes": (0, 0)}),
        ("correlate", (x, w), {"axes": (0, 2)}),
        ("correlate", (x, w), {"axes": "xy"}),
        ("correlate", (x, 1j * w), {"cval": 1j}),
        ("correlate", (x, 1j * w), {"output": "float32"}),
        ("correlate", (x, 1j * w), {"output": np.float32}),  # a warning
        ("correlate", (x.astype("f2"), w), {}),
        ("correlate", (x.astype("U3"), w), {}),
        ("correlate1d", (x, []), {}),
        ("correlate1d", (x, [1, 2], 2), {}),
        ("convolve1d", (x, w), {}),
        ("gaussian_filter", (x, (1, 2, 3)), {}),
        ("gaussian_filter", (x, 1), {"order": -1}),
        ("gaussian_filter", (x, 1), {"radius": 1.5}),
        ("gaussian_filter", (x, "wide"), {}),
        ("uniform_filter1d", (x, 0), {}),
        ("uniform_filter", (x, 3), {"origin": 2}),
        ("sobel", (x, 2), {}),
        ("sobel", (x,), {"mode": ("wrap",)}),
        ("maximum_filter", (x,), {}),
        ("maximum_filter", (x,), {"size": 3, "footprint": w}),  # a warning
        ("maximum_filter", (x,), {"footprint": 0 * w}),
        ("maximum_filter", (x + 1j, 3), {}),
        ("maximum_filter1d", (x, 3), {"origin": -2}),
        ("minimum_filter", (x,), {"footprint": [[0, 1]], "mode": ["wrap", "wrap"]}),
        ("grey_erosion", (x,), {}),
        ("grey_dilation", (x,), {"structure": np.ones(3)}),
        ("median_filter", (x,), {}),
        ("median_filter", (x, 3), {"footprint": w}),  # a warning
        ("rank_filter", (x, 9, 3), {}),
        ("rank_filter", (x, -10, 3), {}),
        ("rank_filter", (x, 1.5, 3), {}),
        ("percentile_filter", (x, 101, 3), {}),
        ("percentile_filter", (x, -101, 3), {}),
    ]
    for name, args, options in wrong:
        assert_same(name, *args, **options)


def test_long_doubles_and_objects(rng):
    x, w = rng.standard_normal((9, 8)), rng.standard_normal((3, 3))
    for name, args in (("correlate", (w,)), ("gaussian_filter", (1.0,)), ("uniform_filter", (3,)), ("sobel", ())):
        expected = getattr(theirs, name)(x, *args)
        for dtype in (np.longdouble, object):
            y = getattr(ndimage, name)(x.astype(dtype), *args)
            assert y.dtype == dtype
            np.testing.assert_allclose(y.astype(float), expected, atol=1e-13)
    for name, args in (("maximum_filter", (3,)), ("median_filter", (3,)), ("minimum_filter", (3,))):
        y = getattr(ndimage, name)(x.astype(object), *args, mode="constant", cval=0.25)
        np.testing.assert_array_equal(y.astype(float), getattr(theirs, name)(x, *args, mode="constant", cval=0.25))


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="looks for instructions of x86")
def test_vectors_of_minima_and_maxima(tmp_path):
    """The networks' comparators are single instructions on vectors; code from the cache cannot be looked at."""
    run_script({"FASTCONV_CACHE_DIR": str(tmp_path)}, ASSEMBLY)


ASSEMBLY = """
import numpy as np
from fastconv import ndimage
from fastconv.cpu.filters.ranks import select_blocks

ndimage.median_filter(np.ones((9, 9), np.float32), 3)
code = "".join(select_blocks.serial.inspect_asm().values())
assert code.count("pminsd") > 100 and code.count("pmaxsd") > 100
"""
