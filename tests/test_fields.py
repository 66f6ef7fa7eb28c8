"""Records of integers that kernels read by name."""

from typing import NamedTuple

import numpy as np
import pytest
from numba.core.errors import TypingError

from fastconv.simd.fields import behind, fields, packed
from fastconv.simd.jit import callable_kernel, kernel
from fastconv.simd.lanes import peek


class Strides(NamedTuple):
    n: int
    row: int


class Grid(NamedTuple):
    rows: int
    x: Strides
    y: Strides
    last: int


GRID = Grid(rows=5, x=Strides(n=70, row=7), y=Strides(n=80, row=8), last=9)


@kernel
def _distance(strides, n, row):
    return n * strides.n + row * strides.row


@callable_kernel
def _read(numbers):
    grid = fields(Grid, numbers)
    other = Strides(1000, 100)
    return grid.rows, _distance(grid.x, 1, 2), _distance(grid.y, 1, 2), grid.last, _distance(other, 1, 2)


@callable_kernel
def _read_behind(numbers, i):
    return peek(behind(fields(Grid, numbers)), i)


@callable_kernel
def _read_nothing(numbers):
    return fields(Grid, numbers).columns


def test_kernels_read_fields_and_records_within_by_name():
    assert _read(packed(GRID)) == (5, 84, 96, 9, 1200)


def test_arrays_follow_behind_a_record():
    assert _read_behind(packed(GRID, np.array([11, 12])), 1) == 12


def test_a_field_that_there_is_not_does_not_compile():
    with pytest.raises(TypingError, match="columns"):
        _read_nothing(packed(GRID))


def test_a_record_takes_integers_and_records_only():
    with pytest.raises(AssertionError, match="fields of other kinds"):
        packed(GRID._replace(x=(1, 2, 3)))
