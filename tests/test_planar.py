"""Planar filtering by itself: both kinds of lanes on shapes that its blocks, tails and tables find hard."""

from dataclasses import dataclass, field

import ml_dtypes
import naive
import numpy as np
import pytest
from guard import Guarded, needs_guard

import fastconv as fc
from fastconv.cpu import direct
from fastconv.cpu.lowering import lower_conv, weight_strides
from fastconv.cpu.planar import engine as planar
from fastconv.cpu.planar.bands import choose_banding
from fastconv.cpu.planar.depth_weights import DepthWeights
from fastconv.cpu.planar.lanes import OutputRow, by_channels, by_pixels, serves
from fastconv.cpu.planar.weight_grad import planar_weights
from fastconv.simd.filter_tile import FILTER_ROWS
from fastconv.simd.host import host
from fastconv.spec import LAYOUTS, conv_problem

LANES = host().lanes(4)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@dataclass(frozen=True)
class Problem:
    """A convolution of `groups` groups of C -> O channels over a (D, H, W) input."""

    name: str
    size: tuple
    kernel: tuple
    groups: int = 1
    C: int = 1
    O: int = 1  # noqa: E741
    N: int = 1
    options: dict = field(default_factory=dict, hash=False)

    def __str__(self):
        return self.name

    def spec(self, channels_last, dtype="float32", op="conv"):
        """The problem as the library sees it."""
        x, w = (self.N, self.groups * self.C, *self.size), (self.groups * self.O, self.C, *self.kernel)
        if channels_last:
            x, w = (x[0], *x[2:], x[1]), (*w[2:], w[1], w[0])
        options = {"padding_mode" if name == "mode" else name: value for name, value in self.options.items()}
        layout = LAYOUTS[3][channels_last]
        return conv_problem(x, w, rank=3, groups=self.groups, layout=layout, dtype=dtype, op=op, **options)

    def operands(self, dtype):
        """Small whole numbers, so that sums are exact."""
        rng = np.random.default_rng(len(self.name))
        x = rng.integers(-4, 5, (self.N, self.groups * self.C, *self.size)).astype(dtype)
        w = rng.integers(-3, 4, (self.groups * self.O, self.C, *self.kernel)).astype(dtype)
        return x, w, rng.integers(-3, 4, self.groups * self.O).astype(dtype)

    def expected(self, x, w, b):
        g = self.spec(False)
        return naive.conv(x, w, b, stride=g.stride, dilation=g.dilation, padding=g.padding,
                          padding_mode=g.padding_mode, groups=self.groups)  # fmt: skip


