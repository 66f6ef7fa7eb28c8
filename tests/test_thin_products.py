"""Products of few rows, whose second factor is packed by the tasks that use it."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.cpu import thin

SIZES = [(1, 40, 700), (3, 700, 331), (64, 513, 512), (29, 1, 290), (128, 300, 640)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_few_rows(rng, dtype, transposed, sizes):
    rows, depth, columns = sizes
    assert thin.is_thin(rows, columns, np.dtype(dtype).itemsize)
    a, b = rng.standard_normal((rows, depth)).astype(dtype), rng.standard_normal((depth, columns)).astype(dtype)
    bias = rng.standard_normal(columns).astype(dtype)
    given = np.ascontiguousarray(b.T) if transposed else b
    right = a.astype(np.float64) @ b.astype(np.float64)
    bound = depth * np.finfo(dtype).eps * (np.abs(a).astype(np.float64) @ np.abs(b)) + np.finfo(dtype).eps
    found = []
    for threads in (1, 2, 3):
        with fc.threads(threads):
            y = np.full((rows, columns), np.nan, dtype)
            fc.matmul(a, given, transpose_b=transposed, out=y)
            act = fc.matmul(a, given, bias, transpose_b=transposed, activation="relu")
        assert (np.abs(y - right) <= bound).all()
        assert (np.abs(act - np.maximum(right + bias, 0)) <= bound + np.finfo(dtype).eps * np.abs(bias)).all()
        found.append((y, act))
    for one in found[1:]:
        np.testing.assert_array_equal(one[0], found[0][0])
        np.testing.assert_array_equal(one[1], found[0][1])


def test_the_same_bits_as_a_factor_packed_as_a_whole(rng, monkeypatch):
    a, b = rng.standard_normal((40, 1000)).astype(np.float32), rng.standard_normal((1000, 400)).astype(np.float32)
    y = fc.matmul(a, b, activation="relu")
    monkeypatch.setattr(thin, "ROWS", 0)
    np.testing.assert_array_equal(fc.matmul(a, b, activation="relu"), y)


def test_numbers_that_are_none_reach_their_row_and_column_only():
    a, b = np.ones((5, 60), np.float32), np.ones((60, 400), np.float32)
    a[2, 7], b[9, 300] = np.nan, np.inf
    y = fc.matmul(a, b, activation="relu")
    assert np.isnan(y[2]).all() and np.isinf(y[[0, 1, 3, 4], 300]).all()
    assert (np.delete(np.delete(y, 2, 0), 300, 1) == 60).all()
