"""im2col and col2im on CUDA, in the simulator: against plain loops, and with planted bugs."""

import cudasim
import naive_pool as naive
import numpy as np
import pytest
from cases import UNFOLDS
from planting import assert_noticed, mutated

import fastconv as fc
from fastconv.cuda import backend, launch, unfold
from fastconv.errors import InvalidArgument
from fastconv.spec import conv_problem

EXECUTOR = cudasim.Executor()
CASES = [
    *(case for case in UNFOLDS if np.prod(case[0]) < 100),
    ((1, 1, 7, 8), (4, 3), (2, 3), ((2, 1), (0, 3)), (3, 2)),
    ((1, 2, 9, 8), (3, 3), (4, 2), ((1, 1), (1, 1)), (2, 2)),
]


@pytest.fixture
def simulator():
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


def functions(rank):
    return getattr(fc, f"unfold{rank}d"), getattr(fc, f"fold{rank}d")


def options(case):
    return dict(zip(("stride", "padding", "dilation"), case[2:], strict=True))


def unfolded(case, dtype="float32"):
    x = np.arange(np.prod(case[0])).reshape(case[0]).astype(dtype)
    cols = functions(len(case[1]))[0](backend.to_device(x), case[1], **options(case))
    return backend.to_host(cols), naive.unfold(x, *case[1:]).astype(dtype)


def folded(case, dtype="float32"):
    shape = naive.unfold(np.zeros(case[0]), *case[1:]).shape
    cols = np.random.default_rng(0).integers(-9, 10, shape).astype(dtype)
    dx = functions(len(case[1]))[1](backend.to_device(cols), case[0], case[1], **options(case))
    return backend.to_host(dx), naive.fold(cols.astype("float64"), *case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_unfold(simulator, case):
    np.testing.assert_array_equal(*unfolded(case))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fold(simulator, case):
    np.testing.assert_array_equal(*folded(case))


@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", "uint8", "bool"])
def test_dtypes(simulator, dtype):
    actual, expected = unfolded(CASES[0], dtype)
    np.testing.assert_array_equal(actual, expected, strict=True)
    if dtype != "bool":
        assert folded(CASES[0], dtype)[0].dtype == (dtype if dtype.startswith("float") else "float64")
        np.testing.assert_array_equal(*folded(CASES[0], dtype))


def test_wide_indices(simulator, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    np.testing.assert_array_equal(*unfolded(CASES[-1]))
    np.testing.assert_array_equal(*folded(CASES[-1]))


def test_nan_stays_in_its_columns(simulator):
    x = np.ones((1, 1, 3, 4), np.float32)
    x[0, 0, 1, 1] = np.nan
    cols = backend.to_host(fc.unfold2d(backend.to_device(x), 2))
    np.testing.assert_array_equal(np.isnan(cols), np.isnan(naive.unfold(x, (2, 2), (1, 1), ((0, 0),) * 2, (1, 1))))


def test_arguments_are_checked_on_the_device_too(simulator):
    x = backend.to_device(np.zeros((1, 1, 3, 4), np.float32))
    with pytest.raises(InvalidArgument, match="axes"):
        fc.unfold1d(x, 2)
    with pytest.raises(InvalidArgument, match="real numbers"):
        fc.unfold2d(backend.to_device(np.zeros((1, 1, 3, 4), np.complex64)), 2)
    with pytest.raises(InvalidArgument, match="columns of shape"):
        fc.fold2d(backend.to_device(np.zeros((1, 4, 5), np.float32)), (1, 1, 3, 4), 2)


BUGS = {
    "rows above x": ("inside = U(d) < U(s.D) and U(h) < U(s.H)", "inside = U(d) < U(s.D)"),
    "columns beside x": ("if inside and U(w) < U(s.W):", "if inside:"),
    "no dilation": ("S(w + s.dilation_w)", "S(w + 1)"),
    "rows too near": ("to, w = U(to + U(pixels))", "to, w = U(to + U(1))"),
    "a pixel too many": ("        if i < U(total):\n            row", "        if i <= U(total):\n            row"),
    "windows too many": ("if U(ow) < U(s.OW):", "if U(ow) <= U(s.OW):"),
    "taps skipped": ("for kh in range(kh0, s.KH, steps[1]):", "for kh in range(kh0, s.KH, 2 * steps[1]):"),
    "windows do not move": ("oh = S(oh - moves[1])", "oh = S(oh - 1)"),
    "no padding": ("U(w + U(s.before_w))", "w"),
    "steps of the stride": ("steps = tuple(s // g", "steps = tuple(s"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(simulator, bug, tmp_path):
    check(mutated(unfold, *BUGS[bug], tmp_path), CASES[-2:], assert_noticed)


def test_no_mutant_is_noticed_without_a_bug(simulator, tmp_path):
    mutant = mutated(unfold, "    return fold\n", "    return fold  # the same\n", tmp_path)
    check(mutant, CASES[-2:], lambda run: [np.testing.assert_array_equal(*pair) for pair in run()])


def check(module, cases, judge):
    """Both directions by the functions of a module."""
    judge(lambda: [pair for case in cases for pair in both(module, case)])


def both(module, case):
    spec = conv_problem(case[0], (1, case[0][1], *case[1]), rank=2, **options(case))
    x = np.random.default_rng(0).integers(-9, 10, case[0]).astype(np.float32)
    expected = naive.unfold(x, *case[1:])
    cols, dx = backend.empty(expected.shape, "float32"), backend.empty((*x.shape[:2], 1, *x.shape[2:]), "float32")
    module.unfold(spec, backend.to_device(x[:, :, None]), cols)
    module.fold(spec, backend.to_device(expected.astype(np.float32)), dx)
    yield backend.to_host(cols), expected
    yield backend.to_host(dx)[:, :, 0], naive.fold(expected.astype(float), *case)
