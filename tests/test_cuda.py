"""The CUDA kernels' logic, in the simulator of ``cudasim``; and on a GPU, where there is one.

Every CUDA row of the dispatch table is tried on every small problem of ``cuda_problems``; whole numbers make most
answers exact. Bugs are planted in the kernels' sources to see that they are found.
"""

import os
import subprocess
import sys
import textwrap
import types
import warnings

import cuda_problems as problems
import cudasim
import naive
import numba
import numpy as np
import pytest
from cudasim import SimulationError
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planting import assert_noticed, mutated
from strategies import conv_cases

import fastconv as fc
from fastconv import foreign
from fastconv.cuda import backend, direct, exchange, filters, launch, pool
from fastconv.cuda.gemm import cores, gathered, tiles, weights
from fastconv.cuda.pool import gradients
from fastconv.cuda.runtime import adoption, streams
from fastconv.cuda.runtime.executor import NumbaExecutor
from fastconv.errors import DeviceMissing, InvalidArgument
from fastconv.spec import conv_problem, pool_problem

EXECUTOR = cudasim.Executor()  # one for all tests: it keeps the kernels it has translated
SMALL_TILE = tiles.Tile(8, 8, 4, 2, 2)


@pytest.fixture
def simulator(monkeypatch):
    """Run kernels in the simulator, the implicit GEMM in tiles of 8x8 on 16 threads."""
    monkeypatch.setattr(tiles, "TILES", (SMALL_TILE,))
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


def gpu():
    """None, or why there is no GPU."""
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0":
        return "Numba's simulator is on"
    try:
        backend.require()
    except DeviceMissing as error:
        return str(error)
    return None


needs_gpu = pytest.mark.skipif(gpu() is not None, reason=f"no GPU: {gpu()}")
every_case = pytest.mark.parametrize("case", problems.CONV_CASES, ids=str)
every_pool = pytest.mark.parametrize("case", problems.POOL_CASES, ids=str)
each_layout = pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
each_op = pytest.mark.parametrize("op", problems.CONVOLUTIONS)
each_method = pytest.mark.parametrize("method", problems.METHODS)


def case_named(name, cases=problems.CONV_CASES):
    return next(case for case in cases if str(case) == name)


# --- convolutions


@each_layout
@each_method
@each_op
@every_case
def test_convolutions(simulator, case, op, method, channels_last):
    np.testing.assert_array_equal(*problems.convolve(op, method, case, channels_last))


@settings(max_examples=20)
@given(conv_cases(), st.sampled_from(problems.CONVOLUTIONS), st.sampled_from(problems.METHODS), st.booleans())
def test_any_convolution(simulator, case, op, method, channels_last):
    assume(np.prod(case.y_shape) * np.prod(case.w_shape[1:]) < 10_000)
    np.testing.assert_array_equal(*problems.convolve(op, method, case, channels_last))


@each_method
@each_op
@pytest.mark.parametrize("name", ["groups", "3-D edge"])
def test_float64(simulator, name, op, method):
    actual, expected = problems.convolve(op, method, case_named(name), False, "float64")
    assert actual.dtype == np.float64
    np.testing.assert_array_equal(actual, expected)


@each_method
@each_op
def test_wide_indices(simulator, op, method, monkeypatch):
    """With 64-bit indices, as for arrays of a thousand million elements."""
    monkeypatch.setattr(launch, "NARROW", 1)
    for channels_last in (False, True):
        np.testing.assert_array_equal(*problems.convolve(op, method, case_named("3-D edge"), channels_last))


@numba.njit
def kinked(v):
    return -v if v < 1 else 2 * v


@each_method
@pytest.mark.parametrize(
    "activation", ["relu", "leaky_relu", "sigmoid", "tanh", kinked], ids=lambda a: getattr(a, "__name__", a)
)
def test_activations(simulator, activation, method):
    actual, expected = problems.convolve("conv", method, case_named("odd tails"), False, activation=activation)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


@each_method
def test_without_bias(simulator, method):
    np.testing.assert_array_equal(*problems.convolve("conv", method, case_named("groups"), True, bias=False))


