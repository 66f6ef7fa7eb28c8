"""The tensor cores' kernels in the simulator: TF32, float16 and bfloat16 against the oracle, and planted bugs."""

import cuda_problems as problems
import cudasim
import cudasim_ptx as ptx_sim
import ml_dtypes
import naive
import numba
import numpy as np
import pytest
from cudasim import SimulationError
from planting import assert_noticed, mutated

import fastconv as fc
from fastconv.cuda import backend, halves, launch, ptx
from fastconv.cuda.gemm import tensor, tiles
from fastconv.cuda.gemm.tensor import gathered, staging

EXECUTOR = cudasim.Executor()
SMALL_TILE = tiles.TensorTile(32, 16, 1, 1)  # one warp
OPS = ("conv", "conv_input_grad")
BF16 = np.dtype(ml_dtypes.bfloat16)
cuda = backend.cuda


@pytest.fixture
def simulator(monkeypatch):
    """Small tiles, and tensor cores for problems of any size."""
    monkeypatch.setattr(tiles, "TENSOR_TILES", (SMALL_TILE,))
    choose = tensor.choose_numbers
    monkeypatch.setattr(tensor, "choose_numbers", lambda *a: choose(*a[:3], 1000, 1000, a[5]))
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


@pytest.fixture
def started(monkeypatch):
    """Names of the factories whose kernels are started."""
    names, start = [], launch.launch
    monkeypatch.setattr(
        tensor, "launch", lambda factory, *a, **o: (names.append(factory.__name__), start(factory, *a, **o))
    )
    return names


def case_named(name):
    return next(case for case in problems.CONV_CASES if str(case) == name)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("number", range(len(problems.CONV_CASES)), ids=lambda n: str(problems.CONV_CASES[n]))
def test_tf32_of_whole_numbers_is_exact(simulator, number, op):
    with fc.allow_tf32():
        pair = problems.convolve(op, "im2col", problems.CONV_CASES[number], number % 2 == 0)
    np.testing.assert_array_equal(*pair)


@pytest.mark.parametrize("dtype", [np.dtype(np.float16), BF16], ids=str)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("method", ["im2col", "direct"])
def test_halves(simulator, started, dtype, layout, method):
    """16-bit operands stay what they are, sums are float32: only the result is rounded."""
    x, w, b, dy = problems.draw(f"{dtype} {layout}", (2, 6, 4, 5), (10, 3, 3, 2), (10,), (2, 10, 2, 5))
    plain = {"stride": (2, 1), "dilation": (1, 1), "padding": ((1, 1), (0, 1)), "groups": 2}
    y, dx = naive.conv(x, w, b, **plain), naive.conv_input_grad(dy, w, (4, 5), **plain)
    if layout == "NHWC":
        x, dy, y, dx, w = *map(naive.to_last, (x, dy, y, dx)), naive.weights_to_last(w)
    x, w, b, dy = (a.astype(dtype) for a in (x, w, b, dy))
    options = {"stride": (2, 1), "padding": ((1, 1), (0, 1)), "groups": 2, "layout": layout, "method": method}
    actual = fc.conv2d(x, w, b, device="cuda", **options)
    assert actual.dtype == dtype
    np.testing.assert_array_equal(actual, y.astype(dtype))
    actual = fc.conv2d_input_grad(dy, w, x.shape, device="cuda", **options)
    np.testing.assert_array_equal(actual, dx.astype(dtype))
    assert started.count("make_gemm_tensor") == (2 if method == "im2col" else 0)


def test_device_arrays_of_float16(simulator, started):
    x, w, b = (a.astype(np.float16) for a in problems.draw("device", (1, 2, 4, 3), (3, 2, 2, 2), (3,)))
    y = fc.conv2d(*map(backend.to_device, (x, w, b)), method="im2col")
    assert isinstance(y, cudasim.DeviceArray) and y.dtype == np.float16
    expected = naive.conv(x, w, b, stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)), groups=1)
    np.testing.assert_array_equal(backend.to_host(y), expected.astype(np.float16))
    assert "make_gemm_tensor" in started


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_activations(simulator, activation):
    with fc.allow_tf32():
        actual, expected = problems.convolve("conv", "im2col", case_named("odd tails"), False, activation=activation)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


