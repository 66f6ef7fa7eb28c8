"""Small calls that repeat become programs: the same bits as by Python, for whatever data, and nothing stale."""

import copy
import pickle
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

import fastconv as fc
from fastconv import ndimage, signal
from fastconv.ndimage import _repeating
from fastconv.ops import _kernels, _pools, _repeated
from fastconv.simd import programs
from fastconv.threads import Alone

TWICE = 2 * _repeated.OFTEN


def numbers(shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def programs_made(monkeypatch):
    """Counts the programs that are made, and forgets those that were."""
    made = []

    def noted(*args, **options):
        made.append(programs_record(*args, **options))
        return made[-1]

    programs_record = programs.record
    monkeypatch.setattr(programs, "record", noted)
    for cached in (_repeating._repeats, _pools._known_call, _kernels._known):
        cached.cache_clear()
    return made


WEIGHTS = numbers((3, 3), seed=5)
CALLS = {
    "conv": lambda x, w: fc.conv2d(x, w, padding=1),
    "conv, a bias and ReLU": lambda x, w: fc.conv2d(x, w, w[:, 0, 0, 0].copy(), padding=1, activation="relu"),
    "conv, channels last": lambda x, w: fc.conv2d(x, w.transpose(2, 3, 1, 0).copy(), padding=1, layout="NHWC"),
    "input_grad": lambda x, w: fc.conv2d_input_grad(x, w, x.shape, padding=1),
    "weight_grad": lambda x, w: fc.conv2d_weight_grad(x, x, w.shape, padding=1),
    "max_pool": lambda x, w: fc.max_pool2d(x, (2, 2), stride=(2, 2)),
    "avg_pool": lambda x, w: fc.avg_pool2d(x, 2),
    "ndimage.correlate": lambda x, w: ndimage.correlate(x[0, 0], WEIGHTS),
    "ndimage.gaussian_filter": lambda x, w: ndimage.gaussian_filter(x[0, 0], 1.0),
    "ndimage.median_filter": lambda x, w: ndimage.median_filter(x[0, 0], 3),
    "signal.sepfir2d": lambda x, w: signal.sepfir2d(x[0, 0], WEIGHTS[0], WEIGHTS[1]),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_program_has_the_bits_of_the_call(name, monkeypatch):
    made, call = programs_made(monkeypatch), CALLS[name]
    data = [(numbers((1, 8, 8, 8), seed=i), numbers((8, 8, 3, 3), seed=99 + i)) for i in range(4)]
    expected = [call(*arrays).tobytes() for arrays in data]
    for i in range(TWICE):
        assert call(*data[i % 4]).tobytes() == expected[i % 4], i
    assert [program is not None for program in made] == [True]


def test_a_plan_becomes_a_program_too(monkeypatch):
    made, (x, w) = programs_made(monkeypatch), (numbers((1, 8, 8, 8)), numbers((8, 8, 3, 3)))
    plan, expected = fc.plan_conv2d(w, x.shape, w[0, :, 0, 0], padding=1, activation="relu"), []
    for i in range(TWICE):
        given = numbers(x.shape, seed=i % 3)
        expected += [plan(given)] if i < 3 else []
        np.testing.assert_array_equal(plan(given), expected[i % 3])
    assert [program is not None for program in made] == [True]
    for other in (copy.deepcopy(plan), pickle.loads(pickle.dumps(plan))):
        del plan
        plan = other
        np.testing.assert_array_equal([plan(given) for _ in range(TWICE)], [expected[(TWICE - 1) % 3]] * TWICE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_reach_what_they_meet(bad):
    dy, w = numbers((1, 8, 8, 8)), numbers((8, 8, 3, 3))
    odd = w.copy()
    odd[3, 2, 0, 1] = bad
    expected = fc.conv2d_input_grad(dy, odd, dy.shape, padding=1, method="im2col")
    for _ in range(TWICE):
        fc.conv2d_input_grad(dy, w, dy.shape, padding=1)
    got = fc.conv2d_input_grad(dy, odd, dy.shape, padding=1)
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))
    assert 0 < np.isfinite(got).sum() < got.size
    odd[...] = w
    assert np.isfinite(fc.conv2d_input_grad(dy, odd, dy.shape, padding=1)).all()


def test_a_change_of_anything_is_seen():
    x, w = numbers((9, 10), "float64"), numbers(3, "float64")
    calls = [
        ((w,), {}), ((w,), {"mode": "constant"}), ((w,), {"mode": "constant", "cval": 1.0}),
        ((w,), {"mode": "constant", "cval": -1}), ((w, 0), {}), ((w, 0, None, "wrap"), {}), ((w,), {"origin": 1}),
        ((w.astype("float32"),), {}), ((w.tolist(),), {}),
    ]  # fmt: skip
    for _ in range(TWICE):
        for args, options in calls:
            expected = scipy.ndimage.correlate1d(x, *args, **options)
            np.testing.assert_array_equal(ndimage.correlate1d(x, *args, **options), expected)
        w[1] += 0.5
    for _ in range(TWICE):
        assert not np.signbit(ndimage.maximum_filter(np.zeros((3, 3)) - 1, 3, mode="constant", cval=0.0)[0, 0])
        assert np.signbit(ndimage.maximum_filter(np.zeros((3, 3)) - 1, 3, mode="constant", cval=-0.0)[0, 0])


def test_numbers_that_compare_equal_are_told_apart():
    x = numbers((8, 8))
    for _ in range(TWICE):
        ndimage.gaussian_filter(x, 1, order=1)
    with pytest.raises(TypeError):
        scipy.ndimage.gaussian_filter(x, 1, order=1.0)
    with pytest.raises(TypeError):
        ndimage.gaussian_filter(x, 1, order=1.0)
    for _ in range(TWICE):
        fc.conv2d(x[None, None], x[None, None, :3, :3].copy(), stride=2)
    with pytest.raises(fc.errors.InvalidArgument, match="stride"):
        fc.conv2d(x[None, None], x[None, None, :3, :3].copy(), stride=2.0)


def test_lists_are_remembered_as_tuples(monkeypatch):
    """Not parsed again; what is wrong is shown as it was given."""
    x, w = numbers((1, 1, 8, 8)), numbers((1, 1, 3, 3))
    calls = [
        lambda kind: fc.conv2d(x, w, stride=kind((2, 1)), padding=kind((kind((1, 1)), kind((0, 1))))),
        lambda kind: fc.avg_pool2d(x, kind((2, 3)), stride=kind((1, 2))),
    ]
    expected = [call(tuple) for call in calls]
    for parse in ("spec.conv._parse", "spec.pool.pool_problem", "ops._pools.pool_problem"):
        monkeypatch.setattr(f"fastconv.{parse}", None)
    for call, y in zip(calls, expected, strict=True):
        np.testing.assert_array_equal(call(list), y)
    monkeypatch.undo()
    with pytest.raises(fc.errors.InvalidArgument, match=r"stride is \[0, 1\]"):
        fc.conv2d(x, w, stride=[0, 1])
    with pytest.raises(fc.errors.InvalidArgument, match=r"size is \[2, 0\]"):
        fc.avg_pool2d(x, [2, 0])


def test_results_are_new_arrays_and_outputs_are_written():
    x, w = numbers((8, 8)), numbers((3, 3))
    results = [ndimage.correlate(x, w) for _ in range(TWICE)]
    assert not any(np.shares_memory(a, b) for a, b in zip(results, results[1:], strict=False))
    y = np.empty_like(x)
    assert ndimage.correlate(x, w, y) is y
    assert ndimage.correlate(x, w, output=x) is x
    np.testing.assert_array_equal(x, y)
    assert ndimage.correlate(y, w, output="float64").dtype == np.float64


def test_a_warning_is_given_each_time():
    x = numbers((6, 6))
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        for _ in range(TWICE):
            ndimage.maximum_filter(x, 3, footprint=np.ones((2, 2), bool))
    assert [w.filename for w in given] == [__file__] * TWICE


def test_what_numpy_has_a_part_in_has_no_program(monkeypatch):
    made, x = programs_made(monkeypatch), numbers((8, 8))
    for _ in range(TWICE):
        np.testing.assert_array_equal(
            ndimage.gaussian_gradient_magnitude(x, 1), ndimage.gaussian_gradient_magnitude(x, 1)
        )
    assert made
    assert not any(made)
    operand = (4, 4), np.dtype(np.float32)
    for touch in (np.maximum, np.minimum, np.add, np.multiply, np.fmin, lambda x, y, out: np.copyto(out, x)):

        def call(x, _, __, y, touch=touch):
            ndimage.correlate(x, np.ones((3, 3)), output=y)
            touch(x, y, out=y)

        assert programs.record(call, (operand, None, None, operand)) is None, touch
    assert programs.record(lambda x, _, __, y: None, (operand, None, None, operand)) is None


def test_what_takes_several_threads_has_no_program():
    shape = (1, 16, 64, 64)
    x, w = numbers(shape), numbers((16, 16, 3, 3))
    bound = _kernels.known("conv", 2, shape, w.shape, None, x.dtype, (1, 1, 1, 1, None, "zeros", None, "direct")).bound
    operands = [(a.shape, a.dtype) for a in (x, w, x)]
    operands.insert(2, None)
    assert programs.record(bound.run, operands, alone=False) is None
    with Alone():
        assert programs.record(bound.run, operands) is not None


def test_threads_that_are_the_first_together():
    x, w = numbers((1, 3, 8, 8)), numbers((5, 3, 3, 3))
    expected = fc.conv2d(x, w, method="direct").tobytes()
    image = scipy.ndimage.uniform_filter(x[0, 0], 3)
    wrong, ready = [], threading.Barrier(8)

    def calls():
        ready.wait()
        for _ in range(TWICE):
            if fc.conv2d(x, w).tobytes() != expected or not np.allclose(ndimage.uniform_filter(x[0, 0], 3), image):
                wrong.append(1)

    team = [threading.Thread(target=calls) for _ in range(8)]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sepfir2d_of_small_images(dtype):
    x, row, column = numbers((12, 9), dtype), numbers(5, dtype), numbers(7, dtype, 1)
    expected = scipy.signal.sepfir2d(x.astype(float), row.astype(float), column.astype(float))
    got = signal.sepfir2d(x, row, column)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, atol=20 * np.finfo(dtype).eps * np.abs(expected).max())
    for wrong in (row[:4], row[None], row + 1j):
        with pytest.raises((ValueError, TypeError)):
            signal.sepfir2d(x, wrong, column)


def test_one_thread_at_a_time_notes_down(monkeypatch):
    """What all programs share is made with the first one, and must not be made twice."""
    programs_made(monkeypatch)
    inside, most, record = [], [], programs.record

    def slow(*args, **options):
        inside.append(None)
        most.append(len(inside))
        time.sleep(0.05)
        try:
            return record(*args, **options)
        finally:
            inside.pop()

    monkeypatch.setattr(programs, "record", slow)
    begin = threading.Barrier(4)

    def work(size):
        x = numbers((1, size, size, 4))
        begin.wait()
        for _ in range(4 * TWICE):
            fc.max_pool2d(x, 2, layout="NHWC")
            time.sleep(0.001)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, (9, 11, 13, 15)))
    assert len(most) == 4 and max(most) == 1
