"""What every convolution does alike: bias, activations, out=, dtypes, any array-like, NaN and Inf where they belong."""

import naive
import numba
import numpy as np
import pytest
from cases import Case
from problems import LAYOUTS, OPS, function, oracle, problem, solve, to_last
from tolerances import assert_close, tolerance

import fastconv as fc
from fastconv.errors import InvalidArgument, Unsupported

METHODS = ("direct", "im2col", "fft")
#: Odd sizes with a stride, so that every method has tails.
CASE = Case("options", (2, 3, 11, 17), (5, 3, 3, 3), {"padding": ((1, 2), (0, 1)), "stride": (1, 2)})
PAIRS = [("reflect", 2, 1), ("edge", 1, 2), ("zeros", 1, 1)]


@numba.njit
def swish(v):
    """v times its sigmoid."""
    return v / (1 + np.exp(-v))


@numba.njit
def cube(v):
    """v to the third."""
    return v * v * v


# Bias and activation


@pytest.mark.parametrize(
    "activation",
    [None, "relu", "leaky_relu", "sigmoid", "tanh", swish, cube],
    ids=lambda a: getattr(a, "__name__", str(a)),
)
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_bias_and_activation(method, channels_last, with_bias, activation):
    data = problem(CASE)
    b = np.linspace(-9, 9, 5) if with_bias else None
    y = solve(CASE, "conv", data.x, data.w, b, channels_last, "float32", method=method, activation=activation)
    plain = naive.conv(data.x, data.w, b, **CASE.plain)
    function = getattr(activation, "py_func", activation)
    expected = naive.activate(plain, function)
    slope = np.abs(naive.activate(plain + 1e-3, function) - expected) / 1e-3 + 1
    atol = tolerance(method, "float32", 27) + 8 * np.finfo("float32").eps * np.abs(plain)
    assert y.shape == expected.shape
    assert np.all(np.abs(y - expected) <= atol * slope + 8 * np.finfo("float32").eps)


@pytest.mark.parametrize(
    "name, low, high", [("relu", 0, 1e4), ("leaky_relu", -1e2, 1e4), ("sigmoid", 0, 1), ("tanh", -1, 1)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["direct", "im2col"])
def test_activations_far_out(method, name, low, high, dtype):
    """Neither overflow nor a warning; NaN stays NaN."""
    x = np.array([[[-1e4, -np.inf, 0, np.inf, 1e4, np.nan]]], dtype)
    y = fc.conv1d(x, np.ones((1, 1, 1), dtype), activation=name, method=method)[0, 0]
    infinite = {"relu": (0, np.inf), "leaky_relu": (-np.inf, np.inf), "sigmoid": (0, 1), "tanh": (-1, 1)}[name]
    middle = 0.5 if name == "sigmoid" else 0
    np.testing.assert_allclose(y, [low, infinite[0], middle, infinite[1], high, np.nan], rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("given", ["swish", 3, np.tanh, ["relu"], lambda v: v])
def test_unknown_activation(given):
    with pytest.raises(InvalidArgument, match="activation"):
        fc.conv1d(np.ones((1, 1, 5)), np.ones((1, 1, 2)), activation=given)


def test_bias_of_the_wrong_length():
    with pytest.raises(InvalidArgument, match=r"b has shape \(4,\).*expected \(5,\)"):
        fc.conv2d(np.ones(CASE.x_shape), np.ones(CASE.w_shape), np.ones(4))


# out=


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["as it is", "transposed view", "every second", "big-endian"])
def test_out_is_filled_and_returned(kind, method):
    data = problem(CASE)
    x, w = data.x.astype("float32"), data.w.astype("float32")
    shape = CASE.y_shape
    out = {
        "as it is": lambda: np.empty(shape, "float32"),
        "transposed view": lambda: np.empty(shape[::-1], "float32").T,
        "every second": lambda: np.empty((*shape[:-1], 2 * shape[-1]), "float32")[..., ::2],
        "big-endian": lambda: np.empty(shape, ">f4"),
    }[kind]()
    out[...] = np.nan
    if kind == "big-endian":
        with pytest.raises(InvalidArgument, match="out has shape"):
            fc.conv2d(x, w, out=out, method=method, **CASE.options)
        return
    assert fc.conv2d(x, w, out=out, method=method, **CASE.options) is out
    assert_close(out, data.expected("conv"), method, 27)


@pytest.mark.parametrize("out", [np.empty((1, 1, 3)), np.empty((1, 1, 4), "float32"), np.empty(4), [0.0], "out"])
def test_out_that_does_not_fit(out):
    with pytest.raises(InvalidArgument, match=r"out .*\(1, 1, 4\).*float64"):
        fc.conv1d(np.ones((1, 1, 5)), np.ones((1, 1, 2)), out=out)


def test_out_that_cannot_be_written():
    out = np.empty((1, 1, 4))
    out.setflags(write=False)
    with pytest.raises(InvalidArgument, match="out is read-only"):
        fc.conv1d(np.ones((1, 1, 5)), np.ones((1, 1, 2)), out=out)


@pytest.mark.parametrize("method", METHODS)
def test_out_may_be_an_operand(method):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 9, 9)), rng.standard_normal((3, 3, 3, 3))
    expected = fc.conv2d(x, w, padding=1, method=method)
    assert fc.conv2d(x, w, padding=1, method=method, out=x) is x
    np.testing.assert_array_equal(x, expected)


