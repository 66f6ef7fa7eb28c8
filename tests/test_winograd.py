"""Winograd's method: its algebra, its blocks, what is special to it. The case table runs in test_conv.py."""

import threading
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from guard import Guarded, needs_guard
from tolerances import assert_close

import fastconv as fc
from fastconv import dispatch
from fastconv.cpu import direct, winograd
from fastconv.cpu.winograd import forward, forward_cut, grad_cut, points, sheets, tiling, weight_grad
from fastconv.errors import Unsupported
from fastconv.spec import conv_problem


@pytest.fixture(params=["fused", "streamed"])
def way(request, monkeypatch):
    """Both ways through every problem, whatever its size."""
    limit = 0 if request.param != "fused" else 1 << 50
    monkeypatch.setattr(forward_cut, "OWN_FILTERS", limit)
    monkeypatch.setattr(forward_cut, "PREPARED_FILTERS", limit)
    monkeypatch.setattr(grad_cut, "FUSED_PRODUCTS", limit)
    forget()
    yield request.param
    monkeypatch.undo()
    forget()


@pytest.fixture
def force(monkeypatch):
    """A function that leaves one tile size only."""

    def only(m):
        for module in (forward_cut, grad_cut):
            monkeypatch.setattr(module, "output_tile", lambda size: m)
        forget()

    yield only
    monkeypatch.undo()
    forget()


def forget():
    """Plan anew: a limit has changed."""
    for planned in (forward_cut.cut_forward, grad_cut.cut_weight_grad, forward.forward_plans, weight_grad.grad_plans):
        planned.cache_clear()