def _same(*kernel):
    return tuple((k // 2, k // 2) for k in kernel)


PIXELS = [
    Problem("one pixel", (1, 1, 1), (1, 1, 1)),
    Problem("width 1", (1, 40, 1), (1, 3, 1), options={"padding": _same(1, 3, 1)}),
    Problem("narrower than a vector", (1, 9, 5), (1, 3, 3), options={"padding": _same(1, 3, 3)}),
    Problem("a vector and one", (1, 13, LANES + 1), (1, 3, 3), N=2, options={"padding": _same(1, 3, 3)}),
    Problem("kernel = image", (1, 7, 9), (1, 7, 9)),
    Problem("kernel taller than a tile", (1, 30, 20), (1, 2 * FILTER_ROWS + 3, 2)),
    *(
        Problem(f"padding as wide as the image, {mode}", (1, 6, 7), (1, 5, 5), N=2,
                options={"padding": ((0, 0), (5, 4), (6, 5)), "mode": mode})
        for mode in ("edge", "reflect", "symmetric", "wrap")
    ),
    Problem("padding beyond the kernel", (1, 4, 5), (1, 3, 2), options={"padding": ((0, 0), (7, 5), (9, 6))}),
    Problem("stride beyond the kernel", (1, 20, 41), (1, 2, 2), options={"stride": (1, 5, 4)}),
    Problem("stride 2, dilation 2", (1, 21, 70), (1, 3, 5), options={"stride": (1, 2, 2), "dilation": (1, 2, 2)}),
    Problem("stride 3, dilation 2", (1, 29, 83), (1, 5, 5), options={"stride": (1, 3, 3), "dilation": (1, 2, 2)}),
    Problem("stride 2, dilation 3", (1, 40, 50), (1, 3, 4), options={"stride": (1, 2, 2), "dilation": (1, 3, 3)}),
    Problem("rows dilated 4", (1, 37, 35), (1, 3, 3), options={"dilation": (1, 4, 1), "padding": _same(1, 9, 3)}),
    Problem("channels, few outputs", (1, 11, 37), (1, 3, 3), C=5, O=4, options={"padding": _same(1, 3, 3)}),
    Problem("rounds of channels", (1, 9, 19), (1, 7, 3), C=97, O=2),
    Problem("pointwise, 7 outputs", (1, 3, 50), (1, 1, 1), C=9, O=7),
    Problem("groups and multiplier", (1, 8, 33), (1, 3, 3), groups=3, C=2, O=3, N=2),
    Problem("1-D, several blocks", (1, 1, 70_000), (1, 1, 5), options={"padding": _same(1, 1, 5)}),
    Problem("1-D, stride 2", (1, 1, 3001), (1, 1, 9), options={"stride": (1, 1, 2)}),
    Problem("3-D", (7, 9, 21), (3, 3, 3), options={"stride": (2, 1, 1), "padding": _same(3, 3, 3)}),
    Problem("3-D, dilated planes, wrapped", (6, 5, 18), (2, 3, 3),
            options={"dilation": (3, 1, 1), "padding": _same(2, 3, 3), "mode": "wrap"}),
]  # fmt: skip

CHANNELS = [
    Problem("3 channels", (1, 9, 25), (1, 3, 3), groups=3, options={"padding": _same(1, 3, 3)}),
    Problem("lanes of one vector", (1, 12, 13), (1, 3, 3), groups=LANES, N=2, options={"padding": _same(1, 3, 3)}),
    Problem("vectors and one channel", (1, 7, 6), (1, 3, 3), groups=2 * LANES + 1, options={"padding": _same(1, 3, 3)}),
    Problem("more than a block of channels", (1, 7, 9), (1, 5, 5), groups=5 * LANES + 3,
            options={"padding": _same(1, 5, 5)}),
    Problem("one pixel of many channels", (1, 1, 1), (1, 3, 3), groups=37, options={"padding": _same(1, 3, 3)}),
    Problem("stride 2", (1, 13, 15), (1, 3, 3), groups=20, options={"stride": (1, 2, 2), "padding": _same(1, 3, 3)}),
    Problem("stride 3, dilation 2, reflected", (1, 17, 19), (1, 3, 2), groups=18,
            options={"stride": (1, 3, 3), "dilation": (1, 2, 2), "padding": _same(1, 5, 3), "mode": "reflect"}),
    Problem("stride 2, a middle read in place", (1, 41, 45), (1, 3, 3), groups=2 * LANES + 1, N=2,
            options={"stride": (1, 2, 2), "padding": _same(1, 3, 3)}),
    Problem("stride 2, all in place", (1, 21, 25), (1, 3, 3), groups=2 * LANES, options={"stride": (1, 2, 2)}),
    Problem("stride 2, wrapped, 3-D", (4, 21, 25), (1, 3, 3), groups=LANES,
            options={"stride": (1, 2, 2), "padding": ((1, 1), (1, 1), (1, 1)), "mode": "wrap"}),
    *(
        Problem(f"{k}x{k} of stride {s}, several blocks, padded {before} and {after}", (1, 67, 53), (1, k, k),
                groups=2 * LANES + 1,
                options={"stride": (1, s, s), "padding": ((0, 0), (before, after), (after, before))})
        for k, s, before, after in ((3, 1, 1, 0), (5, 1, 2, 1), (5, 2, 1, 2), (7, 1, 3, 3))
    ),
    Problem("padding beyond half of a known filter", (1, 9, 12), (1, 3, 3), groups=LANES,
            options={"padding": ((0, 0), (2, 1), (1, 2))}),
    Problem("a known filter, reflected", (1, 9, 12), (1, 3, 3), groups=LANES,
            options={"padding": _same(1, 3, 3), "mode": "reflect"}),
    Problem("1-D", (1, 1, 90), (1, 1, 4), groups=5),
    Problem("3-D", (5, 6, 7), (3, 2, 3), groups=9, options={"padding": _same(3, 1, 3)}),
]  # fmt: skip


def _solve(problem, lanes_of, channels_last, dtype, *, bias=True, relu=False, place=lambda array: array):
    """The problem by planar filtering with the lanes asked for, as a channels-first array."""
    x, w, b = problem.operands(dtype)
    y = np.full(problem.expected(x, w, b).shape, np.nan, dtype)
    if channels_last:
        x, y = (np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, y))
        w = np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2)))
    x, w, y = map(place, (x, w, y))
    spec = problem.spec(channels_last, dtype)
    low = lower_conv(spec)
    engine = planar.PlanarEngine(low, choose_banding(low, lanes_of(low, x.itemsize), x.itemsize))
    panels = engine.panels(w, weight_strides(spec))
    engine.run(x.reshape(-1), panels, b if bias else None, y.reshape(-1), relu)
    return np.moveaxis(y, -1, 1) if channels_last else y


