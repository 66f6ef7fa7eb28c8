"""What a sweep cuts into tiles: sheets, of one image each or of several side by side.

An image of 14x14 takes 4x4 tiles of 4x4 outputs, a quarter of which is thrown away. Zero padding of one image serves
its neighbour too: 16 images with a row or column of zeros between them are a sheet of 60x60, 15x15 tiles. So are the
phases of a dilated convolution, each an ordinary one. A row of outputs between two images is nowhere, and not written.

Only images of channels-last inputs are joined, and none of gradients: a tile's error is relative to its largest
element, and gradients of some images are much smaller than others'.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...kept import kept
from ...problem import ConvProblem, Triple
from ..lowering import Lowered
from .phases import lowered, phase, phases
from .points import TAPS
from .tiling import TileProblem, output_tile
from .transforms import NOWHERE

MOST_IMAGES = 8  # side by side on an axis
LONGEST = 4096  # outputs along an axis: what the last tiles of a longer one waste is not worth its tables
SAVED = 0.9  # of the products that images take apart, at most: results depend on what lies in the same tile


class Line(NamedTuple):
    """An axis of a sheet: where each padded row of x and each row of y lies, or NOWHERE."""

    x: np.ndarray
    y: np.ndarray

    def moved(self, x: int, y: int) -> Line:
        """The same axis some elements on."""
        return Line(np.where(self.x == NOWHERE, NOWHERE, self.x + x), self.y + y)


class Sheet(NamedTuple):
    """The images of a sheet lie where its lines say; `low` is the problem of the first, or of its first phase."""

    low: Lowered
    images: int
    rows: Line
    cols: Line

    @property
    def out(self) -> Triple:
        """Planes, rows and columns of outputs."""
        return self.low.out[0], len(self.rows.y), len(self.cols.y)

    def size(self, problem: ConvProblem) -> TileProblem:
        """What its cut depends on."""
        return TileProblem.of(problem, self.out)._replace(N=max(1, self.low.N // self.images))


@kept
def sheets(problem: ConvProblem) -> tuple[Sheet, ...]:
    """A problem as sheets, in as few tiles as can be."""
    return tuple(sheet for low in lowered(problem) for sheet in _sheets(problem, low))


def sizes(problem: ConvProblem) -> list[TileProblem]:
    """What the cuts of a problem's sheets depend on; of long signals without a table."""
    if max(problem.size) > LONGEST:
        return [TileProblem.of(problem, low.out)._replace(N=max(1, low.N)) for low in phases(problem)]
    return [sheet.size(problem) for sheet in sheets(problem)]


def _sheets(problem: ConvProblem, low: Lowered) -> list[Sheet]:
    """Those of one lowered problem: apart, or side by side where that saves much or there are many."""
    _, height, width = problem.dilation
    x, y, down, across = low.x_strides, low.y_strides, min(height, low.out[1]), min(width, low.out[2])
    rows = [_line(phase(low, i, 0, height, width), 1, x.h, y.h * height) for i in range(down)]
    cols = [_line(phase(low, 0, j, height, width), 2, x.w, y.w * width) for j in range(across)]
    each = itertools.product(range(down), range(across))
    best = [Sheet(phase(low, i, j, height, width), 1, rows[i], cols[j]) for i, j in each]
    if not problem.channels_last or low.N == 0 or max(problem.size) > LONGEST:
        return best
    most = 1 if problem.op == "conv_input_grad" else MOST_IMAGES
    rows = [row.moved(0, i * y.h) for i, row in enumerate(rows)]
    cols = [col.moved(0, j * y.w) for j, col in enumerate(cols)]
    fewest, enough = _cost(problem, best), SAVED if len(best) == 1 else 1
    for a, b in _arrangements(low.N, most):
        below, beside = _repeated(rows, a, b * x.n, b * y.n), _repeated(cols, b, x.n, y.n)
        joined = Sheet(best[0].low, a * b, _joined(below), _joined(beside))
        cost = _cost(problem, [joined])
        if cost <= fewest * enough:
            best, fewest, enough = [joined], cost, SAVED
    return best


def _arrangements(images: int, most: int) -> list[tuple[int, int]]:
    """Rows and columns of images that divide the batch, the smallest first."""
    numbers = range(1, min(images, most) + 1)
    return sorted(((a, b) for a in numbers for b in numbers if images % (a * b) == 0), key=lambda ab: ab[0] * ab[1])


def _cost(problem: ConvProblem, parts: Sequence[Sheet]) -> int:
    """Products for each pair of channels."""
    sizes = [part.size(problem) for part in parts]
    return sum(size.tiles(m) * (m + 2) ** 2 for size in sizes for m in (output_tile(size),))


def _line(low: Lowered, axis: int, x_stride: int, y_stride: int) -> Line:
    """The axis of one phase; a window of TAPS begins with each output."""
    out = low.out[axis]
    used = low.tables[axis][: out + TAPS - 1]
    return Line(np.where(used < 0, NOWHERE, used * x_stride), np.arange(out) * y_stride)


def _repeated(lines: Sequence[Line], images: int, x: int, y: int) -> list[Line]:
    """The lines of so many images, x and y apart."""
    return [line.moved(number * x, number * y) for number in range(images) for line in lines]


def _joined(lines: Sequence[Line]) -> Line:
    """One line behind the other: zeros at the end of one are those at the beginning of the next."""
    x, y = [lines[0].x], [lines[0].y]
    for before, line in zip(lines, lines[1:], strict=False):
        shared = _zeros(before.x, line.x)
        x.append(line.x[shared:])
        y += [np.full(TAPS - 1 - shared, NOWHERE), line.y]
    return Line(np.concatenate(x), np.concatenate(y))


def _zeros(before: np.ndarray, behind: np.ndarray) -> int:
    """Elements, at most as many as windows overlap, that are nowhere both at the end and at the beginning."""
    for count in range(min(TAPS - 1, len(before), len(behind)), 0, -1):
        if (before[-count:] == NOWHERE).all() and (behind[:count] == NOWHERE).all():
            return count
    return 0
