"""What "auto" keeps away from transforms: numbers near the ends of a dtype's range, and mixed magnitudes."""

from dataclasses import replace

import naive
import numpy as np
import pytest

import fastconv as fc
from fastconv import dispatch, nn
from fastconv.autograd import Tensor, undisturbed
from fastconv.autograd import functional as F
from fastconv.cpu import magnitude, winograd
from fastconv.cpu.winograd import forward, forward_cut, grad_cut, weight_grad
from fastconv.ops import _exactness as exactness
from fastconv.ops._exactness import LOST, Judged, in_range, suits
from fastconv.problem import CONVOLUTIONS
from fastconv.spec import conv_problem

FILL = {"float32": 9.96921e36, "float64": 1e306}  # netCDF's fill value; a number beyond any transform
RANK = {
    1: ((1, 1, 40_000), (1, 1, 401)),
    2: ((1, 1, 160, 160), (1, 1, 31, 31)),
    3: ((1, 1, 40, 40, 40), (1, 1, 9, 9, 9)),
}


PLAIN = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0))}


def filled(rank, dtype, share=0.6):
    """Ones, but behind `share` of the columns the fill value; a mean filter; and the first column with the fill."""
    shape, kernel = RANK[rank]
    x, column = np.ones(shape, dtype), int(share * shape[-1])
    x[..., column:] = FILL[dtype]
    return x, np.full(kernel, 1 / np.prod(kernel), dtype), column


