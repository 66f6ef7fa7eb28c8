"""Filters as tiles of spectra hold them, for method "fft": by phase and place, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .fft_phases import Phases
from .fft_plan import Chunk, Triple, real_axis


def taps_of(w: np.ndarray, groups: int, channels_last: bool) -> np.ndarray:
    """w seen as (KD, KH, KW, groups, C/g, O/g)."""
    if channels_last:
        *kernel, inner, outer = w.shape
        return w.reshape(*kernel, inner, groups, outer // groups).swapaxes(3, 4)
    outer, inner, *kernel = w.shape
    return w.reshape(groups, outer // groups, inner, *kernel).transpose(3, 4, 5, 0, 2, 1)


@dataclass(frozen=True)
class Filters:
    """The taps (KD, KH, KW, groups, C/g, O/g), a view of w or dw, as tiles of spectra have them: by phase and place.

    `swapped` is for the input gradient, whose source are the output channels.
    """

    taps: np.ndarray
    parts: Phases
    tile: Triple
    swapped: bool = False

    def shape(self, chunk: Chunk) -> tuple[int, ...]:
        """Shape of a chunk's filters, zeros up to the tile's size along the real axis."""
        half, count = real_axis(self.tile), self.parts.count
        D, H, W = (self.tile[a] if a == half else e for a, e in enumerate(self.parts.extent))
        if self.swapped:
            return 1, D, H, W, chunk.groups, chunk.sources, count, chunk.targets
        return 1, D, H, W, chunk.groups, count, chunk.sources, chunk.targets

    def make(self, chunk: Chunk, dtype: Any) -> np.ndarray:
        """The filters of a chunk, zero where there is no tap."""
        filters = np.zeros(self.shape(chunk), dtype)
        for taps, cell in self._cells(chunk, filters):
            cell[...] = taps
        return filters.reshape(*filters.shape[:4], -1)

    def read(self, chunk: Chunk, filters: np.ndarray) -> None:
        """Take the taps of a chunk from its filters."""
        for taps, cell in self._cells(chunk, filters.reshape(*filters.shape[:4], *self.shape(chunk)[4:])):
            taps[...] = cell

    def _cells(self, chunk: Chunk, filters: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each phase: its taps, and where they stand in `filters`, with the same axes."""
        groups = slice(chunk.group, chunk.group + chunk.groups)
        source = slice(chunk.source, chunk.source + chunk.sources)
        target = slice(chunk.target, chunk.target + chunk.targets)
        everything = slice(None)
        for i, (taps, places) in enumerate(self.parts.cells()):
            which: tuple[Any, ...] = (*taps, groups, source, target)
            where: tuple[Any, ...] = (0, *places, everything, i)
            if self.swapped:
                which, where = (*taps, groups, target, source), (0, *places, everything, everything, i)
            cell = self.taps[which]
            yield cell.swapaxes(4, 5) if self.swapped else cell, filters[where]
