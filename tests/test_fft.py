"""Method "fft" from the inside: phases, tables, plans, tiles, memory, threads and the error bound.

That it computes what every other method does is tested in test_conv; here the problems are such that there are several
tiles, batches and chunks.
"""

import dataclasses
import itertools
import math
import subprocess
import sys
import tracemalloc

import numba
import numpy as np
import pytest
from cases import Case
from hypothesis import given
from hypothesis import strategies as st
from problems import OPS, problem
from tolerances import assert_close

import fastconv as fc
from fastconv.borders import border_index
from fastconv.config import settings
from fastconv.cpu import activation, fft, fft_plan, fft_transform
from fastconv.cpu.fft_lattice import Axis
from fastconv.cpu.fft_phases import phases
from fastconv.cpu.fft_plan import Size, make_plan

MODES = ("zeros", "edge", "reflect", "symmetric", "wrap")
FLOATS = ("float32", "float64")


@pytest.fixture
def plans(monkeypatch):
    """The plans of the calls made in a test; call it with a number to set the byte budget."""
    made = []

    def remember(size, budget):
        made.append(make_plan(size, budget))
        return made[-1]

    class Plans(list):
        def __call__(self, budget):
            monkeypatch.setattr(fft, "settings", dataclasses.replace(settings, scratch_bytes=budget))

    made = Plans()
    monkeypatch.setattr(fft, "make_plan", remember)
    return made


small = st.integers(1, 7)


@given(k=small, s=small, d=small, flip=st.booleans())
def test_phases_hold_every_tap_once(k, s, d, flip):
    parts = phases((1, 1, k), (1, 1, s), (1, 1, d), flip)
    extent = parts.extent[2]
    found = {}
    for part in parts.axes[2]:
        places = np.arange(extent)[part.places]
        assert len(places) == len(range(k)[part.taps])
        for u, place in zip(range(k)[part.taps], places, strict=True):
            found[u] = (extent - 1 - place if flip else place) * s + part.phase
    assert found == {u: u * d for u in range(k)}
    assert parts.count == len({u * d % s for u in range(k)})
    assert extent == (k - 1) * d // s + 1


@given(n=st.integers(1, 9), before=st.integers(0, 9), after=st.integers(0, 9), step=st.integers(1, 4), data=st.data())
def test_runs_say_what_the_table_says(n, before, after, step, data):
    index = border_index(n, before, after, data.draw(st.sampled_from(MODES)))
    used = data.draw(st.sets(st.integers(0, step - 1), min_size=1))
    axis = Axis(index[:before], n, index[before + n :], tuple(sorted(used)), step)
    length = 30
    table = axis.table(length)
    starts, indices = axis.runs()
    for r, row in enumerate(table):
        for position in range(length):
            run = int(np.searchsorted(starts[r], position, side="right")) - 1
            index = indices[r, run]
            assert row[position] == (index if index < 0 else index + (position - starts[r, run]) * step)
        padded = axis.left.tolist() + list(range(n)) + axis.right.tolist()
        expected = padded[axis.phases[r] :: step]
        assert row.tolist() == (expected + [-1] * length)[:length]


SIZES = st.builds(
    Size,
    images=st.integers(1, 40),
    out=st.tuples(st.integers(1, 40), st.integers(1, 300), st.integers(1, 3000)),
    extent=st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 400)),
    groups=st.integers(1, 9),
    sources=st.integers(1, 70),
    targets=st.integers(1, 70),
    source_phases=st.integers(1, 4),
    target_phases=st.just(1),
    itemsize=st.sampled_from([4, 8]),
    gradient=st.booleans(),
)


@given(size=SIZES, budget=st.sampled_from([1, 1 << 16, 1 << 20, 32 << 20]))
def test_plan_covers_the_problem_and_keeps_the_budget(size, budget):
    plan = make_plan(size, budget)
    for n, e, t, v, c in zip(size.out, size.extent, plan.tile, plan.pitch, plan.counts, strict=True):
        assert v * c >= n > v * (c - 1)
        assert v + e - 1 <= t
    assert 1 <= plan.batch <= plan.tiles
    cells = [
        (g, s, t)
        for c in plan.chunks()
        for g in range(c.group, c.group + c.groups)
        for s in range(c.source, c.source + c.sources)
        for t in range(c.target, c.target + c.targets)
    ]
    assert len(cells) == len(set(cells)) == size.groups * size.sources * size.targets
    if plan.bytes > budget:  # then nothing smaller was possible
        assert (plan.groups, plan.sources, plan.targets, plan.batch) == (1, 1, 1, 1)


