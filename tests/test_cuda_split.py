"""Long sums of few pixels in parts: every GEMM against the oracle in the simulator, and planted bugs."""

import cuda_problems as problems
import cudasim
import naive
import numpy as np
import pytest
from planting import assert_noticed, mutated

import fastconv as fc
from fastconv.config import settings
from fastconv.cuda import backend, gemm, launch
from fastconv.cuda.gemm import cores, lowering, parts, tensor, tiles
from fastconv.spec import conv_problem

EXECUTOR = cudasim.Executor()
SMALL_TILE = tiles.Tile(8, 8, 4, 2, 2)
CASES = [
    problems.Case("gathered", (2, 8, 2, 3), (5, 8, 3, 3), {"padding": 1}),
    problems.Case("strided, groups", (1, 8, 5, 4), (16, 4, 3, 3), {"groups": 2, "stride": 2, "padding": 1}),
    problems.Case("single pixels", (2, 22, 1, 3), (18, 22, 1, 1)),
]


@pytest.fixture
def simulator(monkeypatch):
    """Small tiles, and parts of two steps or more."""
    monkeypatch.setattr(tiles, "TILES", (SMALL_TILE,))
    monkeypatch.setattr(tiles, "TENSOR_TILES", (tiles.TensorTile(32, 16, 1, 1),))
    monkeypatch.setattr(tiles, "LEAST_STEPS", 2)
    choose = tensor.choose_numbers
    monkeypatch.setattr(
        tensor, "choose_numbers", lambda *a, zeros=True: choose(*a[:3], 1000, 1000, a[5] if len(a) > 5 else zeros)
    )
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


@pytest.fixture
def sums(monkeypatch):
    """The numbers of parts that are added."""
    counts, start = [], launch.launch
    monkeypatch.setattr(parts, "launch", lambda f, c, n, args, **o: (counts.append(args[5]), start(f, c, n, args, **o)))
    return counts


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("op", ["conv", "conv_input_grad"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_parts(simulator, sums, case, op, channels_last):
    np.testing.assert_array_equal(*problems.convolve(op, "im2col", case, channels_last))
    assert len(sums) == 1 and sums[0] > 1


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_bias_and_activation_come_after_the_sum(simulator, sums, activation):
    for last in (False, True):
        actual, expected = problems.convolve("conv", "im2col", CASES[1], last, "float64", activation=activation)
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)
    assert len(sums) == 2


@pytest.mark.parametrize("op", ["conv", "conv_input_grad"])
def test_tensor_cores(simulator, sums, op):
    case = problems.Case("tensor cores", (1, 5, 3, 3), (20, 5, 2, 2))
    with fc.allow_tf32():
        np.testing.assert_array_equal(*problems.convolve(op, "im2col", case, op == "conv"))
    assert sums == [2] if op == "conv" else sums == [4]


def test_halves(simulator, sums):
    x, w, b = (a.astype(np.float16) for a in problems.draw("halves", (1, 3, 3, 3), (4, 3, 2, 2), (4,)))
    actual = fc.conv2d(x, w, b, device="cuda", method="im2col", activation="relu")
    plain = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), "groups": 1}
    expected = naive.activate(naive.conv(*(a.astype(float) for a in (x, w, b)), **plain), "relu")
    assert actual.dtype == np.float16 and sums == [2]
    np.testing.assert_array_equal(actual, expected.astype(np.float16))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products(simulator, sums, dtype):
    a, b, bias = (v.astype(dtype) for v in problems.draw("product", (31, 6), (31, 9), (9,)))
    y = fc.matmul(a, b, bias, transpose_a=True, device="cuda")
    np.testing.assert_array_equal(y, a.T @ b + bias)
    assert sums == [4]


