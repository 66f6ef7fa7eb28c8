"""Where a filter's taps stand in a tile, for method "fft"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...borders import frozen
from ..lowering import WeightStrides
from .phases import Phases, Triple


@dataclass(frozen=True, eq=False)
class Taps:
    """Per axis the phase and the place of each tap, int64 (2, K); and where the taps lie in memory.

    `swapped` is for the input gradient: its phases are those of the target.
    """

    axes: tuple[np.ndarray, np.ndarray, np.ndarray]
    at: WeightStrides
    swapped: bool = False

    @property
    def strides(self) -> tuple[int, int, int, int]:
        """Distances in w of groups, taps, summed channels and channels of the result."""
        return self.at.group, self.at.tap, self.at.c, self.at.o


def taps_of(parts: Phases, kernel: Triple, at: WeightStrides, swapped: bool = False) -> Taps:
    """The taps of a filter that `parts` spreads over phases."""
    axes: list[np.ndarray] = []
    for axis, k in zip(parts.axes, kernel, strict=True):
        table = np.empty((2, k), np.int64)
        positions = np.arange(max(1, parts.extent[len(axes)]))
        for i, phase in enumerate(axis):
            table[0, phase.taps] = i
            table[1, phase.taps] = positions[phase.places]
        axes.append(frozen(table))
    return Taps((axes[0], axes[1], axes[2]), at, swapped)