def layer(channels_last, N, C, O, H, W, groups=1, **options):
    """The problem of a 3x3 convolution in one of the layouts."""
    x, w = (N, C, H, W), (O, C // groups, 3, 3)
    if channels_last:
        x, w = (N, H, W, C), (3, 3, C // groups, O)
    return conv_problem(x, w, rank=2, layout="NHWC" if channels_last else "NCHW", groups=groups, **options)


def arrays_of(problem, rng):
    """x, w and dy."""
    return [rng.standard_normal(shape) for shape in (problem.x_shape3, problem.w_shape3, problem.y_shape3)]


def result_of(module, problem, arrays, **options):
    """What an operator writes over NaN; with inputs of the problem's dtype."""
    shape = {"conv": problem.y_shape3, "conv_input_grad": problem.x_shape3, "conv_weight_grad": problem.w_shape3}
    result = np.full(shape[problem.op], np.nan, problem.dtype)
    given = [a if a is None else a.astype(problem.dtype) for a in arrays]
    getattr(module, problem.op)(problem, *given, result, **options)
    return result


class Exact:
    """Stands in for the emitter of vector code: computes with fractions at once."""

    def __init__(self):
        self.builder = self

    def fadd(self, a, b):
        return a + b

    def fsub(self, a, b):
        return a - b

    def fmul(self, a, b):
        return a * b

    def multiply_add(self, a, b, c):
        return a * b + c


def matrix(transform, outputs, inputs):
    """The matrix of a 1-D transform."""
    rows = [[None] * inputs for _ in range(outputs)]
    for j in range(inputs):
        unit = {i: Fraction(int(i == j)) for i in range(inputs)}
        for part in transform:
            values = part.compute(Exact(), {i: unit[i] for i in part.inputs})
            for i, value in zip(part.outputs, values, strict=True):
                rows[i][j] = value
    return np.array(rows, dtype=object)


@pytest.mark.parametrize("m", [2, 4])
def test_the_algebra_is_exact(m, monkeypatch):
    """In exact arithmetic A^T [(G w) * (B^T x)] is the correlation, and so is its transpose the gradient."""
    monkeypatch.setattr(points, "_constant", lambda emit, number: number)
    t = m + 2
    matrices = {role: matrix(*points.scheme(role, m)) for role in points.Role}
    spread, taps, gradient, output, weights = (matrices[role] for role in points.Role)
    x = np.array([Fraction(k * k % 11 - 4, 3) for k in range(t)])
    w = np.array([Fraction(2), Fraction(-7, 5), Fraction(1, 3)])
    dy = np.array([Fraction(3 * k % 5 - 2, 7) for k in range(m)])
    np.testing.assert_array_equal(output @ ((taps @ w) * (spread @ x)), [x[i : i + 3] @ w for i in range(m)])
    np.testing.assert_array_equal(weights @ ((spread @ x) * (gradient @ dy)), [x[k : k + m] @ dy for k in range(3)])


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "N, C, O, H, W, groups, padding",
    [
        (3, 5, 7, 9, 11, 1, ((2, 0), (1, 1))),
        (2, 130, 37, 7, 13, 1, ((1, 1), (1, 1))),
        (1, 17, 20, 29, 30, 2, ((0, 3), (1, 0))),
    ],
)
def test_every_way_against_direct(way, N, C, O, H, W, groups, padding, dtype, channels_last, tile, rng, force):
    """Tails in every size, both tile sizes, both ways: all three operators, on outputs full of NaN."""
    force(tile)
    problem = layer(channels_last, N, C * groups, O * groups, H, W, groups, padding=padding, dtype=dtype)
    x, w, dy, b = (a.astype(dtype) for a in (*arrays_of(problem, rng), rng.standard_normal(O * groups)))
    for op, arrays, options, terms in (
        ("conv", (x, w, b), {"activation": "relu"}, 9 * C),
        ("conv_input_grad", (dy, w), {}, 9 * O),
        ("conv_weight_grad", (x, dy), {}, N * problem.out[1] * problem.out[2]),
    ):
        wanted = replace(problem, op=op)
        expected = result_of(direct, replace(wanted, dtype="float64"), arrays, **options)
        assert_close(result_of(winograd, wanted, arrays, **options), expected, "winograd", terms)


@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
def test_prepared_filters_give_the_same_bits(way, channels_last, rng):
    """And the weights themselves are not looked at any more."""
    problem = layer(channels_last, 2, 40, 50, 9, 10, padding=1, dilation=(1, 2))
    x, w, _ = (a.astype("float32") for a in arrays_of(problem, rng))
    first, second = (np.empty(problem.y_shape3, "float32") for _ in range(2))
    winograd.conv(problem, x, w, None, first)
    prepared = replace(problem, prepared=True)
    ready = winograd.prepare(prepared, w)
    w[...] = np.nan
    winograd.conv(prepared, x, ready, None, second)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_same_bits_for_any_number_of_threads(way, layout, rng):
    x_shape, w_shape = ((4, 30, 29, 48), (3, 3, 48, 40)) if layout == "NHWC" else ((4, 48, 30, 29), (40, 48, 3, 3))
    x, w = (rng.standard_normal(shape).astype("float32") for shape in (x_shape, w_shape))
    results = []
    for count in (1, 2, 3):
        with fc.threads(count):
            y = fc.conv2d(x, w, padding=1, layout=layout, method="winograd")
            dx = fc.conv2d_input_grad(y, w, x_shape, padding=1, layout=layout, method="winograd")
            dw = fc.conv2d_weight_grad(x, y, w_shape, padding=1, layout=layout, method="winograd")
        results.append((y, dx, dw))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def errors(op, rng):
    """Root mean square errors against float64 of winograd and direct, in float32, summed over many channels."""
    problem = replace(layer(True, 2, 256, 32, 16, 16, padding=1), op=op)
    x, w, dy = (a.astype("float32") for a in arrays_of(problem, rng))
    arrays = {"conv": (x, w, None), "conv_input_grad": (dy, w), "conv_weight_grad": (x, dy)}[op]
    exact = result_of(direct, replace(problem, dtype="float64"), arrays)
    found = (result_of(module, problem, arrays) for module in (winograd, direct))
    return [float(np.sqrt(np.mean((a - exact) ** 2))) for a in found]


@pytest.mark.parametrize(
    "op, tile, times",
    [
        ("conv", 2, 1),
        ("conv", 4, 3),
        ("conv_input_grad", 2, 2),
        ("conv_input_grad", 4, 4),
        ("conv_weight_grad", 2, 4),
        ("conv_weight_grad", 4, 6),
    ],
)
def test_errors_are_near_those_of_direct(op, tile, times, rng, force):
    force(tile)
    fast, plain = errors(op, rng)
    assert fast < times * plain


def together(N, H, W, op="conv", channels_last=True, **options):
    """Images and sizes of a problem's sheets."""
    problem = replace(layer(channels_last, N, 8, 8, H, W, **options), op=op)
    return [(sheet.images, sheet.out[1:]) for sheet in sheets.sheets(problem)]


def test_small_images_lie_side_by_side():
    """Where that saves a tenth of the products; gradients and channels-first images never do."""
    assert together(64, 14, 14, padding=1) == [(16, (59, 59))]
    assert together(64, 28, 28, padding=1) == [(1, (28, 28))]
    assert together(7, 14, 14, padding=1) == [(1, (14, 14))]  # in one row: a sixteenth
    assert together(4, 13, 13, padding=1) == [(4, (27, 27))]
    assert together(64, 14, 14, "conv_input_grad", padding=1) == [(1, (14, 14))]
    assert together(64, 14, 14, channels_last=False, padding=1) == [(1, (14, 14))]
    assert together(64, 16, 16) == [(1, (14, 14))]  # two rows between images: there is no padding to share
    assert together(1, 28, 28, padding=2, dilation=2) == [(1, (29, 29))]  # the phases, in one region
    assert together(1, 28, 28, channels_last=False, padding=2, dilation=2) == [(1, (14, 14))] * 4


@pytest.mark.parametrize("mode", ["zeros", "wrap"])
@pytest.mark.parametrize("padding", [1, 2, ((2, 0), (0, 1))])
def test_images_that_lie_side_by_side_do_not_mix(mode, padding, rng):
    """Each image's result is that of the image alone."""
    x = rng.standard_normal((6, 13, 14, 20)).astype("float32")
    w = rng.standard_normal((3, 3, 20, 37)).astype("float32")
    options = {"padding": padding, "padding_mode": mode, "layout": "NHWC"}
    out = np.full(fc.conv2d(x, w, **options, method="direct").shape, np.nan, "float32")
    fc.conv2d(x, w, **options, method="winograd", out=out)
    alone = [fc.conv2d(image[None], w.astype(float), **options, method="direct")[0] for image in x.astype(float)]
    assert_close(out, np.array(alone), "winograd", 180)


def test_tile_size_follows_from_the_output():
    """The fewest multiplications; of equals the more accurate."""

    def chosen(H, W):
        return tiling.output_tile(tiling.TileProblem.of(layer(True, 1, 8, 8, H + 2, W + 2), (1, H, W)))

    assert [chosen(n, n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 14, 28)] == [2, 2, 4, 4, 2, 2, 4, 4, 4, 4]
    assert chosen(1, 100) == 2  # four rows of which one is wanted


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_non_finite_input_spreads_within_its_tiles(layout):
    """The method asked for by name does what it does; "auto" does not hand such data to it."""
    x = np.ones((1, 12, 12, 1) if layout == "NHWC" else (1, 1, 12, 12), "float32")
    w = np.ones((3, 3, 1, 1) if layout == "NHWC" else (1, 1, 3, 3), "float32")
    x.reshape(12, 12)[5, 6] = np.nan
    y = fc.conv2d(x, w, padding=1, layout=layout, method="winograd").reshape(12, 12)
    assert np.isnan(y[4:7, 5:8]).all()
    reached = np.zeros((12, 12), bool)
    reached[4:8, 4:8] = True
    assert not np.isnan(y[~reached]).any()
    safe = fc.conv2d(x, w, padding=1, layout=layout).reshape(12, 12)
    assert np.isnan(safe).sum() == 9


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_bias_and_activation(layout, activation, rng):
    x_shape, w_shape = ((2, 7, 9, 20), (3, 3, 20, 37)) if layout == "NHWC" else ((2, 20, 7, 9), (37, 20, 3, 3))
    x, w, b = rng.standard_normal(x_shape), rng.standard_normal(w_shape), rng.standard_normal(37)
    options = {"padding": 1, "layout": layout, "activation": activation}
    fast = fc.conv2d(x, w, b, **options, method="winograd")
    assert_close(fast, fc.conv2d(x, w, b, **options, method="direct"), "winograd", 180)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_nothing_is_written_beside_the_output(way, layout, rng):
    x_shape, w_shape = ((1, 6, 7, 5), (3, 3, 5, 19)) if layout == "NHWC" else ((1, 5, 6, 7), (19, 5, 3, 3))
    x, w = rng.standard_normal(x_shape), rng.standard_normal(w_shape)
    expected = fc.conv2d(x, w, padding=1, layout=layout, method="direct")
    around = np.full(expected.size + 128, 7.0)
    out = around[64:-64].reshape(expected.shape)
    fc.conv2d(x, w, padding=1, layout=layout, method="winograd", out=out)
    assert_close(out, expected, "winograd", 45)
    assert (around[:64] == 7).all()
    assert (around[-64:] == 7).all()


@pytest.mark.parametrize(
    "rank, kernel, stride, message",
    [
        (2, (5, 5), 1, "this one is 5x5, stride 1x1"),
        (2, (3, 3), 2, "this one is 3x3, stride 2x2"),
        (1, (3,), 1, "this one is 1x3, stride 1x1"),
        (3, (3, 3, 3), 1, "this one is 3x3x3, stride 1x1x1"),
    ],
)
def test_reasons(rank, kernel, stride, message):
    x, w = np.ones((1, 2, *(8,) * rank)), np.ones((3, 2, *kernel))
    with pytest.raises(Unsupported, match=f"winograd serves 3x3 filters of stride 1; {message}"):
        getattr(fc, f"conv{rank}d")(x, w, stride=stride, method="winograd")


def test_counts_less_than_direct():
    """A quarter of the multiplications for whole tiles of 4x4."""
    problem = layer(True, 8, 64, 64, 56, 56, padding=1)
    for op in ("conv", "conv_input_grad", "conv_weight_grad"):
        wanted = replace(problem, op=op)
        assert dispatch.work(wanted, "winograd").tile == dispatch.work(wanted, "direct").tile / 4
    alone, ready = (dispatch.work(replace(problem, prepared=p), "winograd") for p in (False, True))
    assert ready.vector < alone.vector


@pytest.mark.parametrize("op", ["conv", "conv_input_grad", "conv_weight_grad"])
@pytest.mark.parametrize("channels, size", [(32, 28), (256, 9)])
def test_memory_is_as_counted(op, channels, size):
    """In a thread of its own, whose pool of scratch is empty."""
    problem = replace(layer(True, 4, channels, channels, size, size, padding=1), op=op)
    x, w = np.ones(problem.x_shape3, "float32"), np.ones(problem.w_shape3, "float32")
    arrays = {"conv": (x, w, None, x.copy()), "conv_input_grad": (x, w, x.copy()), "conv_weight_grad": (x, x, w.copy())}
    getattr(winograd, op)(problem, *arrays[op])
    counted = dispatch.work(problem, "winograd").extra
    peaks = []

    def traced():
        tracemalloc.start()
        getattr(winograd, op)(problem, *arrays[op])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    worker = threading.Thread(target=traced)
    worker.start()
    worker.join()
    assert 0.6 * peaks[0] - (1 << 16) < counted < 1.5 * peaks[0] + (1 << 16)


@needs_guard
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("C, O", [(5, 19), (20, 17), (33, 40)])
def test_touches_nothing_past_the_end(way, C, O, layout, rng):
    x_shape, w_shape, y_shape = (2, C, 6, 7), (O, C, 3, 3), (2, O, 6, 7)
    if layout == "NHWC":
        x_shape, w_shape, y_shape = (2, 6, 7, C), (3, 3, C, O), (2, 6, 7, O)
    guarded = Guarded()
    x, w, dy = (guarded(rng.standard_normal(shape).astype("float32")) for shape in (x_shape, w_shape, y_shape))
    options = {"padding": 1, "layout": layout}
    y = fc.conv2d(x, w, **options, method="winograd", out=guarded(np.empty(y_shape, "float32")))
    assert_close(y, fc.conv2d(x, w, **options, method="direct"), "winograd", 9 * C)
    dx = fc.conv2d_input_grad(dy, w, x_shape, **options, method="winograd")
    assert_close(dx, fc.conv2d_input_grad(dy, w, x_shape, **options, method="direct"), "winograd", 9 * O)
    dw = fc.conv2d_weight_grad(x, dy, w_shape, **options, method="winograd")
    assert_close(dw, fc.conv2d_weight_grad(x, dy, w_shape, **options, method="direct"), "winograd", 84)
