"""Families of C functions behind one address (simd.family), and what their bodies are made of (simd.emit)."""

import ctypes
import re

import numba
import numpy as np
import pytest
from numba.core import types

from fastconv.simd.emit import I64
from fastconv.simd.family import Family
from fastconv.simd.host import host
from fastconv.simd.jit import c_function

SUMS = Family("sums", "count x x_step shift y columns relu", elements="x y", rows=(2, 4), sign=(-1, 0, 1))


@SUMS.caller
def sums(address, rows, sign, count, x, x0, x_step, shift, y, y0, columns, relu):
    """y[r] = sum over k below `count` of sign * x[k*x_step + r], in `columns` lanes; `shift` is 0, +1 or -1 (2)."""


@SUMS.member
def _sums(emit, arg, rows, sign):
    b = emit.builder

    def step(_, x, *sums):
        values = [emit.load(emit.at(x, r)) for r in range(rows)]
        return [
            emit.multiply_add(emit.constant(float(sign)), value, old) for value, old in zip(values, sums, strict=True)
        ]

    start = [emit.zero] * rows
    shifted = emit.choose(
        arg.shift, {1: lambda: [emit.constant(1.0)] * rows, 2: lambda: [emit.constant(-1.0)] * rows}, start
    )
    some = b.icmp_signed(">", arg.count, I64(0))
    found = emit.when(some, lambda: emit.repeat(arg.count, shifted, step, along=[(arg.x, arg.x_step)]), shifted)
    for r, value in enumerate(emit.relu(arg.relu, found)):
        emit.store_first(value, emit.at(arg.y, (r, emit.lanes)), arg.columns)


@numba.njit
def run(address, rows, sign, count, x, x0, step, shift, y, y0, columns, relu):
    sums(address, rows, sign, count, x, x0, step, shift, y, y0, columns, relu)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_family(dtype, rng):
    """Every member, offsets, loops of no and several rounds, masks, both forms of a choice, and an unknown member."""
    itemsize = np.dtype(dtype).itemsize
    lanes, address = host().lanes(itemsize), SUMS.address(itemsize)
    x = rng.integers(-9, 9, 200).astype(dtype)
    x[3] = np.nan
    for number, (rows, sign, count) in enumerate((r, s, n) for r in (2, 4) for s in (-1, 0, 1) for n in (0, 1, 5)):
        shift, columns, relu = number % 3, (number * 5) % (lanes + 2), number % 2 == 0
        y = np.full(4 * lanes + 7, 99, dtype)
        run(address, rows, sign, count, x, 3, 7, shift, y, 2, columns, relu)
        expected = np.full_like(y, 99)
        for r in range(rows):
            terms = [sign * x[3 + 7 * k + r :][:lanes] for k in range(count)]
            total = sum(terms, np.full(lanes, (0, 1, -1)[shift], dtype))
            total = np.where(relu & (total < 0), 0, total)[:columns]
            expected[2 + r * lanes :][: total.size] = total
        np.testing.assert_array_equal(y, expected)
    y = np.full(4 * lanes + 7, 99, dtype)
    run(address, 3, 1, 1, x, 3, 7, 0, y, 2, lanes, False)
    assert (y == 99).all()


def test_the_arguments_of_a_call():
    """They are those of the function, offsets aside: others would be taken for one another."""
    family = Family("family", "count x", elements="x", rows=(1, 2))
    family.member(lambda emit, arg, rows: None)

    @family.caller
    def call(address, rows, x, x0, count):
        """Says more."""

    assert call.__doc__ == "Says more."
    with pytest.raises(
        TypeError, match=r"family: called with \['rows', 'x', 'count'\], expected \['rows', 'count', 'x'\]"
    ):
        family.address(4)


def test_a_c_function_holds_its_code():
    """No wrapper that calls it: that would hand on arguments by vectors, which wait for all that was written before."""
    kind = types.void(types.CPointer(types.float32), *(types.int64,) * 15)

    def last_first(y, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o):  # noqa: E741
        y[0] = o

    compiled = c_function(kind, last_first)
    text = compiled._library.get_llvm_str()
    body = re.search(rf'define [^\n]*@"?{re.escape(compiled.native_name)}"?\((.*?)\n}}', text, re.DOTALL)[1]
    assert "store float" in body and "call" not in body
    y, number = np.zeros(1, np.float32), ctypes.c_int64
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *(number,) * 15)(compiled.address)
    call(y.ctypes.data, *range(15))
    assert y[0] == 14
