"""The calls of the kernels of `planes`: spectra of filters, convolution, weight gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...config import settings
from ...memory import Pool, scratch
from ...threads import team
from . import planes
from .planes_plan import Chunk, PlanesPlan, plane_strides
from .problem import Tiled
from .tiles import ADD, WRITE
from .transform import transform_address

# Nothing but its result outlives the functions that do one chunk: the plan's bound counts on it.


def filter_spectra(problem: Tiled, w: np.ndarray) -> list[np.ndarray]:
    """The spectra of all filters, chunk by chunk."""
    return [_chunk_spectra(problem, w, chunk, Pool().empty) for chunk in _plan(problem).chunks()]


def _chunk_spectra(problem: Tiled, w: np.ndarray, chunk: Chunk, allocate: Any = None) -> np.ndarray:
    plan, dtype = _plan(problem), w.dtype
    filters = chunk.groups * chunk.sources * plan.size.source_phases * chunk.targets * plan.size.target_phases
    h = (allocate or scratch)((filters * 2 * plan.tile.points,), dtype)
    members, each, buffers = _threads(plan, filters, 20 * h.size, dtype)
    planes.spectra(
        members, filters, w.reshape(-1), *_filters(problem), h, *_tile(plan, dtype), _counts(problem, chunk, each),
        buffers, transform_address(dtype.itemsize), dtype.type(_scale(plan)),
    )  # fmt: skip
    return h


def convolve(
    problem: Tiled, x: np.ndarray, w: np.ndarray, prepared: list[np.ndarray] | None, b: np.ndarray | None,
    y: np.ndarray,
) -> None:  # fmt: skip
    """Write the convolution of x with w, whose spectra may be `prepared`, plus b, to y."""
    for i, chunk in enumerate(_plan(problem).chunks()):
        h = _chunk_spectra(problem, w, chunk) if prepared is None else prepared[i]
        _convolve_chunk(problem, x, h, b, y, chunk)
        del h


def _convolve_chunk(
    problem: Tiled, x: np.ndarray, h: np.ndarray, b: np.ndarray | None, y: np.ndarray, chunk: Chunk
) -> None:
    plan, dtype = _plan(problem), x.dtype
    size, tile, v = plan.size, plan.tile, plan.pitch
    keep = (tile.shape[2], tile.shape[1]) if tile.folded else (v[2], v[1])
    tasks = plan.pairs * chunk.groups
    members, each, buffers = _threads(plan, tasks, 20 * tasks * tile.points, dtype)
    counts = (
        plan.tiles, chunk.sources, size.source_phases, chunk.targets, size.target_phases, chunk.group, chunk.source,
        chunk.target, size.sources, size.targets, ADD if chunk.source else WRITE, *_spread(plan), *keep, each,
    )  # fmt: skip
    planes.convolve(
        members, tasks, x.reshape(-1), problem.source.tables, problem.source.side(tile.lengths), y.reshape(-1),
        problem.target.tables, problem.target.side(v), plan.grid, h,
        np.empty(0, dtype) if b is None or chunk.source else b, *_tile(plan, dtype), counts, buffers,
        transform_address(dtype.itemsize),
    )  # fmt: skip


def correlate(problem: Tiled, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
    """Write the weight gradient to dw, as a fixed number of partial sums over runs of tiles."""
    for chunk in _plan(problem).chunks():
        _correlate_chunk(problem, x, dy, dw, chunk)


def _correlate_chunk(problem: Tiled, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, chunk: Chunk) -> None:
    plan, dtype = _plan(problem), x.dtype
    size = plan.size
    filters = chunk.groups * chunk.sources * size.source_phases * chunk.targets
    totals = scratch((plan.parts * filters * 2 * plan.tile.points,), dtype)
    tasks = chunk.groups * plan.parts
    members, each, buffers = _threads(plan, max(tasks, filters), 20 * plan.pairs * plan.tile.points, dtype)
    tile = _tile(plan, dtype)
    counts = (
        plan.tiles, plan.parts, chunk.groups, chunk.sources, size.source_phases, chunk.targets, chunk.group,
        chunk.source, chunk.target, size.sources, size.targets, each,
    )  # fmt: skip
    planes.correlate(
        min(members, tasks), tasks, x.reshape(-1), problem.source.tables, problem.source.side(plan.tile.lengths),
        dy.reshape(-1), problem.target.tables, problem.target.side(plan.pitch), plan.grid, totals, *tile, counts,
        buffers, transform_address(dtype.itemsize),
    )  # fmt: skip
    sums = totals.reshape(plan.parts, -1)
    for part in sums[1:]:
        sums[0] += part
    planes.read_filters(
        min(members, filters), filters, sums[0], dw.reshape(-1), *_filters(problem), *tile,
        _counts(problem, chunk, each), buffers, transform_address(dtype.itemsize), dtype.type(_scale(plan)),
    )  # fmt: skip


def _plan(problem: Tiled) -> PlanesPlan:
    assert isinstance(problem.plan, PlanesPlan)
    return problem.plan


def _threads(plan: PlanesPlan, tasks: int, work: int, dtype: np.dtype) -> tuple[int, int, np.ndarray]:
    """Threads, the elements of scratch each has, and the scratch."""
    members = plan.members(team(tasks, work), settings.scratch_bytes)
    each = plan.each // dtype.itemsize
    return members, each, scratch((members * each,), dtype)


def _tile(plan: PlanesPlan, dtype: np.dtype) -> tuple[Any, ...]:
    tile, itemsize = plan.tile, dtype.itemsize
    shape = *tile.shape, *plane_strides(tile, itemsize)
    return shape, planes.lines(tile, itemsize), *planes.twist(tile, itemsize)


def _filters(problem: Tiled) -> tuple[Any, ...]:
    return problem.taps.strides, problem.taps.axes, tuple(map(len, problem.parts.axes))


def _counts(problem: Tiled, chunk: Chunk, each: int) -> tuple[int, ...]:
    plan, size = _plan(problem), problem.plan.size
    T2, extent = plan.tile.shape[2], size.extent[2]
    used = T2 if not plan.tile.mixed[2] else min(T2, extent)
    return (
        chunk.sources, size.source_phases, chunk.targets, size.target_phases, chunk.group, chunk.source, chunk.target,
        *_spread(plan), used, T2 if plan.tile.folded else 0, each,
    )  # fmt: skip


def _spread(plan: PlanesPlan) -> tuple[int, int]:
    """Rows and columns that repeat a filter: all of an axis that is not transformed."""
    _, T1, T2 = plan.tile.shape
    return 1 if plan.tile.mixed[1] else T1, 1 if plan.tile.mixed[2] else T2


def _scale(plan: PlanesPlan) -> float:
    return 1 / math.prod(plan.tile.transformed)
