"""The three operations of method "fft" as one: from a source, by filters, to a target.

A convolution goes from x to y, the gradient to the input from dy to dx by flipped taps; of the gradient to the weights
x is the source, dy the target, and the filters are the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ...borders import Border, border_table
from ...problem import Axis, ConvProblem, Triple
from ..lowering import WeightStrides, weight_strides, x_strides, y_strides
from .lattice import AxisPhases, Lattice, Positions, phases_of


class Roles:
    """Who plays which part in a problem; channels are per group.

    The side of x has the phases of the stride (see `lattice`), one of each axis make a cell: the source, or the target
    of the gradient to the input.

    Attributes
    ----------
    back : bool
        True for the gradient to the input, of a problem with a border of zeros.
    gradient : bool
        True where the filters are the result, and source and target both are transformed.
    phases : tuple
        The phases of each axis.
    cells, extent, out : Triple
        On each axis the phases, the positions that a filter spans, and the positions of the target.
    sources, source_cells, targets, target_cells : int
        Channels of the source and of the target, and the cells of each channel.
    inner, outer : int
        Channels that are summed over, and those of the result; cells count as channels.
    """

    def __init__(self, problem: ConvProblem) -> None:
        self.problem = problem
        self.back, self.gradient = problem.op == "conv_input_grad", problem.op == "conv_weight_grad"
        self.phases = tuple(phases_of(axis, self.back) for axis in problem.axes)
        self.cells = triple(len(axis.phases) for axis in self.phases)
        self.extent = triple(axis.extent for axis in self.phases)
        x, y = (problem.inputs, math.prod(self.cells)), (problem.outputs, 1)
        (self.sources, self.source_cells), (self.targets, self.target_cells) = (y, x) if self.back else (x, y)
        self.inner, self.outer = self.sources * self.source_cells, self.targets * self.target_cells
        shown = ((self._shown(a) + axis.size, axis.stride) for a, axis in enumerate(problem.axes))
        self.out = triple(-(-n // stride) for n, stride in shown) if self.back else problem.out

    def filters(self) -> tuple[tuple[np.ndarray, ...], WeightStrides]:
        """Per axis the phase and the place of each tap; and where the taps lie in memory."""
        axes = zip(self.phases, self.problem.kernel, strict=True)
        return tuple(phases.taps(k) for phases, k in axes), weight_strides(self.problem, transposed=self.back)

    def source(self) -> Lattice:
        """Where the source's elements are."""
        if not self.back:
            return Lattice(_axes(map(self._bordered, self.problem.axes, self.phases)), x_strides(self.problem))
        zeros = (extent - 1 - self._skipped(a) for a, extent in enumerate(self.extent))
        return Lattice(_axes(map(_plain, self.problem.out, zeros)), y_strides(self.problem))

    def target(self) -> Lattice:
        """Where the target's elements are."""
        if not self.back:
            return Lattice(_axes(map(_plain, self.problem.out, (0, 0, 0))), y_strides(self.problem))
        axes = [
            Positions(_zeros(self._shown(a)), axis.size, _zeros(0), phases.offsets, axis.stride)
            for a, (axis, phases) in enumerate(zip(self.problem.axes, self.phases, strict=True))
        ]
        return Lattice(_axes(axes), x_strides(self.problem))

    def _skipped(self, a: int) -> int:
        """Positions of dx with its border that need not be computed, since they hold only border."""
        axis = self.problem.axes[a]
        return min(axis.before // axis.stride, self.extent[a] - 1)

    def _shown(self, a: int) -> int:
        """Elements of the border that remain before dx."""
        axis = self.problem.axes[a]
        return axis.before - self._skipped(a) * axis.stride

    def _bordered(self, axis: Axis, phases: AxisPhases) -> Positions:
        """An axis of x with its border."""
        n, mode = axis.size, self.problem.padding_mode
        left, right = Border(n, -axis.before, axis.before, mode=mode), Border(n, n, axis.after, mode=mode)
        return Positions(border_table(left), n, border_table(right), phases.offsets, axis.stride)


def triple(values: Iterable[int]) -> Triple:
    """Three values as a tuple of three."""
    a, b, c = values
    return a, b, c


def _axes(positions: Iterable[Positions]) -> tuple[Positions, Positions, Positions]:
    a, b, c = positions
    return a, b, c


def _plain(size: int, zeros: int) -> Positions:
    """An axis of `size` elements after some zeros."""
    return Positions(_zeros(zeros), size, _zeros(0))


def _zeros(n: int) -> np.ndarray:
    return np.full(n, -1, dtype=np.int64)
