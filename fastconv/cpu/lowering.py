"""A convolution, or one phase of a transposed one, as tables: where each input row comes from, which taps are summed.

A lowered problem no longer knows of padding modes, dilation or direction:

    y[n, o, i] = sum over t, c of xp[n, c, i*stride + offset[t]] * w[tap[t], c, o],   xp[.., q] = x[.., index[q]] or 0

per axis, with x and y addressed by strides. That is a convolution for index = the border table and offset = u*dilation;
and it is the gradient to the input, whose stride s splits the output into s phases per axis, each an ordinary
convolution of dy with the taps that meet the phase (Dumoulin & Visin, arXiv:1603.07285, section 4, without the zeros).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..borders import Border, border_table, counting
from ..kept import kept
from ..problem import Axis, ConvProblem, Triple


class Axes(NamedTuple):
    """A number for each axis: distances, sizes or places of planes, rows and columns."""

    d: int
    h: int
    w: int


class Strides(NamedTuple):
    """Distances of an activation's elements: of images, channels, planes, rows and columns."""

    n: int
    c: int
    d: int
    h: int
    w: int


class Taps(NamedTuple):
    """The taps of one axis: `number` of them, `step` padded elements apart; the weight of tap i is first + i*hop."""

    number: int
    step: int
    first: int = 0
    hop: int = 1


ONE_TAP = Taps(1, 1)


class Integers(NamedTuple):
    """The integers of a lowered problem, as kernels read them (`simd.fields`)."""

    groups: int
    C: int
    O: int  # noqa: E741 - the field's name for output channels
    out: Axes
    stride: Axes
    span: Axes
    left: int  # columns between left and right are neighbours in x
    right: int
    x: Strides
    y: Strides
    y_start: int


