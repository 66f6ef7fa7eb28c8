"""Method "fft" from the inside: phases, tables, tilings, tiles, memory, threads and the error bound.

That it computes what every other method does is tested in test_conv; here the problems are such that there are several
tiles, batches and chunks. The transform itself is tested in test_fft_transform.
"""

import dataclasses
import itertools
import subprocess
import sys
import tracemalloc

import numba
import numpy as np
import pytest
from cases import Case
from guard import Guarded, needs_guard
from hypothesis import given
from hypothesis import strategies as st
from problems import OPS, problem
from tolerances import assert_close

import fastconv as fc
from fastconv.borders import border_index
from fastconv.config import settings
from fastconv.cpu import activation, fft
from fastconv.cpu.fft import channels, operators, planes
from fastconv.cpu.fft.channels import BlockTiling, spans
from fastconv.cpu.fft.lattice import Positions, phases_of
from fastconv.cpu.fft.planes import PlaneTiling, tile_planes
from fastconv.cpu.fft.roles import Roles
from fastconv.cpu.fft.tiling import fast_length
from fastconv.cpu.fft.transform import is_smooth
from fastconv.problem import Axis, ConvProblem
from fastconv.spec import conv_problem

MODES = ("zeros", "edge", "reflect", "symmetric", "wrap")
FLOATS = ("float32", "float64")


@pytest.fixture
def tilings(monkeypatch):
    """The tilings of the calls made in a test; call it with a byte budget, and a kind of tiles to ask for it."""

    class Tilings(list):
        kind = None

        def __call__(self, budget, kind=None):
            monkeypatch.setattr(operators, "settings", dataclasses.replace(settings, scratch_bytes=budget))
            self.kind = kind

    made, choose = Tilings(), operators.tiling.__wrapped__

    def remember(problem, budget):
        made.append(tile_planes(Roles(problem), budget) if made.kind == "planes" else choose(problem, budget))
        return made[-1]

    monkeypatch.setattr(operators, "tiling", remember)
    monkeypatch.setattr(operators, "tiled", operators.tiled.__wrapped__)
    return made


small = st.integers(1, 7)


@given(k=small, s=small, d=small, flip=st.booleans())
def test_phases_hold_every_tap_once(k, s, d, flip):
    phases, extent = phases_of(Axis(0, 0, k, s, d, 0, 0), flip)
    found = {}
    for part in phases:
        places = np.arange(extent)[part.places]
        assert len(places) == len(range(k)[part.taps])
        for u, place in zip(range(k)[part.taps], places, strict=True):
            found[u] = (extent - 1 - place if flip else place) * s + part.offset
    assert found == {u: u * d for u in range(k)}
    assert len(phases) == len({u * d % s for u in range(k)})
    assert extent == (k - 1) * d // s + 1


@given(n=st.integers(1, 9), before=st.integers(0, 9), after=st.integers(0, 9), step=st.integers(1, 4), data=st.data())
def test_runs_say_what_the_table_says(n, before, after, step, data):
    index = border_index(n, before, after, data.draw(st.sampled_from(MODES)))
    used = data.draw(st.sets(st.integers(0, step - 1), min_size=1))
    axis = Positions(index[:before], n, index[before + n :], tuple(sorted(used)), step)
    length = 30
    table = axis.table(length)
    starts, indices = axis.runs()
    for r, row in enumerate(table):
        for position in range(length):
            run = int(np.searchsorted(starts[r], position, side="right")) - 1
            index = indices[r, run]
            assert row[position] == (index if index < 0 else index + (position - starts[r, run]) * step)
        padded = axis.left.tolist() + list(range(n)) + axis.right.tolist()
        expected = padded[axis.offsets[r] :: step]
        assert row.tolist() == (expected + [-1] * length)[:length]


def record(op, N, groups, inputs, outputs, out, kernel, stride, dtype, prepared):
    axes = tuple(Axis((n - 1) * stride + k, n, k, stride, 1, 0, 0) for n, k in zip(out, kernel, strict=True))
    prepared = prepared and op == "conv"
    return ConvProblem(op, 3, N, groups * inputs, groups * outputs, groups, axes, "zeros", False, dtype, prepared)


PROBLEMS = st.builds(
    record,
    op=st.sampled_from(OPS),
    N=st.integers(1, 40),
    groups=st.integers(1, 9),
    inputs=st.integers(1, 70),
    outputs=st.integers(1, 70),
    out=st.tuples(st.integers(1, 40), st.integers(1, 300), st.integers(1, 3000)),
    kernel=st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 400)),
    stride=st.integers(1, 2),
    dtype=st.sampled_from(FLOATS),
    prepared=st.booleans(),
)


