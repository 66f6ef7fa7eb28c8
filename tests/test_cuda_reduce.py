"""Reductions of device arrays against NumPy, in the simulator, with planted bugs."""

import math

import cudasim
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planting import assert_noticed, mutated

from fastconv.cuda import backend, launch
from fastconv.cuda.array import asarray
from fastconv.cuda.arrays import reduce
from fastconv.errors import Unsupported

EXECUTOR = cudasim.Executor()
TURNS = reduce.LEAST_TURNS
NAMES = ("sum", "mean", "max", "min", "any", "all", "argmax")
CASES = [
    ((7,), None), ((600,), 0), ((3, 5), 0), ((3, 5), -1), ((2, 3, 4), 1), ((2, 3, 4), (0, 2)),
    ((2, 3, 4, 2), (0, 2, 3)), ((2, 3, 4), (0, 1, 2)), ((1, 4, 1), 1), ((4, 1), 1),
    ((), None), ((3, 0), 1), ((0, 3), 1), ((40, 9), 0),
]  # fmt: skip


@pytest.fixture(autouse=True)
def simulator(monkeypatch):
    monkeypatch.setattr(reduce, "LEAST_TURNS", 2)
    with backend.run_on(EXECUTOR), np.errstate(all="ignore"):
        yield


def draw(shape, dtype=np.float32):
    return (np.arange(math.prod(shape)) * 7 % 11 - 4).reshape(shape).astype(dtype)


def agree(actual, expected):
    assert actual.dtype == expected.dtype
    assert actual.shape == np.shape(expected)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's mean of nothing
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_reductions(case, name):
    shape, axis = case
    if name == "argmax" and isinstance(axis, tuple):
        axis = axis[0]
    x = draw(shape)
    method, function = getattr(asarray(x), name), getattr(np, name)
    try:
        expected = function(x, axis=axis)
    except ValueError as error:  # of nothing
        with pytest.raises(ValueError, match=str(error)[:20]):
            method(axis=axis)
    else:
        agree(method(axis=axis), expected)
        agree(function(asarray(x), axis=axis, keepdims=True), function(x, axis=axis, keepdims=True))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_axes(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1))))
    x = draw(shape)
    with backend.run_on(EXECUTOR):
        agree(asarray(x).sum(axis=axes), x.sum(axis=axes))
        agree(asarray(x).max(axis=axes), x.max(axis=axes))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "float64"])
def test_dtypes_are_numpys(dtype):
    x = draw((5, 6), dtype)
    for name in NAMES:
        if dtype == "bool" and name in ("max", "min", "mean"):
            continue
        agree(getattr(asarray(x), name)(axis=0), getattr(x, name)(axis=0))
    agree(asarray(x).sum(dtype=np.float64), x.sum(dtype=np.float64))
    agree(np.add.reduce(asarray(x), axis=1), np.add.reduce(x, axis=1))


def test_nan_wins_and_the_first_of_equals():
    x = draw((6, 300))
    x[1, 250], x[2, 7], x[2, 200], x[3] = np.nan, np.nan, np.nan, -np.inf
    for name in ("max", "min", "argmax", "sum"):
        agree(getattr(asarray(x), name)(axis=1), getattr(x, name)(axis=1))
        agree(getattr(asarray(x.T), name)(axis=0), getattr(x, name)(axis=1))
    assert asarray(np.float32([3, 5, 5, np.nan, 7])).argmax().item() == 3


def test_the_last_step_divides_alone():
    """A mean over axes that are reduced in turn."""
    x = draw((3, 2, 5, 3))
    agree(asarray(x).mean(axis=(0, 2, 3)), x.mean(axis=(0, 2, 3)))


def test_long_sums_are_accurate():
    """As accurate as the docstring says, where adding one after the other is not."""
    x = np.full(20_000, 0.1, np.float32)
    exact = float(np.float32(0.1)) * x.size
    error = abs(asarray(x).sum().item() - exact)
    turns = reduce.MOST_TURNS + math.log2(x.size)
    assert error <= turns * np.finfo(np.float32).eps * exact
    assert error < 2e-6 * exact < abs(float(np.cumsum(x)[-1]) - exact)