def test_out_may_overlap_an_operand():
    memory = np.random.default_rng(0).standard_normal(200)
    x, out = memory[:100].reshape(1, 1, 100), memory[50:148].reshape(1, 1, 98)
    expected = fc.conv1d(x.copy(), np.ones((1, 1, 3)))
    np.testing.assert_array_equal(fc.conv1d(x, np.ones((1, 1, 3)), out=out), expected)


# Any array-like, never touched


def variants(a):
    """The same numbers in memory that kernels cannot take as it is."""
    read_only = a.copy()
    read_only.setflags(write=False)
    unaligned = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    unaligned[...] = a
    wide = np.zeros((*a.shape[:-1], 3 * a.shape[-1]), a.dtype)
    wide[..., ::3] = a
    yield "read-only", read_only
    yield "Fortran order", np.asfortranarray(a)
    yield "transposed", np.ascontiguousarray(a.T).T
    yield "strided", wide[..., ::3]
    yield "reversed", np.ascontiguousarray(a[..., ::-1])[..., ::-1]
    yield "big-endian", a.astype(a.dtype.newbyteorder(">"))
    yield "unaligned", unaligned
    yield "list", a.tolist()
    yield "array interface", type("Wrapper", (), {"__array__": lambda self, dtype=None, copy=None: a.copy()})()


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("method", METHODS)
def test_any_memory_gives_the_same_bits(method, op):
    data = problem(CASE)
    first, second = data.arrays[op]
    shape = {"conv": (), "conv_input_grad": (CASE.x_shape,), "conv_weight_grad": (CASE.w_shape,)}[op]
    call = function(op, 2)
    expected = call(first, second, *shape, method=method, **CASE.options)
    for (name, a), (_, b) in zip(variants(first), variants(second), strict=True):
        before = (np.array(a), np.array(b))
        y = call(a, b, *shape, method=method, **CASE.options)
        np.testing.assert_array_equal(y, expected, err_msg=name)
        np.testing.assert_array_equal(np.array(a), before[0], err_msg=f"{name}: x was touched")
        np.testing.assert_array_equal(np.array(b), before[1], err_msg=f"{name}: the second operand was touched")


def test_broadcast_views():
    x = np.broadcast_to(np.arange(7.0), (2, 3, 5, 7))
    w = np.broadcast_to(1.0, (4, 3, 2, 2))
    np.testing.assert_array_equal(fc.conv2d(x, w, method="direct"), fc.conv2d(x.copy(), w.copy(), method="direct"))


def test_results_are_new_arrays():
    """Even where the answer equals the input."""
    x = np.ones((1, 1, 3, 3))
    y = fc.conv2d(x, np.ones((1, 1, 1, 1)))
    assert not np.shares_memory(x, y)
    assert y.flags.owndata or y.base is not None
    assert y.flags.writeable


@pytest.mark.parametrize(
    "x", ["text", ["a", "b"], [[1, 2], [3]], np.array([None]), object(), None, np.array(["2020"], "M8[D]")]
)
def test_operands_that_are_no_numbers(x):
    with pytest.raises(InvalidArgument):
        fc.conv1d(x, np.ones((1, 1, 2)))
    with pytest.raises(InvalidArgument):
        fc.conv1d(np.ones((1, 1, 5)), x)


# Dtypes


