"""How the kernels that work along rows deal a row's columns: to phases, one for each remainder modulo the stride.

That makes every tap of all windows one contiguous load. The row has the neutral element where it has no columns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...kept import kept
from ...problem import PoolProblem
from ...simd.fields import packed
from ...simd.host import host
from ...simd.jit import kernel
from ...simd.lane_math import evens, odds
from ...simd.lanes import inlined, lowest, peek, poke, store, zero, zeros
from ...simd.vector import lanes_of
from ...windows import Rule, table_of


class Phases(NamedTuple):
    """A row dealt to phases, as kernels read it; behind it lies where the first window finds its taps there."""

    stride: int
    before: int  # columns of the leading padding
    used: int  # columns of x in use
    length: int  # columns of a phase
    out: int  # windows
    taps: int


class Deal(NamedTuple):
    """What the windows along a row are dealt by, and their divisors, then the reciprocals or zeros if not exact."""

    phases: Phases
    numbers: np.ndarray
    divisors: np.ndarray

    @property
    def row(self) -> int:
        """Columns of all phases."""
        return self.phases.stride * self.phases.length


def deal_for(problem: PoolProblem, dtype: np.dtype) -> Deal:
    """The deal for windows along the rows of a problem, which must be alike, to vectors of `dtype`."""
    return _deal(problem.axes[2], host().lanes(dtype.itemsize))


@kept
def _deal(rule: Rule, lanes: int) -> Deal:
    lie = rule.spacing()
    assert lie is not None, f"the windows of {rule} are not alike"
    offsets = np.arange(lie.kernel, dtype=np.int64) * rule.dilation
    rounded, last = -(-rule.out // lanes) * lanes, (lie.kernel - 1) * rule.dilation // lie.stride
    length = -(-(rounded + last) // lanes) * lanes
    used = min(rule.size, lie.stride * length - lie.before)
    phases = Phases(lie.stride, lie.before, used, length, rule.out, lie.kernel)
    divisors = np.ones(rounded)
    divisors[: rule.out] = np.maximum(table_of(rule)[:, 2], 1)
    exact = np.all(np.frexp(divisors)[0] == 0.5)
    divisors = np.concatenate([divisors, 1 / divisors if exact else np.zeros(rounded)])
    return Deal(phases, packed(phases, offsets % lie.stride * length + offsets // lie.stride), divisors)


@kernel
def clear_row(row, at, length, to_lowest):  # type: ignore[no-untyped-def]
    """The neutral element of a sum or maximum in row[at : at+length]; the length is a multiple of the lanes."""
    like = zeros(row, 1)
    for c in range(0, length, lanes_of(row)):
        store(row, at + c, lowest(like) if to_lowest else zero(like), None)


@inlined
def deal(value, scratch, row, dealt, phases, c):  # type: ignore[no-untyped-def]
    """Store columns c, c + 1, ... of a row in their phases, at `dealt`: column c goes to phase c % stride."""
    if phases.stride == 2:
        store(scratch, dealt + c // 2, evens(value), None)
        store(scratch, dealt + phases.length + c // 2, odds(value), None)
    else:
        store(scratch, row + c, value, None)


@kernel
def deal_rest(scratch, row, dealt, phases):  # type: ignore[no-untyped-def]
    """What `deal` left to do for strides above 2, whose phases are dealt column by column."""
    if phases.stride > 2:
        for r in range(phases.stride):
            for c in range(phases.length):
                poke(scratch, dealt + r * phases.length + c, peek(scratch, row + c * phases.stride + r))
