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
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..borders import border_index, counting_index, frozen
from ..kept import kept
from ..problem import Axis, ConvProblem, Triple

Strides = tuple[int, int, int, int, int]

LONGEST = 1 << 17  # columns of a problem, whose table takes 8 bytes each


@dataclass(frozen=True, eq=False)
class Lowered:
    """One problem for the kernels; strides and offsets count elements, `groups` blocks of C -> O channels each."""

    N: int
    groups: int
    C: int
    O: int  # noqa: E741 - the field's name for output channels
    out: Triple
    stride: Triple
    index: tuple[np.ndarray, np.ndarray, np.ndarray]
    offsets: np.ndarray  # (T, 3): where each tap reads, in padded coordinates
    taps: np.ndarray  # (T,): which weight it is
    x_strides: Strides  # n, c, d, h, w
    y_strides: Strides
    y_start: int = 0

    @cached_property
    def span(self) -> Triple:
        """Elements beyond the first that the taps reach, on each axis."""
        d, h, w = (int(n) for n in self.offsets.max(axis=0))
        return d, h, w

    @cached_property
    def work(self) -> int:
        """Multiplications and additions."""
        return 2 * self.N * self.groups * self.O * math.prod(self.out) * self.C * len(self.taps)

    @cached_property
    def reads_in_place(self) -> bool:
        """True where the micro-kernel can read x as it lies: channels together and nothing added at the border."""
        together = self.C == 1 or self.x_strides[1] == 1
        return together and all(map(_is_identity, self.index))

    @cached_property
    def fills(self) -> bool:
        """True where some taps read zeros that are not in x."""
        return any(bool((table < 0).any()) for table in self.index)

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """On each axis the longest run of padded elements, first and end, that are neighbours in x too."""
        return tuple(map(_longest_run, self.index))

    @property
    def interior(self) -> tuple[int, int]:
        """That of the columns."""
        return self.runs[2]

    @cached_property
    def row_terms(self) -> np.ndarray:
        """Per output row the taps that meet the input there: int64 (OH, 2), first and number.

        Rows of zero padding contribute nothing, so their taps are left out (one depth tap only: then they adjoin).
        """
        terms = np.tile(np.array([0, len(self.taps)], np.int64), (self.out[1], 1))
        heights = np.unique(self.offsets[:, 1])
        if len(np.unique(self.offsets[:, 0])) == 1 and (self.index[1] < 0).any():
            width = len(self.taps) // len(heights)
            for i in range(self.out[1]):
                met = np.flatnonzero(self.index[1][i * self.stride[1] + heights] >= 0)
                if len(met):
                    terms[i] = met[0] * width, len(met) * width
        return terms


@dataclass(frozen=True)
class WeightStrides:
    """Where w[group, tap, c, o] lies: for the gradient to the input, c and o have changed places."""

    group: int
    tap: int
    c: int
    o: int


@kept
def lower_conv(problem: ConvProblem) -> Lowered:
    """A convolution as one lowered problem."""
    tables, steps, reach = [], [], []
    for number, axis in enumerate(problem.axes):
        s = axis.stride
        table = border_index(axis.size, axis.before, axis.after, problem.padding_mode)
        table = table[: (axis.out - 1) * s + axis.extent]
        offset = axis.dilation * np.arange(axis.kernel, dtype=np.int64)
        if number < 2:  # rows and planes between those that are read need not be there
            common = math.gcd(s, *(int(o) for o in offset))
            table, offset, s = frozen(table[::common]), offset // common, s // common
        tables.append(table)
        steps.append(s)
        reach.append(offset)
    offsets = np.array(list(itertools.product(*reach)), dtype=np.int64)
    lowered = Lowered(
        N=problem.N,
        groups=problem.groups,
        C=problem.inputs,
        O=problem.outputs,
        out=problem.out,
        stride=(steps[0], steps[1], steps[2]),
        index=(tables[0], tables[1], tables[2]),
        offsets=offsets,
        taps=np.arange(len(offsets), dtype=np.int64),
        x_strides=x_strides(problem),
        y_strides=y_strides(problem),
    )
    return flatten(lowered)


@kept
def lower_input_grad(problem: ConvProblem) -> tuple[Lowered, ...]:
    """The gradient to the input (zero padding) as one problem per phase; phases that no tap meets have no taps."""
    target = x_strides(problem)
    axes = [[_phase(r, axis) for r in range(min(axis.stride, axis.size))] for axis in problem.axes]
    phases = []
    for phase in itertools.product(*axes):
        reach = [list(zip(p.offsets, p.taps, strict=True)) for p in phase]
        met = list(itertools.product(*reach))
        _, KH, KW = problem.kernel
        low = Lowered(
            N=problem.N,
            groups=problem.groups,
            C=problem.outputs,
            O=problem.inputs,
            out=(phase[0].count, phase[1].count, phase[2].count),
            stride=(1, 1, 1),
            index=(phase[0].index, phase[1].index, phase[2].index),
            offsets=np.array([[o for o, _ in m] for m in met], dtype=np.int64).reshape(-1, 3),
            taps=np.array([(d * KH + h) * KW + w for (_, d), (_, h), (_, w) in met], dtype=np.int64),
            x_strides=y_strides(problem),
            y_strides=(*target[:2], *(t * s for t, s in zip(target[2:], problem.stride, strict=True))),  # type: ignore[arg-type]
            y_start=sum(p.first * t for p, t in zip(phase, target[2:], strict=True)),
        )
        phases.append(flatten(low) if met and problem.stride == (1, 1, 1) else low)
    return tuple(phases)


