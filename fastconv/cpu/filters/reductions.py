"""Sums and extrema of the window around every element, in float64 and in SciPy's order: its results to the last bit.

    y[i] = sum over t of w[t] * x[i + offset[t]]        (PLAIN)
    y[i] = w[0]*x[i] + sum over t of w[t] * (x[i - offset[t]] + x[i + offset[t]])        (EVEN; minus: ODD)
    y[i] = max over t of x[i + offset[t]] + w[t]        (HIGHEST; min: LOWEST)
    y[i] = mean of x[i], ..., x[i + n-1]; also max and min        (MEAN, TOP, BOTTOM: by runs of 2, 4, ... elements)

One stage, or two along the last two filtered axes, between which numbers are rounded to y's dtype as SciPy stores them
there. A product is rounded before it is added, as in SciPy: with vectors of eight, memory costs more than these sums.

Cost: 2 operations a term (EVEN and ODD 1.5), runs about 2*log2(n) in all. Error: none against SciPy but for MEAN, whose
sums are pairwise: below log2(n)*eps*(|x1| + ... + |xn|)/n, where SciPy's running sum drifts along the axis.
NaN: a window that holds one is NaN, with any code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...memory import scratch
from ...simd.fields import packed
from ...simd.filter_tile import FIELDS, FILTER_ROWS, ROUNDED, range_code
from ...threads import team
from .blocks import Blocks, Cut
from .rows import KINDS, converter
from .stages import (
    COLUMNS,
    DENSE,
    EVEN,
    HIGHEST,
    LOWEST,
    MEAN,
    ODD,
    PLAIN,
    ROWS,
    RUNS,
    Reductions,
    Stage,
    reduce_blocks,
)

__all__ = [
    "COLUMNS", "DENSE", "EVEN", "HIGHEST", "LOWEST", "MEAN", "ODD", "PLAIN", "ROWS", "RUNS", "Reduction", "Taps",
    "plan_reduction",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Taps:
    """A sum before it is cut: places of its taps on a window's (lead planes, rows, columns), and their weights."""

    code: int
    along: int
    places: tuple[tuple[int, int, int], ...]
    weights: tuple[float, ...]
    centre: int = 0  # of EVEN and ODD: where the output's own element is on the axis
    rounds: bool = False  # of HIGHEST and LOWEST: whether x + weight has x's dtype


@dataclass(frozen=True, eq=False)
class Reduction:
    """All that calls of one shape have in common."""

    cut: Cut
    numbers: np.ndarray
    weights: np.ndarray
    operations: int

    def run(self, x: np.ndarray, y: np.ndarray, cval: float) -> None:
        """Write what x is reduced to to y: C-contiguous arrays that do not overlap."""
        cut = self.cut
        if not cut.work:
            return
        members = team(cut.tasks, cut.work * self.operations)
        own = scratch((members, 2 * cut.size), np.dtype(np.float64))
        reduce_blocks(
            members, cut.tasks, x.reshape(-1).view(np.uint8), y.reshape(-1).view(np.uint8), own, self.numbers,
            self.weights, cval, converter(), ROUNDED.address(8),
        )  # fmt: skip


def plan_reduction(
    cut: Cut, taps: tuple[Taps, ...], x_dtype: np.dtype, y_dtype: np.dtype, added: bool = False
) -> Reduction:
    """Lay the taps of one or two stages out in the blocks of a cut; stages that are `added` both begin with x."""
    stages, offsets, weights = [], list[int](), list[float]()
    for stage in taps:
        stages.append(_laid_out(cut.blocks, stage, offsets, weights))
    record = Reductions(cut.blocks, KINDS[x_dtype], KINDS[y_dtype], len(stages), added, stages[0], stages[-1])
    numbers = packed(record, cut.table, np.array(offsets, np.int64))
    return Reduction(cut, numbers, np.array(weights), 4 + 2 * len(weights))


def _laid_out(n: Blocks, taps: Taps, offsets: list[int], weights: list[float]) -> Stage:
    first, step = len(offsets), n.unit if taps.along == COLUMNS else n.pitch
    size = int(taps.rounds) if taps.code in (HIGHEST, LOWEST) else len(taps.places)
    if taps.code == DENSE:
        offsets += _tile_table(n, size)
        size = size // n.leads // (n.tall + 1)
    elif taps.code >= MEAN:
        offsets += [step * hop for hop in (_sums(size) if taps.code == MEAN else _overlaps(size))]
    else:
        offsets += [t * n.plane + r * n.pitch + c * n.unit for t, r, c in taps.places]
    weights += taps.weights or [1.0] * (len(offsets) - first)
    return Stage(taps.code, taps.along, taps.centre * step, first, len(offsets) - first, size)


def _tile_table(n: Blocks, size: int) -> list[int]:
    """Where the tables of tiles of 1, 2, ... rows begin, and the rows of the block that each meets (`filter_tile`)."""
    height, starts, entries = n.tall + 1, [0], list[int]()
    width = size // n.leads // height
    for rows in range(1, FILTER_ROWS + 1):
        for t in range(n.leads):
            for m in range(rows - 1 + height):
                code = range_code(max(0, m - height + 1), min(rows, m + 1))
                entries += [t * n.plane + m * n.pitch, (t * height + m) * width, code, width]
        starts.append(len(entries) // FIELDS)
    return starts + entries


def _sums(size: int) -> list[int]:
    """How sums of `size` elements are made of shorter ones: h for two sums h apart, -h for one and the element h on."""
    hops, reached = [], 1
    for bit in bin(size)[3:]:
        hops.append(reached)
        reached *= 2
        if bit == "1":
            hops.append(-reached)
            reached += 1
    return hops


def _overlaps(size: int) -> list[int]:
    """How far apart the two runs are that make a longer one; the last two may overlap."""
    hops, reached = [], 1
    while reached < size:
        hops.append(min(reached, size - reached))
        reached += hops[-1]
    return hops
