"""The three operations of method "fft" as one: a source, filters and a target over tiles.

A `Problem` says how tiles are read from the source and written to the target, and where the taps stand. It depends on
shapes and options only and is worked out once for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...borders import border_index
from ...kept import kept
from ..lowering import Pairs, Shape, Triple, channels, spatial, weight_strides
from .channels_plan import ChannelsPlan
from .filters import Taps, taps_of
from .lattice import Axis, Lattice, lattice
from .phases import Phases, phases
from .plan import make_plan
from .planes_plan import PlanesPlan
from .tiling import Size, triple


class Options(NamedTuple):
    """How windows lie on the input, and how arrays lie in memory."""

    stride: Triple
    dilation: Triple
    padding: Pairs
    padding_mode: str
    groups: int
    channels_last: bool

    def kernel(self, w_shape: Shape) -> Triple:
        """(KD, KH, KW) of the weights."""
        return triple(w_shape[:3] if self.channels_last else w_shape[2:])


@dataclass(frozen=True, eq=False)
class Problem:
    """Source, taps and target of one operation, and its plan."""

    plan: PlanesPlan | ChannelsPlan
    parts: Phases
    taps: Taps
    source: Lattice
    target: Lattice


@kept
def convolution(
    x_shape: Shape,
    w_shape: Shape,
    y_shape: Shape,
    options: Options,
    itemsize: int,
    budget: int,
    gradient: bool = False,
    prepared: bool = False,
) -> Problem:
    """A convolution of x to y; with `gradient` the one of x with dy whose result are the filters."""
    kernel, out, last = options.kernel(w_shape), spatial(y_shape, options.channels_last), options.channels_last
    parts = phases(kernel, options.stride, options.dilation)
    inner, outer = (channels(s, last) // options.groups for s in (x_shape, y_shape))
    size = Size(
        x_shape[0], out, parts.extent, options.groups, inner, outer, parts.count, 1, itemsize, gradient=gradient
    )
    plan = make_plan(size, budget, prepared)
    axes = _padded(spatial(x_shape, last), options, parts)
    return Problem(
        plan,
        parts,
        taps_of(parts, kernel, weight_strides(w_shape, options.groups, last)),
        lattice(x_shape, options.groups, axes, plan.reach, last),
        lattice(y_shape, options.groups, _plain(out, (0, 0, 0)), plan.reach, last),
    )


@kept
def transposed(
    dy_shape: Shape, w_shape: Shape, dx_shape: Shape, options: Options, itemsize: int, budget: int
) -> Problem:
    """The gradient to the input, zero padding: a convolution of dy with flipped taps, whose target has the phases.

    dx[n, c, i*stride + u*dilation - before] sums dy[n, o, i] * w[o, c, u].
    """
    kernel, last = options.kernel(w_shape), options.channels_last
    parts = phases(kernel, options.stride, options.dilation, flip=True)
    # Positions that hold only border need not be computed.
    triples = list(zip(options.padding, options.stride, parts.extent, strict=True))
    first = [min(before // s, extent - 1) for (before, _), s, extent in triples]
    axes, out = [], []
    for a, n in enumerate(spatial(dx_shape, last)):
        before = options.padding[a][0] - first[a] * options.stride[a]
        axes.append(Axis(_border(before), n, _border(0), parts.offsets(a), options.stride[a]))
        out.append(-(-(before + n) // options.stride[a]))
    inner, outer = (channels(s, last) // options.groups for s in (dy_shape, dx_shape))
    size = Size(dy_shape[0], triple(out), parts.extent, options.groups, inner, outer, 1, parts.count, itemsize)
    plan = make_plan(size, budget)
    zeros = triple(extent - 1 - f for extent, f in zip(parts.extent, first, strict=True))
    return Problem(
        plan,
        parts,
        taps_of(parts, kernel, weight_strides(w_shape, options.groups, last, transposed=True)),
        lattice(dy_shape, options.groups, _plain(spatial(dy_shape, last), zeros), plan.reach, last),
        lattice(dx_shape, options.groups, tuple(axes), plan.reach, last),
    )


def _plain(size: Triple, zeros: Triple) -> tuple[Axis, ...]:
    """Axes of `size` elements after some zeros."""
    return tuple(Axis(_border(before), n, _border(0)) for n, before in zip(size, zeros, strict=True))


def _padded(size: Triple, options: Options, parts: Phases) -> tuple[Axis, ...]:
    """The axes of x with its border."""
    axes = []
    for a, (n, (before, after)) in enumerate(zip(size, options.padding, strict=True)):
        if options.padding_mode == "zeros":
            left, right = _border(before), _border(after)
        else:
            index = border_index(n, before, after, options.padding_mode)
            left, right = index[:before], index[before + n :]
        axes.append(Axis(left, n, right, parts.offsets(a), options.stride[a]))
    return tuple(axes)


def _border(n: int) -> np.ndarray:
    return np.full(n, -1, dtype=np.int64)