@dataclass(frozen=True, eq=False)
class _Phase:
    first: int
    count: int
    index: np.ndarray
    offsets: list[int]
    taps: list[int]


def _phase(first: int, axis: Axis) -> _Phase:
    """Elements first, first + s, ... of an axis of dx: element j gathers dy[j + shift] over the taps that meet it."""
    n, out, k, s, d, before, _ = axis
    met = sorted(((first + before - u * d) // s, u) for u in range(k) if (first + before - u * d) % s == 0)
    count = -(-(n - first) // s)
    if not met:
        return _Phase(first, count, np.empty(0, np.int64), [], [])
    low, high = met[0][0], met[-1][0]
    index = np.arange(low, count + high, dtype=np.int64)
    index[(index < 0) | (index >= out)] = -1
    return _Phase(first, count, frozen(index), [shift - low for shift, _ in met], [u for _, u in met])


def flatten(problem: Lowered) -> Lowered:
    """Merge axes that need not be told apart: a filter of one tap without border sees one long row of pixels."""
    if len(problem.taps) != 1 or problem.stride != (1, 1, 1) or not all(map(_is_identity, problem.index)):
        return problem
    N, (xn, xc, *x_pixel), (yn, yc, *y_pixel) = problem.N, problem.x_strides, problem.y_strides
    if not (_adjoin(problem.out, x_pixel) and _adjoin(problem.out, y_pixel)):  # only a part of x or y is covered
        return problem
    pixels, xw, yw = math.prod(problem.out), x_pixel[2], y_pixel[2]
    if N > 0 and xn == pixels * xw and yn == pixels * yw:  # channels last: the batch too
        N, pixels = 1, N * pixels
    row = pixels * xw, pixels * yw
    index = counting_index(1), counting_index(1), counting_index(pixels)
    return replace(
        problem,
        N=N,
        out=(1, 1, pixels),
        index=index,
        offsets=np.zeros((1, 3), np.int64),
        x_strides=(xn, xc, row[0], row[0], xw),
        y_strides=(yn, yc, row[1], row[1], yw),
    )


def _adjoin(size: Triple, steps: list[int]) -> bool:
    """True where rows and planes of `size` that lie `steps` apart follow one another without a gap."""
    (D, H, W), (d, h, w) = size, steps
    return (H == 1 or h == W * w) and (D == 1 or d == H * (h if H > 1 else W * w))


class Strip(NamedTuple):
    """A part of a lowered problem's columns, a problem of its own; its x and y begin so many elements later."""

    low: Lowered
    x_start: int
    y_start: int


def strips(problem: Lowered) -> tuple[Strip, ...]:
    """The problem in strips of at most `LONGEST` columns; strips without a border are one problem at several places.

    So the tables of a long signal, and the plans that are made of them, take no more memory than those of a short one.
    """
    columns, step, xw, yw = problem.out[2], problem.stride[2], problem.x_strides[4], problem.y_strides[4]
    if columns <= LONGEST or len(problem.taps) == 0:
        return (Strip(problem, 0, 0),)
    found: list[Strip] = []
    inner: dict[int, Lowered] = {}
    for first in range(0, columns, LONGEST):
        count = min(LONGEST, columns - first)
        table = problem.index[2][first * step : (first + count - 1) * step + problem.span[2] + 1]
        start = int(table[0])
        plain = start >= 0 and _is_identity(table - start)
        low = inner.get(count) if plain else None
        if low is None:
            index = counting_index(len(table)) if plain else frozen(table.copy())
            low = replace(problem, out=(*problem.out[:2], count), index=(*problem.index[:2], index))
        if plain:
            inner[count] = low
        found.append(Strip(low, start * xw if plain else 0, first * yw))
    return tuple(found)


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
        return D * H * W * C, 1, H * W * C, W * C, C
    return C * D * H * W, D * H * W, H * W, W, 1


def _longest_run(table: np.ndarray) -> tuple[int, int]:
    breaks = np.flatnonzero((table[:-1] < 0) | (table[1:] != table[:-1] + 1)) + 1
    starts, ends = np.r_[0, breaks], np.r_[breaks, len(table)]
    longest = int(np.argmax((ends - starts) * (table[starts] >= 0)))
    if table[starts[longest]] < 0:
        return 0, 0
    return int(starts[longest]), int(ends[longest])


def _is_identity(table: np.ndarray) -> bool:
    return len(table) > 0 and table[0] == 0 and table[-1] == len(table) - 1 and bool((np.diff(table) == 1).all())