RUNS = [(problem, by_pixels, False) for problem in PIXELS]
RUNS += [(problem, by_pixels, True) for problem in PIXELS if problem.groups == problem.C == 1]
RUNS += [(problem, by_pixels, False) for problem in CHANNELS]
RUNS += [(problem, by_channels, last) for problem in CHANNELS for last in (False, True)]
RUNS += [(Problem("multiplier", (1, 9, 7), (1, 3, 3), groups=5, O=3), by_channels, True)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("problem", "lanes_of", "channels_last"), RUNS, ids=lambda p: getattr(p, "__name__", str(p)))
def test_exact_on_whole_numbers(problem, lanes_of, channels_last, dtype):
    x, w, b = problem.operands(dtype)
    expected = problem.expected(x, w, b)
    np.testing.assert_array_equal(_solve(problem, lanes_of, channels_last, dtype), expected)
    no_bias = problem.expected(x, w, None)
    relu = _solve(problem, lanes_of, channels_last, dtype, bias=False, relu=True)
    np.testing.assert_array_equal(relu, np.maximum(no_bias, 0))


@needs_guard
@pytest.mark.parametrize(("problem", "lanes_of", "channels_last"), RUNS, ids=lambda p: getattr(p, "__name__", str(p)))
def test_touches_nothing_past_the_end(problem, lanes_of, channels_last):
    guarded = Guarded()
    y = _solve(problem, lanes_of, channels_last, "float32", place=guarded)
    np.testing.assert_array_equal(y, problem.expected(*problem.operands("float32")))


@needs_guard
@pytest.mark.parametrize("problem", [p for p in CHANNELS if p.groups == 2 * LANES], ids=str)
def test_streamed_results(problem, monkeypatch):
    monkeypatch.setattr(planar, "STREAM_BYTES", 0)
    streamed, streams = [], planar.PlanarEngine._streams
    monkeypatch.setattr(planar.PlanarEngine, "_streams", lambda *args: streamed.append(streams(*args)) or streamed[-1])
    first_of_a_page = Guarded(behind=False)
    y = _solve(problem, by_channels, True, "float32", bias=False, place=first_of_a_page)
    np.testing.assert_array_equal(y, problem.expected(*problem.operands("float32")[:2], None))
    assert streamed == [True]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kernel", [(5, 3), (3, 3)])