def test_tf32_error_is_within_its_bound(simulator):
    """And it is TF32: float32 would be nearer."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 5, 6, 7), np.float32), rng.standard_normal((8, 5, 3, 3), np.float32)
    plain = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), "groups": 1}
    exact, size = (naive.conv(f(x.astype(float)), f(w.astype(float)), None, **plain) for f in (np.array, np.abs))
    options = {"device": "cuda", "method": "im2col"}
    with fc.allow_tf32():
        error = np.abs(fc.conv2d(x, w, **options) - exact)
    assert (error <= (2**-10 + 2**-22 + 45 * 2**-22) * size).all()
    assert error.max() > 1e-4 > 1e-5 > np.abs(fc.conv2d(x, w, **options) - exact).max()


def test_nan_and_infinity_reach_their_windows_alone(simulator):
    x, w = np.ones((1, 1, 5, 6), np.float32), np.ones((1, 1, 2, 2), np.float32)
    x[0, 0, 2, 3], x[0, 0, 4, 0] = np.nan, -np.inf
    with fc.allow_tf32():
        y = fc.conv2d(x, w, device="cuda", method="im2col")[0, 0]
    assert sorted(map(tuple, np.argwhere(np.isnan(y)).tolist())) == [(1, 2), (1, 3), (2, 2), (2, 3)]
    assert np.argwhere(np.isinf(y)).tolist() == [[3, 0]]


def test_wide_indices(simulator, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    with fc.allow_tf32():
        for op in OPS:
            np.testing.assert_array_equal(*problems.convolve(op, "im2col", case_named("groups"), op == "conv"))


@pytest.mark.parametrize("tile", tiles.TENSOR_TILES, ids=str)
def test_real_tiles(simulator, tile, monkeypatch):
    monkeypatch.setattr(tiles, "TENSOR_TILES", (tile,))
    case = problems.Case(f"{tile}", (1, 3, tile.BM // 8 + 1, 8), (tile.BN - 1, 3, 2, 1), {"padding": ((1, 0), (0, 0))})
    with fc.allow_tf32():
        np.testing.assert_array_equal(*problems.convolve("conv", "im2col", case, False))


@pytest.mark.parametrize("tile", (SMALL_TILE, *tiles.TENSOR_TILES), ids=str)
def test_tiles_divide_evenly(tile):
    rows = tile.threads // gathered.CHUNKS
    assert rows % 8 == tile.BM % rows == tile.BN % rows == 0
    assert tile.MT * tile.WM * 16 == tile.BM and tile.NT * tile.WN * 8 == tile.BN and tile.NT % 2 == 0
    assert tile.shared == tile.STAGES * (tile.BM + tile.BN) * tiles.STEP * 4 <= 48 << 10


# --- the choice


def test_tf32_is_off_until_it_is_allowed():
    from fastconv.precision import tf32_allowed

    assert not tf32_allowed()
    with fc.allow_tf32():
        assert tf32_allowed()
        with fc.allow_tf32(False):
            assert not tf32_allowed()
        assert tf32_allowed()
    assert not tf32_allowed()
    before = fc.allow_tf32(True)
    assert tf32_allowed()
    with before:
        pass
    assert not tf32_allowed()


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("float32", False, (9, 0), 64, 64, True), None),
        (("float32", True, (9, 0), 64, 64, True), "tf32"),
        (("float32", True, (9, 0), 64, 64, False), "tf32"),
        (("float32", True, (8, 0), 8, 16, True), "tf32"),
        (("float32", True, (7, 5), 64, 64, True), None),
        (("float32", True, (9, 0), 7, 64, True), None),
        (("float32", True, (9, 0), 64, 15, True), None),
        (("float64", True, (9, 0), 64, 64, True), None),
        (("float16", False, (9, 0), 64, 64, True), "f16"),
        (("bfloat16", False, (9, 0), 16, 64, True), "bf16"),
        (("bfloat16", False, (9, 0), 15, 64, True), None),
        (("bfloat16", False, (9, 0), 64, 64, False), None),
        (("bfloat16", False, (7, 5), 64, 64, True), None),
    ],
)
def test_what_tensor_cores_serve(arguments, expected):
    assert tensor.choose_numbers(*arguments) == expected


def test_halves_that_tensor_cores_do_not_serve():
    x, w = (a.astype(np.float16) for a in problems.draw("narrow", (1, 2, 3, 4), (8, 2, 2, 2)))
    with backend.run_on(EXECUTOR):
        y = fc.conv2d(x, w, device="cuda", method="im2col")
        dx = fc.conv2d_input_grad(y, w, x.shape, device="cuda", method="im2col")
    plain = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), "groups": 1}
    np.testing.assert_array_equal(y, naive.conv(x, w, None, **plain))
    np.testing.assert_array_equal(dx, naive.conv_input_grad(y.astype(float), w.astype(float), (3, 4), **plain))


# --- planted bugs

COMMIT = "            ptx.commit()\n"
BARRIER = "                cuda.syncthreads()\n"
GEMM_BUGS = {
    "no barrier": (BARRIER, ""),
    "no wait": ("                wait()\n", ""),
    "a commit too few": (COMMIT, "            if s >= 0:\n    " + COMMIT),
    "stage overwritten": ("stage = U(U(s + AHEAD) % U(STAGES))", "stage = U(U(s + AHEAD) % U(AHEAD))"),
    "swizzle of the copies": ("(chunk ^ (row // U(2) % U(CHUNKS)))", "(chunk ^ (row % U(CHUNKS)))"),
    "swizzle of the loads": ("swizzle = U(lane // U(2) % U(CHUNKS))", "swizzle = U(lane % U(CHUNKS))"),
    "fragments exchanged": ("fa[i, 0], fa[i, 1], fa[i, 2], fa[i, 3], fb", "fa[i, 0], fa[i, 2], fa[i, 1], fa[i, 3], fb"),
    "wrong half of a row": ("ca = U(am + lane % U(16)), U(lane // U(16))", "ca = U(am + lane % U(16)), U(0)"),
    "rows above the image": ("U(h0[i] + th) < U(image.H) and ", ""),
    "no zeros outside": ("x, L(at), inside)", "x, L(at), True)"),
    "channels beyond the last": ("U(step) * U(STEP)) if real else U(0)", "U(step) * U(STEP))"),
    "one pixel too many": ("            if m < M:\n                n", "            if m <= M:\n                n"),
    "one channel too many": ("if o < U(weights.outputs):", "if o <= U(weights.outputs):"),
    "one step too few": ("if S(s + AHEAD) < steps:", "if S(s + STAGES) < steps:"),
    "one lane stays behind": ("s >= 0:\n                multiply", "s >= 0 and t != U(5):\n                multiply"),
    "bias of another group": ("b[U(g * U(weights.outputs) + o)]", "b[o]"),
}  # fmt: skip
STAGING_BUGS = {
    "channels of the next group": (
        "c = U(first + U(k * PER))\n                low, high = T(0), T(0)\n                if c < ",
        "c = U(first + U(k * PER))\n                low, high = T(0), T(0)\n                if c <= ",
    ),
    "halves exchanged": ("W(W(low) | W(W(high) << W(16)))", "W(W(high) | W(W(low) << W(16)))"),
    "not rounded": ("return ptx.round_tf32(low)", "return W(low)"),
    "weights not filled up": (
        "\n            if offset >= 0:\n                low",
        "\n            if True:\n                low",
    ),
    "turned: columns beyond the last": ("if o < U(outputs) and column < U(columns):", "if o < U(outputs):"),
    "turned: channels beyond the last": (
        "if column < U(columns) and U(o0 + lane) < U(outputs):",
        "if column < U(columns):",
    ),
    "turned: weights of the first group": ("at = U(g * U(group) + U(o0 + lane)", "at = U(U(o0 + lane)"),
    "planes: pixels beyond the last": ("if U(p0 + lane) < U(image.pixels):", "if True:"),
    "planes: no barrier": (
        "        cuda.syncthreads()\n        for k in range(SIDE // ROWS):\n            p,",
        "        for k in range(SIDE // ROWS):\n            p,",
    ),
    "planes: not turned": (
        "staged[to] = shared[U(lane * U(PITCH) + row + U(k * ROWS))]",
        "staged[to] = shared[U(U(row + U(k * ROWS)) * U(PITCH) + lane)]",
    ),
    "planes: words of the next group": (" and w < U(image.words):", ":"),
}


def tf32_both_layouts():
    with fc.allow_tf32():
        cases = [case_named(name) for name in ("odd tails", "groups", "1x1")]
        return [problems.convolve("conv", "im2col", case, last) for case in cases for last in (False, True)]


@pytest.mark.parametrize("bug", GEMM_BUGS)
def test_planted_bugs_in_the_gemm(simulator, bug, tmp_path, monkeypatch):
    monkeypatch.setattr(tensor, "make_gemm_tensor", mutated(gathered, *GEMM_BUGS[bug], tmp_path).make_gemm_tensor)
    assert_noticed(tf32_both_layouts)


@pytest.mark.parametrize("bug", STAGING_BUGS)
def test_planted_bugs_in_staging(simulator, bug, tmp_path, monkeypatch):
    mutant = mutated(staging, *STAGING_BUGS[bug], tmp_path)
    monkeypatch.setattr(tensor, "make_stage", mutant.make_stage)
    monkeypatch.setattr(tensor, "make_stage_planes", mutant.make_stage_planes)
    monkeypatch.setattr(tensor, "make_pack", mutant.make_pack)
    monkeypatch.setattr(tensor, "make_pack_turned", mutant.make_pack_turned)
    if bug != "halves exchanged":
        assert_noticed(tf32_both_layouts)
        return
    # Exchanged in both operands, halves would still meet: only the image's are.
    monkeypatch.setattr(tensor, "make_pack", staging.make_pack)
    x, w = (a.astype(np.float16) for a in problems.draw(bug, (1, 3, 3, 3), (2, 3, 2, 2)))
    expected = naive.conv(x, w, None, stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)), groups=1)
    assert_noticed(lambda: [(fc.conv2d(x, w, device="cuda", method="im2col"), expected)])


def test_no_mutant_is_noticed_without_a_bug(simulator, tmp_path, monkeypatch):
    mutant = mutated(gathered, "    return gemm_tensor\n", "    return gemm_tensor  # the same\n", tmp_path)
    monkeypatch.setattr(tensor, "make_gemm_tensor", mutant.make_gemm_tensor)
    for actual, expected in tf32_both_layouts():
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("numbers", ["f16", "bf16"])
def test_planted_bug_in_conversion(simulator, numbers, tmp_path, monkeypatch):
    mutant = mutated(halves, "y[i] = convert(x[i])", "y[i] = convert(x[i]) if widen else U(x[i])", tmp_path)
    dtype = np.dtype(np.float16) if numbers == "f16" else BF16
    x = np.array([1.5, -2.0, 7.0], np.float32)

    def pairs(module):
        y = halves.empty((3,), dtype)
        module.narrowed(backend.to_device(x), y)
        return [(halves.to_host(y).astype(np.float32), x), (backend.to_host(module.widened(y)), x)]

    for pair in pairs(halves):
        np.testing.assert_array_equal(*pair)
    assert_noticed(lambda: pairs(mutant))


# --- the simulator itself


def copying(wait, target=0, source=0):
    def make(T, S, U):
        def kernel(x, y):
            s = cuda.shared.array(64, T)
            t = U(cuda.threadIdx.x)
            if t < U(8):
                ptx.copy_async(s, U(U(target) + U(4) * t), x, U(U(source) + U(4) * t), True)
            ptx.commit()
            if wait == "all":
                ptx.wait_all()
            if wait == "but one":
                ptx.wait_but_one()
            if wait != "no barrier":
                cuda.syncthreads()
            else:
                ptx.wait_all()
            y[t] = s[t]

        return kernel

    return make


def run(make):
    x = np.arange(40, dtype=np.float32)
    with backend.run_on(cudasim.Executor()):
        y = backend.empty((32,), "float32")
        launch.launch(make, (), 1, (backend.to_device(x), y), dtype="float32", wide=False, threads=32)
        return backend.to_host(y)


def test_asynchronous_copies_arrive():
    np.testing.assert_array_equal(run(copying("all")), np.arange(32))


@pytest.mark.parametrize(
    "make, message",
    [
        (copying("never"), "on its way"),
        (copying("but one"), "on its way"),
        (copying("no barrier"), "race|nothing was written|on its way"),
        (copying("all", target=2), "16 bytes"),
        (copying("all", source=2), "16 bytes"),
    ],
)
def test_a_wrong_copy_is_found(make, message):
    with pytest.raises(SimulationError, match=message):
        run(make)


def test_a_divergent_warp_is_found():
    def make(T, S, U):
        W = numba.uint32

        def kernel(x, y):
            s = cuda.shared.array(64, W)
            t = U(cuda.threadIdx.x)
            s[t], s[U(t + U(32))] = U(0), U(0)
            cuda.syncthreads()
            if t != U(3):
                ptx.load_matrices(s, U(0))
            y[t] = x[t]

        return kernel

    with pytest.raises(SimulationError, match="31 of 32 lanes"):
        run(make)


def test_numbers_as_words():
    one = ptx_sim.Instructions
    for v in np.float32([0, -0.0, 1.0009765, -3.14159, 1e-3, 65504, np.inf, 1 / 3]):
        assert one.from_f16(one.to_f16(v)) == np.float32(np.float16(v))
        assert one.from_bf16(one.to_bf16(v)) == np.float32(v.astype(BF16))
        rounded = one.round_tf32(v).view(np.float32)
        assert rounded == v or abs(rounded - v) <= 2**-11 * abs(v)
    assert np.isnan(one.round_tf32(np.float32(np.nan)).view(np.float32))
    assert np.isnan(one.from_bf16(one.to_bf16(np.float32(np.nan))))