@given(problem=PROBLEMS, budget=st.sampled_from([1, 1 << 16, 1 << 20, 32 << 20]))
def test_tiles_cover_the_problem_and_keep_the_budget(problem, budget):
    tiling, roles = operators.tiling.__wrapped__(problem, budget), Roles(problem)
    for n, e, t, v, c in zip(roles.out, roles.extent, tiling.tile.lengths, tiling.pitch, tiling.counts, strict=True):
        assert v * c >= n > v * (c - 1)
        assert v + e - 1 <= t
    assert all(t == 1 or is_smooth(t) for t in tiling.tile.transformed)
    if isinstance(tiling, BlockTiling):
        assert tiling.bytes(1) <= budget
        assert sum(count for _, count in spans(roles.targets, tiling.targets)) == roles.targets
        batches = spans(tiling.tiles, tiling.batch)
        assert [tile for first, count in batches for tile in range(first, first + count)] == [*range(tiling.tiles)]
        return
    cells = [
        (g, s, t)
        for c in tiling.chunks()
        for g in range(c.group, c.group + c.groups)
        for s in range(c.source, c.source + c.sources)
        for t in range(c.target, c.target + c.targets)
    ]
    assert len(cells) == len(set(cells)) == problem.groups * roles.sources * roles.targets
    if tiling.bytes(1) > budget:  # then nothing smaller was possible
        assert (tiling.groups, tiling.sources, tiling.targets) == (1, 1, 1)


@given(n=st.integers(1, 1 << 21), unit=st.sampled_from([1, 4, 16, 256]))
def test_fast_lengths(n, unit):
    length = fast_length(n, unit)
    assert n <= length < 2 * n + 2 * unit
    assert length % unit == 0
    assert is_smooth(length)


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
def test_any_budget(op, channels_last, case, tilings):
    """From one tile of one channel at a time to all at once, by both kinds of tiles."""
    data = problem(case)
    for budget, kind in ((1, None), (30_000, None), (200_000, None), (32 << 20, None), (32 << 20, "planes")):
        tilings(budget, kind)
        result = data.solve(op, channels_last, "float32", method="fft")
        assert_close(result, data.expected(op), "fft", data.terms(op))
    assert tilings[0].sources == tilings[0].targets == 1
    assert tilings[0].tiles >= tilings[-1].tiles


def test_small_budgets_make_tiles_batches_and_chunks(tilings):
    """What test_any_budget is about does happen."""
    data = {case.name: problem(case) for case in TILED}
    tilings(1)
    data["one channel"].solve("conv", False, "float32", method="fft")
    assert min(tilings[-1].counts[1:]) > 1
    data["many channels"].solve("conv", False, "float32", method="fft")
    assert len(list(tilings[-1].chunks())) == 17 * 18
    tilings(30_000)
    data["three axes"].solve("conv", False, "float32", method="fft")
    assert max(tilings[-1].counts) > 1
    data["one axis"].solve("conv", False, "float32", method="fft")
    assert tilings[-1].tile.folded
    tilings(200_000)
    data["depthwise"].solve("conv", False, "float32", method="fft")
    assert isinstance(tilings[-1], PlaneTiling)
    assert 1 < tilings[-1].groups < 19
    data["many channels"].solve("conv", False, "float32", method="fft")
    assert isinstance(tilings[-1], BlockTiling)
    assert tilings[-1].batches > 1
    tilings(200_000, "planes")
    data["many channels"].solve("conv", False, "float32", method="fft")
    assert 1 < len(list(tilings[-1].chunks())) < 17 * 18


WIDE = Case("", (2, 40, 15, 14), (70, 40, 4, 3), {"padding": 2})


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_chunks_of_channels(op, dtype, tilings):
    data = problem(WIDE)
    tilings((1 << 18) * np.dtype(dtype).itemsize)
    assert_close(data.solve(op, True, dtype, method="fft"), data.expected(op), "fft", data.terms(op))
    assert isinstance(tilings[-1], BlockTiling)
    assert tilings[-1].chunks > 1


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


def peak_of(op, case, arrays):
    """Bytes that NumPy allocates at once beside the result, and the result."""
    tracemalloc.start()
    result = compute(op, case, arrays)
    peak = tracemalloc.get_traced_memory()[1] - result.nbytes
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("case", SPACIOUS, ids=str)
@pytest.mark.parametrize("op", OPS)
def test_memory_stays_below_the_budget(op, case, tilings, rng, monkeypatch):
    """Without the pool of buffers, which keeps what is not in use; 128 KiB are for tables and small objects."""
    for module in (channels, planes):
        monkeypatch.setattr(module, "scratch", np.empty)
    arrays = draw(case, rng)
    for budget in (2 << 20, 6 << 20):
        tilings(budget)
        with fc.threads(4):
            compute(op, case, arrays)  # compile first
            peak = peak_of(op, case, arrays)
            tiling = tilings[-1]
        assert tiling.bytes(1) <= budget
        assert peak <= tiling.bytes(tiling.members(4, budget)) + (128 << 10)
        assert peak <= budget + (128 << 10)


