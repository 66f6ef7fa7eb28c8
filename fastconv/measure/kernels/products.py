"""Multiply-adds alone: every tile of the micro-kernel, the filter tile, depthwise sweeps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...config import settings
from ...cpu import repeated
from ...simd.depth_sweep import depth_address
from ...simd.depth_tile import SHAPES, Span, tile_table
from ...simd.filter_tile import BROADCAST, FILTER_ROWS, LANES, filter_tile_address, filter_vectors, range_code
from ...simd.host import TILE_VECTORS, host, tile_rows
from ...simd.microkernel import tile_address
from .subjects import FLOPS, Numbers, Subject, deviation

DEPTH = 64  # terms of the inner loop: a usual number of channels


def tiles(dtype: str) -> Iterator[Subject]:
    """Every shape, as a convolution along a row of pixels calls it: from a core's first cache, and from its own."""
    for vectors in range(1, TILE_VECTORS + 1):
        for rows in range(1, tile_rows() + 1):
            yield _tile(dtype, rows, vectors, taps=1, tiles=2, place="L1")
            half = settings.tile_bytes // 2 // (DEPTH * vectors * host().vector_bytes)
            yield _tile(dtype, rows, vectors, taps=max(1, min(9, half)), tiles=8, place="L2")


def _tile(dtype: str, rows: int, vectors: int, taps: int, tiles: int, place: str) -> Subject:
    pairs = dtype == "bfloat16"
    numbers, step = Numbers("float32" if pairs else dtype), 2 if pairs else 1  # elements of a product
    width, pixels, depth = vectors * numbers.lanes, rows * tiles, DEPTH * step
    a, b, c = numbers.normal(pixels + taps, depth), numbers.normal(taps, depth, width), numbers.empty(pixels, width)
    aoff, boff = np.arange(taps) * depth, np.arange(taps) * depth * width
    given = a, b
    if pairs:
        packed = b.reshape(taps, DEPTH, step, width).swapaxes(2, 3)
        a, b, given = _cut(a), _cut(b), (_bits(a), _bits(packed))
    flat = given[0].reshape(-1), depth, step, given[1].reshape(-1), width * step, c.reshape(-1), width * step, width
    address = tile_address(given[0].itemsize)

    def run(times: int) -> None:
        repeated.repeat_tiles(times, address, rows, vectors, aoff, boff, DEPTH, *flat, tiles)

    def error() -> float:
        run(1)
        return deviation(c, sum(a[t : t + pixels].astype(float) @ b[t].astype(float) for t in range(taps)))

    return Subject("tile", f"{rows}x{vectors}", place, 2.0 * taps * depth * pixels * width, FLOPS, run, error)


def _bits(array: np.ndarray) -> np.ndarray:
    """The upper halves of float32 numbers: bfloat16."""
    return (np.ascontiguousarray(array).view(np.uint32) >> 16).astype(np.uint16)


def _cut(array: np.ndarray) -> np.ndarray:
    """The numbers that these stand for."""
    return (_bits(array).astype(np.uint32) << 16).view(np.float32)


def filter_tiles(dtype: str) -> Iterator[Subject]:
    """Square filters over rows of pixels (one weight for all lanes), and of channels (a weight for each)."""
    for kind, name in ((BROADCAST, "plane"), (LANES, "depthwise")):
        for taps in (3, 7):
            for vectors in range(1, filter_vectors() + 1):
                yield _filter_tile(dtype, kind, name, taps, vectors)


def _filter_tile(dtype: str, kind: int, name: str, taps: int, vectors: int, tiles: int = 2) -> Subject:
    numbers = Numbers(dtype)
    lanes, lines, count = numbers.lanes, FILTER_ROWS + taps - 1, vectors * tiles
    step = 1 if kind == BROADCAST else lanes  # from a pixel to the next, and from a tap
    wide = count * lanes + taps - 1 if kind == BROADCAST else (count + taps - 1) * lanes
    x, w = numbers.normal(lines, wide), numbers.normal(taps, taps, step)
    c = numbers.empty(FILTER_ROWS, count * lanes)
    met = [(max(0, e - taps + 1), min(FILTER_ROWS, e + 1)) for e in range(lines)]
    entries = [(e * wide, e * taps * step, range_code(*rows), taps) for e, rows in enumerate(met)]
    table, address = np.array(entries, np.int64).reshape(-1), filter_tile_address(c.itemsize)

    def run(times: int) -> None:
        repeated.repeat_filter(
            times, address, kind, vectors, lines, table, x.reshape(-1), step, lanes, w.reshape(-1), step, taps * step,
            c.reshape(-1), count * lanes, lanes, FILTER_ROWS, lanes, tiles,
        )  # fmt: skip

    def error() -> float:
        run(1)
        expected = np.zeros(c.shape)
        for u in range(taps):
            for v in range(taps):
                weights = np.resize(w[u, v].astype(float), count * lanes)
                expected += x[u : u + FILTER_ROWS, v * step :][:, : count * lanes] * weights
        return deviation(c, expected)

    work = 2.0 * taps * taps * FILTER_ROWS * count * lanes
    return Subject("filter tile", f"{name} {taps}x{taps}, {FILTER_ROWS}x{vectors}", "L1", work, FLOPS, run, error)


def depth_sweeps(dtype: str) -> Iterator[Subject]:
    """Depthwise filters whose size is in the code."""
    numbers = Numbers(dtype)
    lanes, address = numbers.lanes, depth_address(numbers.dtype.itemsize, numbers.dtype.itemsize)
    for shape, tile in enumerate(SHAPES):
        rows, columns = 2 * tile.rows, 3 * tile.cols
        high, wide = ((n - 1) * tile.stride + tile.taps for n in (rows, columns))
        x, w = numbers.normal(high, wide, lanes), numbers.normal(tile.taps, tile.taps, lanes)
        y = numbers.empty(rows, columns, lanes)
        yield _depth_sweep(address, shape, x, w, y)


def _depth_sweep(address: int, shape: int, x: np.ndarray, w: np.ndarray, y: np.ndarray) -> Subject:
    tile, (rows, columns, lanes) = SHAPES[shape], y.shape
    high, wide = x.shape[:2]
    height = Span(rows, 0, high, wide * lanes, columns * lanes)
    table = tile_table(tile, height, Span(columns, 0, wide, lanes, lanes))

    def run(times: int) -> None:
        repeated.repeat_depth(
            times,
            address,
            shape,
            table,
            columns,
            x.reshape(-1),
            x.shape[1] * lanes,
            w.reshape(-1),
            lanes,
            y.reshape(-1),
        )

    def error() -> float:
        run(1)
        expected = np.zeros(y.shape)
        for u in range(tile.taps):
            for v in range(tile.taps):
                part = x[u :: tile.stride, v :: tile.stride][:rows, :columns]
                expected += part * w[u, v].astype(float)
        return deviation(y, expected)

    name = f"{tile.taps}x{tile.taps}/{tile.stride}, {tile.rows}x{tile.cols}"
    return Subject("depth sweep", name, "L1", 2.0 * tile.taps**2 * y.size, FLOPS, run, error)
