"""What the implicit GEMM gathers, as tables: the columns of A, the phases of a stride (twin: cpu/lowering.py).

A column of A is one (tap, channel); all channels of a tap stand side by side. If every step of BK columns lies within
one tap (`even`), a table has one entry per step, else one per column. Everything here is NumPy on the host, cached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from ...problem import Axis, ConvProblem, Triple
from ..indexing import Strides, before_of, strides_xy, triple
from .gathered import OUTSIDE, Gather, Phase, Target

START = Phase._fields.index("start")
ONE = Axis(1, 1, 1, 1, 1, 0, 0)


def pixels(N: int, C: int, O: int, groups: int, channels_last: bool, dtype: Any) -> ConvProblem:  # noqa: E741
    """A product of matrices as a convolution of N single pixels, in each of `groups`."""
    line = ONE, ONE, Axis(N, N, 1, 1, 1, 0, 0)
    return ConvProblem("conv", 1, 1, C, O, groups, line, "zeros", channels_last, np.dtype(dtype).name)


def is_deep(p: ConvProblem) -> bool:
    """True if windows move along the depth."""
    return p.axes[0][:3] != (1, 1, 1) or p.axes[0].before != 0


def is_single(p: ConvProblem) -> bool:
    """True if windows are single pixels, one after the other."""
    return p.taps == 1 and p.stride == (1, 1, 1) and not any(map(any, p.padding)) and p.size == p.out


@lru_cache(maxsize=256)
def flattened(p: ConvProblem) -> ConvProblem:
    """The same problem with one spatial axis where windows are single pixels."""
    if not is_single(p):
        return p
    total = math.prod(p.size)
    return replace(p, axes=(ONE, ONE, Axis(total, total, 1, 1, 1, 0, 0)))


@dataclass(frozen=True, eq=False)
class Plan:
    """Tables and strides for one gathering GEMM.

    `columns` has (tap, channel) of each column, -1 where there is none; `entries` and `phases` are as in ``gathered``.
    """

    columns: np.ndarray
    entries: np.ndarray
    phases: np.ndarray
    gather: Gather
    target: Target
    even: bool


def lower(p: ConvProblem, BK: int) -> Plan:
    """The GEMM of a problem: y from x, or dx from dy."""
    return backward(p, BK) if p.op == "conv_input_grad" else forward(p, BK)


@lru_cache(maxsize=256)
def forward(p: ConvProblem, BK: int, by_step: bool = True) -> Plan:
    """y from x: one phase, all taps. Without `by_step` there is an entry for every column in any case."""
    x, y = strides_xy(p)
    taps = np.array(list(product(*map(range, p.kernel))))
    columns, entries = _columns(taps * p.dilation, np.arange(len(taps)), p.inputs, x, BK)
    phase = Phase(*p.out, p.N * math.prod(p.out), 0, len(columns) // BK, 0)
    origin = triple(-b for b in before_of(p))
    gather = Gather(*p.stride, *origin, *p.size, x.n, x.d, x.h, x.w, x.c, p.inputs * x.c)
    target = Target(y.n, y.d, y.h, y.w, y.c, p.outputs * y.c)
    even = by_step and p.inputs % BK == 0
    return Plan(columns, entries[::BK] if even else entries, np.array([phase]), gather, target, even)


@lru_cache(maxsize=256)
def backward(p: ConvProblem, BK: int) -> Plan:
    """dx from dy: cells of x that lie alike over the stride read the same taps, from dy moved by whole pixels."""
    even = p.outputs % BK == 0
    x, y = strides_xy(p)
    stride, dilation, before = (np.array(v) for v in (p.stride, p.dilation, before_of(p)))
    taps = np.array(list(product(*map(range, p.kernel))))
    phases, columns, entries, first = [], [], [], 0
    for residue in product(*map(range, np.minimum(stride, p.size).tolist())):
        distance = residue + before - taps * dilation
        meets = np.flatnonzero((distance % stride == 0).all(axis=1))
        some_columns, some_entries = _columns(distance[meets] // stride, meets, p.outputs, y, BK)
        cells = triple(-(-(n - r) // s) for n, r, s in zip(p.size, residue, p.stride, strict=True))
        start = residue[0] * x.d + residue[1] * x.h + residue[2] * x.w
        phases.append(Phase(*cells, p.N * math.prod(cells), first, len(some_columns) // BK, start))
        first += len(some_columns) // BK
        columns.append(some_columns)
        entries.append(some_entries[::BK] if even else some_entries)
    gather = Gather(1, 1, 1, 0, 0, 0, *p.out, y.n, y.d, y.h, y.w, y.c, p.outputs * y.c)
    strides = triple(v * s for v, s in zip((x.d, x.h, x.w), p.stride, strict=True))
    target = Target(x.n, *strides, x.c, p.inputs * x.c)
    return Plan(np.concatenate(columns), np.concatenate(entries), np.array(phases), gather, target, even)


@lru_cache(maxsize=256)
def staged(p: ConvProblem, channels: int, BK: int) -> Plan:
    """`lower` for a gathered image that is channels-last with `channels` in each group, while the rest stays `p`'s."""
    name = "O" if p.op == "conv_input_grad" else "C"
    gathering = lower(replace(p, **{name: channels * p.groups}, channels_last=True), BK)  # type: ignore[arg-type]
    storing = lower(p, BK)
    phases = gathering.phases.copy()
    phases[:, START] = storing.phases[:, START]
    return replace(gathering, phases=phases, target=storing.target)


def digits(step: int, out: Triple) -> tuple[int, int, int, int]:
    """`step` pixels as images, slices, rows and pixels."""
    rest, w = divmod(step, out[2])
    rest, h = divmod(rest, out[1])
    n, d = divmod(rest, out[0])
    return n, d, h, w


def _columns(
    offsets: np.ndarray, taps: np.ndarray, channels: int, image: Strides, BK: int
) -> tuple[np.ndarray, np.ndarray]:
    """(tap, channel) and the entry of every column, filled up to whole steps; taps lie `offsets` from the pixel."""
    count = len(taps) * channels
    filled = -(-count // BK) * BK
    columns = np.full((filled, 2), -1, np.int64)
    columns[:count, 0] = np.repeat(taps, channels)
    columns[:count, 1] = np.tile(np.arange(channels), len(taps))
    entries = np.full((filled, 4), OUTSIDE, np.int64)
    entries[:count, 1:] = np.repeat(offsets.reshape(-1, 3), channels, axis=0)
    entries[:count, 0] = entries[:count, 1:] @ (image.d, image.h, image.w) + columns[:count, 1] * image.c
    return columns, entries


def entries_of(plan: Plan) -> np.ndarray:
    """The entries of a plan's columns, one after the other."""
    return plan.entries.reshape(-1)


def phases_of(plan: Plan) -> np.ndarray:
    """The numbers of a plan's phases, one after the other."""
    return plan.phases.reshape(-1)
