"""The GEMM without a gather in the simulator: every way its factors may lie, against the oracle, and planted bugs."""

import itertools

import cuda_problems as problems
import cudasim
import numpy as np
import pytest
from planting import assert_noticed, mutated

from fastconv.cuda import backend, launch
from fastconv.cuda.gemm import cores, plain, tiles

EXECUTOR = cudasim.Executor()
SMALL_TILE = tiles.Tile(8, 8, 4, 2, 2)  # 16 threads, runs of two
RUNS_TILE = tiles.Tile(16, 16, 4, 4, 4)  # 16 threads, runs of four
OPS = ("conv", "conv_input_grad")
CASES = [
    problems.Case("whole steps", (2, 8, 2, 6), (12, 8, 1, 1)),
    problems.Case("odd sizes", (2, 5, 3, 3), (7, 5, 1, 1)),
    problems.Case("groups of even sizes", (1, 12, 2, 2), (12, 6, 1, 1), {"groups": 2}),
    problems.Case("3-D", (1, 4, 2, 3, 2), (4, 4, 1, 1, 1)),
]


@pytest.fixture(params=[SMALL_TILE, RUNS_TILE], ids=str)
def simulator(request, monkeypatch):
    monkeypatch.setattr(tiles, "TILES", (request.param,))
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


@pytest.fixture
def forms(monkeypatch):
    """The forms of kernels that are started, and the names of all kernels."""
    seen, start = [], launch.launch
    for module in (plain, cores):
        monkeypatch.setattr(
            module, "launch", lambda f, c, *a, **o: (seen.append((f.__name__, *c)), start(f, c, *a, **o))
        )
    return seen


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_single_pixels(simulator, forms, case, op, channels_last):
    """Nothing is packed first."""
    np.testing.assert_array_equal(*problems.convolve(op, "im2col", case, channels_last))
    assert [name for name, *_ in forms] == ["make_gemm_plain"]


@pytest.mark.parametrize("op", OPS)
def test_float64(simulator, forms, op):
    actual, expected = problems.convolve(op, "im2col", CASES[0], True, "float64")
    assert actual.dtype == np.float64 and (forms[0][2].x_run, forms[0][2].w_run) == (1, 1)
    np.testing.assert_array_equal(actual, expected)


def test_wide_indices(simulator, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    np.testing.assert_array_equal(*problems.convolve("conv", "im2col", CASES[2], False))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_activations(simulator, activation):
    actual, expected = problems.convolve("conv", "im2col", CASES[1], False, activation=activation)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "op, channels_last, case, expected",
    [
        ("conv", True, 0, (True, False, True, 4, 4, True)),
        ("conv", False, 0, (False, True, False, 4, 4, True)),
        ("conv_input_grad", True, 0, (True, True, True, 4, 4, True)),
        ("conv_input_grad", False, 0, (False, False, False, 4, 4, True)),
        ("conv", True, 1, (True, False, True, 1, 1, False)),
        ("conv", False, 2, (False, True, False, 4, 2, False)),
        ("conv", True, 2, (True, False, True, 2, 2, False)),
    ],
)
def test_forms(simulator, forms, op, channels_last, case, expected):
    problems.convolve(op, "im2col", CASES[case], channels_last)
    longest = 2 if tiles.TILES == (SMALL_TILE,) else 4
    assert forms[0][2] == plain.Form(*expected[:3], *(min(longest, run) for run in expected[3:5]), expected[5])


def test_unaligned_arrays_are_loaded_one_by_one(simulator, forms, monkeypatch):
    monkeypatch.setattr(EXECUTOR, "is_aligned", lambda array: False, raising=False)
    np.testing.assert_array_equal(*problems.convolve("conv", "im2col", CASES[0], True))
    assert (forms[0][2].x_run, forms[0][2].w_run) == (1, 1)


