"""Stride and dilation by phases: a strided convolution as one of stride 1 over more channels.

Tap u lies at position u*d of the filter. With stride s that is ``position // s`` steps into phase ``position % s`` of
the input, the input subsampled by s from there on: every phase counts as a further input channel (output channel, for
the input gradient), and no output is computed that is not wanted. Phases that no tap falls into are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class AxisPhase:
    """Taps ``taps`` of an axis lie at positions ``places`` of phase ``phase``."""

    phase: int
    taps: slice
    places: slice


@dataclass(frozen=True)
class Phases:
    """The phases of all three axes, and how many positions a filter spans in any of them."""

    axes: tuple[tuple[AxisPhase, ...], ...]
    extent: Triple

    @property
    def count(self) -> int:
        """Phases of all axes together."""
        return math.prod(map(len, self.axes))

    def offsets(self, a: int) -> tuple[int, ...]:
        """First element of each phase of axis a."""
        return tuple(phase.phase for phase in self.axes[a])

    def cells(self) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
        """For each phase, in the order of a tile's channels: the taps and their places, as indices over three axes."""
        return [(tuple(p.taps for p in cell), tuple(p.places for p in cell)) for cell in product(*self.axes)]


def phases(kernel: Triple, stride: Triple, dilation: Triple, flip: bool = False) -> Phases:
    """Phases of a filter; with `flip` its taps run backwards within the extent, as the input gradient needs them."""
    axes, extent = [], []
    for k, s, d in zip(kernel, stride, dilation, strict=True):
        taps, step = s // math.gcd(s, d), d // math.gcd(s, d)  # the next tap of a phase, and how far it lies in it
        first = {u * d % s: u for u in range(min(k, taps))}
        span = d * (k - 1) // s + 1
        axis = []
        for phase, u in sorted(first.items()):
            count, place = -(-(k - u) // taps), u * d // s
            places = range(place, place + count * step, step)
            if flip:
                places = range(span - 1 - place, span - 1 - place - count * step, -step)
            stop = places.stop if places.stop >= 0 else None
            axis.append(AxisPhase(phase, slice(u, None, taps), slice(places.start, stop, places.step)))
        axes.append(tuple(axis))
        extent.append(span)
    return Phases(tuple(axes), (extent[0], extent[1], extent[2]))
