"""Transposed convolutions: every argument against the oracle, and against torch where it is installed."""

import naive
import numpy as np
import pytest
from cases import TRANSPOSED
from hypothesis import given
from hypothesis import strategies as st
from problems import LAYOUTS, to_first, to_last
from tolerances import EXACT, assert_close

import fastconv as fc
from fastconv.errors import InvalidArgument, Unsupported

METHODS = ("auto", "direct", "im2col", "fft")


def oracle(case, x, w, b=None, activation=None):
    plain = {name: case.plain[name] for name in ("stride", "dilation", "padding", "groups")}
    extra = case._axes(case.options.get("output_padding", 0))
    return naive.conv_transpose(x, w, b, **plain, output_padding=extra, activation=activation)


def call(case, x, w, b, channels_last, dtype, **options):
    """The public function on channels-first data."""
    arrays = [a.astype(dtype) for a in ((to_last(x), to_last(w, True)) if channels_last else (x, w))]
    for a in arrays:
        a.setflags(write=False)
    function = getattr(fc, f"conv_transpose{case.rank}d")
    layout = LAYOUTS[case.rank][channels_last]
    y = function(*arrays, None if b is None else b.astype(dtype), layout=layout, **case.options, **options)
    assert y.dtype == dtype
    assert y.flags.c_contiguous
    return to_first(y) if channels_last else y


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("method", METHODS)
def test_transposed(method, channels_last, dtype, case, rng):
    outputs = case.w_shape[1] * case.plain["groups"]
    x, w, b = rng.standard_normal(case.x_shape), rng.standard_normal(case.w_shape), rng.standard_normal(outputs)
    terms = case.w_shape[0] * int(np.prod(case.kernel)) // case.plain["groups"] + 1
    try:
        y = call(case, x, w, b, channels_last, dtype, method=method)
    except Unsupported:
        assert method == "fft"
        assert np.prod(case.kernel) == 1
        return
    assert_close(y, oracle(case, x, w, b), method, terms)
    if method in EXACT:
        x, w = rng.integers(-3, 4, case.x_shape).astype(float), rng.integers(-3, 4, case.w_shape).astype(float)
        np.testing.assert_array_equal(call(case, x, w, None, channels_last, dtype, method=method), oracle(case, x, w))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("method", METHODS)
def test_activation(method, activation, rng):
    case = TRANSPOSED[3]
    x, w, b = rng.standard_normal(case.x_shape), rng.standard_normal(case.w_shape), np.linspace(-3, 3, 6)
    y = call(case, x, w, b, False, "float64", method=method, activation=activation)
    np.testing.assert_allclose(y, oracle(case, x, w, b, activation), atol=1e-11)


def test_it_is_the_input_gradient(rng):
    """Of the convolution with the same weights."""
    x, w = rng.standard_normal((2, 4, 5, 6)), rng.standard_normal((4, 3, 3, 3))
    y = fc.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1, method="direct")
    assert y.shape == (2, 3, 10, 12)
    dx = fc.conv2d_input_grad(x, w, y.shape, stride=2, padding=1, method="direct")
    np.testing.assert_array_equal(y, dx)


def test_output_padding_beyond_the_products_holds_the_bias():
    x, w, b = np.ones((1, 1, 2)), np.ones((1, 1, 2)), np.array([7.0])
    y = fc.conv_transpose1d(x, w, b, stride=4, output_padding=3)
    np.testing.assert_array_equal(y[0, 0], [8, 8, 7, 7, 8, 8, 7, 7, 7])


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_same_multiplies_the_size_by_the_stride(k, stride, rng):
    x, w = rng.standard_normal((1, 2, 5, 4)), rng.standard_normal((2, 3, k, k))
    y = fc.conv_transpose2d(x, w, stride=stride, padding="same")
    assert y.shape == (1, 3, 5 * stride, 4 * stride)
    before = max(0, k - stride) // 2
    full = naive.conv_transpose(
        x, w, stride=(stride,) * 2, dilation=(1, 1), padding=((0, 0),) * 2, output_padding=(stride,) * 2
    )
    np.testing.assert_allclose(y, full[:, :, before : before + 5 * stride, before : before + 4 * stride], atol=1e-12)


@pytest.mark.parametrize(
    "options, parts",
    [
        ({"output_padding": 1}, ["output_padding is 1", "height", "= 1"]),
        ({"output_padding": (1, 2), "stride": 2}, ["output_padding is 2", "width", "= 2"]),
        ({"output_padding": -1}, ["output_padding is -1"]),
        ({"output_padding": 0.5, "stride": 2}, ["output_padding is 0.5"]),
        ({"padding": 9}, ["empty"]),
        ({"groups": 2}, ["groups is 2"]),
        ({"layout": "NWC"}, ["layout is 'NWC'"]),
        ({"activation": "swish"}, ["activation"]),
        ({"method": "magic"}, ["method is 'magic'"]),
        ({"device": "tpu"}, ["device is 'tpu'"]),
    ],
)
def test_errors(options, parts):
    with pytest.raises(InvalidArgument) as caught:
        fc.conv_transpose2d(np.ones((1, 3, 4, 4)), np.ones((3, 2, 3, 3)), **options)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_out(rng):
    x, w = rng.standard_normal((1, 3, 4, 4)), rng.standard_normal((3, 2, 3, 3))
    out = np.full((1, 2, 6, 6), np.nan)
    assert fc.conv_transpose2d(x, w, out=out) is out
    np.testing.assert_array_equal(out, fc.conv_transpose2d(x, w))
    with pytest.raises(InvalidArgument, match="out has shape"):
        fc.conv_transpose2d(x, w, out=np.empty((1, 2, 5, 5)))


@given(
    n=st.integers(1, 9),
    k=st.integers(1, 6),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    padding=st.integers(0, 4),
    extra=st.integers(0, 3),
    groups=st.sampled_from([1, 2]),
)
def test_against_torch(n, k, stride, dilation, padding, extra, groups):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    extra = min(extra, max(stride, dilation) - 1)
    if (n - 1) * stride + dilation * (k - 1) + 1 - 2 * padding + extra < 1:
        return
    x, w = rng.standard_normal((2, 4, n)), rng.standard_normal((4, 3, k))
    options = {"stride": stride, "padding": padding, "output_padding": extra, "groups": groups, "dilation": dilation}
    expected = torch.nn.functional.conv_transpose1d(torch.from_numpy(x), torch.from_numpy(w), **options).numpy()
    for method in ("auto", "direct", "im2col"):
        np.testing.assert_allclose(fc.conv_transpose1d(x, w, method=method, **options), expected, atol=1e-12)
