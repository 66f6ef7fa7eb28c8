"""Where a filter's taps stand in a tile, for method "fft": the tables, putting taps there and reading them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...borders import frozen
from ...simd.jit import kernel
from ...simd.lanes import peek, poke
from ..lowering import WeightStrides
from .phases import Phases, Triple


@dataclass(frozen=True, eq=False)
class Taps:
    """Per axis the phase and the place of each tap, int64 (2, K); and where the taps lie in memory."""

    axes: tuple[np.ndarray, np.ndarray, np.ndarray]
    at: WeightStrides

    @property
    def strides(self) -> tuple[int, int, int, int]:
        """Distances in w of groups, taps, summed channels and channels of the result."""
        return self.at.group, self.at.tap, self.at.c, self.at.o


def taps_of(parts: Phases, kernel: Triple, at: WeightStrides) -> Taps:
    """The taps of a filter that `parts` spreads over phases."""
    axes: list[np.ndarray] = []
    for axis, k in zip(parts.axes, kernel, strict=True):
        table = np.empty((2, k), np.int64)
        positions = np.arange(max(1, parts.extent[len(axes)]))
        for i, phase in enumerate(axis):
            table[0, phase.taps] = i
            table[1, phase.taps] = positions[phase.places]
        axes.append(frozen(table))
    return Taps((axes[0], axes[1], axes[2]), at)


@kernel
def place_taps(w, at, strides, axes, cells, cell, count, t, begin, pitch, fold, repeats, scale):
    """Put the taps of one phase of `count` neighbouring filters, times `scale`, where they stand in a tile of zeros.

    `fold` is the length of a folded tile's rows, else 0. `repeats` are rows and columns of axes that are not
    transformed: there the filter is the same everywhere.
    """
    a0, a1, a2 = axes
    r0, r1, r2 = cell // cells[2] // cells[1], cell // cells[2] % cells[1], cell % cells[2]
    phases, places, step = a2[0], a2[1], strides[3]
    rows, columns = repeats
    for u0 in range(a0.shape[1]):
        for u1 in range(a1.shape[1]):
            if a0[0, u0] != r0 or a1[0, u1] != r1:
                continue
            line = begin + a0[1, u0] * pitch[0] + a1[1, u1] * pitch[1]
            for u2 in range(places.size):
                if phases[u2] != r2:
                    continue
                source = at + ((u0 * a1.shape[1] + u1) * places.size + u2) * strides[1]
                to = line + (places[u2] // fold * pitch[1] + places[u2] % fold if fold else places[u2] * pitch[2])
                for i in range(count):
                    poke(t, to + i, peek(w, source + i * step) * scale)
                for i in range(1, rows * columns):
                    poke(t, to + i // columns * pitch[1] + i % columns * pitch[2], peek(t, to))


@kernel
def read_taps(t, begin, pitch, axes, cells, cell, count, fold, repeats, w, at, strides, scale):
    """The way back: taps from their places, summed over axes that are not transformed."""
    a0, a1, a2 = axes
    r0, r1, r2 = cell // cells[2] // cells[1], cell // cells[2] % cells[1], cell % cells[2]
    phases, places, step = a2[0], a2[1], strides[3]
    rows, columns = repeats
    for u0 in range(a0.shape[1]):
        for u1 in range(a1.shape[1]):
            if a0[0, u0] != r0 or a1[0, u1] != r1:
                continue
            line = begin + a0[1, u0] * pitch[0] + a1[1, u1] * pitch[1]
            for u2 in range(places.size):
                if phases[u2] != r2:
                    continue
                target = at + ((u0 * a1.shape[1] + u1) * places.size + u2) * strides[1]
                source = line + (places[u2] // fold * pitch[1] + places[u2] % fold if fold else places[u2] * pitch[2])
                for i in range(1, rows * columns):
                    poke(
                        t, source, peek(t, source) + peek(t, source + i // columns * pitch[1] + i % columns * pitch[2])
                    )
                for i in range(count):
                    poke(w, target + i * step, peek(t, source + i) * scale)
