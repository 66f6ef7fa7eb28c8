"""The three operations of method "fft" as one: a source, filters and a target over tiles.

A `Tiled` problem says how tiles are read from the source and written to the target, and where the taps stand; it is
worked out once for each problem.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...borders import border_index
from ...kept import kept
from ...problem import ConvProblem, Triple
from ..lowering import weight_strides, x_strides, y_strides
from .channels_plan import ChannelsPlan
from .filters import Taps, taps_of
from .lattice import Axis, Lattice, lattice
from .phases import Phases, phases
from .plan import make_plan, size_of
from .planes_plan import PlanesPlan
from .tiling import Size, triple


@dataclass(frozen=True, eq=False)
class Tiled:
    """Source, taps and target of one operation, and its plan."""

    plan: PlanesPlan | ChannelsPlan
    parts: Phases
    taps: Taps
    source: Lattice
    target: Lattice


@kept
def convolution(problem: ConvProblem, budget: int) -> Tiled:
    """A convolution of x to y; of a gradient to the weights the one of x with dy whose result are the filters."""
    parts = phases(problem.kernel, problem.stride, problem.dilation)
    plan = make_plan(size_of(problem), budget, problem.prepared)
    return Tiled(
        plan,
        parts,
        taps_of(parts, problem.kernel, weight_strides(problem)),
        lattice(problem.inputs, x_strides(problem), _padded(problem, parts), plan.reach),
        lattice(problem.outputs, y_strides(problem), _plain(problem.out, (0, 0, 0)), plan.reach),
    )


@kept
def transposed(problem: ConvProblem, budget: int) -> Tiled:
    """The gradient to the input, zero padding: a convolution of dy with flipped taps, whose target has the phases.

    dx[n, c, i*stride + u*dilation - before] sums dy[n, o, i] * w[o, c, u].
    """
    parts = phases(problem.kernel, problem.stride, problem.dilation, flip=True)
    # Positions that hold only border need not be computed.
    first = [
        min(axis.before // axis.stride, extent - 1) for axis, extent in zip(problem.axes, parts.extent, strict=True)
    ]
    axes, out = [], []
    for a, axis in enumerate(problem.axes):
        before = axis.before - first[a] * axis.stride
        axes.append(Axis(_border(before), axis.size, _border(0), parts.offsets(a), axis.stride))
        out.append(-(-(before + axis.size) // axis.stride))
    inner, outer = problem.outputs, problem.inputs
    size = Size(problem.N, triple(out), parts.extent, problem.groups, inner, outer, 1, parts.count, problem.itemsize)
    plan = make_plan(size, budget)
    zeros = triple(extent - 1 - f for extent, f in zip(parts.extent, first, strict=True))
    return Tiled(
        plan,
        parts,
        taps_of(parts, problem.kernel, weight_strides(problem, transposed=True)),
        lattice(problem.outputs, y_strides(problem), _plain(problem.out, zeros), plan.reach),
        lattice(problem.inputs, x_strides(problem), tuple(axes), plan.reach),
    )


def _plain(size: Triple, zeros: Triple) -> tuple[Axis, ...]:
    """Axes of `size` elements after some zeros."""
    return tuple(Axis(_border(before), n, _border(0)) for n, before in zip(size, zeros, strict=True))


def _padded(problem: ConvProblem, parts: Phases) -> tuple[Axis, ...]:
    """The axes of x with its border."""
    axes = []
    for a, (n, _, _, stride, _, before, after) in enumerate(problem.axes):
        if problem.padding_mode == "zeros":
            left, right = _border(before), _border(after)
        else:
            index = border_index(n, before, after, problem.padding_mode)
            left, right = index[:before], index[before + n :]
        axes.append(Axis(left, n, right, parts.offsets(a), stride))
    return tuple(axes)


def _border(n: int) -> np.ndarray:
    return np.full(n, -1, dtype=np.int64)
