"""Transpositions on CUDA, in the simulator: against NumPy, and with planted bugs."""

import itertools

import cudasim
import numpy as np
import pytest
from planting import assert_noticed, mutated

from fastconv.cuda import backend, halves, launch
from fastconv.cuda.arrays import layout
from fastconv.cuda.runtime import streams

EXECUTOR = cudasim.Executor()


@pytest.fixture
def simulator():
    with backend.run_on(EXECUTOR):
        yield EXECUTOR


def numbers(shape, dtype="float32"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def both(shape, axes, dtype="float32", permute=layout.permute):
    x = numbers(shape, dtype)
    y = permute(backend.to_device(x), axes)
    assert y.dtype == x.dtype
    return backend.to_host(y), np.ascontiguousarray(x.transpose(axes))


#: (shape, axes, the kernel): NCHW to NHWC and back, merged axes, tiles with odd tails, one short side, nothing to do.
CASES = [
    ((2, 13, 3, 5), (0, 2, 3, 1), "transpose"),
    ((2, 3, 5, 14), (0, 3, 1, 2), "transpose"),
    ((33, 40), (1, 0), "transpose"),
    ((64, 32), (1, 0), "transpose"),
    ((2, 12, 3, 2, 13), (3, 4, 2, 0, 1), "transpose"),
    ((2, 12, 2, 13), (2, 3, 0, 1), "transpose"),
    ((2, 3, 40, 5), (0, 2, 3, 1), "move"),
    ((2, 5, 40, 3), (0, 3, 1, 2), "move"),
    ((4, 3, 6), (1, 0, 2), "move"),
    ((4, 3, 6), (0, 1, 2), "move"),
    ((1, 7, 1), (2, 1, 0), "move"),
    ((1, 1), (1, 0), "move"),
    ((), (), "move"),
    ((2, 3, 2, 2, 3, 2), (5, 3, 0, 4, 2, 1), "move"),
    ((2, 12, 2, 3, 2, 13), (3, 5, 2, 0, 4, 1), "transpose"),
]


@pytest.mark.parametrize(("shape", "axes", "kernel"), CASES, ids=str)
def test_permute(simulator, shape, axes, kernel, monkeypatch):
    started = []
    run = layout.launch
    monkeypatch.setattr(layout, "launch", lambda make, *rest, **o: (started.append(make), run(make, *rest, **o)))
    np.testing.assert_array_equal(*both(shape, axes))
    assert started == [{"move": layout.make_move, "transpose": layout.make_transpose}[kernel]]


def test_every_order_of_four_axes(simulator, monkeypatch):
    monkeypatch.setattr(layout, "SHORT", 2)
    for axes in itertools.permutations(range(4)):
        np.testing.assert_array_equal(*both((2, 3, 4, 2), axes))


@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", "int64", "bool"])
def test_dtypes(simulator, dtype):
    np.testing.assert_array_equal(*both((2, 13, 14), (0, 2, 1), dtype))
    np.testing.assert_array_equal(*both((3, 2, 4), (1, 0, 2), dtype))


def test_bits_of_halves(simulator):
    x = numbers((2, 13, 14), "float16")
    y = layout.permute(halves.half_of(x, x.dtype), (2, 0, 1))
    np.testing.assert_array_equal(halves.to_host(y), x.transpose(2, 0, 1))


def test_wide_indices_and_nothing(simulator, monkeypatch):
    monkeypatch.setattr(launch, "NARROW", 1)
    np.testing.assert_array_equal(*both((2, 13, 14), (2, 0, 1)))
    np.testing.assert_array_equal(*both((2, 3, 4), (2, 0, 1)))
    np.testing.assert_array_equal(*both((2, 0, 4), (2, 0, 1)))


def test_merging_leaves_what_moves():
    assert layout.merge((8, 16, 4, 5), (0, 2, 3, 1)) == ((8, 320, 320), (20, 1, 16), (16, 20, 1))
    assert layout.merge((8, 16, 4, 5), (0, 1, 2, 3)) == ((2560, 1, 1),)
    assert layout.merge((1, 3, 1), (2, 0, 1)) == ((3, 1, 1),)


def test_scratch_moves_on_the_stream_of_what_surrounds_it(simulator, monkeypatch):
    started = []
    monkeypatch.setattr(layout, "launch", lambda *args, **options: started.append(streams.current_stream()))
    with streams.working_on(7):
        layout.permute(backend.empty((3, 4), "float32"), (1, 0))
    layout.permute(backend.empty((3, 4), "float32"), (1, 0))
    assert started == [7, 0]


BUGS = {
    "no barrier": ("        cuda.syncthreads()\n", ""),
    "columns beyond x": ("if U(a0 + lane) < U(plane.a) and b", "if b"),
    "rows beyond x": ("U(a0 + lane) < U(plane.a) and b < U(plane.b)", "U(a0 + lane) < U(plane.a)"),
    "columns beyond y": ("if a < U(plane.a) and U(b0 + lane) < U(plane.b):", "if a < U(plane.a):"),
    "not transposed": ("tile[U(lane * U(PITCH) + row +", "tile[U(row * U(PITCH) + lane +"),
    "rows left out": ("b = U(b0 + row + U(j * ROWS))", "b = U(b0 + row)"),
    "another plane": ("at, to, rest = U(at + i * U(xs[k])), U(to + i * U(ys[k])), q\n        lane", "lane"),
    "strides exchanged": ("U(to + rest * U(ys[OUTERMOST]))] = x", "U(to + rest * U(xs[OUTERMOST]))] = x"),
    "a thread too many": ("if rest < U(total):", "if rest <= U(total):"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(simulator, bug, tmp_path):
    permute = mutated(layout, *BUGS[bug], tmp_path).permute
    cases = [((2, 13, 14), (0, 2, 1)), ((2, 3, 4), (2, 0, 1)), ((2, 40, 3), (0, 2, 1))]
    assert_noticed(lambda: [both(shape, axes, permute=permute) for shape, axes in cases])


def test_no_mutant_is_noticed_without_a_bug(simulator, tmp_path):
    permute = mutated(layout, "    return transpose\n", "    return transpose  # the same\n", tmp_path).permute
    np.testing.assert_array_equal(*both((2, 13, 14), (0, 2, 1), permute=permute))