@given(n=st.integers(1, 1 << 21))
def test_fast_lengths(n):
    length = fft_plan._fast(n)
    assert n <= length < 2 * n + 2
    for prime in (2, 3, 5):
        while length % prime == 0:
            length //= prime
    assert length == 1


@pytest.mark.parametrize(
    "tile", [(1, 1, 1), (1, 1, 12), (1, 9, 1), (6, 1, 1), (1, 6, 10), (5, 1, 4), (4, 6, 9)], ids=str
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_transform_and_back(tile, dtype, rng):
    tiles = rng.standard_normal((3, *tile, 2)).astype(dtype)
    spectrum = fft_transform.spectra(tiles, tile)
    assert spectrum.dtype == np.result_type(dtype, np.complex64)
    real = fft_plan.real_axis(tile) + 1
    expected = np.fft.fftn(tiles.astype(float), axes=(1, 2, 3)).take(range(tile[real - 1] // 2 + 1), axis=real)
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(spectrum, expected, atol=tolerance, rtol=0)
    keep = tuple(min(n, 3) for n in tile)
    back = fft_transform.signals(spectrum, tile, keep)
    cut = tuple(slice(k if a < real - 1 else None) for a, k in enumerate(keep))
    np.testing.assert_allclose(back, tiles[(slice(None), *cut)], atol=tolerance, rtol=0)


TILED = [
    Case("one channel", (1, 1, 61, 67), (1, 1, 5, 7), {"padding": ((2, 2), (3, 3))}),
    Case("one axis", (2, 1, 1009), (1, 1, 31), {"padding": 15}),
    Case("three axes", (1, 2, 13, 14, 17), (3, 2, 3, 2, 4), {"padding": 1}),
    Case("uneven border", (1, 2, 41, 37), (2, 2, 4, 3), {"padding": ((5, 0), (1, 7))}),
    Case("reflected border", (1, 2, 33, 29), (2, 2, 5, 5), {"padding": ((6, 3), (2, 8)), "padding_mode": "reflect"}),
    Case("wrapped border", (2, 1, 130), (2, 1, 9), {"padding": ((100, 40),), "padding_mode": "wrap"}),
    Case("stride", (2, 3, 47, 53), (4, 3, 5, 6), {"stride": (2, 3), "padding": 2}),
    Case("stride above the filter", (1, 2, 40, 40), (2, 2, 2, 3), {"stride": (3, 4)}),
    Case("dilation", (1, 2, 45, 40), (3, 2, 4, 3), {"dilation": (3, 5), "padding": ((0, 4), (3, 3))}),
    Case("stride and dilation", (1, 2, 60, 61), (3, 2, 4, 5), {"stride": (4, 3), "dilation": (2, 2), "padding": 3}),
    Case("groups", (2, 6, 24, 23), (9, 2, 5, 5), {"groups": 3, "padding": 2}),
    Case("depthwise", (2, 19, 24, 30), (19, 1, 5, 7), {"groups": 19, "padding": 3}),
    Case("many channels", (2, 17, 11, 20), (18, 17, 3, 5), {"padding": 1}),
    Case("flat filter", (1, 2, 30, 90), (2, 2, 1, 11), {"padding": ((0, 0), (5, 5))}),
    Case("upright filter", (1, 2, 90, 30), (2, 2, 11, 1), {"padding": ((5, 5), (0, 0))}),
    Case("filter as large as the input", (2, 3, 20, 20), (2, 3, 20, 20), {"padding": 9}),
]


@pytest.mark.parametrize("case", TILED, ids=str)
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
def test_any_budget(op, channels_last, case, plans):
    """From one tile of one channel at a time to all at once."""
    data = problem(case)
    for budget in (1, 30_000, 32 << 20):
        plans(budget)
        result = data.solve(op, channels_last, "float32", method="fft")
        assert_close(result, data.expected(op), "fft", data.terms(op))
    assert plans[0].batch == plans[0].sources == plans[0].targets == 1
    assert plans[0].tiles >= plans[-1].tiles


def test_small_budgets_make_tiles_batches_and_chunks(plans):
    """What test_any_budget is about does happen."""
    data = {case.name: problem(case) for case in TILED}
    plans(1)
    data["one channel"].solve("conv", False, "float32", method="fft")
    assert min(plans[-1].counts[1:]) > 2
    data["three axes"].solve("conv", False, "float32", method="fft")
    assert min(plans[-1].counts) > 2
    data["many channels"].solve("conv", False, "float32", method="fft")
    assert len(list(plans[-1].chunks())) == 17 * 18
    plans(100_000)
    data["depthwise"].solve("conv", False, "float32", method="fft")
    assert 1 < plans[-1].groups < 19
    data["many channels"].solve("conv", False, "float32", method="fft")
    assert 1 < len(list(plans[-1].chunks())) < 17 * 18
    assert 1 < plans[-1].batch < plans[-1].tiles


SPACIOUS = [
    Case("image", (1, 1, 700, 600), (1, 1, 31, 31), {"padding": 15}),
    Case("signal", (1, 1, 400_000), (1, 1, 1001), {"padding": 500}),
    Case("channels", (2, 24, 80, 80), (40, 24, 9, 9), {"padding": 4}),
    Case("depthwise", (2, 64, 60, 60), (64, 1, 9, 9), {"padding": 4, "groups": 64}),
    Case("stride", (1, 16, 120, 120), (16, 16, 7, 7), {"stride": 2}),
]


def draw(case, rng, dtype="float32"):
    arrays = {name: rng.standard_normal(shape, dtype) for name, shape in (("x", case.x_shape), ("w", case.w_shape))}
    return arrays | {"dy": rng.standard_normal(case.y_shape, dtype)}


def compute(op, case, arrays, method="fft"):
    kind = f"conv{case.rank}d" + op.removeprefix("conv")
    operands = {
        "conv": (arrays["x"], arrays["w"]),
        "conv_input_grad": (arrays["dy"], arrays["w"], case.x_shape),
        "conv_weight_grad": (arrays["x"], arrays["dy"], case.w_shape),
    }
    return getattr(fc, kind)(*operands[op], **case.options, method=method)


@pytest.mark.parametrize("case", SPACIOUS, ids=str)
@pytest.mark.parametrize("op", OPS)
def test_memory_stays_below_the_budget(op, case, plans, rng):
    """Measured on the arrays NumPy allocates, scipy's results among them; 128 KiB are for tables and small objects."""
    arrays = draw(case, rng)
    for budget in (2 << 20, 6 << 20):
        plans(budget)
        with fc.threads(4):
            compute(op, case, arrays)  # compile first
            tracemalloc.start()
            result = compute(op, case, arrays)
        peak = tracemalloc.get_traced_memory()[1] - result.nbytes
        tracemalloc.stop()
        assert plans[-1].bytes <= budget
        assert peak <= plans[-1].bytes + (128 << 10)


@pytest.mark.parametrize("case", SPACIOUS, ids=str)
@pytest.mark.parametrize("op", OPS)
def test_same_bits_for_any_number_of_threads(op, case, rng):
    arrays = draw(case, rng)
    results = []
    for threads in (1, 2, 3, 7):
        with fc.threads(threads):
            results.append(compute(op, case, arrays))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


COUNTED = [
    Case("image", (1, 1, 90, 110), (1, 1, 21, 25), {"padding": 12}),
    Case("signal", (1, 1, 20_000), (1, 1, 501), {"padding": 250}),
    Case("channels", (2, 24, 40, 40), (32, 24, 7, 7), {"padding": 3}),
    Case("volume", (1, 4, 20, 20, 20), (4, 4, 5, 5, 5), {"padding": 2}),
]


@pytest.mark.parametrize("case", COUNTED, ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_error_bound(dtype, case, plans):
    """eps * log2(T) of the largest result, against exact sums of small whole numbers."""
    data = problem(case, whole=True)
    for op in OPS:
        exact = data.expected(op)
        error = np.abs(data.solve(op, False, dtype, method="fft") - exact).max()
        assert error <= np.finfo(dtype).eps * math.log2(math.prod(plans[-1].tile)) * np.abs(exact).max()


@pytest.mark.parametrize("dtype", FLOATS)
def test_bias_and_activation(dtype, rng):
    """Also where channels are summed in several chunks: the bias once, the activation at the end."""
    case = Case("", (2, 6, 20, 21), (4, 6, 5, 5), {"padding": 2})
    arrays = draw(case, rng, dtype)
    b = rng.standard_normal(4).astype(dtype)
    expected = np.maximum(0, fc.conv2d(arrays["x"], arrays["w"], b, padding=2, method="direct"))
    for budget, layout in itertools.product((1, 32 << 20), ("NCHW", "NHWC")):
        x, w = arrays["x"], arrays["w"]
        if layout == "NHWC":
            x, w = x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fft, "settings", dataclasses.replace(settings, scratch_bytes=budget))
            y = fc.conv2d(x, w, b, padding=2, layout=layout, activation="relu", method="fft")
        y = y.transpose(0, 3, 1, 2) if layout == "NHWC" else y
        np.testing.assert_allclose(y, expected, atol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("op", OPS)
def test_empty_batch(op):
    case = Case("", (0, 2, 9, 9), (3, 2, 3, 3))
    result = compute(op, case, {"x": np.ones(case.x_shape), "w": np.ones(case.w_shape), "dy": np.ones(case.y_shape)})
    assert result.shape == {"conv": (0, 3, 7, 7), "conv_input_grad": (0, 2, 9, 9), "conv_weight_grad": (3, 2, 3, 3)}[op]
    assert not result.any()


def test_cost_is_that_of_the_plan():
    options = {"stride": (1, 1, 1), "dilation": (1, 1, 1), "groups": 1, "itemsize": 4, "budget": 32 << 20}
    image = (1, 512, 512)
    costs = [fft_plan.cost("conv", 1, 1, 1, image, image, (1, k, k), **options) for k in (5, 31, 127)]
    assert costs == sorted(costs)
    size = Size(1, image, (1, 31, 31), 1, 1, 1, 1, 1, 4)
    assert costs[1] == make_plan(size, 32 << 20).cost
    for op in OPS:
        options["stride"] = (1, 2, 2)
        assert fft_plan.cost(op, 4, 8, 16, image, (1, 250, 250), (1, 13, 13), **options) > 0


def test_neither_the_package_nor_the_plan_imports_scipy():
    code = "import sys, fastconv, fastconv.cpu.fft_plan; sys.exit('scipy.fft' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@numba.njit
def softplus(v):
    return np.log1p(np.exp(v))


ACTIVATIONS = {
    None: lambda v: v,
    "relu": lambda v: np.where(v < 0, 0, v),
    "leaky_relu": lambda v: np.where(v < 0, 0.01 * v, v),
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "tanh": np.tanh,
    softplus: lambda v: np.log1p(np.exp(v)),
}


@pytest.mark.parametrize("name", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_activation(name, dtype, rng):
    """In place, on any shape, the same bits on two threads; NaN stays NaN and infinities have their limits."""
    v = rng.standard_normal((3, 20, 1000)).astype(dtype)
    v[0, 0, :4] = np.nan, np.inf, -np.inf, -0.0
    results = []
    for threads in (1, 2):
        y = v.copy()
        with fc.threads(threads):
            activation.apply(y, name)
        results.append(y)
    np.testing.assert_array_equal(results[0], results[1])
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(results[0], ACTIVATIONS[name](v.astype(float)), rtol=8 * np.finfo(dtype).eps)


def test_activation_of_nothing():
    y = np.empty((0, 3), np.float32)
    activation.apply(y, "relu")
    assert y.shape == (0, 3)
