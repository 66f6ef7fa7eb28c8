"""Edge conversions at near copy speed: input strips, weight panels, and stores to channels-first outputs.

Kernels read channels-last *strips*: the padded input of a block of output pixels, ``[plane][row][column][pixel]`` with
the C channels of one group in each pixel. Weights come as *panels* ``[group][panel][tap][c][lane]``: NR output channels
side by side, zeros where there are fewer. Those of 16 bits are multiplied in pairs, ``[...][tap][c/2][lane][2]``, with
a channel of zeros after an odd number. Results of 16 bits are rounded from float32 on the way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..borders import frozen
from ..kept import kept
from ..memory import scratch
from ..simd.halves import store_one, store_row
from ..simd.jit import kernel
from ..simd.lanes import load, peek, poke, store, zeros
from ..simd.parallel import parallel_kernel
from ..simd.vector import clear, copy, lanes_of, transpose
from ..threads import team
from .lowering import WeightStrides

SHORT = 8  # channels below which copying a pixel costs more than its elements one by one


@kernel
def pack_strip(x, x0, x_strides, C, tables, corner, size, interior, dst, d0, pitch):
    """Write the strip of `size` padded planes, rows and columns from `corner` on to dst[d0:].

    x0 is the offset of the image's (and group's) first element, `pitch` the distance of planes, rows and pixels in the
    strip; `interior` has the first and the end of the columns that are neighbours in x. May write up to lanes-1 pixels
    past the strip's end: leave room there.
    """
    planes_at, rows_at, cols_at = tables
    sc, sw = x_strides.c, x_strides.w
    pixel = pitch.w
    col0, col1 = corner.w, corner.w + size.w
    first, end = interior
    left = min(max(first, col0), col1)
    right = max(min(end, col1), left)
    for p in range(size.d):
        for r in range(size.h):
            at = d0 + p * pitch.d + r * pitch.h
            plane, row = planes_at[corner.d + p], rows_at[corner.h + r]
            if plane < 0 or row < 0:
                clear(dst, at, size.w * pixel)
                continue
            line = x0 + plane * x_strides.d + row * x_strides.h
            _pack_border(x, line, sc, sw, C, cols_at, col0, left, dst, at, pixel)
            if right > left:
                start, inner = line + cols_at[left] * sw, at + (left - col0) * pixel
                if pixel == C and sw == C and (sc == 1 or C == 1):
                    copy(dst, inner, x, start, (right - left) * pixel)
                elif sc == 1 and C % lanes_of(x) == 0:
                    _copy_vectors(x, start, sw, C, right - left, dst, inner, pixel)
                elif sc == 1 and C >= SHORT:
                    for q in range(right - left):
                        copy(dst, inner + q * pixel, x, start + q * sw, C)
                else:
                    pack_planar(x, start, sc, sw, C, right - left, dst, inner, pixel)
            _pack_border(x, line, sc, sw, C, cols_at, right, col1, dst, at + (right - col0) * pixel, pixel)


@kernel
def _pack_border(x, line, sc, sw, C, cols_at, first, last, dst, at, pixel):
    for q in range(first, last):
        col = cols_at[q]
        if col < 0:
            clear(dst, at, pixel)
        else:
            for c in range(C):
                dst[at + c] = x[line + col * sw + c * sc]
        at += pixel


@kernel
def _copy_vectors(x, s, sw, C, cols, dst, d, pixel):
    """Pixels of whole vectors."""
    like = zeros(x, 1)
    for q in range(cols):
        for c in range(0, C, lanes_of(x)):
            store(dst, d + q * pixel + c, load(x, s + q * sw + c, like, None), None)


@kernel
def pack_planar(x, s, sc, sw, C, cols, dst, d, pixel):
    """Channels-first to channels-last: transposes of lanes x lanes, whose last one may run over the end."""
    lanes = lanes_of(x)
    if lanes > C or sw != 1:
        for c in range(C):
            for q in range(cols):
                dst[d + q * pixel + c] = x[s + c * sc + q * sw]
        return
    for q in range(0, cols, lanes):
        for block in range(0, C, lanes):
            c = min(block, C - lanes)
            if s + (c + lanes - 1) * sc + q + lanes <= x.size:
                transpose(dst, d + q * pixel + c, pixel, x, s + c * sc + q, sc)
            else:
                for i in range(lanes):
                    for k in range(min(lanes, cols - q)):
                        dst[d + (q + k) * pixel + c + i] = x[s + (c + i) * sc + q + k]


@kernel
def unpack_planar(src, s, pixel, C, pixels, dst, d, dst_c, dst_w):
    """Channels-last scratch to an output: dst[d + c*dst_c + q*dst_w] = src[s + q*pixel + c] only."""
    if dst_c == 1:
        for q in range(pixels):
            store_row(dst, d + q * dst_w, src, s + q * pixel, C)
        return
    lanes = lanes_of(src)
    blocks = C - C % lanes
    if dst_w != 1 or pixels < lanes:
        blocks = 0
    for c in range(0, blocks, lanes):
        for block in range(0, pixels, lanes):
            q = min(block, pixels - lanes)
            transpose(dst, d + c * dst_c + q, dst_c, src, s + q * pixel + c, pixel)
    for c in range(blocks, C):
        for q in range(pixels):
            store_one(dst, d + c * dst_c + q * dst_w, peek(src, s + q * pixel + c))


@kernel
def unpack_rows(src, s, row, pixel, C, rows, cols, dst, d, dst_strides):
    """Rows of channels-last scratch, `row` apart, to a channels-first output; adjoining ones go as one."""
    if row == cols * pixel and dst_strides.h == cols * dst_strides.w:
        rows, cols = 1, rows * cols
    for r in range(rows):
        unpack_planar(src, s + r * row, pixel, C, cols, dst, d + r * dst_strides.h, dst_strides.c, dst_strides.w)


ROWS, COLUMNS = 16, 64  # input channels of one task of packing, where output channels are neighbours, or are not
BESIDE = 4  # panels of one task, where output channels are neighbours: memory gives long stretches sooner


@parallel_kernel
def _pack_panels(
    thread, first, last, w, group_at, tap_at, c_at, o_at, taps, C, O, panel_lanes, panels, channels, beside, wp
):
    """Each task packs some input channels of some panels, all taps: who uses a panel only has packed most of it."""
    blocks, parts = -(-C // channels), -(-panels // beside)
    block = np.empty(lanes_of(w) * lanes_of(w), w.dtype)
    for task in range(first, last):
        group, place = task // (blocks * parts), task % (blocks * parts)
        panel0, c0 = place // blocks * beside, place % blocks * channels
        panel1, c1 = min(panels, panel0 + beside), min(C, c0 + channels)
        if tap_at == 1 and o_at != 1 and taps.size > 1:
            for panel in range(panel0, panel1):
                source, d = group * group_at + panel * panel_lanes * o_at, (group * panels + panel) * taps.size * C
                for c in range(c0, c1):
                    at, to = source + c * c_at, (d + c) * panel_lanes
                    count = min(panel_lanes, O - panel * panel_lanes)
                    _pack_taps(w, at, o_at, taps, count, wp, to, C * panel_lanes, panel_lanes, block)
            continue
        for t in range(taps.size):
            for panel in range(panel0, panel1):
                at = group * group_at + panel * panel_lanes * o_at + taps[t] * tap_at
                to = ((group * panels + panel) * taps.size + t) * C * panel_lanes
                count = min(panel_lanes, O - panel * panel_lanes)
                pack_tap(w, at, c_at, o_at, c0, c1, count, wp, to, panel_lanes)


@kernel
def pack_tap(w, s, c_at, o_at, c0, c1, count, wp, d, panel_lanes):
    """Channels c0..c1-1 of one tap: wp[d + c*panel_lanes + o] = w[s + c*c_at + o*o_at], zero for o >= count."""
    lanes, like = lanes_of(w), zeros(w, 1)
    if o_at == 1 and count == panel_lanes and count % lanes == 0:
        for c in range(c0, c1):
            for o in range(0, count, lanes):
                store(wp, d + c * count + o, load(w, s + c * c_at + o, like, None), None)
        return
    if o_at == 1:
        for c in range(c0, c1):
            copy(wp, d + c * panel_lanes, w, s + c * c_at, count)
            if count < panel_lanes:
                clear(wp, d + c * panel_lanes + count, panel_lanes - count)
        return
    if count < panel_lanes:
        clear(wp, d + c0 * panel_lanes, (c1 - c0) * panel_lanes)
    if c_at == 1 and lanes <= c1 - c0 and count % lanes == 0:
        for o in range(0, count, lanes):
            for block in range(c0, c1, lanes):
                c = min(block, c1 - lanes)
                transpose(wp, d + c * panel_lanes + o, panel_lanes, w, s + o * o_at + c, o_at)
        return
    for o in range(count):
        for c in range(c0, c1):
            wp[d + c * panel_lanes + o] = w[s + c * c_at + o * o_at]


@kernel
def _pack_taps(w, s, o_at, taps, count, wp, d, tap_pitch, panel_lanes, block):
    """All taps of one channel, which lie side by side, through `block`: wp[d + t*tap_pitch + o] = w[s + o*o_at + t]."""
    lanes = lanes_of(w)
    for o in range(0, panel_lanes, lanes):
        rows = min(lanes, count - o)
        for t0 in range(0, taps.size, lanes):
            columns = min(lanes, taps.size - t0)
            if rows == lanes and s + (o + lanes - 1) * o_at + taps[t0] + lanes <= w.size and _adjoin(taps, t0, columns):
                transpose(block, 0, lanes, w, s + o * o_at + taps[t0], o_at)
                for t in range(columns):
                    copy(wp, d + (t0 + t) * tap_pitch + o, block, t * lanes, lanes)
            else:
                for t in range(t0, t0 + columns):
                    for i in range(min(lanes, panel_lanes - o)):  # vectors of 16-bit elements may be wider
                        wp[d + t * tap_pitch + o + i] = w[s + (o + i) * o_at + taps[t]] if i < rows else 0


@kernel
def _adjoin(taps, first, count):
    """True where `count` taps from `first` on are neighbours."""
    return taps[first + count - 1] - taps[first] == count - 1 and (count < 2 or taps[first + 1] > taps[first])


@parallel_kernel
def _pair_channels(thread, first, last, wp, C, panel_lanes, pairs):
    """Each task turns one tap of one panel, [c][lane], to pairs: [c/2][lane][2]."""
    both = C + C % 2
    for task in range(first, last):
        s, d = task * C * panel_lanes, task * both * panel_lanes
        for c in range(0, C - 1, 2):
            for o in range(panel_lanes):
                poke(pairs, d + c * panel_lanes + 2 * o, peek(wp, s + c * panel_lanes + o))
                poke(pairs, d + c * panel_lanes + 2 * o + 1, peek(wp, s + (c + 1) * panel_lanes + o))
        if both > C:
            for o in range(panel_lanes):
                poke(pairs, d + (C - 1) * panel_lanes + 2 * o, peek(wp, s + (C - 1) * panel_lanes + o))
                poke(pairs, d + (C - 1) * panel_lanes + 2 * o + 1, 0)


class Packing(NamedTuple):
    """How weights become panels of some output channels: flat, [group][panel][tap][c][lane], or that in pairs of c."""

    size: int  # elements of all panels
    numbers: tuple[Any, ...]
    by_rows: tuple[
        int, int, int
    ]  # input channels and panels of a task, and tasks, where output channels are neighbours
    by_columns: tuple[int, int, int]  # and where they are not
    paired: int  # taps of all panels, whose channels become pairs; none where they do not

    def panels(self, w: np.ndarray, at: WeightStrides) -> np.ndarray:
        """The panels of weights that lie in this way."""
        size, numbers, *cuts, paired = self
        channels, beside, tasks = cuts[at.o != 1]
        wp = scratch((size,), w.dtype)
        _pack_panels(team(tasks, 8 * size), tasks, w.reshape(-1), *at, *numbers, channels, beside, wp)
        if not paired:
            return wp
        _, C, _, lanes, _ = numbers
        pairs = scratch((paired * (C + C % 2) * lanes,), w.dtype)
        _pair_channels(team(paired, 4 * size), paired, wp, C, lanes, pairs)
        return pairs


def packing_of(taps: np.ndarray, groups: int, C: int, O: int, lanes: int, step: int = 1) -> Packing:
    """How weights are packed for `lanes` output channels a panel, `step` input channels (1 or 2) side by side."""
    panels = -(-O // lanes)
    rows, columns = (
        (channels, beside, groups * -(-panels // beside) * -(-C // channels))
        for channels, beside in ((ROWS, BESIDE), (COLUMNS, 1))
    )
    blocks = groups * panels * len(taps)
    return Packing(blocks * C * lanes, (taps, C, O, lanes, panels), rows, columns, blocks if step > 1 else 0)


def pack_bias(b: np.ndarray | None, groups: int, O: int, lanes: int, dtype: np.dtype) -> np.ndarray:
    """Bias as panels, [group][panel][lane], zeros where there are fewer channels."""
    if b is None:
        return _no_bias(dtype)
    return b.reshape(-1) if O % lanes == 0 else gathered(b, _bias_order(groups, O, lanes))


@kept
def _bias_order(groups: int, O: int, lanes: int) -> np.ndarray:
    order = np.full((groups, -(-O // lanes) * lanes), -1, np.int64)
    order[:, :O] = np.arange(groups * O).reshape(groups, O)
    return frozen(order.reshape(-1))


GATHERED = 4096  # elements of one task


def gathered(a: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Elements of an array by their flat places, 0 where that is -1: weights and biases as kernels read them."""
    taken, tasks = scratch(order.shape, a.dtype), -(-order.size // GATHERED)
    _gather(team(tasks, 4 * order.size), tasks, a.reshape(-1), order, taken)
    return taken


@parallel_kernel
def _gather(thread, first, last, a, order, taken):
    """Each task gathers a run of elements."""
    for i in range(first * GATHERED, min(order.size, last * GATHERED)):
        taken[i] = a[order[i]] if order[i] >= 0 else 0


@lru_cache(maxsize=8)
def _no_bias(dtype: np.dtype) -> np.ndarray:
    return np.empty(0, dtype)
