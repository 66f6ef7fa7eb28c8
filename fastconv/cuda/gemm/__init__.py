"""Matrix products on the convolution's GEMMs: a product is a convolution of single pixels (twin: cpu/gemm.py).

Either factor may be transposed: the kernel for float32 and float64 reads both as they lie, without a copy. TF32 and
16-bit factors go to tensor cores, as words with the summed index side by side. Sums run in one order on every device.
Cost: 2*M*N*K operations; extra memory: none, on tensor cores both factors once more.
Error: below K*eps*(|a|@|b|), on tensor cores as in ``tensor``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ...precision import tf32_allowed
from .. import backend
from ..filters import Filters
from ..halves import Half, through_float32
from ..launch import entry
from ..pointwise import fill, finish
from . import lowering, parts, plain, tensor, tiles
from .gathered import Gather, Phase, Target
from .lowering import Plan
from .plain import Factor


@entry
def matmul(a: Any, b: Any, bias: Any, y: Any, *, transpose_a: bool, transpose_b: bool, activation: Any) -> None:
    """Write a @ b + bias (either factor transposed first) through the activation to y; bias may be None."""
    if y.size == 0:
        return
    rows, columns = y.shape
    depth = a.shape[0] if transpose_a else a.shape[1]
    numbers = tensor.choose_numbers(
        y.dtype.name, tf32_allowed(), backend.executor().capability(), depth, columns, zeros=True
    )
    if isinstance(y, Half) and (numbers is None or depth == 0):
        options = {"transpose_a": transpose_a, "transpose_b": transpose_b, "activation": activation}
        through_float32(matmul)(a, b, bias, y, **options)
    elif depth == 0:
        fill(y, 0)
        finish(y, bias, activation, True)
    elif numbers is None:
        _on_cores(a, b, bias, y, depth, transpose_a, transpose_b, activation)
    else:
        c, o = (1, depth) if transpose_b else (columns, 1)
        filters = Filters(1, depth, columns, 0, 0, c, o)
        problem = lowering.pixels(rows, depth, columns, 1, True, y.dtype)
        tensor.multiply(problem, filters, a, b, bias, y, activation, numbers, channels_last=not transpose_a)


def _on_cores(
    a: Any, b: Any, bias: Any, y: Any, depth: int, transpose_a: bool, transpose_b: bool, activation: Any
) -> None:
    """Without tensor cores."""
    rows, columns = y.shape
    tile = tiles.float_tile(backend.executor().capability(), rows, columns, 1, y.dtype.itemsize)
    column, channel = (1, depth) if transpose_b else (columns, 1)
    factor = Factor(column, channel, 0, columns, depth)

    def run(plan: Plan, bias: Any, y: Any, activation: Any) -> None:
        plain.multiply(plan, a, b, bias, y, 1, factor, tile, activation)

    plan = _plan(rows, columns, depth, transpose_a, tile.BK)
    count = parts.parts_of(plan, columns, 1, y.size, y.dtype.itemsize)
    parts.through_parts(run, plan, bias, y, count, columns, 1, activation)


@lru_cache(maxsize=256)
def _plan(rows: int, columns: int, depth: int, transposed: bool, BK: int) -> Plan:
    """The rows of the first factor as pixels of one line."""
    w, c = (1, rows) if transposed else (depth, 1)  # from row to row and from column to column
    gather = Gather(1, 1, 1, 0, 0, 0, 1, 1, rows, 0, 0, 0, w, c, 0)
    steps = -(-depth // BK)
    phase = Phase(1, 1, rows, rows, 0, steps, 0)
    nothing = np.zeros((0, 0), np.int64)  # a product needs no table of columns
    return Plan(nothing, nothing, np.array([phase]), gather, Target(0, 0, 0, columns, 1, 0), True)