def means(x, taps):
    """Along the last axis the means of `taps` neighbours, in float64: all other axes are constant."""
    shares = x.reshape(-1, x.shape[-1])[0].astype(float) / taps  # a sum could overflow
    return np.lib.stride_tricks.sliding_window_view(shares, taps).sum(axis=-1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_fill_values_leave_the_rest_alone(rank, dtype):
    x, w, _ = filled(rank, dtype)
    assert fc.choose_method(x.shape, w.shape, dtype=dtype) == "fft"
    expected = means(x, w.shape[-1])
    for layout in ("NCW", "NCHW", "NCDHW")[rank - 1], ("NWC", "NHWC", "NDHWC")[rank - 1]:
        last = layout.endswith("C")
        a, f = (x.reshape(*x.shape[2:], 1)[None], w.reshape(*w.shape[2:], 1, 1)) if last else (x, w)
        plan = getattr(fc, f"plan_conv{rank}d")(f, a.shape, layout=layout)
        assert plan.method == "fft"
        for y in (getattr(fc, f"conv{rank}d")(a, f, layout=layout), plan(a)):
            rows = y.reshape(-1, len(expected))
            np.testing.assert_allclose(rows, np.broadcast_to(expected, rows.shape), rtol=2000 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_fill_values_in_gradients(rank, dtype):
    """What the filled columns do not reach is as if there were none."""
    dy, w, column = filled(rank, dtype)
    x_shape = (1, 1, *(n + k - 1 for n, k in zip(dy.shape[2:], w.shape[2:], strict=True)))
    assert fc.choose_method(x_shape, w.shape, op="conv_input_grad", dtype=dtype) == "fft"
    dx = getattr(fc, f"conv{rank}d_input_grad")(dy, w, x_shape)
    inner = tuple(slice(k - 1, n - k + 1) for n, k in zip(x_shape[2:-1], w.shape[2:-1], strict=True))
    np.testing.assert_allclose(dx[0, 0][(*inner, slice(w.shape[-1] - 1, column))], 1, rtol=2000 * np.finfo(dtype).eps)
    # dy is 0 where a window sees the fill: what is left is a sum of ones.
    x, taps = dy, w.shape[-1]
    y_shape = (1, 1, *(n - k + 1 for n, k in zip(x.shape[2:], w.shape[2:], strict=True)))
    assert fc.choose_method(x.shape, w.shape, op="conv_weight_grad", dtype=dtype) == "fft"
    masked = np.ones(y_shape, dtype)
    masked[..., column - taps + 1 :] = 0
    dw = getattr(fc, f"conv{rank}d_weight_grad")(x, masked, w.shape)
    np.testing.assert_allclose(dw, masked.sum(), rtol=1e-4 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("value", [1e12, 1e20, 3e38])
def test_a_pixel_beyond_all_others_reaches_its_windows_only(value, rng):
    x = rng.uniform(60, 100, (2, 32, 28, 28)).astype(np.float32)
    x[1, 3, 10, 12] = value
    w = rng.uniform(-1, 1, (32, 32, 3, 3)).astype(np.float32) / 32
    assert fc.choose_method(x.shape, w.shape, padding=1) == "winograd"
    expected = naive.conv(x, w, **PLAIN | {"padding": ((1, 1), (1, 1))})
    seen = np.zeros((28, 28), bool)
    seen[9:12, 11:14] = True
    everywhere = fc.plan_conv2d(w, x.shape, padding=1)
    for y in (fc.conv2d(x, w, padding=1), everywhere(x), fc.conv2d(x[:, :, ::-1][:, :, ::-1], w, padding=1)):
        np.testing.assert_allclose(y[1][:, ~seen], expected[1][:, ~seen], rtol=0, atol=1e-3)
        np.testing.assert_allclose(y[0], expected[0], rtol=0, atol=1e-3)
        assert np.isfinite(y).all()


def test_huge_times_tiny(rng):
    """Products of ordinary size from factors near both ends of the range: 3e37 * 1e-37."""
    x, w = np.full((4, 64, 28, 28), 3e37, np.float32), np.full((64, 64, 3, 3), 1e-37, np.float32)
    assert fc.choose_method(x.shape, w.shape) == "winograd"
    np.testing.assert_allclose(fc.conv2d(x, w), 9 * 64 * 3.0, rtol=1e-5)
    np.testing.assert_allclose(fc.plan_conv2d(w, x.shape)(x), 9 * 64 * 3.0, rtol=1e-5)
    dy = np.full((4, 64, 26, 26), 3e37, np.float32)
    dx = fc.conv2d_input_grad(dy, w, x.shape)
    np.testing.assert_allclose(dx[:, :, 2:-2, 2:-2], 9 * 64 * 3.0, rtol=1e-5)
    dw = fc.conv2d_weight_grad(x, np.full_like(dy, 1e-37), w.shape)
    np.testing.assert_allclose(dw, 4 * 26 * 26 * 3.0, rtol=1e-4)


def test_layers_and_their_plans():
    x, w, _ = filled(2, "float32")
    model = nn.Sequential([nn.Input((160, 160, 1)), nn.layers.Conv2D(1, 31, use_bias=False)])
    model.set_weights([w.reshape(31, 31, 1, 1)])
    y = model.predict(x.reshape(1, 160, 160, 1), verbose=0)
    np.testing.assert_allclose(y[0, :, :, 0], np.broadcast_to(means(x, 31), (130, 130)), rtol=2e-4)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_parts_of_complex_numbers_are_judged_by_their_own_dtype(dtype):
    """A complex64 holds two float32: their range and digits count, not those of 8 bytes."""
    real = np.dtype(dtype).type(0).real.dtype.name
    x, w, column = filled(2, real)
    turn = np.dtype(dtype).type(1 - 2j)
    y = fc.conv2d(x * turn, w.astype(dtype))
    expected = means(x, w.shape[-1])[: column - w.shape[-1] + 1] * (1 - 2j)
    actual = y.reshape(-1, y.shape[-1])[:, : len(expected)]
    np.testing.assert_allclose(actual, np.broadcast_to(expected, actual.shape), rtol=2000 * np.finfo(dtype).eps)
    spec = conv_problem((2, 16, 32, 32), (16, 16, 3, 3), rank=2, layout="NCHW", dtype=dtype, padding=1)
    rng = np.random.default_rng(0)
    a = (rng.standard_normal((2, 16, 32, 32)) + 1j * rng.standard_normal((2, 16, 32, 32))).astype(dtype)
    f = a[:, :, :3, :3].repeat(8, axis=0).copy()
    for op, first, second in (("conv", a, f), ("conv_input_grad", a, f), ("conv_weight_grad", a, a)):
        for method in ("winograd", "fft"):
            assert suits(replace(spec, op=op), method, first, second)


def test_half_precision_and_complex():
    x, w, _ = filled(2, "float32")
    halves = np.full(x.shape, 0.001, np.float16)
    halves[..., 96:] = 60000
    y = fc.conv2d(halves, w.astype(np.float16))
    np.testing.assert_allclose(y[..., : 96 - 30].astype(float), 0.001, rtol=2e-3)
    z = fc.conv2d(x * np.complex64(1 - 2j), w)
    np.testing.assert_allclose(z[..., : 96 - 30], 1 - 2j, rtol=2e-4)


CHANNELS = np.logspace(5, -5, 32)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("op", ["conv", "conv_input_grad"])
def test_channels_of_other_units_keep_their_digits(op, last, rng):
    """Pascals beside kilograms: the FFT's channels travel in pairs, so "auto" does not take it."""
    scale = CHANNELS[:, None, None].astype(np.float32)
    first, w = rng.standard_normal((1, 32, 40, 40)).astype(np.float32), rng.standard_normal((32, 32, 7, 7))
    w = w.astype(np.float32)
    if op == "conv":
        given, weights = first * scale, w / scale
        expected = naive.conv(given, weights, **PLAIN)
    else:
        given, weights = first * scale, w / scale[:, None]
        expected = naive.conv_input_grad(given, weights, (46, 46), **PLAIN)
    layout = "NHWC" if last else "NCHW"
    if last:
        given, weights = naive.to_last(given), naive.weights_to_last(weights)
    if op == "conv":
        y = fc.conv2d(given, weights, layout=layout)
    else:
        y = fc.conv2d_input_grad(given, weights, (1, 46, 46, 32) if last else (1, 32, 46, 46), layout=layout)
    np.testing.assert_allclose(naive.to_first(y) if last else y, expected, rtol=0, atol=2e-3)


# What may go to a transform, and what may not


def judged(x, w_shape, method):
    spec = conv_problem(x.shape, w_shape, rank=2, dtype=x.dtype)
    return suits(spec, method, x, np.ones(w_shape, x.dtype))


def ordinary(rng):
    photo = rng.integers(0, 256, (1, 64, 96, 96)).astype(np.float32)
    photo[..., 20:60] = 0
    yield "photo", photo
    yield "16 bits", rng.integers(-(1 << 15), 1 << 15, photo.shape).astype(np.float32)
    normal = rng.standard_normal(photo.shape).astype(np.float32)
    yield "normal", normal
    yield "after relu", np.maximum(normal, 0)
    yield "sparse", np.maximum(normal - 2, 0)
    yield "zeros", np.zeros_like(normal)
    outliers = normal.copy()
    outliers.reshape(-1)[rng.integers(0, normal.size, 200)] *= 100
    yield "outliers", outliers
    yield "after relu, outliers", np.maximum(outliers, 0)
    yield (
        "images of all sizes",
        (normal.reshape(16, 4, 96, 96) * np.logspace(-10, 10, 16)[:, None, None, None]).astype(np.float32),
    )


def mixed(rng):
    base = rng.uniform(60, 100, (1, 1, 96, 96)).astype(np.float32)
    for value in (1e12, 1e20, 9.96921e36, -1e34, 3e38):
        for place in (np.s_[..., 5, 7], np.s_[..., 40:], np.s_[..., 30:, :], np.s_[..., ::11, ::7]):
            x = base.copy()
            x[place] = value
            yield x
    x = np.full_like(base, 1e20)  # the sea: a small part is not filled
    x[..., 30:60, 40:70] = base[..., 30:60, 40:70]
    yield x


@pytest.mark.parametrize("method", ["fft", "winograd"])
def test_what_may_go_to_a_transform(method, rng):
    for name, x in ordinary(rng):
        kernel = (3, 3) if method == "winograd" else (7, 7)
        if name != "images of all sizes":
            assert judged(x, (8, x.shape[1], *kernel), method), name
        elif method == "winograd":  # whose tiles may see several of them, but not several gradients
            assert not judged(x, (8, x.shape[1], *kernel), method)
            gradient = replace(conv_problem(x.shape, (4, 4, 3, 3), rank=2, padding=1), op="conv_input_grad")
            assert exactness.judge_images(gradient, method, x, dy=True).even
    for x in mixed(rng):
        assert not judged(x, (1, 1, 3, 3), "winograd")
        if not (x[0, 0, ::11, ::7] > 1e9).all() or (x > 1e9).mean() > 0.1:  # a grid of fills is in every 15x15 window
            assert not judged(x, (1, 1, 15, 15), "fft")


def test_the_range_of_a_transform():
    spec = conv_problem((1, 1, 256, 256), (1, 1, 31, 31), rank=2, dtype="float32")

    def fits(x, w):
        first, second = (Judged(magnitude.largest(np.array([v], np.float32)), True) for v in (x, w))
        return in_range(spec, first, second)

    assert fits(1, 1) and fits(1e12, 1e-3) and fits(0, 1) and fits(1, 0) and fits(0, 0) and fits(1e-6, 1e-6)
    for x, w in ((3e38, 1e-30), (3e37, 1e-37), (1e20, 1e18), (1, 1e-37), (np.inf, 1), (np.nan, 0), (0, np.nan)):
        assert not fits(x, w) and not fits(w, x)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_levels_are_those_of_blocks(dtype, last, rng):
    """Against NumPy: every block looked at by itself."""
    for N, G, C, size, block in (
        (3, 1, 5, (1, 7, 9), (2, 2)),
        (2, 3, 1, (2, 11, 70), (4, 5)),
        (1, 1, 1, (1, 1, 9000), (1, 40)),
        (2, 2, 3, (1, 40, 130), (3, 33)),
    ):
        shape = (N, *size, G, C) if last else (N, G, C, *size)
        x = (rng.standard_normal(shape) * 2.0 ** rng.integers(-50, 50, shape) * (rng.random(shape) < 0.2)).astype(dtype)
        for threads in (1, 2):
            with fc.threads(threads):
                found = magnitude.measure(x, magnitude.Images(N, G, C, size, last), block)
        first = np.moveaxis(x, (-2, -1), (1, 2)) if last else x
        bias = {"float32": 126, "float64": 1022}[dtype]
        exponents = np.where(first == 0, 0, np.frexp(first)[1] + bias).max(axis=2)
        rows, columns = min(block[0], size[1]), 1 << (min(block[1], size[2]).bit_length() - 1)
        blocks = [
            exponents[:, :, :, i : i + rows, j : j + columns].max(axis=(3, 4))
            for i in range(0, size[1], rows)
            for j in range(0, size[2], columns)
        ]
        least = np.min([np.where(b == 0, 1 << 20, b) for b in blocks], axis=0).min(axis=2)
        largest, smallest = found.of_images()
        np.testing.assert_array_equal(largest, exponents.max(axis=(2, 3, 4)))
        np.testing.assert_array_equal(smallest, np.where(least == 1 << 20, 0, least))
        assert (found.largest, found.smallest) == (largest.max(), least.min())


def test_what_passes_keeps_its_digits(rng):
    """Beside numbers 2^16 times as large a window keeps what the limit promises, by either transform."""
    x = rng.uniform(1, 2, (1, 8, 48, 48)).astype(np.float32)
    x[..., 24:] *= 2.0 ** (LOST[4] - 1)
    for method, k in (("winograd", 3), ("fft", 7)):
        w = rng.uniform(0.5, 1, (8, 8, k, k)).astype(np.float32)
        assert judged(x, w.shape, method)
        y = fc.conv2d(x, w, method=method)[..., : 24 - k + 1]
        expected = naive.conv(x, w, **PLAIN)[..., : 24 - k + 1]
        assert np.abs(y / expected - 1).max() < 2.0**-7
        x[..., 24:] *= 8
        assert not judged(x, w.shape, method)
        x[..., 24:] /= 8


# Winograd's bound


def plan_anew():
    """The tile size has changed."""
    for planned in (forward_cut.cut_forward, grad_cut.cut_weight_grad, forward.forward_plans, weight_grad.grad_plans):
        planned.cache_clear()


@pytest.mark.parametrize("m, growth", [(2, 64), (4, 752)])
@pytest.mark.parametrize("value", [1e12, 1e30])
def test_winograds_bound(m, growth, value, rng, monkeypatch):
    """The error is relative to the largest element of a tile: with one pixel of 1e12 among values of 80."""
    monkeypatch.setattr(forward_cut, "output_tile", lambda size: m)
    plan_anew()
    C = 24
    x, w = rng.uniform(60, 100, (1, C, 24, 24)).astype(np.float32), rng.uniform(-1, 1, (8, C, 3, 3)).astype(np.float32)
    x[0, 2, 9, 13] = value
    try:
        y = fc.conv2d(x, w, method="winograd")[0]
    finally:
        monkeypatch.undo()
        plan_anew()
    expected = naive.conv(x, w, **PLAIN)[0]
    for i in range(0, 22, m):
        for j in range(0, 22, m):
            tile = np.s_[:, i : i + m, j : j + m]
            largest = np.abs(x[0, :, i : i + m + 2, j : j + m + 2]).max()
            error = np.abs(y[tile] - expected[tile]).max()
            assert error <= growth * C * (C + 30) * np.finfo("f").eps / 2 * largest * np.abs(w).max()
            if largest < 101:
                assert error < 1e-2  # tiles that do not see it


@pytest.mark.parametrize("m, growth", [(2, 36), (4, 1096)])
def test_winograds_bound_of_weight_gradients(m, growth, rng, monkeypatch):
    monkeypatch.setattr(grad_cut, "output_tile", lambda size: m)
    plan_anew()
    x = rng.uniform(60, 100, (2, 8, 22, 22)).astype(np.float32)
    dy = rng.uniform(-1, 1, (2, 8, 20, 20)).astype(np.float32)
    x[0, 2, 9, 13] = 1e12
    try:
        dw = fc.conv2d_weight_grad(x, dy, (8, 8, 3, 3), method="winograd")
    finally:
        monkeypatch.undo()
        plan_anew()
    expected = naive.conv_weight_grad(x, dy, (3, 3), **PLAIN)
    tiles, products = 0, 0.0
    for n in range(2):
        for i in range(0, 20, m):
            for j in range(0, 20, m):
                seen, given = x[n, :, i : i + m + 2, j : j + m + 2], dy[n, :, i : i + m, j : j + m]
                tiles, products = tiles + 1, products + float(np.abs(seen).max()) * float(np.abs(given).max())
    assert np.abs(dw - expected).max() <= growth * (tiles + 30) * np.finfo("f").eps / 2 * products


def test_winograds_constants(monkeypatch):
    """The bounds' growth: the absolute values of the three transforms, one after the other."""
    for m, there, back in ((2, 64, 36), (4, 752, 1096)):
        B, G, A, D, W = (matrix(role, m) for role in ("INPUT", "FILTER", "OUTPUT", "GRADIENT", "WEIGHTS"))
        assert np.ceil((abs(A) @ (abs(G).sum(1) * abs(B).sum(1))).max() ** 2) == there
        assert np.ceil((abs(W) @ (abs(D).sum(1) * abs(B).sum(1))).max() ** 2) == back


class Numbers:
    """Stands in for the emitter of vector code: computes with floats."""

    vector, lanes = None, 1

    def __init__(self):
        self.builder = self

    fadd, fsub = staticmethod(lambda a, b: a + b), staticmethod(lambda a, b: a - b)
    fmul, multiply_add = staticmethod(lambda a, b: a * b), staticmethod(lambda a, b, c: a * b + c)


def matrix(role, m):
    """A transform of Winograd's method as a matrix: column by column."""
    transform, rows, columns = winograd.points.scheme(winograd.points.Role[role], m)
    found = np.zeros((rows, columns))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd.points, "_constant", lambda emit, number: float(number))
        for j in range(columns):
            for part in transform:
                values = part.compute(Numbers(), {i: float(i == j) for i in part.inputs})
                found[list(part.outputs), j] = values
    return found


def test_a_convolution_and_its_gradients_judge_an_array_once(rng, monkeypatch):
    asked = []

    def levels(problem, array, block, dy):
        asked.append(array)
        return magnitude.levels(problem, array, block, dy)

    monkeypatch.setattr(exactness, "operator", lambda op: levels if op == "levels" else dispatch.operator(op))
    x = Tensor(rng.standard_normal((4, 64, 32, 32)).astype("f4"), requires_grad=True)
    w = Tensor(rng.standard_normal((64, 64, 3, 3)).astype("f4"), requires_grad=True)
    for op in CONVOLUTIONS:
        assert fc.choose_method(x.shape, w.shape, op=op, padding=1) == "winograd"
    with undisturbed():
        F.conv2d(x, w, padding=1).sum().backward()
    assert len(asked) == 2  # x and the gradient to the result


def test_judgements_are_of_the_array_that_is_there():
    judgements, judged = exactness.Judgements(), []
    judge = lambda array: judged.append(array) or Judged(int(array[0]), True)  # noqa: E731
    a, b = np.array([1.0]), np.array([2.0])
    assert [judgements.of(v, "x", judge, v).exponent for v in (a, b, a)] == [1, 2, 1]
    assert len(judged) == 2
    reference, _ = judgements._found.pop((id(b), "x"))
    judgements._found[id(a), "x"] = reference, Judged(2, True)  # as if b had lain where a lies now
    assert judgements.of(a, "x", judge, a).exponent == 1