@pytest.mark.parametrize(
    "x, w, expected",
    [
        ("float32", "float32", "float32"),
        ("float64", "float64", "float64"),
        ("float32", "float64", "float64"),
        ("float16", "float16", "float16"),
        ("float16", "float32", "float32"),
        ("float64", "float16", "float64"),
        ("int8", "float32", "float32"),
        ("int64", "float32", "float64"),
        ("uint8", "uint8", "float64"),
        ("int64", "int16", "float64"),
        ("bool", "bool", "float64"),
        ("bool", "float32", "float32"),
        (">f8", "<f4", "float64"),
        ("complex64", "complex64", "complex64"),
        ("complex128", "complex64", "complex128"),
        ("float32", "complex64", "complex64"),
        ("complex64", "float64", "complex128"),
        ("int32", "complex64", "complex128"),
    ],
)
@pytest.mark.parametrize("op", OPS)
def test_result_dtype_is_numpys(op, x, w, expected):
    rng = np.random.default_rng(0)
    shapes = {
        "conv": ((1, 2, 9), (3, 2, 4)),
        "conv_input_grad": ((1, 3, 6), (3, 2, 4)),
        "conv_weight_grad": ((1, 2, 9), (1, 3, 6)),
    }[op]
    first, second = rng.integers(0, 2, shapes[0]).astype(x), rng.integers(0, 2, shapes[1]).astype(w)
    shape = {"conv": (), "conv_input_grad": ((1, 2, 9),), "conv_weight_grad": ((3, 2, 4),)}[op]
    y = function(op, 1)(first, second, *shape, method="direct")
    assert y.dtype == np.dtype(expected)
    assert y.dtype.isnative
    plain = {"stride": (1,), "dilation": (1,), "padding": ((0, 0),)}
    if op == "conv":
        oracle = naive.conv(first, second, **plain)
    elif op == "conv_input_grad":
        oracle = naive.conv_input_grad(first, second, (9,), **plain)
    else:
        oracle = naive.conv_weight_grad(first, second, (4,), **plain)
    np.testing.assert_array_equal(y, oracle)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "complex64", "complex128"])
@pytest.mark.parametrize("method", ["direct", "fft", "auto"])
def test_other_dtypes(method, dtype, channels_last, op):
    rng = np.random.default_rng(5)

    def draw(shape):
        a = rng.standard_normal(shape)
        if dtype.startswith("complex"):
            a = a + 1j * rng.standard_normal(shape)
        return a.astype(dtype)

    x, w, dy = draw(CASE.x_shape), draw(CASE.w_shape), draw(CASE.y_shape)
    if op == "conv":
        first, second, b, terms = x, w, draw(CASE.w_shape[0]), 27
        expected = naive.conv(x, w, b, **CASE.plain)
    elif op == "conv_input_grad":
        first, second, b, terms = dy, w, None, 45
        expected = naive.conv_input_grad(dy, w, CASE.size, **CASE.plain)
    else:
        first, second, b, terms = x, dy, None, 200
        expected = naive.conv_weight_grad(x, dy, CASE.kernel, **CASE.plain)
    y = solve(CASE, op, first, second, b, channels_last, dtype, method=method)
    assert_close(y, expected, method, 4 * terms)


@pytest.mark.parametrize("op", OPS)
def test_complex_is_served_or_refused_by_every_method(op):
    """im2col may refuse complex numbers; it may not be wrong."""
    shape = {"conv": (), "conv_input_grad": ((1, 2, 9),), "conv_weight_grad": ((3, 2, 4),)}[op]
    shapes = {
        "conv": ((1, 2, 9), (3, 2, 4)),
        "conv_input_grad": ((1, 3, 6), (3, 2, 4)),
        "conv_weight_grad": ((1, 2, 9), (1, 3, 6)),
    }[op]
    a, b = (np.arange(np.prod(s)).reshape(s) * (1 - 2j) for s in shapes)
    expected = function(op, 1)(a, b, *shape, method="direct")
    for method in ("im2col", "winograd", "fft"):
        try:
            y = function(op, 1)(a, b, *shape, method=method)
        except Unsupported:
            continue
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-9)


def test_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    data = problem(CASE)
    x, w = (a.astype(ml_dtypes.bfloat16) for a in (data.x, data.w))
    y = fc.conv2d(x, w, **CASE.options)
    assert y.dtype == ml_dtypes.bfloat16
    expected = naive.conv(x.astype(float), w.astype(float), **CASE.plain)
    np.testing.assert_allclose(y.astype(float), expected, rtol=2**-8, atol=1e-5)
    assert fc.conv2d(x, w.astype(np.float32), **CASE.options).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float128", "complex256"])
def test_longer_floats_are_refused(dtype):
    if not hasattr(np, dtype):
        pytest.skip(f"this platform has no {dtype}")
    with pytest.raises(InvalidArgument, match=dtype):
        fc.conv1d(np.ones((1, 1, 5), dtype), np.ones((1, 1, 2), dtype))


# NaN and Inf