def test_wide_indices(monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    x = draw((3, 20, 4))
    for name in NAMES:
        agree(getattr(asarray(x), name)(axis=1), getattr(x, name)(axis=1))


@pytest.mark.parametrize("sizes", [(1, 10**7, 1), (1, 128 * 28 * 28, 32), (128, 784, 10), (10**6, 3, 1), (5, 1, 7)])
def test_cuts_cover_everything(monkeypatch, sizes):
    monkeypatch.setattr(reduce, "LEAST_TURNS", TURNS)
    outer, R, inner = sizes
    lanes, parts, part = reduce.sharing(outer, R, inner)
    assert launch.BLOCK % lanes == 0
    assert lanes & (lanes - 1) == 0
    assert (parts - 1) * part < R <= parts * part
    assert part <= lanes * reduce.MOST_TURNS
    assert reduce.sharing(outer, R, inner, whole=True).parts == 1
    passes = 0
    while R > 1:
        R, passes = reduce.sharing(outer, R, inner).parts, passes + 1
    assert passes <= 2


def test_what_is_not_there_is_refused():
    with pytest.raises(Unsupported, match="one axis"):
        asarray(draw((2, 3))).argmax(axis=(0, 1))
    with pytest.raises(Unsupported, match="truth"):
        asarray(draw((2, 3), bool)).max()
    with pytest.raises(np.exceptions.AxisError):
        asarray(draw((2, 3))).sum(axis=2)
    with pytest.raises(TypeError, match="cumsum"):
        np.cumsum(asarray(draw((2, 3))))


BARRIER = "            cuda.syncthreads()\n            if lane < U(lanes >> (k + 1)):\n"
BUGS = {
    "no barrier": (BARRIER, BARRIER.replace("cuda.syncthreads()", "pass")),
    "barrier in a branch": (
        BARRIER,
        "            if lane < U(lanes >> (k + 1)):\n                cuda.syncthreads()\n",
    ),
    "half as many": ("s[U(t + U((lanes >> (k + 1)) * lane_step))])", "s[U(t + U((lanes >> (k + 2)) * lane_step))])"),
    "the tail skipped": ("            while r < end:", "            while r > end:"),
    "one element too many": ("while U(r + U(3 * lanes)) < end:", "while U(r + U(2 * lanes)) < end:"),
    "parts overlap": ("r, end = U(p * U(part) + lane)", "r, end = lane"),
    "every lane writes": ("if lane == U(0) and q < U(total):\n            v", "if q < U(total):\n            v"),
    "divided before the sum": ("            if mean:\n                v = L(v / divisor)\n", ""),
    "the last maximum": ("(equal and where[other] < where[t])", "(equal and where[other] > where[t])"),
    "the last NaN": (
        "if v > value or (v != v and value == value):\n                    value",
        "if v > value or v != v:\n                    value",
    ),
    "a stale maximum": ("best[t], where[t] = v, where[other]", "where[t] = where[other]"),
}  # fmt: skip


def exercise(run=reduce.reduced):
    x = draw((2, 90, 3))
    x[1, 4, 1] = x[1, 36, 1] = np.nan  # both for one of 32 lanes
    pairs = [(name, axis) for name in ("mean", "max", "argmax") for axis in (1, None)]
    rows = draw((2, 2000))
    return [
        *((backend.to_host(run(name, asarray(x).handle, axis)), getattr(x, name)(axis)) for name, axis in pairs),
        *((backend.to_host(run(name, asarray(rows).handle, 1)), getattr(rows, name)(1)) for name in ("sum", "argmax")),
    ]


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(bug, tmp_path):
    mutant = mutated(reduce, *BUGS[bug], tmp_path)
    mutant.LEAST_TURNS = 3
    assert_noticed(lambda: exercise(mutant.reduced))


def test_no_mutant_is_noticed_without_a_bug(tmp_path):
    mutant = mutated(reduce, "    return reduce_parts\n", "    return reduce_parts  # the same\n", tmp_path)
    mutant.LEAST_TURNS = 3
    for actual, expected in exercise(mutant.reduced):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)