@dataclass(frozen=True, eq=False)
class Lowered:
    """One problem for the kernels; strides and offsets count elements, `groups` blocks of C -> O channels each."""

    N: int
    groups: int
    C: int
    O: int  # noqa: E741 - the field's name for output channels
    out: Triple
    stride: Triple
    index: tuple[Border, Border, Border]
    reach: tuple[Taps, Taps, Taps]
    taps: np.ndarray  # (T,): which weight each tap is, the last axis first
    x_strides: Strides
    y_strides: Strides
    y_start: int = 0

    @cached_property
    def span(self) -> Triple:
        """Elements beyond the first that the taps reach, on each axis."""
        d, h, w = ((axis.number - 1) * axis.step for axis in self.reach)
        return d, h, w

    def offsets(self, pitch: Sequence[int]) -> np.ndarray:
        """Where each tap reads, as a distance from the first: padded planes, rows and columns lie `pitch` apart."""
        d, h, w = (np.arange(t.number, dtype=np.int64) * (t.step * p) for t, p in zip(self.reach, pitch, strict=True))
        return (d[:, None, None] + h[:, None] + w).reshape(-1)

    @cached_property
    def work(self) -> int:
        """Multiplications and additions."""
        return 2 * self.N * self.groups * self.O * math.prod(self.out) * self.C * len(self.taps)

    @cached_property
    def reads_in_place(self) -> bool:
        """True where the micro-kernel can read x as it lies: channels together and nothing added at the border."""
        together = self.C == 1 or self.x_strides.c == 1
        return together and all(border.is_identity for border in self.index)

    @cached_property
    def fills(self) -> bool:
        """True where some taps read zeros that are not in x."""
        return any(border.fills for border in self.index)

    @cached_property
    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where the elements of padded planes, rows and columns come from; a long axis is cut before any is made."""
        d, h, w = map(border_table, self.index)
        return d, h, w

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """On each axis the longest run of padded elements, first and end, that are neighbours in x too."""
        return tuple(map(_longest_run, self.tables))

    @property
    def interior(self) -> tuple[int, int]:
        """That of the columns."""
        return self.runs[2]

    @property
    def integers(self) -> Integers:
        """What kernels know of the problem."""
        return Integers(
            groups=self.groups,
            C=self.C,
            O=self.O,
            out=Axes(*self.out),
            stride=Axes(*self.stride),
            span=Axes(*self.span),
            left=self.interior[0],
            right=self.interior[1],
            x=self.x_strides,
            y=self.y_strides,
            y_start=self.y_start,
        )

    @cached_property
    def row_terms(self) -> np.ndarray:
        """Per output row the taps that meet the input there: int64 (OH, 2), first and number.

        Rows of zero padding contribute nothing, so their taps are left out (one depth tap only: then they adjoin).
        """
        (depth, height, width), (_, rows, _) = self.reach, self.index
        terms = np.tile(np.array([0, len(self.taps)], np.int64), (self.out[1], 1))
        if depth.number == 1 and rows.fills:
            table, heights = border_table(rows), np.arange(height.number) * height.step
            for i in range(self.out[1]):
                met = np.flatnonzero(table[i * self.stride[1] + heights] >= 0)
                if len(met):
                    terms[i] = met[0] * width.number, len(met) * width.number
        return terms


class WeightStrides(NamedTuple):
    """Where w[group, tap, c, o] lies: for the gradient to the input, c and o have changed places."""

    group: int
    tap: int
    c: int
    o: int


@kept
def lower_conv(problem: ConvProblem) -> Lowered:
    """A convolution as one lowered problem."""
    index, steps, reach = [], [], []
    for number, axis in enumerate(problem.axes):
        s, step = axis.stride, axis.dilation
        border = Border(axis.size, -axis.before, (axis.out - 1) * s + axis.extent, mode=problem.padding_mode)
        if number < 2:  # rows and planes between those that are read need not be there
            common = math.gcd(s, step) if axis.kernel > 1 else s
            border, step, s = border.every(0, common), step // common, s // common
        index.append(border)
        steps.append(s)
        reach.append(Taps(axis.kernel, step if axis.kernel > 1 else 1))
    return flatten(
        Lowered(
            N=problem.N,
            groups=problem.groups,
            C=problem.inputs,
            O=problem.outputs,
            out=problem.out,
            stride=(steps[0], steps[1], steps[2]),
            index=(index[0], index[1], index[2]),
            reach=(reach[0], reach[1], reach[2]),
            taps=np.arange(problem.taps, dtype=np.int64),
            x_strides=x_strides(problem),
            y_strides=y_strides(problem),
        )
    )


@kept
def lower_input_grad(problem: ConvProblem) -> tuple[Lowered, ...]:
    """The gradient to the input (zero padding) as one problem per phase; phases that no tap meets have no taps."""
    at, (_, KH, KW) = x_strides(problem), problem.kernel
    strides = at._replace(**{name: getattr(at, name) * s for name, s in zip("dhw", problem.stride, strict=True)})
    axes = [[_phase(r, axis) for r in range(min(axis.stride, axis.size))] for axis in problem.axes]
    phases = []
    for planes, rows, cols in itertools.product(*axes):
        d, h, w = (phase.taps.first + phase.taps.hop * np.arange(phase.taps.number) for phase in (planes, rows, cols))
        low = Lowered(
            N=problem.N,
            groups=problem.groups,
            C=problem.outputs,
            O=problem.inputs,
            out=(planes.size, rows.size, cols.size),
            stride=(1, 1, 1),
            index=(planes.border, rows.border, cols.border),
            reach=(planes.taps, rows.taps, cols.taps),
            taps=((d[:, None, None] * KH + h[:, None]) * KW + w).reshape(-1),
            x_strides=y_strides(problem),
            y_strides=strides,
            y_start=planes.first * at.d + rows.first * at.h + cols.first * at.w,
        )
        phases.append(flatten(low) if problem.stride == (1, 1, 1) else low)
    return tuple(phases)


class _Phase(NamedTuple):
    """Elements first, first + stride, ... of an axis of dx, `size` of them: a convolution of dy with some taps."""

    first: int
    size: int
    border: Border
    taps: Taps


def _phase(first: int, axis: Axis) -> _Phase:
    """Element j of a phase gathers dy[j + shift] over the taps that meet it, the last of which has the least shift."""
    n, out, k, s, d, before, _ = axis
    size, common = -(-(n - first) // s), math.gcd(s, d)
    met = [u for u in range(k) if (first + before - u * d) % s == 0]
    if not met:
        return _Phase(first, size, Border(out, 0, 0), Taps(0, 1))
    least, most = ((first + before - u * d) // s for u in (met[-1], met[0]))
    taps = Taps(len(met), d // common if len(met) > 1 else 1, met[-1], -s // common)
    return _Phase(first, size, Border(out, least, size + most - least), taps)


def flatten(low: Lowered) -> Lowered:
    """Merge axes that need not be told apart: a filter of one tap without border sees one long row of pixels."""
    if len(low.taps) != 1 or low.stride != (1, 1, 1) or not all(border.is_identity for border in low.index):
        return low
    N, x, y, pixels = low.N, low.x_strides, low.y_strides, math.prod(low.out)
    if not (_adjoin(low.out, x) and _adjoin(low.out, y)):  # only a part of x or y is covered
        return low
    if N > 0 and x.n == pixels * x.w and y.n == pixels * y.w:  # channels last: the batch too
        N, pixels = 1, N * pixels
    return replace(
        low,
        N=N,
        out=(1, 1, pixels),
        index=(counting(1), counting(1), counting(pixels)),
        x_strides=x._replace(d=pixels * x.w, h=pixels * x.w),
        y_strides=y._replace(d=pixels * y.w, h=pixels * y.w),
    )


def _adjoin(size: Triple, at: Strides) -> bool:
    """True where rows and planes of `size` follow one another without a gap."""
    D, H, W = size
    return (H == 1 or at.h == W * at.w) and (D == 1 or at.d == H * (at.h if H > 1 else W * at.w))


def weight_strides(problem: ConvProblem, transposed: bool = False) -> WeightStrides:
    """Strides of w, (O, C/g, KD, KH, KW) or (KD, KH, KW, C/g, O); `transposed` swaps the roles of c and o."""
    inner, outer, taps = problem.inputs, problem.O, problem.taps
    if problem.channels_last:
        tap, c, o, group = inner * outer, outer, 1, problem.outputs
    else:
        tap, c, o, group = 1, taps, inner * taps, problem.outputs * inner * taps
    return WeightStrides(group, tap, o, c) if transposed else WeightStrides(group, tap, c, o)


def x_strides(problem: ConvProblem) -> Strides:
    """Strides (n, c, d, h, w), in elements, of x."""
    return _strides(problem.C, problem.size, problem.channels_last)


def y_strides(problem: ConvProblem) -> Strides:
    """Those of y."""
    return _strides(problem.O, problem.out, problem.channels_last)


def _strides(C: int, size: Triple, channels_last: bool) -> Strides:
    D, H, W = size
    if channels_last:
        return Strides(D * H * W * C, 1, H * W * C, W * C, C)
    return Strides(C * D * H * W, D * H * W, H * W, W, 1)


def _longest_run(table: np.ndarray) -> tuple[int, int]:
    breaks = np.flatnonzero((table[:-1] < 0) | (table[1:] != table[:-1] + 1)) + 1
    starts, ends = np.r_[0, breaks], np.r_[breaks, len(table)]
    longest = int(np.argmax((ends - starts) * (table[starts] >= 0)))
    if table[starts[longest]] < 0:
        return 0, 0
    return int(starts[longest]), int(ends[longest])
