"""The weight gradient on tensor cores in the simulator: against the oracle, in parts, and planted bugs."""

import cuda_problems as problems
import cudasim
import ml_dtypes
import naive
import numpy as np
import pytest
from planting import assert_noticed, mutated

import fastconv as fc
from fastconv.cuda import backend, filters, launch
from fastconv.cuda.gemm import tensor, tiles
from fastconv.cuda.gemm.tensor import weights

EXECUTOR = cudasim.Executor()
SMALL_TILE = tiles.TensorTile(32, 32, 1, 1)  # one warp
OP = "conv_weight_grad"
HALVES = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
CASES = [case for case in problems.CONV_CASES if str(case) in (
    "odd tails", "strides by axis, uneven padding", "stride beyond image", "1x1", "groups", "edge", "3-D", "one number",
    "empty batch", "filter = image",
)]  # fmt: skip


@pytest.fixture
def simulator(monkeypatch):
    """Small tiles, several parts, and tensor cores for problems of any size."""
    monkeypatch.setattr(tiles, "TENSOR_TILES", (SMALL_TILE,))
    monkeypatch.setattr(filters, "LEAST_PART", 23)
    choose = tensor.choose_numbers
    monkeypatch.setattr(tensor, "choose_numbers", lambda *a: choose(*a[:3], a[3], 1000, a[5]))
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


@pytest.fixture
def started(monkeypatch):
    """Names of the factories whose kernels are started, and blocks of each."""
    names, start = [], launch.launch
    monkeypatch.setattr(
        tensor,
        "launch",
        lambda f, c, blocks, *a, **o: (names.append((f.__name__, blocks)), start(f, c, blocks, *a, **o)),
    )
    return names


def case_named(name):
    return next(case for case in problems.CONV_CASES if str(case) == name)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: str(CASES[n]))
def test_tf32_of_whole_numbers_is_exact(simulator, started, number):
    with fc.allow_tf32():
        np.testing.assert_array_equal(*problems.convolve(OP, "im2col", CASES[number], number % 2 == 0))
    assert CASES[number].x_shape[0] == 0 or "make_gemm_weights_tensor" in dict(started)


def grad_of_halves(dtype, layout, padding_mode="zeros", method="im2col"):
    """(dw, what the oracle says) of a problem with odd sizes, two groups and two parts."""
    x, dy = problems.draw(f"{dtype} {layout}", (2, 6, 4, 5), (2, 10, 4, 6))
    plain = {"stride": (1, 1), "dilation": (1, 1), "padding": ((1, 1), (2, 0)), "groups": 2}
    dw = naive.conv_weight_grad(x, dy, (3, 2), padding_mode=padding_mode, **plain)
    shape = dw.shape
    if layout == "NHWC":
        x, dy, dw = naive.to_last(x), naive.to_last(dy), naive.weights_to_last(dw)
        shape = dw.shape
    options = {"padding": ((1, 1), (2, 0)), "groups": 2, "layout": layout, "method": method, "device": "cuda"}
    actual = fc.conv2d_weight_grad(x.astype(dtype), dy.astype(dtype), shape, padding_mode=padding_mode, **options)
    return actual, dw.astype(dtype)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_halves(simulator, started, dtype, layout):
    """16-bit operands stay what they are, sums are float32: only the result is rounded, and it has 16 bits."""
    actual, expected = grad_of_halves(dtype, layout)
    assert actual.dtype == dtype
    np.testing.assert_array_equal(actual, expected)
    assert dict(started)["make_gemm_weights_tensor"] == 8  # 48 rows of two tiles, two groups, two parts


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_halves_that_are_words_already_are_not_copied(simulator, started, dtype):
    """Channels-last with a multiple of 8 channels (32 where channels are summed)."""
    x, dy, w = problems.draw(f"{dtype}", (1, 64, 3, 3), (1, 16, 3, 3), (16, 32, 1, 1))
    plain = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), "groups": 2}
    dw, y = naive.conv_weight_grad(x, dy, (1, 1), **plain), naive.conv(x, w, None, **plain)
    x, dy, y = naive.to_last(x).astype(dtype), naive.to_last(dy).astype(dtype), naive.to_last(y)
    options = {"groups": 2, "layout": "NHWC", "device": "cuda", "method": "im2col"}
    actual = fc.conv2d_weight_grad(x, dy, (1, 1, 32, 16), **options)
    np.testing.assert_array_equal(actual, naive.weights_to_last(dw).astype(dtype))
    assert [name for name, _ in started] == ["make_gemm_weights_tensor"]
    actual = fc.conv2d(x, naive.weights_to_last(w).astype(dtype), **options)
    np.testing.assert_array_equal(actual, y.astype(dtype))
    assert [name for name, _ in started][1:] == ["make_pack_turned", "make_gemm_tensor"]