@pytest.mark.parametrize("case", SPACIOUS, ids=str)
@pytest.mark.parametrize("op", OPS)
def test_work_counts_the_memory(op, case, rng, monkeypatch):
    for module in (channels, planes):
        monkeypatch.setattr(module, "scratch", np.empty)
    arrays = draw(case, rng)
    with fc.threads(2):
        compute(op, case, arrays)
        peak = peak_of(op, case, arrays)
        extra = work_of(op, case).extra
    assert 0.5 * extra <= peak <= extra + (128 << 10)


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
def test_error_bound(dtype, case, tilings):
    """eps * log2(T) of the largest result, against exact sums of small whole numbers."""
    data = problem(case, whole=True)
    for op in OPS:
        exact = data.expected(op)
        error = np.abs(data.solve(op, False, dtype, method="fft") - exact).max()
        assert error <= np.finfo(dtype).eps * tilings[-1].tile.levels * np.abs(exact).max()


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
            patch.setattr(operators, "settings", dataclasses.replace(settings, scratch_bytes=budget))
            y = fc.conv2d(x, w, b, padding=2, layout=layout, activation="relu", method="fft")
        y = y.transpose(0, 3, 1, 2) if layout == "NHWC" else y
        np.testing.assert_allclose(y, expected, atol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("op", OPS)
def test_empty_batch(op):
    case = Case("", (0, 2, 9, 9), (3, 2, 3, 3))
    result = compute(op, case, {"x": np.ones(case.x_shape), "w": np.ones(case.w_shape), "dy": np.ones(case.y_shape)})
    assert result.shape == {"conv": (0, 3, 7, 7), "conv_input_grad": (0, 2, 9, 9), "conv_weight_grad": (3, 2, 3, 3)}[op]
    assert not result.any()


def work_of(op, case, itemsize=4, prepared=False):
    dtype = f"f{itemsize}"
    problem = conv_problem(case.x_shape, case.w_shape, rank=case.rank, dtype=dtype, op=op, **case.options)
    return fft.work(dataclasses.replace(problem, prepared=prepared))


@pytest.mark.parametrize("op", OPS)
def test_work_grows_with_the_problem(op):
    for k in (5, 31, 127):
        small = work_of(op, Case("", (1, 1, 256, 256), (1, 1, k, k), {"padding": k // 2}))
        large = work_of(op, Case("", (1, 1, 1024, 1024), (1, 1, k, k), {"padding": k // 2}))
        assert large.vector > 3 * small.vector
        assert large.memory > 8 * small.memory
    few, many = (work_of(op, Case("", (4, c, 32, 32), (c, c, 7, 7))) for c in (32, 64))
    assert 0 < few.tile < many.tile
    assert few.regions >= 3


def test_prepared_filters_save_work():
    for case in (SPACIOUS[0], SPACIOUS[2]):
        ready, anew = work_of("conv", case, prepared=True), work_of("conv", case)
        assert ready.vector < anew.vector
        assert ready.regions < anew.regions


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", [1, 40])
def test_prepared_spectra_serve_any_input(channels, layout, rng):
    """Spectra are made once; images after images are convolved with them."""
    shape = (2, channels, 37, 41) if layout == "NCHW" else (2, 37, 41, channels)
    w = rng.standard_normal((channels, channels, 6, 5) if layout == "NCHW" else (6, 5, channels, channels))
    plan = fc.plan_conv2d(w, shape, padding=2, layout=layout, method="fft")
    for _ in range(2):
        x = rng.standard_normal(shape)
        expected = fc.conv2d(x, w, padding=2, layout=layout, method="direct")
        np.testing.assert_allclose(plan(x), expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@needs_guard
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("case", TILED, ids=str)
def test_touches_nothing_outside(case, channels_last, behind, rng, monkeypatch):
    """Operands, results and scratch lie beside pages that nobody may touch."""
    guarded = Guarded(behind)
    for module in (channels, planes):
        monkeypatch.setattr(module, "scratch", lambda shape, dtype: guarded(np.empty(shape, dtype)))
    spec = conv_problem(case.x_shape, case.w_shape, rank=case.rank, dtype="float32", **case.options)
    ones = (1,) * (3 - case.rank)

    def operand(shape):
        first, second, *size = shape
        lifted = (first, second, *ones, *size)
        return rng.standard_normal(lifted).astype(np.float32)

    x, w, dy = map(operand, (case.x_shape, case.w_shape, case.y_shape))
    if channels_last:
        x, w, dy = x.transpose(0, 2, 3, 4, 1), w.transpose(2, 3, 4, 1, 0), dy.transpose(0, 2, 3, 4, 1)
    x, w, dy, b = map(guarded, (x, w, dy, np.ones(spec.O, np.float32)))
    y, dx, dw = (guarded(np.full_like(array, np.nan)) for array in (dy, x, w))
    problem = dataclasses.replace(spec, channels_last=channels_last)
    fft.conv(problem, x, w, b, y)
    fft.conv_input_grad(dataclasses.replace(problem, op="conv_input_grad"), dy, w, dx)
    fft.conv_weight_grad(dataclasses.replace(problem, op="conv_weight_grad"), x, dy, dw)
    assert all(np.isfinite(result).all() for result in (y, dx, dw))


def test_scipy_is_not_needed():
    code = "import sys, fastconv, fastconv.cpu.fft; sys.exit('scipy.fft' in sys.modules)"
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


@pytest.mark.parametrize("name", ACTIVATIONS, ids=lambda a: getattr(a, "__name__", a))
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