@each_method
def test_nan_reaches_its_windows_alone(simulator, method):
    x, w = np.ones((1, 1, 1, 5, 6), np.float32), np.ones((1, 1, 1, 2, 2), np.float32)
    x[0, 0, 0, 2, 3] = np.nan
    y = backend.empty((1, 1, 1, 4, 5), np.float32)
    problem = conv_problem((1, 1, 5, 6), (1, 1, 2, 2), rank=2)
    run = problems.kernel("conv", method)
    run(problem, backend.to_device(x), backend.to_device(w), None, y, activation="relu")
    assert sorted(map(tuple, np.argwhere(np.isnan(backend.to_host(y)[0, 0, 0])))) == [(1, 2), (1, 3), (2, 2), (2, 3)]


@pytest.mark.parametrize("tile", [*tiles.TILES, tiles.Tile(64, 64, 4, 8, 8)], ids=str)
@each_op
def test_real_tiles(simulator, op, tile, monkeypatch):
    """Tiles as GPUs run them, with runs of four accumulators, on a problem a little larger than one tile."""
    monkeypatch.setattr(tiles, "TILES", (tile,))
    height, inputs, outputs = {
        "conv": (tile.BM // 8 + 1, 3, tile.BN - 1),
        "conv_input_grad": (tile.BM // 8 - 1, tile.BN + 1, 2),
        "conv_weight_grad": (2, tile.BM // 2 - 1, tile.BN + 1),
    }[op]
    options = {"padding": ((1, 0), (0, 0))}
    case = problems.Case(f"{op} in {tile.BM} x {tile.BN}", (1, inputs, height, 8), (outputs, inputs, 2, 1), options)
    np.testing.assert_array_equal(*problems.convolve(op, "im2col", case, op == "conv_input_grad"))


@pytest.mark.parametrize("method", problems.METHODS)
def test_weight_gradient_in_parts(simulator, method, monkeypatch):
    """Sums of several parts, in both kernels."""
    monkeypatch.setattr(filters, "LEAST_PART", 5)
    np.testing.assert_array_equal(*problems.convolve("conv_weight_grad", method, case_named("odd tails"), False))
    np.testing.assert_array_equal(*problems.convolve("conv_weight_grad", method, case_named("3-D"), True))


def test_parts_cover_all_pixels():
    for items in (1, 7, 255, 256, 257, 100_003):
        for pixels in (1, 3, 300):
            for blocks in (1, 13, 5000):
                parts, part = filters.count_parts(items, pixels, blocks, 4000)
                assert (parts - 1) * part < items <= parts * part


@pytest.mark.parametrize("tile", tiles.TILES, ids=str)
def test_tiles_divide_evenly(tile):
    threads = tile.threads
    assert threads % tile.BM == 0 and tile.BK % (threads // tile.BM) == 0
    assert threads % tile.BN == 0 and tile.BK % (threads // tile.BN) == 0
    assert threads % tile.BK == 0 and tile.BM % (threads // tile.BK) == tile.BN % (threads // tile.BK) == 0


# --- pools


@each_layout
@pytest.mark.parametrize("op", problems.POOLS)
@every_pool
def test_pools(simulator, case, op, channels_last):
    for actual, expected in problems.pool(op, case, channels_last):
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("op", ["avg_pool", "avg_pool_grad"])
@pytest.mark.parametrize("options", [{"divisor": 3.0}, {"count_include_pad": True}], ids=str)
def test_divisors(simulator, op, options):
    case = case_named("overlapping, padded", problems.POOL_CASES)
    for actual, expected in problems.pool(op, case, False, **options):
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("op", ["lp_pool", "lp_pool_grad"])
@pytest.mark.parametrize("p", [1.0, 3.0, 0.5, np.inf])
def test_norms(simulator, op, p):
    case = case_named("overlapping, padded", problems.POOL_CASES)
    for dtype, tolerance in (("float32", 2e-5), ("float64", 1e-12)):
        for actual, expected in problems.pool(op, case, True, dtype, p=p):
            np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype, p", [("float32", 2), ("float32", 10), ("float64", 2), ("float64", 500)])
def test_norms_whose_powers_leave_the_dtype(simulator, dtype, p):
    x = np.ones((1, 2, 4, 3)) * 10.0 ** np.array([[-30], [-1], [25], [0]])  # a row of windows for each magnitude
    x[0, 1] *= [1, 0, 1]
    x = x.astype(dtype) ** (1 if dtype == "float32" else 8)
    y = fc.lp_pool2d(x, (1, 3), p=p, device="cuda")
    count = np.array([3.0, 2.0])[:, None] ** (1 / p)
    np.testing.assert_allclose(y[0, ..., 0], count * x[0, :, :, 0], rtol=1e-5)
    dx = fc.lp_pool2d_grad(np.ones_like(y), x, y, (1, 3), p=p, device="cuda")
    np.testing.assert_allclose(dx[0, :, :, 0], np.broadcast_to(count ** (1 - p), (2, 4)), rtol=1e-3)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_max_pool_of_integers(simulator, dtype):
    case = case_named("windows in the padding alone", problems.POOL_CASES)
    x = np.arange(24).reshape(case.x_shape) * 7 % 11
    for actual, expected in problems.pool("max_pool", case, False, dtype, x=x):
        np.testing.assert_array_equal(actual, expected)


def test_max_pool_of_nan_and_infinity(simulator):
    x = np.full((1, 1, 4, 6), -np.inf)
    x[0, 0, 1, 1], x[0, 0, 1, 3], x[0, 0, 2, 2], x[0, 0, 3, 5] = np.nan, np.nan, np.inf, np.nan
    case = problems.PoolCase("special", x.shape, 2)
    for actual, expected in problems.pool("max_pool", case, False, x=x):
        np.testing.assert_array_equal(actual, expected)


@each_layout
def test_max_pool_grad_of_any_indices(simulator, channels_last):
    """Indices need not come from windows: all to one cell, none at all, backwards."""
    rng = np.random.default_rng(0)
    indices = rng.integers(-1, 150, (2, 2, 1, 9, 10))
    indices[0, 0], indices[0, 1] = 149, -1
    dy = rng.integers(-3, 4, indices.shape).astype(np.float32)
    expected = np.zeros((2, 2, 150), np.float32)
    for n, c in np.ndindex(2, 2):
        real = indices[n, c].ravel() >= 0
        np.add.at(expected[n, c], indices[n, c].ravel()[real], dy[n, c].ravel()[real])
    dx = backend.empty((2, 1, 15, 10, 2) if channels_last else (2, 2, 1, 15, 10), np.float32)
    arrays = (
        problems.on_device(dy, 3, channels_last, "float32"),
        problems.on_device(indices, 3, channels_last, "int64"),
    )
    x_shape, layout = ((2, 15, 10, 2), "NHWC") if channels_last else ((2, 2, 15, 10), "NCHW")
    problem = pool_problem(x_shape, (7, 1), stride=1, rank=2, layout=layout, op="max_pool_grad")
    pool.max_pool_grad(problem, *arrays, dx)
    np.testing.assert_array_equal(problems.on_host(dx, (2, 2, 150), channels_last), expected)


def test_pools_with_wide_indices(simulator, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    for op in problems.POOLS:
        for actual, expected in problems.pool(op, case_named("3-D", problems.POOL_CASES), True):
            np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


# --- planted bugs: each must be noticed, by the simulator or by a wrong result


BARRIER = "            cuda.syncthreads()\n"
GEMM_BUGS = {
    "no barrier": (BARRIER, ""),
    "barrier in a branch": (BARRIER, "            if U(t) < U(NT - 1):\n    " + BARRIER),
    "same buffer twice": ("ra, rb = U(U(s & 1) * U(ABUF)", "ra, rb = U(U((s + 1) & 1) * U(ABUF)"),
    "shared array too small": ("SA, SB = 2 * ABUF, 2 * BBUF", "SA, SB = ABUF, 2 * BBUF"),
    "swapped index": ("+= fa[i] * fb[j]", "+= fa[j] * fb[i]"),
    "one channel too many": ("if o < U(weights.outputs):", "if o <= U(weights.outputs):"),
    "one pixel too many": ("            if m < M:\n                n", "            if m <= M:\n                n"),
    "rows above the image": ("U(h + entries[e + U(2)]) < U(image.H) and ", ""),
    "columns beside the image": (" and U(w + entries[e + U(3)]) < U(image.W)", ""),
    "one step too few": ("more = S(s + 1) < steps", "more = S(s + 2) < steps"),
    "last step not multiplied": ("while s < steps:", "while s < S(steps - 1):"),
    "accumulators not cleared": ("                acc[i, j] = T(0)", "                acc[i, 0] = T(0)"),
    "bias of another group": ("b[U(g * U(weights.outputs) + o)]", "b[o]"),
    "place kept by every thread": ("if t == U(0):", "if t <= U(1):"),
}
WEIGHTS_BUGS = {
    "no barrier": (BARRIER, ""),
    "no carry to the next row": ("w, h = U(w - U(pixels.W)), U(h + U(1))", "w = U(w - U(pixels.W))"),
    "no carry to the next image": ("d, n = U(d - U(pixels.D)), U(n + U(1))", "d = U(d - U(pixels.D))"),
    "pixels beyond the part": ("stop = U(pixels.total)", "pass"),
    "one row too many": ("if e < U(output.rows):", "if e <= U(output.rows):"),
    "overlap of parts": ("begin = U(part * U(pixels.part))", "begin = U(part * U(pixels.part - 1))"),
}
DIRECT_BUGS = {
    "a tap too few": (
        "conv",
        "for kh in range(s.KH):\n                    h = S(",
        "for kh in range(s.KH - 1):\n                    h = S(",
    ),  # noqa: E501
    "no stride": ("conv", "S(S(ow) * s.stride_w + kw", "S(S(ow) + kw"),
    "fractions of a stride": ("conv_input_grad", "U(ow * U(s.stride_w)) == U(e) and ", ""),
    "beyond the output": (
        "conv_input_grad",
        "if whole and od < U(s.OD) and oh < U(s.OH) and ow",
        "if whole and od < U(s.OD) and oh <= U(s.OH) and ow",
    ),  # noqa: E501
    "all threads write": ("conv", "        if i < U(total):\n            n, o", "        if True:\n            n, o"),
}
MAX_BUGS = {
    "last maximum": ("if value > best", "if value >= best"),
    "last NaN": (" and best == best", ""),
    "undilated index": ("best, where = value, S(row + v * s.step_w)", "best, where = value, S(row + v)"),
}
GRAD_BUGS = {
    "band too long": ("stop = min(S(first + band), cells)", "stop = min(S(first + band + 1), cells)"),
    "band too short": ("first <= index and", "first < index and"),
    "rows skipped": ("low[r] < stop", "low[r] < first"),
}


def both_layouts(op, method, name):
    return [problems.convolve(op, method, case_named(name), last) for last in (False, True)]


@pytest.mark.parametrize("bug", GEMM_BUGS)
def test_planted_bugs_in_the_gemm(simulator, bug, tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "make_gemm", mutated(gathered, *GEMM_BUGS[bug], tmp_path).make_gemm)
    assert_noticed(lambda: both_layouts("conv", "im2col", "odd tails") + both_layouts("conv", "im2col", "groups"))


@pytest.mark.parametrize("bug", WEIGHTS_BUGS)
def test_planted_bugs_in_the_weight_gradient(simulator, bug, tmp_path, monkeypatch):
    monkeypatch.setattr(filters, "LEAST_PART", 8)  # 7 parts of 9 pixels, the last shorter
    mutant = mutated(weights, *WEIGHTS_BUGS[bug], tmp_path)
    monkeypatch.setattr(cores, "make_gemm_weights", mutant.make_gemm_weights)
    assert_noticed(lambda: both_layouts("conv_weight_grad", "im2col", "odd tails"))


@pytest.mark.parametrize("bug", DIRECT_BUGS)
def test_planted_bugs_in_direct(simulator, bug, tmp_path, monkeypatch):
    for module in (direct.depthwise, direct.direct_tiled):  # the plain kernels are meant
        monkeypatch.setattr(module, "serves", lambda *problem: False)
    op, old, new = DIRECT_BUGS[bug]
    run = getattr(mutated(direct, old, new, tmp_path), op)
    case = case_named("strides by axis, uneven padding")
    assert_noticed(lambda: [problems.convolve(op, "direct", case, last, function=run) for last in (False, True)])


@pytest.mark.parametrize("bug", MAX_BUGS)
def test_planted_bugs_in_max_pool(simulator, bug, tmp_path):
    run = mutated(pool, *MAX_BUGS[bug], tmp_path).max_pool
    case = case_named("stride 1, dilated", problems.POOL_CASES)
    x = problems.draw(str(case), case.x_shape)[0]
    x[0, 0, 3, 2:7:3] = np.nan
    assert_noticed(lambda: problems.pool("max_pool", case, False, x=x, function=run))


@pytest.mark.parametrize("bug", GRAD_BUGS)
def test_planted_bugs_in_max_pool_grad(simulator, bug, tmp_path, monkeypatch):
    mutant = mutated(gradients, *GRAD_BUGS[bug], tmp_path)
    monkeypatch.setattr(mutant, "LEAST_BAND", 8)
    case = case_named("overlapping, padded", problems.POOL_CASES)
    assert_noticed(lambda: problems.pool("max_pool_grad", case, False, function=mutant.max_pool_grad))


def test_no_mutant_is_noticed_without_a_bug(simulator, tmp_path, monkeypatch):
    """What finds the bugs is not the way they are planted."""
    mutant = mutated(gathered, "    return gemm\n", "    return gemm  # the same\n", tmp_path)
    monkeypatch.setattr(cores, "make_gemm", mutant.make_gemm)
    for actual, expected in both_layouts("conv", "im2col", "odd tails"):
        np.testing.assert_array_equal(actual, expected)


# --- the simulator itself

cuda = backend.cuda


def simulate(make, *arrays, threads=4, blocks=1):
    """Run the kernel that make(T, S, U) returns on float32 arrays; the last of them is the result."""
    with backend.run_on(cudasim.Executor()):
        device = [
            backend.to_device(np.asarray(a, np.float32)) if a is not None else backend.empty((4,), "float32")
            for a in arrays
        ]
        launch.launch(make, (), blocks, tuple(device), dtype="float32", wide=False, threads=threads)
        return backend.to_host(device[-1])


def reversing(T, S, U):
    def kernel(x, y):
        s = cuda.shared.array(4, T)
        t = U(cuda.threadIdx.x)
        s[t] = x[t]
        cuda.syncthreads()
        y[t] = s[U(U(3) - t)]

    return kernel


def unsynchronised(T, S, U):
    def kernel(x, y):
        s = cuda.shared.array(4, T)
        t = U(cuda.threadIdx.x)
        s[t] = x[t]
        y[t] = s[U(U(3) - t)]
        cuda.syncthreads()

    return kernel


def overwritten(T, S, U):
    def kernel(x, y):
        s = cuda.shared.array(4, T)
        t = U(cuda.threadIdx.x)
        s[t] = x[t]
        cuda.syncthreads()
        v = s[U(U(3) - t)]
        s[t] = v
        cuda.syncthreads()
        y[t] = s[t]

    return kernel


def half_waits(T, S, U):
    def kernel(x, y):
        t = U(cuda.threadIdx.x)
        if t < 2:
            cuda.syncthreads()
        y[t] = x[t]

    return kernel


def two_barriers(T, S, U):
    def kernel(x, y):
        t = U(cuda.threadIdx.x)
        if t < 2:
            cuda.syncthreads()
        else:
            cuda.syncthreads()
        y[t] = x[t]

    return kernel


def unset_shared(T, S, U):
    def kernel(x, y):
        s = cuda.shared.array(4, T)
        y[U(cuda.threadIdx.x)] = s[U(cuda.threadIdx.x)]
        cuda.syncthreads()

    return kernel


def unset_local(T, S, U):
    def kernel(x, y):
        s = cuda.local.array(2, T)
        y[U(cuda.threadIdx.x)] = s[0]

    return kernel


def below_zero(T, S, U):
    def kernel(x, y):
        t = S(cuda.threadIdx.x)
        y[t] = x[S(t - 1)]

    return kernel


def beyond_the_end(T, S, U):
    def kernel(x, y):
        t = U(cuda.threadIdx.x)
        y[t] = x[U(t + U(1))]

    return kernel


def fractional_index(T, S, U):
    def kernel(x, y):
        y[U(cuda.threadIdx.x)] = x[T(0)]

    return kernel


def shared_output(T, S, U):
    def kernel(x, y):
        y[U(U(cuda.threadIdx.x) // U(2))] = x[0]

    return kernel


def in_place_shift(T, S, U):
    def kernel(x, y):
        t = U(cuda.threadIdx.x)
        y[t] = x[t]
        y[t] = y[U(U(t + U(1)) % U(4))]

    return kernel


def unwritten_output(T, S, U):
    def kernel(x, y):
        if U(cuda.threadIdx.x) != U(2):
            y[U(cuda.threadIdx.x)] = x[0]

    return kernel


def too_much_shared(T, S, U):
    def kernel(x, y):
        s = cuda.shared.array(13_000, T)
        s[U(cuda.threadIdx.x)] = T(0)
        y[U(cuda.threadIdx.x)] = s[U(cuda.threadIdx.x)]
        cuda.syncthreads()

    return kernel


WRONG_KERNELS = {
    unsynchronised: "race|nothing was written",
    overwritten: "race",
    half_waits: "divergent barrier: 2 of 4",
    two_barriers: "divergent barrier.* 2 places",
    unset_shared: "nothing was written",
    unset_local: "nothing was written",
    below_zero: "outside",
    beyond_the_end: "outside",
    fractional_index: "no element",
    shared_output: "two threads write",
    in_place_shift: "race|nothing was written",
    unwritten_output: "1 of 4 elements of a result were never written",
    too_much_shared: "52000 bytes of shared memory",
}


@pytest.mark.parametrize("make", WRONG_KERNELS, ids=lambda make: make.__name__)
def test_the_simulator_finds(make):
    with pytest.raises(SimulationError, match=WRONG_KERNELS[make]):
        simulate(make, [1, 2, 3, 4], None)


def test_the_simulator_runs_a_right_kernel():
    np.testing.assert_array_equal(simulate(reversing, [1, 2, 3, 4], None), [4, 3, 2, 1])


def test_the_simulator_counts_like_a_device():
    def wrapping(T, S, U):
        def kernel(x, y):
            t = U(cuda.threadIdx.x)
            y[t] = T(U(t - U(1)) > U(2)) + x[t] * T(0.1)

        return kernel

    one = np.float32(0.1)
    np.testing.assert_array_equal(simulate(wrapping, [1, 1, 1, 1], None), [1 + one, one, one, one])


# --- from source to kernel


def test_an_installation_without_sources():
    """Byte code only, as a program made by PyInstaller has."""
    from fastconv.cuda.runtime.source import specialise

    names = {}
    exec(compile("def kernel(x): x[0] = 1", "fastconv/cuda/kernel.pyc", "exec"), names)
    with pytest.raises(DeviceMissing, match="this installation has byte code only"):
        specialise(names["kernel"], True)


def test_unrolled_loops_are_written_out():
    from fastconv.cuda.runtime.source import specialise, unrolled

    def make(n):
        def kernel(x):
            for k in unrolled(n):
                for i in range(2):
                    x.append(k * 10 + i)
            cuda.shared.array(8, x, 16)

        return kernel

    plain, written = [], []
    sites = []
    shared = types.SimpleNamespace(array=lambda *args: sites.append(len(args)))
    for alignment in (True, False):
        written.clear()
        kernel = specialise(make(3), alignment)
        kernel.__globals__["cuda"] = types.SimpleNamespace(shared=shared)
        kernel(written)
    assert "unrolled" not in kernel.__code__.co_names
    for k in unrolled(3):
        plain += [k * 10, k * 10 + 1]
    assert written == plain
    assert sites == [3, 2]


def test_kernels_are_kept():
    with backend.run_on(cudasim.Executor()) as executor:
        compiled = []
        executor.compile = lambda function, bounds: (
            compiled.append(function) or cudasim.Executor.compile(executor, function, bounds)
        )
        for _ in range(2):
            problems.pool("max_pool", problems.POOL_CASES[0], False)
    assert len(compiled) == 2  # with and without indices


# --- the backend


def test_import_leaves_cuda_alone():
    code = "import sys, fastconv; fastconv.conv2d; assert 'numba.cuda' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(gpu() is None, reason="there is a GPU")
def test_a_missing_device_is_explained():
    for run in (backend.require, lambda: fc.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), device="cuda")):
        with pytest.raises(DeviceMissing, match=r"driver.*numba-cuda.*pip install 'fastconv\[cuda13\]'"):
            run()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("method", ["auto", *problems.METHODS])
def test_public_functions_on_cuda(simulator, layout, method):
    """NumPy arrays go to the device and come back; device arrays stay there."""
    last = layout == "NHWC"
    x, w, dy = problems.draw(layout, (1, 4, 5, 6), (6, 2, 3, 3), (1, 6, 3, 3))
    plain = {"stride": (2, 2), "dilation": (1, 1), "padding": ((1, 1), (1, 1)), "groups": 2}
    y, dx = naive.conv(x, w, **plain), naive.conv_input_grad(dy, w, (5, 6), **plain)
    dw = naive.conv_weight_grad(x, dy, (3, 3), **plain)
    if last:
        x, dy, y, dx = map(naive.to_last, (x, dy, y, dx))
        w, dw = map(naive.weights_to_last, (w, dw))
    options = {"stride": 2, "padding": 1, "groups": 2, "layout": layout, "method": method}
    np.testing.assert_array_equal(fc.conv2d(x, w, device="cuda", **options), y)
    np.testing.assert_array_equal(fc.conv2d_input_grad(dy, w, x.shape, device="cuda", **options), dx)
    np.testing.assert_array_equal(fc.conv2d_weight_grad(x, dy, w.shape, device="cuda", **options), dw)
    there = fc.conv2d(backend.to_device(x), backend.to_device(w), **options)
    assert isinstance(there, cudasim.DeviceArray)
    np.testing.assert_array_equal(backend.to_host(there), y)


@pytest.mark.parametrize("layout", ["NCW", "NWC"])
def test_transposed_convolution_on_cuda(simulator, layout):
    """Bias and activation follow the input gradient as a kernel of their own."""
    x, w, b = problems.draw(layout, (2, 3, 5), (3, 4, 3), (4,))
    y = naive.conv_transpose(
        x, w, b, stride=(2,), dilation=(1,), padding=((0, 0),), output_padding=(0,), activation="leaky_relu"
    )
    if layout == "NWC":
        x, w, y = naive.to_last(x), naive.weights_to_last(w), naive.to_last(y)
    options = {"stride": 2, "layout": layout, "activation": "leaky_relu", "device": "cuda"}
    np.testing.assert_allclose(fc.conv_transpose1d(x, w, b, **options), y, rtol=1e-12)


def test_float16_is_converted(simulator):
    x = backend.to_device(np.arange(5, dtype=np.float16))
    wide = exchange.as_device(x, np.float32)
    assert wide.dtype == np.float32
    assert exchange.like(wide, x, np.float16).dtype == np.float16
    np.testing.assert_array_equal(backend.to_host(exchange.like(wide, x, np.float16)), np.arange(5))


class Foreign:
    """Another library's device array."""

    def __init__(self, shape, strides=None, stream=None):
        self.shape, self.dtype = shape, np.dtype(np.float32)
        self.__cuda_array_interface__ = {
            "shape": shape, "strides": strides, "typestr": "<f4", "data": (4096, False), "version": 3, "stream": stream
        }  # fmt: skip


def test_device_arrays_are_recognised():
    torch = pytest.importorskip("torch")
    assert foreign.is_device_array(Foreign((2,)))
    assert foreign.is_device_array(cudasim.Executor().empty((2,), "float32"))
    for host in (
        None,
        1,
        1.5,
        [1],
        "cuda",
        np.ones(3),
        np.float32(1),
        torch.ones(3),
        torch.ones(3, requires_grad=True),
    ):
        assert not foreign.is_device_array(host)


def test_strided_device_arrays_are_refused():
    assert adoption.interface_of(Foreign((2, 3), (12, 4)), 0)["strides"] is None
    assert adoption.interface_of(Foreign((1, 3), (999, 4)), 0)["shape"] == (1, 3)
    with pytest.raises(InvalidArgument, match="C-contiguous"):
        adoption.interface_of(Foreign((2, 3), (4, 8)), 0)


def test_kernels_run_on_the_callers_stream():
    """What a library's array remembers reaches the kernels, and the arrays they write."""

    class Memory:
        pass

    class Adopting(cudasim.Executor):
        streams = []

        def adopt(self, obj):
            array = self.to_device(np.ones(obj.shape, np.float32))
            array.gpu_data = Memory()
            return array

        def run(self, *args):
            self.streams.append(streams.current_stream())
            super().run(*args)

    with backend.run_on(Adopting()) as executor:
        x = exchange.as_device(Foreign((1, 1, 1, 2, 2), stream=7))
        y = executor.empty((1, 1, 1, 1, 1), "float32")
        y.gpu_data = Memory()
        pool.avg_pool(pool_problem((1, 1, 2, 2), 2, rank=2, op="avg_pool"), x, y, divisor=None)
        assert executor.streams == [7]
        assert streams.stream_of(x) == streams.stream_of(y) == 7
        assert streams.current_stream() == 0


def test_launches_are_kept_and_do_not_warn(monkeypatch):
    """What surrounds a launch through Numba, with a stub in place of its CUDA target."""
    configured, started = [], []

    class Kernel:
        def __getitem__(self, configuration):
            warnings.warn("Grid size 1 will likely result in GPU under-utilization", stacklevel=1)
            configured.append(configuration)
            return lambda *args: started.append(args)

    stub = types.SimpleNamespace(
        implementation="NVIDIA",
        get_current_device=lambda: types.SimpleNamespace(name=b"stub", id=0),
        external_stream=lambda pointer: f"stream {pointer}",
        jit=lambda function, launch_bounds: Kernel(),
    )
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    run = NumbaExecutor(stub)
    assert run.name == "stub"
    kernel = run.compile(lambda: None, (32, 1))
    for _ in range(2):
        run.run(kernel, 1, 32, (np.int32(1),))
        with streams.working_on(9):
            run.run(kernel, 1, 32, (np.int32(2),))
    assert configured == [(1, 32, 0, 0), (1, 32, "stream 9", 0)]
    assert started == [(1,), (2,)] * 2


# --- Numba's own simulator, and a GPU


def test_numbas_simulator(tmp_path):
    """One kernel of each kind in Numba's simulator, which is slow, the more so where processors are busy."""
    code = """
        import sys
        import numpy as np
        import cuda_problems as problems
        from fastconv.cuda import backend
        from fastconv.cuda.gemm import tiles
        assert backend.require() == "Numba's CUDA simulator"
        tiles.TILES = (tiles.Tile(4, 4, 4, 2, 2),)
        case = problems.Case("small", (1, 2, 2, 3), (3, 2, 2, 2), {})
        for op, method in (("conv", "im2col"), ("conv_weight_grad", "im2col"), ("conv", "direct")):
            np.testing.assert_array_equal(*problems.convolve(op, method, case, False))
        for pair in problems.pool("max_pool", problems.PoolCase("small", (1, 1, 3, 4), 2), False):
            np.testing.assert_allclose(*pair)
    """
    folder = os.path.dirname(__file__)
    path = os.pathsep.join([folder, os.path.dirname(folder), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, env=environment, timeout=600)


@needs_gpu
@each_layout
@each_method
@each_op
def test_convolutions_on_a_gpu(op, method, channels_last):
    for case in problems.CONV_CASES:
        np.testing.assert_array_equal(*problems.convolve(op, method, case, channels_last), err_msg=str(case))


@needs_gpu
@each_layout
@pytest.mark.parametrize("op", problems.POOLS)
def test_pools_on_a_gpu(op, channels_last):
    for case in problems.POOL_CASES:
        for actual, expected in problems.pool(op, case, channels_last):
            np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6, err_msg=str(case))
