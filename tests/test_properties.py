"""What must hold of any convolution, on drawn problems: no oracle needed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from problems import LAYOUTS, function, solve, to_last
from strategies import METHODS, channels_last, conv_cases, seeds
from tolerances import tolerance

from fastconv.errors import Unsupported

methods = st.sampled_from(METHODS)


def operands(case, seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in (case.x_shape, case.w_shape, case.y_shape)]


def attempt(*args, **options):
    """The answer, or None where the method does not serve the problem."""
    try:
        return solve(*args, **options)
    except Unsupported:
        return None


def close(actual, expected, case, slack=1.0):
    """Within what the table allows for a sum longer than any of the case."""
    most = max(int(np.prod(case.w_shape)), int(np.prod(case.y_shape)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=slack * tolerance("auto", "float64", most))


@given(conv_cases(), seeds, channels_last, methods)
def test_adjoint_identity(case, seed, last, method):
    """<conv(x, w), dy> = <x, dx> = <w, dw>: the gradients are the transposes of the same linear maps."""
    x, w, dy = operands(case, seed)
    y = attempt(case, "conv", x, w, None, last, "float64", method=method)
    dx = attempt(case, "conv_input_grad", dy, w, None, last, "float64", method=method)
    dw = attempt(case, "conv_weight_grad", x, dy, None, last, "float64", method=method)
    if y is None or dx is None or dw is None:
        return
    inner = np.vdot(y, dy)
    scale = np.linalg.norm(y) * np.linalg.norm(dy) + 1
    assert abs(np.vdot(x, dx) - inner) <= 1e-12 * scale
    assert abs(np.vdot(w, dw) - inner) <= 1e-12 * scale


@given(conv_cases(), seeds, channels_last)
def test_methods_agree(case, seed, last):
    x, w, dy = operands(case, seed)
    for op, first, second in (("conv", x, w), ("conv_input_grad", dy, w), ("conv_weight_grad", x, dy)):
        expected = solve(case, op, first, second, None, last, "float64", method="direct")
        for method in ("auto", "im2col", "fft"):
            y = attempt(case, op, first, second, None, last, "float64", method=method)
            if y is not None:
                close(y, expected, case)


@given(conv_cases(), seeds, methods)
def test_linear_in_both_operands(case, seed, method):
    x, w, _ = operands(case, seed)
    x2, w2, _ = operands(case, seed + 1)

    def conv(x, w):
        return attempt(case, "conv", x, w, None, False, "float64", method=method)

    y = conv(x, w)
    if y is None:
        return
    close(conv(2 * x - 3 * x2, w), 2 * y - 3 * conv(x2, w), case, 10)
    close(conv(x, 2 * w - 3 * w2), 2 * y - 3 * conv(x, w2), case, 10)


@given(conv_cases(padding_modes=("zeros",)), seeds, channels_last, methods, st.data())
def test_delta_filter_copies_the_input(case, seed, last, method, data):
    """A filter with a single one picks one shifted, strided input channel per output channel."""
    x, w, _ = operands(case, seed)
    w[...] = 0
    tap = tuple(data.draw(st.integers(0, k - 1)) for k in case.kernel)
    channel = data.draw(st.integers(0, case.w_shape[1] - 1))
    w[(slice(None), channel, *tap)] = 1
    y = attempt(case, "conv", x, w, None, last, "float64", method=method)
    if y is None:
        return
    xp = np.pad(x, ((0, 0), (0, 0), *case.plain["padding"]))
    per_group, outputs = case.w_shape[1], case.w_shape[0] // case.plain["groups"]
    plain = zip(tap, case.out, case.plain["stride"], case.plain["dilation"], strict=True)
    picked = xp[(slice(None), slice(None), *(slice(t * d, t * d + (o - 1) * s + 1, s) for t, o, s, d in plain))]
    expected = picked[:, [o // outputs * per_group + channel for o in range(case.w_shape[0])]]
    if method == "fft":
        close(y, expected, case)
    else:
        np.testing.assert_array_equal(y, expected)


@given(st.integers(1, 3), st.integers(5, 9), st.integers(1, 3), seeds, channels_last, methods)
def test_shifting_the_input_shifts_the_output(rank, n, k, seed, last, method):
    """With wrapped borders, by any number of pixels."""
    rng = np.random.default_rng(seed)
    if method == "fft" and k == 1:
        return
    x, w = rng.standard_normal((1, 2) + (n,) * rank), rng.standard_normal((3, 2) + (k,) * rank)
    shift, axes = tuple(rng.integers(0, n, rank)), tuple(range(2, rank + 2))

    def conv(x):
        arrays = (to_last(x), to_last(w, True)) if last else (x, w)
        options = {"padding": "same", "padding_mode": "wrap", "layout": LAYOUTS[rank][last], "method": method}
        y = function("conv", rank)(*arrays, **options)
        return np.moveaxis(y, -1, 1) if last else y

    moved = conv(np.roll(x, shift, axes))
    np.testing.assert_allclose(moved, np.roll(conv(x), shift, axes), atol=1e-12)


@given(conv_cases(max_rank=2), seeds, methods)
def test_strided_input_is_its_copy(case, seed, method):
    x, w, _ = operands(case, seed)
    wide = np.zeros(tuple(2 * n for n in x.shape))
    view = wide[tuple(slice(None, None, 2) for _ in x.shape)]
    view[...] = x
    before = wide.copy()
    options = {**case.options, "method": method}
    try:
        y = function("conv", case.rank)(view, w[::-1, ..., ::-1], **options)
    except Unsupported:
        return
    np.testing.assert_array_equal(y, function("conv", case.rank)(x, w[::-1, ..., ::-1].copy(), **options))
    np.testing.assert_array_equal(wide, before)


@given(conv_cases(max_rank=2), seeds)
def test_images_do_not_see_each_other(case, seed):
    """A batch is its images; bit for bit by the direct method."""
    x, w, dy = operands(case, seed)
    for op, a in (("conv", x), ("conv_input_grad", dy)):
        together = solve(case, op, a, w, None, False, "float64", method="direct")
        for i in range(case.x_shape[0]):
            one = type(case)("one", (1, *case.x_shape[1:]), case.w_shape, case.options)
            np.testing.assert_array_equal(
                together[i : i + 1], solve(one, op, a[i : i + 1], w, None, False, "float64", method="direct")
            )


@given(conv_cases(max_rank=2), seeds)
def test_dilated_filter_is_a_filter_with_zeros(case, seed):
    x, w, _ = operands(case, seed)
    dilation = case.plain["dilation"]
    spread = np.zeros((*w.shape[:2], *(d * (k - 1) + 1 for k, d in zip(case.kernel, dilation, strict=True))))
    spread[(slice(None), slice(None), *(slice(None, None, d) for d in dilation))] = w
    dense = type(case)(
        "dense", case.x_shape, spread.shape, {**case.options, "dilation": 1, "padding": case.plain["padding"]}
    )
    expected = solve(case, "conv", x, w, None, False, "float64", method="direct")
    close(solve(dense, "conv", x, spread, None, False, "float64", method="direct"), expected, case)
