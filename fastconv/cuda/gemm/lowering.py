"""What the implicit GEMM gathers, as tables: the columns of A, the phases of a stride (twin: cpu/lowering.py).

A column of A is one (tap, channel); all channels of a tap stand side by side. If every step of BK columns lies within
one tap (`even`), a table has one entry per step, else one per column. Everything here is NumPy on the host, cached.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np

from ..indexing import Strides, Triple, strides_of, triple
from .gathered import OUTSIDE, Gather, Phase, Target

START = Phase._fields.index("start")


@dataclass(frozen=True)
class Window:
    """How outputs lie over the input: taps, stride, dilation and leading padding along D, H, W."""

    kernel: Triple
    stride: Triple
    dilation: Triple
    before: Triple


POINT = Window((1, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0))  # single pixels


@dataclass(frozen=True)
class Problem:
    """A convolution in plain numbers: x has C channels of `size`, y has O of `out`."""

    N: int
    C: int
    size: Triple
    O: int  # noqa: E741 - the field's name for output channels
    out: Triple
    window: Window
    groups: int
    channels_last: bool

    @property
    def deep(self) -> bool:
        """True if windows move along the depth."""
        return (self.size[0], self.out[0], self.window.kernel[0], self.window.before[0]) != (1, 1, 1, 0)

    @property
    def single(self) -> bool:
        """True if windows are single pixels, one after the other."""
        return self.window == Window((1, 1, 1), (1, 1, 1), self.window.dilation, (0, 0, 0)) and self.size == self.out

    def flattened(self) -> Problem:
        """The same problem with one spatial axis where windows are single pixels."""
        if not self.single:
            return self
        line = (1, 1, math.prod(self.size))
        return Problem(self.N, self.C, line, self.O, line, self.window, self.groups, self.channels_last)


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


@lru_cache(maxsize=256)
def forward(p: Problem, BK: int, by_step: bool = True) -> Plan:
    """y from x: one phase, all taps. Without `by_step` there is an entry for every column in any case."""
    inner = p.C // p.groups
    x, y = strides_of(p.C, p.size, p.channels_last), strides_of(p.O, p.out, p.channels_last)
    taps = np.array(list(product(*map(range, p.window.kernel))))
    columns, entries = _columns(taps * p.window.dilation, np.arange(len(taps)), inner, x, BK)
    phase = Phase(*p.out, p.N * math.prod(p.out), 0, len(columns) // BK, 0)
    origin = triple(-b for b in p.window.before)
    gather = Gather(*p.window.stride, *origin, *p.size, x.n, x.d, x.h, x.w, x.c, inner * x.c)
    target = Target(y.n, y.d, y.h, y.w, y.c, p.O // p.groups * y.c)
    even = by_step and inner % BK == 0
    return Plan(columns, entries[::BK] if even else entries, np.array([phase]), gather, target, even)


@lru_cache(maxsize=256)
def backward(p: Problem, BK: int) -> Plan:
    """dx from dy: cells of x that lie alike over the stride read the same taps, from dy moved by whole pixels."""
    inner = p.O // p.groups
    even = inner % BK == 0
    x, y = strides_of(p.C, p.size, p.channels_last), strides_of(p.O, p.out, p.channels_last)
    stride, dilation, before = (np.array(v) for v in (p.window.stride, p.window.dilation, p.window.before))
    taps = np.array(list(product(*map(range, p.window.kernel))))
    phases, columns, entries, first = [], [], [], 0
    for residue in product(*map(range, np.minimum(stride, p.size).tolist())):
        distance = residue + before - taps * dilation
        meets = np.flatnonzero((distance % stride == 0).all(axis=1))
        some_columns, some_entries = _columns(distance[meets] // stride, meets, inner, y, BK)
        cells = triple(-(-(n - r) // s) for n, r, s in zip(p.size, residue, p.window.stride, strict=True))
        start = residue[0] * x.d + residue[1] * x.h + residue[2] * x.w
        phases.append(Phase(*cells, p.N * math.prod(cells), first, len(some_columns) // BK, start))
        first += len(some_columns) // BK
        columns.append(some_columns)
        entries.append(some_entries[::BK] if even else some_entries)
    gather = Gather(1, 1, 1, 0, 0, 0, *p.out, y.n, y.d, y.h, y.w, y.c, inner * y.c)
    strides = triple(v * s for v, s in zip((x.d, x.h, x.w), p.window.stride, strict=True))
    target = Target(x.n, *strides, x.c, p.C // p.groups * x.c)
    return Plan(np.concatenate(columns), np.concatenate(entries), np.array(phases), gather, target, even)


def staged(lower: Callable[[Problem, int], Plan], p: Problem, channels: int, BK: int) -> Plan:
    """`lower` for a gathered image that is channels-last with `channels` in each group, while the rest stays `p`'s."""
    forwards = lower is forward
    C, O = (channels * p.groups, p.O) if forwards else (p.C, channels * p.groups)
    gathering = lower(replace(p, C=C, O=O, channels_last=True), BK)
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
