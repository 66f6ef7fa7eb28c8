"""How a convolution is laid on grids for Fourier transforms: overlapping tiles of fast lengths (overlap-save).

Along each axis results lie in tiles of `move` places; a tile and the `reach` places its windows look ahead make a grid
of `length` >= move + reach points. All tiles of all images are transformed together. Pure functions of the problem.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from ...problem import Triple

TILES = 2, 4, 8, 16, 32  # lengths of tiles that are tried, in reaches
MOVED, MULTIPLIED = 10.0, 0.3  # numbers to and from memory for a point's transforms; what a product counts beside
FACTORS = 2, 3, 5, 7  # of lengths that cuFFT transforms fast


class Tiling(NamedTuple):
    """Points of a grid, results of a tile, and tiles along D, H, W."""

    lengths: Triple
    moves: Triple
    tiles: Triple

    @property
    def points(self) -> int:
        """Points of a grid."""
        return math.prod(self.lengths)

    @property
    def per_image(self) -> int:
        """Tiles of an image."""
        return math.prod(self.tiles)


@lru_cache(maxsize=256)
def tiling(
    results: Triple, reach: Triple, step: Triple, images: int, channels: int, weights: int, budget: int
) -> Tiling:
    """The cheapest of a few cuts.

    Parameters
    ----------
    results, reach, step : (int, int, int)
        Places to compute along each axis, how far windows look ahead, and what tiles are whole multiples of.
    images, channels, weights : int
        Images, planes of each that are transformed (of input and output), and planes of filters.
    budget : int
        Points of all filters' planes that should not be exceeded.
    """
    options = [_axis_cuts(r, k, s) for r, k, s in zip(results, reach, step, strict=True)]
    cuts = [Tiling(*zip(*choice, strict=True)) for choice in product(*options)]  # type: ignore[arg-type]

    def cost(c: Tiling) -> tuple[bool, float]:
        planes = images * c.per_image * channels + weights
        products = images * c.per_image * weights
        return weights * c.points > budget, c.points * (MOVED * planes + MULTIPLIED * products)

    return min(cuts, key=cost)


def _axis_cuts(results: int, reach: int, step: int) -> list[tuple[int, int, int]]:
    """(length, move, tiles) of one tile for everything, and of some smaller ones."""
    whole = -(-results // step) * step
    cuts = [(fast_length(reach + whole), whole, 1)]
    for tiles in TILES if reach else ():
        length = fast_length(max(tiles * reach, reach + step))
        move = (length - reach) // step * step
        if length < cuts[0][0]:
            cuts.append((length, move, -(-results // move)))
    return cuts


@lru_cache(maxsize=1024)
def fast_length(n: int) -> int:
    """The least number from n on without prime factors but 2, 3, 5 and 7."""
    while True:
        rest = n
        for factor in FACTORS:
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return n
        n += 1