@pytest.mark.parametrize("padding_mode, method", [("edge", "im2col"), ("zeros", "direct")])
def test_halves_that_tensor_cores_do_not_serve(simulator, started, padding_mode, method):
    actual, expected = grad_of_halves(HALVES[1], "NHWC", padding_mode, method)
    assert actual.dtype == HALVES[1] and not started
    np.testing.assert_array_equal(actual, expected)


def test_an_empty_batch_of_halves(simulator):
    x, dy = np.zeros((0, 2, 4, 4), np.float16), np.zeros((0, 3, 3, 3), np.float16)
    for method in problems.METHODS:
        dw = fc.conv2d_weight_grad(x, dy, (3, 2, 2, 2), device="cuda", method=method)
        assert dw.dtype == np.float16 and not dw.any()


def test_tf32_error_is_within_its_bound(simulator):
    """And it is TF32: float32 would be nearer."""
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((1, 5, 7, 8), np.float32), rng.standard_normal((1, 8, 5, 6), np.float32)
    plain = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), "groups": 1}
    exact, size = (
        naive.conv_weight_grad(f(x.astype(float)), f(dy.astype(float)), (3, 3), **plain) for f in (np.array, np.abs)
    )
    options = {"device": "cuda", "method": "im2col"}
    with fc.allow_tf32():
        error = np.abs(fc.conv2d_weight_grad(x, dy, (8, 5, 3, 3), **options) - exact)
    assert (error <= (2**-10 + 2**-22 + 30 * 2**-22) * size).all()
    assert error.max() > 1e-4 > 1e-5 > np.abs(fc.conv2d_weight_grad(x, dy, (8, 5, 3, 3), **options) - exact).max()


def test_nan_reaches_its_channel_and_taps_alone(simulator):
    """Pixels beyond the last and channels that fill rows up are zeros, not what lies there."""
    x, dy = np.ones((1, 3, 4, 5), np.float32), np.ones((1, 5, 3, 4), np.float32)
    x[0, 1, 0, 0] = np.nan
    with fc.allow_tf32():
        dw = fc.conv2d_weight_grad(x, dy, (5, 3, 2, 2), device="cuda", method="im2col")
    assert {tuple(i) for i in np.argwhere(np.isnan(dw))[:, 1:].tolist()} == {(1, 0, 0)}