@pytest.mark.parametrize("channels_last, tile", [(n % 2 == 0, tile) for n, tile in enumerate(tiles.TILES)], ids=str)
def test_real_tiles(tile, channels_last, monkeypatch):
    monkeypatch.setattr(tiles, "TILES", (tile,))
    case = problems.Case(f"{tile}", (1, 12, 1, tile.BM + 4), (tile.BN - 4, 12, 1, 1))
    with backend.run_on(EXECUTOR):
        np.testing.assert_array_equal(*problems.convolve("conv", "im2col", case, channels_last))


@pytest.mark.parametrize("tile", (SMALL_TILE, RUNS_TILE, *tiles.TILES), ids=str)
def test_threads_share_a_step_evenly(tile):
    """Every element of a step is loaded once, whatever runs it is loaded in."""
    for length, columns, run in itertools.product((tile.BM, tile.BN), (False, True), (1, 2, 4)):
        if length * tile.BK // tile.threads % run:
            continue
        share = plain.share_of(length, tile, columns, run)
        loaded = set()
        for t, k, i in itertools.product(range(tile.threads), range(share.passes), range(run)):
            q, p = t % share.across, t // share.across
            row, column = (p, q * share.passes * run) if columns else (q * run, p)
            place = (row, column + k * share.next + i) if columns else (row + i, column + k * share.next)
            loaded.add(place)
        assert loaded == set(itertools.product(range(length), range(tile.BK)))
        assert tile.threads * share.passes * run == length * tile.BK


# --- planted bugs

BUGS = {
    "no barrier": ("            cuda.syncthreads()\n", ""),
    "same buffer twice": ("ra, rb = U(U(s & 1) * U(ABUF)", "ra, rb = U(U((s + 1) & 1) * U(ABUF)"),
    "columns beyond the last": ("real = live and (even or U(column + U(k * NEXT)) < columns)", "real = live"),
    "pixels beyond the last": ("a_live, b_live = U(m0 + am) < M,", "a_live, b_live = True,"),
    "does not move on": ("xa, wb = U(xa + U(BK) * U(image.c)),", "xa, wb = xa,"),
    "columns not turned": ("BETWEEN = pitch if columns else 1", "BETWEEN = 1"),
    "one step too few": ("more = S(s + 1) < steps", "more = S(s + 2) < steps"),
    "weights of the first group": ("wb = U(g * U(weights.group) + ", "wb = U("),
    "no images": ("xa = U(n * U(image.n) + ", "xa = U("),
}


def all_forms():
    return [
        problems.convolve(op, "im2col", case, last) for case in CASES[:3] for op in OPS[:1] for last in (False, True)
    ]


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(bug, tmp_path, monkeypatch):
    monkeypatch.setattr(tiles, "TILES", (SMALL_TILE,))
    monkeypatch.setattr(plain, "make_gemm_plain", mutated(plain, *BUGS[bug], tmp_path).make_gemm_plain)
    with backend.run_on(EXECUTOR):
        assert_noticed(all_forms)


def test_no_mutant_is_noticed_without_a_bug(simulator, tmp_path, monkeypatch):
    mutant = mutated(plain, "    return gemm_plain\n", "    return gemm_plain  # the same\n", tmp_path)
    monkeypatch.setattr(plain, "make_gemm_plain", mutant.make_gemm_plain)
    for pair in all_forms():
        np.testing.assert_array_equal(*pair)


def test_a_misaligned_load_is_found():
    from fastconv.cuda import ptx

    def make(T, S, U):
        def kernel(x, y):
            y[0], y[1], y[2], y[3] = ptx.load_four(x, U(2), True)

        return kernel

    with backend.run_on(cudasim.Executor()):
        arrays = backend.to_device(np.zeros(8, np.float32)), backend.empty((4,), "float32")
        with pytest.raises(cudasim.SimulationError, match="load of 4"):
            launch.launch(make, (), 1, arrays, dtype="float32", wide=False, threads=1)
