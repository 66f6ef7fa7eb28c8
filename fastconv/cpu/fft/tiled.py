"""What all calls of one operation have in common, for method "fft": tables and places, worked out once a problem."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ...borders import frozen
from ...problem import Triple
from ...simd.fields import packed
from .lattice import Lattice
from .tiles import Box, Elements, Room, TapStrides, TileGrid
from .tiling import FourierTile, Tiling
from .transform import passes, transform_address

Allocate = Callable[[tuple[int, ...], np.dtype], np.ndarray]


class Tiled:
    """An operation over tiles: where they are in the arrays and how they lie in a thread's scratch, for kernels.

    `source` and `target` are sides (see `tiles`); where tiles are read from the target, they hold `fill` positions.
    """

    def __init__(self, tiling: Tiling, budget: int, room: Room) -> None:
        roles, tile = tiling.roles, tiling.tile
        self.roles, self.tile, self.budget = roles, tile, budget
        self.dtype = np.dtype(roles.problem.dtype)
        self.fft = transform_address(self.dtype.itemsize)
        self.grid = numbers(TileGrid(Box(*tiling.counts), Box(*tiling.pitch)))
        self.room = numbers(room)
        self.source = _side(roles.source(), tiling.reach, tile.lengths)
        self.target = _side(roles.target(), tiling.reach, tiling.pitch)
        axes, at = roles.filters()
        self.taps = *axes, numbers(TapStrides(at.group, at.tap, at.c, at.o, Box(*roles.cells)))

    @property
    def lines(self) -> tuple[np.ndarray, ...]:
        """The passes of a tile's three axes."""
        return lines_of(self.tile, self.dtype.itemsize)


@lru_cache(maxsize=512)
def numbers(record: Any) -> np.ndarray:
    """A record packed for kernels; one that equals an earlier one is not packed again."""
    return frozen(packed(record))


def lines_of(tile: FourierTile, itemsize: int) -> tuple[np.ndarray, ...]:
    """The passes of a tile's three axes: table and twiddle factors of each."""
    found = [passes(n, itemsize) for n in tile.transformed]
    return tuple(array for p in found for array in (p.table, p.twiddles))


def _side(lattice: Lattice, reach: Triple, fill: Triple) -> tuple[np.ndarray, ...]:
    side = Elements(*lattice.strides, lattice.axes[2].step, Box(*fill))
    return *lattice.tables(reach), numbers(side)