@pytest.mark.parametrize(("shape", "groups"), [((1, 1, 300, 200), 1), ((2, 48, 40, 30), 48)])
def test_bits_do_not_depend_on_the_threads(shape, groups, kernel, channels_last):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(shape).astype("float32"), rng.standard_normal((groups, 1, *kernel)).astype("float32")
    if channels_last:
        x, w = np.moveaxis(x, 1, -1), np.moveaxis(w, (0, 1), (-1, -2))
    results = []
    for count in (1, 2, 3):
        with fc.threads(count):
            layout = "NHWC" if channels_last else "NCHW"
            options = {"padding": "same", "groups": groups, "layout": layout, "method": "direct"}
            y = fc.conv2d(x, w, **options)
            dw = fc.conv2d_weight_grad(x, y, w.shape, **options)
            dx = fc.conv2d_input_grad(y, w, x.shape, **options)
            results.append(y.tobytes() + dw.tobytes() + dx.tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("problem", [*PIXELS, *CHANNELS], ids=str)
def test_weight_gradient_is_exact_on_whole_numbers(problem, channels_last):
    if problem.C != 1 or problem.O != 1:
        pytest.skip("lanes of output channels serve it")
    spec = problem.spec(channels_last, op="conv_weight_grad")
    x, w, _ = problem.operands("float32")
    dy = np.random.default_rng(7).integers(-2, 3, problem.expected(x, w, None).shape).astype("float32")
    names = "stride", "dilation", "padding", "padding_mode", "groups"
    options = {name: getattr(spec, name) for name in names}
    expected = naive.conv_weight_grad(x, dy, problem.kernel, **options)
    if channels_last:
        x, dy = (np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, dy))
        w = np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2)))
    dw = np.full_like(w, np.nan)
    direct.conv_weight_grad(spec, x, dy, dw)
    np.testing.assert_array_equal(np.moveaxis(dw, (-1, -2), (0, 1)) if channels_last else dw, expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_known_filters_take_bfloat16_as_it_is(stride):
    """Widened as it is read, summed in float32, rounded as it is stored: once, as whole arrays would be."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape).astype(BFLOAT16) for shape in ((2, 19, 22, 40), (3, 3, 1, 40), (40,)))
    options = {"groups": 40, "stride": stride, "padding": 1, "layout": "NHWC", "method": "direct"}
    spec = conv_problem(
        x.shape, w.shape, rank=2, dtype="bfloat16", **{k: v for k, v in options.items() if k != "method"}
    )
    assert direct.takes_halves(spec)
    for activation in (None, "relu", "tanh"):
        y = fc.conv2d(x, w, b, activation=activation, **options)
        single = fc.conv2d(*(a.astype("float32") for a in (x, w, b)), activation=activation, **options)
        np.testing.assert_array_equal(y, single.astype(BFLOAT16))
    dx = fc.conv2d_input_grad(y, w, x.shape, **options)
    single = fc.conv2d_input_grad(y.astype("float32"), w.astype("float32"), x.shape, **options)
    np.testing.assert_array_equal(dx, single.astype(BFLOAT16))


def test_weight_gradient_in_place_keeps_nan_in_its_taps():
    """Tiles that overlap read zeros for what has been counted, which NaN would spread from: other sums serve."""
    x, dy = np.ones((1, 13, 14, LANES), "float32"), np.ones((1, 13, 14, LANES), "float32")
    options = {"groups": LANES, "padding": 1, "layout": "NHWC"}
    spec = conv_problem(x.shape, (3, 3, 1, LANES), rank=2, op="conv_weight_grad", **options)
    assert isinstance(planar_weights(lower_conv(spec), 4), DepthWeights)
    x[0, 0, 0, 2] = np.nan  # the first pixel: no later tap of a row or column meets it
    dw = fc.conv2d_weight_grad(x, dy, (3, 3, 1, LANES), method="direct", **options)
    expected = np.zeros((3, 3, 1, LANES), bool)
    expected[:2, :2, 0, 2] = True
    np.testing.assert_array_equal(np.isnan(dw), expected)


def test_nan_stays_in_its_windows():
    x = np.zeros((1, 1, 40, 70), "float32")
    x[0, 0, 20, 33] = np.nan
    y = fc.conv2d(x, np.ones((1, 1, 3, 5), "float32"), padding="same", method="direct")
    rows, cols = np.nonzero(np.isnan(y[0, 0]))
    assert (rows.min(), rows.max(), cols.min(), cols.max(), len(rows)) == (19, 21, 31, 35, 15)


def test_serves_where_output_channels_would_leave_lanes_idle():
    def served(C, O, groups, width, strides):  # noqa: E741
        return serves(OutputRow(C, O, groups, width, 1, *strides), 4)

    apart, together = (3136, 1, 3136, 1), (1, 64, 1, 64)
    assert served(1, 1, 1, 512, apart) == "pixels"
    assert served(64, 1, 1, 56, apart) == "pixels"
    assert served(64, 64, 1, 56, apart) is None
    assert served(64, 1, 1, 56, together) is None
    assert served(1, 1, 64, 56, together) == "channels"
    assert served(1, 1, 64, 7, apart) == "channels"
    assert served(1, 1, 64, 112, apart) == "pixels"


def test_prepared_weights_are_not_read_again():
    rng = np.random.default_rng(1)
    w = rng.standard_normal((1, 1, 7, 7)).astype("float32")
    x = rng.standard_normal((1, 1, 64, 64)).astype("float32")
    expected = fc.conv2d(x, w, padding="same", method="direct")
    plan = fc.plan_conv2d(w, x.shape, padding="same", method="direct")
    w[...] = np.nan
    np.testing.assert_array_equal(plan(x), expected)
