"""Problems for the GEMM without a gather: windows of one pixel, and how their factors are loaded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import backend, tune
from ..launch import blocks_for, flat, launch, needs_wide, table
from ..lowering import Plan
from .gemm import Gather, Phase, Target, Tile
from .gemm_plain import Factor, Form, make_gemm_plain

ROWS = Phase._fields.index("total")


def multiply(
    plan: Plan, x: Any, w: Any, b: Any, y: Any, groups: int, factor: Factor, tile: Tile, activation: Any
) -> None:
    """y = activation(b + A w), rows of A being pixels of lines, in place; `plan` has their phases, whole steps of BK.

    Each of x and w must have neighbours side by side along one of its two axes.
    """
    image, rows = plan.gather, int(plan.phases[0, ROWS])
    wide = needs_wide(x.size, w.size, y.size)
    grid = blocks_for(factor.outputs, tile.BN), blocks_for(rows, tile.BM), len(plan.phases)
    launch(
        make_gemm_plain,
        (tile, form_of(x, w, rows, image, factor, plan.target, tile), b is not None, activation),
        math.prod(grid) * groups,
        (
            flat(x), flat(w), flat(w if b is None else b), flat(y), table(_phases, (plan,), wide), image, plan.target,
            factor, grid,
        ),
        dtype=y.dtype,
        wide=wide,
        threads=tile.threads,
        resident=tune.float_resident(backend.executor().capability(), tile, wide),
    )  # fmt: skip


def form_of(x: Any, w: Any, rows: int, image: Gather, factor: Factor, target: Target, tile: Tile) -> Form:
    """How the kernel loads its factors and stores the result."""
    x_columns, w_columns = image.c == 1, factor.column == 1 and factor.channel != 1

    def run(array: Any, rows: int, columns: bool, *strides: int) -> int:
        """The longest run of neighbours whose places are whole multiples of it, all of them inside or none."""
        longest = 4 if array.dtype == np.float32 and backend.is_aligned(array) else 1
        return math.gcd(longest, rows * tile.BK // tile.threads, factor.columns if columns else longest, *strides)

    pixels = (image.w,) if x_columns else (image.c, rows, image.W)
    channels = (factor.channel,) if w_columns else (factor.column, factor.outputs)
    x_run = run(x, tile.BM, x_columns, image.n, image.group, *pixels)
    w_run = run(w, tile.BN, w_columns, factor.group, *channels)
    return Form(x_columns, w_columns, target.c == 1, x_run, w_run, factor.columns % tile.BK == 0)


def _phases(plan: Plan) -> np.ndarray:
    return plan.phases.reshape(-1)