def test_wide_indices(simulator, sums, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    np.testing.assert_array_equal(*problems.convolve("conv", "im2col", CASES[0], False))
    assert sums


def test_parts_stay_within_the_budget(simulator, sums, monkeypatch):
    case = CASES[0]
    size = 4 * int(np.prod(case.y_shape))
    monkeypatch.setattr(parts, "settings", type(settings)(**{**vars(settings), "scratch_bytes": 3 * size + 3}))
    np.testing.assert_array_equal(*problems.convolve("conv", "im2col", case, False))
    assert sums == [3]


@pytest.mark.parametrize("shape", [(8, 3, 3), (24, 1, 1)], ids=["gathered", "single pixels"])
def test_the_gpu_and_its_tiles_do_not_change_a_bit(simulator, sums, monkeypatch, shape):
    """Of real numbers: parts follow from the problem, and each sum runs through its columns in order."""
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((1, shape[0], 3, 4), np.float32), rng.standard_normal((5, *shape), np.float32)
    results = []
    for capability, tile in (((9, 0), SMALL_TILE), ((8, 6), tiles.Tile(16, 16, 4, 4, 4))):
        monkeypatch.setattr(cudasim, "CAPABILITY", capability)
        monkeypatch.setattr(tiles, "TILES", (tile,))
        results.append(fc.conv2d(x, w, device="cuda", method="im2col"))
    np.testing.assert_array_equal(*results)
    assert sums[0] == sums[1] > 1


def test_every_step_is_in_one_part():
    problem = conv_problem((1, 4, 5, 5), (6, 4, 3, 3), rank=2, stride=2, padding=1, op="conv_input_grad")
    plan = lowering.lower(problem, 4)
    for count in (1, 2, 3, 50):
        phases = parts.in_parts(plan, count, 1000).phases.reshape(len(plan.phases), count, -1)
        for whole, cut in zip(plan.phases, phases, strict=True):
            steps = [s for row in cut for s in range(row[parts.FIRST], row[parts.FIRST] + row[parts.STEPS])]
            assert steps == list(range(whole[parts.FIRST], whole[parts.FIRST] + whole[parts.STEPS]))
            assert [row[lowering.START] - whole[lowering.START] for row in cut] == [1000 * k for k in range(count)]
            assert (cut[:, : parts.FIRST] == whole[: parts.FIRST]).all()


@pytest.mark.parametrize(
    "problem, parts",
    [
        ((49, 512, 1, 576), 33),  # 512 channels of 7x7, one image: 8 blocks of the smallest tile
        ((8 * 49, 512, 1, 576), 4),
        ((64 * 49, 512, 1, 576), 1),
        ((49, 512, 1, 64), 4),  # 1x1: parts of 16 steps
        ((10**6, 64, 1, 72), 1),
        ((49, 16, 32, 36), 2),
        ((1, 1, 1, 15), 1),
    ],
)
def test_how_many_parts(problem, parts):
    assert tiles.split_parts(*problem) == parts


BUGS = {
    "last part missing": ("for p in range(count):", "for p in range(S(count - 1)):"),
    "bias of another channel": ("U(i // U(pixels)) % U(channels)", "i % U(channels)"),
    "parts overlap": ("begin = np.minimum(part * per, phases[:, STEPS])", "begin = np.minimum(part * 1, per)"),
    "one place for all parts": ("phases[:, START] += part * size", "pass"),
    "bias in each part": ("run(in_parts(plan, parts, y.size), None,", "run(in_parts(plan, parts, y.size), b,"),
    "activation forgotten": (
        "constants = b is not None, activation, shorten",
        "constants = b is not None, None, shorten",
    ),
}


def both_layouts():
    return [problems.convolve("conv", "im2col", case, last, activation="relu") for case in CASES for last in (0, 1)]


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(simulator, bug, tmp_path, monkeypatch):
    mutant = mutated(parts, *BUGS[bug], tmp_path)
    for module in (cores, gemm, tensor):
        monkeypatch.setattr(module, "parts", mutant)
    assert_noticed(both_layouts)


def test_no_mutant_is_noticed_without_a_bug(simulator, tmp_path, monkeypatch):
    monkeypatch.setattr(
        cores, "parts", mutated(parts, "    return add_parts\n", "    return add_parts  # same\n", tmp_path)
    )
    for pair in both_layouts():
        np.testing.assert_array_equal(*pair)