PLACES = [(0, 0, 0, 0), (1, 2, 10, 16), (0, 1, 5, 8), (1, 0, 0, 9), (0, 2, 10, 3)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("method", ["direct", "auto"])
def test_non_finite_numbers_reach_their_windows_only(method, op, channels_last, value):
    data = problem(CASE)
    for place in PLACES:
        first, second = (a.copy() for a in data.arrays[op])
        first[tuple(p % n for p, n in zip(place, first.shape, strict=True))] = value
        y = solve(CASE, op, first, second, None, channels_last, "float32", method=method)
        with np.errstate(invalid="ignore"):
            expected = oracle(CASE, op, first, second)
        np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
        np.testing.assert_array_equal(np.where(np.isinf(y), y, 0), np.where(np.isinf(expected), expected, 0))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("mode, stride, dilation", PAIRS)
def test_nan_under_other_paddings(op, mode, stride, dilation):
    case = Case(
        f"nan {mode}",
        (2, 4, 9, 8),
        (6, 2, 3, 3),
        {"padding": 3, "padding_mode": mode, "stride": stride, "dilation": dilation, "groups": 2},
    )
    data = problem(case)
    first, second = (a.copy() for a in data.arrays[op])
    first[1, 1, 2, 2] = np.nan
    y = solve(case, op, first, second, None, False, "float64", method="auto")
    if op == "conv":
        expected = naive.conv(first, second, **case.plain)
    elif op == "conv_input_grad":
        expected = naive.conv_input_grad(first, second, case.size, **case.plain)
    else:
        expected = naive.conv_weight_grad(first, second, case.kernel, **case.plain)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "shapes", [((1, 1, 80, 90), (1, 1, 25, 25)), ((1, 8, 40, 40), (8, 8, 11, 11)), ((1, 1, 5000), (1, 1, 501))]
)
def test_auto_keeps_non_finite_numbers_from_transforms(shapes, value):
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s) for s in shapes)
    x[(0, 0, *(n // 2 for n in x.shape[2:]))] = value
    rank = x.ndim - 2
    y = function("conv", rank)(x, w)
    touched = np.zeros(y.shape[2:], bool)
    touched[tuple(slice(max(0, n // 2 - k + 1), n // 2 + 1) for n, k in zip(x.shape[2:], w.shape[2:], strict=True))] = (
        True
    )
    np.testing.assert_array_equal(np.isfinite(y), np.broadcast_to(~touched, y.shape))


def test_non_finite_weights_and_bias_stay_in_their_channel():
    data = problem(CASE)
    for place in range(5):
        w, b = data.w.copy(), np.zeros(5)
        w[place, 1, 1, 1] = np.nan
        b[(place + 2) % 5] = np.inf
        y = fc.conv2d(data.x, w, b, stride=(1, 2))
        np.testing.assert_array_equal(np.isnan(y).all(axis=(0, 2, 3)), np.arange(5) == place)
        np.testing.assert_array_equal(np.isnan(y).any(axis=(0, 2, 3)), np.arange(5) == place)
        np.testing.assert_array_equal(np.isinf(y).all(axis=(0, 2, 3)), np.arange(5) == (place + 2) % 5)


@pytest.mark.parametrize("method", METHODS)
def test_large_and_tiny_numbers(method):
    """Finite sums stay finite; subnormal numbers are not lost by the direct methods."""
    x = np.full((1, 2, 6, 6), 1e30, np.float32)
    y = fc.conv2d(x, np.full((1, 2, 3, 3), 1e-30, np.float32), method=method)
    np.testing.assert_allclose(y, 18, rtol=1e-5)
    if method != "fft":
        y = fc.conv2d(np.full((1, 1, 3, 3), 1e-40, np.float32), np.ones((1, 1, 3, 3), np.float32), method=method)
        np.testing.assert_allclose(y, 9e-40, rtol=1e-4)


# Layouts


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_layouts_hold_the_same_numbers(rank):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3) + (7,) * rank), rng.standard_normal((4, 3) + (3,) * rank)
    first = function("conv", rank)(x, w, padding=1, method="direct", layout=LAYOUTS[rank][0])
    last = function("conv", rank)(to_last(x), to_last(w, True), padding=1, method="direct", layout=LAYOUTS[rank][1])
    np.testing.assert_allclose(to_last(first), last, atol=1e-12)


# Sizes beyond what a test would compute: checked before anything is allocated


@pytest.mark.parametrize("options", [{"stride": 10**30}, {"dilation": 10**30}, {"stride": 2**62}, {"groups": 10**30}])
def test_numbers_beyond_int64(options):
    x, w = np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3))
    try:
        y = fc.conv2d(x, w, **options)
    except InvalidArgument:
        return
    np.testing.assert_array_equal(y, 9)
