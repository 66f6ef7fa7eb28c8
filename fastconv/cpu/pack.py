"""Edge conversions at near copy speed: input strips, weight panels, and stores to channels-first outputs.

Kernels read channels-last *strips*: the padded input of a block of output pixels, ``[plane][row][column][pixel]`` with
the C channels of one group in each pixel. Weights come as *panels* ``[group][panel][tap][c][lane]``: NR output channels
side by side, zeros where there are fewer.
"""

from __future__ import annotations

import numpy as np

from ..simd.jit import kernel, parallel_kernel
from ..simd.vector import clear, copy, lanes_of, transpose
from ..threads import team
from .lowering import WeightStrides


@kernel
def pack_strip(x, x0, x_strides, C, tables, corner, size, interior, dst, d0, pitch):
    """Write the strip of `size` = (planes, rows, columns) padded positions from `corner` on to dst[d0:].

    x0 is the offset of the image's (and group's) first element, `pitch` the distance of planes, rows and pixels in the
    strip. May write up to lanes-1 pixels past the strip's end: leave room there.
    """
    planes_at, rows_at, cols_at = tables
    sc, sd, sh, sw = x_strides[1], x_strides[2], x_strides[3], x_strides[4]
    pixel = pitch[2]
    col0, col1 = corner[2], corner[2] + size[2]
    left = min(max(interior[0], col0), col1)
    right = max(min(interior[1], col1), left)
    for p in range(size[0]):
        for r in range(size[1]):
            at = d0 + p * pitch[0] + r * pitch[1]
            plane, row = planes_at[corner[0] + p], rows_at[corner[1] + r]
            if plane < 0 or row < 0:
                clear(dst, at, size[2] * pixel)
                continue
            line = x0 + plane * sd + row * sh
            _pack_border(x, line, sc, sw, C, cols_at, col0, left, dst, at, pixel)
            if right > left:
                start, inner = line + cols_at[left] * sw, at + (left - col0) * pixel
                if pixel == C and sw == C and (sc == 1 or C == 1):
                    copy(dst, inner, x, start, (right - left) * pixel)
                elif sc == 1:
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
    """Channels-last scratch to a channels-first output: dst[d + c*dst_c + q*dst_w] = src[s + q*pixel + c] only."""
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
            dst[d + c * dst_c + q * dst_w] = src[s + q * pixel + c]


@parallel_kernel
def _pack_panels(thread, first, last, w, strides, taps, C, O, panel_lanes, panels, wp):
    """Each task packs one tap of one panel."""
    group_at, tap_at, c_at, o_at = strides
    lanes = lanes_of(w)
    for task in range(first, last):
        t = task % taps.size
        panel = task // taps.size % panels
        group = task // taps.size // panels
        count = min(panel_lanes, O - panel * panel_lanes)
        source = group * group_at + taps[t] * tap_at + panel * panel_lanes * o_at
        d = task * C * panel_lanes
        if count < panel_lanes:
            clear(wp, d, C * panel_lanes)
        if o_at == 1:
            for c in range(C):
                copy(wp, d + c * panel_lanes, w, source + c * c_at, count)
        elif c_at == 1 and lanes <= C and count % lanes == 0:
            for o in range(0, count, lanes):
                for block in range(0, C, lanes):
                    c = min(block, C - lanes)
                    transpose(wp, d + c * panel_lanes + o, panel_lanes, w, source + o * o_at + c, o_at)
        else:
            for o in range(count):
                for c in range(C):
                    wp[d + c * panel_lanes + o] = w[source + o * o_at + c * c_at]


def pack_panels(
    w: np.ndarray, at: WeightStrides, taps: np.ndarray, groups: int, C: int, O: int, lanes: int
) -> np.ndarray:
    """Weights as panels of `lanes` output channels: flat, [group][panel][tap][c][lane]."""
    panels = -(-O // lanes)
    tasks = groups * panels * len(taps)
    wp = scratch(tasks * C * lanes, w.dtype)
    strides = (at.group, at.tap, at.c, at.o)
    _pack_panels(team(tasks, 8 * wp.size), tasks, w.reshape(-1), strides, taps, C, O, lanes, panels, wp)
    return wp


def pack_bias(b: np.ndarray | None, groups: int, O: int, lanes: int, dtype: np.dtype) -> np.ndarray:
    """Bias as panels, [group][panel][lane], zeros where there are fewer channels."""
    if b is None:
        return np.empty(0, dtype)
    padded = np.zeros((groups, -(-O // lanes) * lanes), dtype)
    padded[:, :O] = b.reshape(groups, O)
    return padded.reshape(-1)


def scratch(size: int, dtype: np.dtype) -> np.ndarray:
    """An uninitialised flat array that starts on a cache line."""
    item = np.dtype(dtype).itemsize
    raw = np.empty(size * item + 64, np.uint8)
    skip = -raw.__array_interface__["data"][0] % 64
    return raw[skip : skip + size * item].view(dtype)