def test_wide_indices(simulator, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    with fc.allow_tf32():
        np.testing.assert_array_equal(*problems.convolve(OP, "im2col", case_named("groups"), True))


def test_stages_do_not_change_a_bit(simulator, monkeypatch):
    """Of real numbers: the order of sums is the same with any number of stages."""
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((2, 3, 9, 9), np.float32), rng.standard_normal((2, 4, 8, 8), np.float32)
    results = []
    for most in (3, 4):
        monkeypatch.setattr(tiles, "MOST_STAGES", most)
        with fc.allow_tf32():
            results.append(fc.conv2d_weight_grad(x, dy, (4, 3, 2, 2), device="cuda", method="im2col"))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    "tile, dtype", [(tile, ("float16", "float32")[n % 2]) for n, tile in enumerate(tiles.TENSOR_TILES)], ids=str
)
def test_real_tiles(simulator, tile, dtype, monkeypatch):
    monkeypatch.setattr(tiles, "TENSOR_TILES", (tile,))
    x, dy = problems.draw(f"{tile}", (1, tile.BM // 2 - 1, 3, 3), (1, tile.BN - 1, 2, 3))
    plain = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), "groups": 1}
    expected = naive.conv_weight_grad(x, dy, (2, 1), **plain)
    with fc.allow_tf32():
        actual = fc.conv2d_weight_grad(
            x.astype(dtype), dy.astype(dtype), expected.shape, device="cuda", method="im2col"
        )
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("numbers", ["tf32", "bf16"])
@pytest.mark.parametrize("tile", (SMALL_TILE, *tiles.TENSOR_TILES), ids=str)
def test_no_two_lanes_meet_on_a_bank(tile, numbers):
    """What a warp loads at a time lies on all 32 banks; rows that a thread copies turn alike."""
    per, qa, qb, ra, rb = weights.geometry(tile, numbers)
    for chunks, rows in ((qa, ra), (qb, rb)):
        a, b, c = weights.turns(numbers, 4 * chunks)
        turn = [k // a % b * c for k in range(32)]
        assert all(turn[k] == turn[k + rows] for k in range(32 - rows)) or rows >= 32
        at_a_time = [(k, q) for k in range(8) for q in (0,)] if per == 2 else [(k, q) for k in range(4) for q in (0, 1)]
        for first in range(0, chunks, 1 if per == 2 else 2):
            places = {(k * chunks + ((first + q) ^ turn[k])) % 8 for k, q in at_a_time}
            assert len(places) == 8
        for k in range(8):
            assert sorted(q ^ turn[k] for q in range(chunks)) == list(range(chunks))


@pytest.mark.parametrize("blocks", [1, 9, 36, 100, 263, 300, 528, 5000])
def test_parts_fill_two_rounds_of_blocks_and_begin_no_third(blocks):
    parts, part = filters.count_parts(10**6, 1, blocks, 64)
    assert parts == 1 or 2 * filters.ENOUGH_BLOCKS * 0.5 < parts * blocks <= 2 * filters.ENOUGH_BLOCKS
    assert (parts - 1) * part < 10**6 <= parts * part


# --- planted bugs

BUGS = {
    "no barrier": ("                cuda.syncthreads()\n", ""),
    "no wait": ("                wait()\n", ""),
    "stage overwritten": ("stage = U(U(s + AHEAD) % U(STAGES))", "stage = U(U(s + AHEAD) % U(AHEAD))"),
    "one step too few": ("if S(s + AHEAD) < steps:", "if S(s + STAGES) < steps:"),
    "rows above the image": ("U(y0 + th) < U(image.H) and ", ""),
    "pixels of the next part": ("live = m < stop and ", "live = "),
    "pixels of dy beyond the part": ("live = inside and mb < stop", "live = inside"),
    "channels of dy beyond the last": ("live = inside and mb < stop", "live = mb < stop"),
    "all parts alike": ("begin = U(part * U(pixels.part))", "begin = U(0)"),
    "pixel does not move on": ("            m = U(m + U(RA))\n", ""),
    "swizzle of the copies": ("(qa ^ (ra // U(A1) % U(A2) * U(A3)))", "qa"),
    "fragments exchanged": ("row, pixel = i // 4 * 2 + i % 2, i % 4 // 2", "row, pixel = i // 2, i % 2"),
    "one row too many": ("if e < U(grad.rows):", "if e <= U(grad.rows):"),
    "one channel too many": ("if o < U(grad.channels):", "if o <= U(grad.channels):"),
    "one lane stays behind": ("s >= 0:\n                multiply", "s >= 0 and t != U(5):\n                multiply"),
}  # fmt: skip
HALVES_BUGS = {
    "not transposed": ("fa[i, 3] = ptx.load_transposed", "fa[i, 3] = ptx.load_matrices"),
    "matrices exchanged": ("qa, qb = U(am // U(8) + half), ", "qa, qb = U(am // U(8) + upper), "),
    "swizzle of the loads": ("U(qb + U(2 * j)) ^ U(k // U(B1) % U(B2) * U(B3))", "U(qb + U(2 * j))"),
}
SUM_BUGS = {
    "first part alone": ("for p in range(count):", "for p in range(1):"),
    "padded channels": ("U(r * U(padded) + c)", "U(r * U(filters.channels) + c)"),
    "not rounded": ("dw[to] = shorten(total)", "dw[to] = U(total)"),
}


def tf32_both_layouts():
    """In parts of one or two steps, then in one part of more steps than there are stages."""
    with fc.allow_tf32(), pytest.MonkeyPatch.context() as patch:
        pairs = [
            problems.convolve(OP, "im2col", case_named(name), name == "groups") for name in ("odd tails", "groups")
        ]
        patch.setattr(filters, "LEAST_PART", 1000)
        case = problems.Case("long sum", (2, 3, 7, 6), (4, 3, 1, 2), {"padding": ((0, 0), (1, 0))})
        return [*pairs, problems.convolve(OP, "im2col", case, True)]


def plant(mutant, monkeypatch):
    monkeypatch.setattr(tensor, "make_gemm_weights_tensor", mutant.make_gemm_weights_tensor)


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(simulator, bug, tmp_path, monkeypatch):
    plant(mutated(weights, *BUGS[bug], tmp_path), monkeypatch)
    assert_noticed(tf32_both_layouts)


@pytest.mark.parametrize("bug", HALVES_BUGS)
def test_planted_bugs_with_halves(simulator, bug, tmp_path, monkeypatch):
    plant(mutated(weights, *HALVES_BUGS[bug], tmp_path), monkeypatch)
    assert_noticed(lambda: [grad_of_halves(HALVES[0], "NCHW")])


@pytest.mark.parametrize("bug", SUM_BUGS)
def test_planted_bugs_in_the_sum(simulator, bug, tmp_path, monkeypatch):
    monkeypatch.setattr(tensor, "sum_parts", mutated(filters, *SUM_BUGS[bug], tmp_path).sum_parts)
    assert_noticed(lambda: [grad_of_halves(HALVES[0], "NCHW")])


def test_no_mutant_is_noticed_without_a_bug(simulator, tmp_path, monkeypatch):
    same = "    return gemm_weights_tensor\n", "    return gemm_weights_tensor  # the same\n"
    plant(mutated(weights, *same, tmp_path), monkeypatch)
    for actual, expected in [*tf32_both_layouts(), grad_of_halves(HALVES[0], "NCHW")]:
        np.testing.assert_array_equal(actual, expected)
