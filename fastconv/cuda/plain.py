"""Problems for the GEMM without a gather: windows of one pixel, and how their factors are loaded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import backend, tune
from .gemm import Gather, Phase, Target, Tile
from .gemm_plain import Factor, Form, make_gemm_plain
from .launch import blocks_for, flat, launch, needs_wide, table


def multiply(
    x: Any, w: Any, b: Any, y: Any, rows: int, groups: int, image: Gather, factor: Factor, target: Target, tile: Tile,
    activation: Any,
) -> None:  # fmt: skip
    """y = activation(b + A w), rows of A being pixels of lines of `image.W`, in place.

    Each of x and w must have neighbours side by side along one of its two axes.
    """
    wide = needs_wide(x.size, w.size, y.size)
    grid = blocks_for(factor.outputs, tile.BN), blocks_for(rows, tile.BM)
    launch(
        make_gemm_plain,
        (tile, form_of(x, w, rows, image, factor, target, tile), b is not None, activation),
        math.prod(grid) * groups,
        (
            flat(x), flat(w), flat(w if b is None else b), flat(y), table(_phase, (image.W, rows), wide), image, target,
            factor, grid,
        ),
        dtype=y.dtype,
        wide=wide,
        threads=tile.threads,
        resident=tune.resident(tile.threads, wide),
    )  # fmt: skip


def form_of(x: Any, w: Any, rows: int, image: Gather, factor: Factor, target: Target, tile: Tile) -> Form:
    """How the kernel loads its factors and stores the result."""
    x_columns, w_columns = image.c == 1, factor.column == 1 and factor.channel != 1
    runs = []
    for array, columns, extents, length in (
        (x, x_columns, (image.n, image.group, image.w if x_columns else image.c), (rows, image.W)),
        (w, w_columns, (factor.group, factor.channel if w_columns else factor.column), (factor.outputs,)),
    ):
        size = tile.BM if array is x else tile.BN
        whole = *extents, *((factor.columns,) if columns else length), size * tile.BK // tile.threads
        wanted = 4 if array.dtype == np.float32 and backend.is_aligned(array) else 1
        runs.append(math.gcd(wanted, *whole))
    return Form(x_columns, w_columns, target.c == 1, *runs, factor.columns % tile.BK == 0)


def _phase(line: int, rows: int) -> np.ndarray:
    return np.array(Phase(1, 1, line, rows, 0, 0, 0))
