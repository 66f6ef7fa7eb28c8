"""Whether a transform is exact enough for the data of one call: what "auto" asks before it takes one.

A transform's error is relative to the largest element that it meets, not to those of a window, and its sums are larger
than the result. So data stay away from transforms where a part is much smaller than the rest (`LOST`), or where a
transform could leave the range of the dtype. See docs/decisions/0016-what-auto-looks-at.md.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..dispatch import load_name
from ..spec import ConvSpec

LOST = {4: 16, 8: 26}  # bits that a small part may lose beside a large one, by itemsize: 16-bit data always pass
MARGIN = 16  # bits by which Winograd's transforms, or the sums of a Fourier transform, may exceed what is counted


class Judged(NamedTuple):
    """Of one operand: the biased exponent of its largest element (0: zeros), and whether its parts are alike enough."""

    exponent: int
    even: bool


ZEROS = Judged(0, True)


def suits(op: str, spec: ConvSpec, method: str, first: np.ndarray, second: np.ndarray) -> bool:
    """Whether `method`, a transform, serves these operands of `op` about as well as the direct method."""
    a = judge_images(op, spec, method, first, dy=op == "conv_input_grad")
    if not a.even:
        return False
    if op == "conv_weight_grad":
        b = judge_images(op, spec, method, second, dy=True)
    else:
        b = judge_filters(op, spec, method, second)
    return b.even and in_range(op, spec, a, b)


def in_range(op: str, spec: ConvSpec, first: Judged, second: Judged) -> bool:
    """Whether no step of a transform of two operands can overflow, or lose its last bits near zero."""
    low, high, bias = _limits(op, spec)
    a, b = first.exponent, second.exponent
    if a and b and not low <= a + b - 2 * bias < high:
        return False
    return all(low <= e - bias < high for e in (a, b) if e)


@lru_cache(maxsize=1024)
def _limits(op: str, spec: ConvSpec) -> tuple[int, int, int]:
    """The exponents, from and to, that operands and their products may have; and the bias."""
    limits = np.finfo(spec.dtype)  # of a complex dtype those of its parts
    points = spec.N * math.prod(n + k for n, k in zip(spec.padded, spec.extent, strict=True))
    inner = {"conv": spec.C * spec.taps, "conv_input_grad": spec.O * spec.taps, "conv_weight_grad": points}[op]
    high = limits.maxexp - MARGIN - points.bit_length() - inner.bit_length()
    return int(limits.minexp + limits.nmant) + points.bit_length(), int(high), int(limits.maxexp) - 1


def judge_images(op: str, spec: ConvSpec, method: str, array: np.ndarray, *, dy: bool) -> Judged:
    """Judge x, or dy: image by image, in blocks of half a window, so that every window holds a block."""
    if array.size == 0:
        return ZEROS
    if array.dtype.kind == "c":
        return _both([judge_images(op, spec, method, part, dy=dy) for part in _parts(array)])
    images, block = _view(op, spec, dy)
    levels = load_name("fastconv.cpu.magnitude:measure")(array, images, block)
    lost = LOST[array.itemsize]
    even = levels.largest - levels.smallest <= lost  # the usual case, at a glance
    if not even:
        largest, smallest = levels.of_images()
        if method == "fft":  # neighbouring tiles travel in pairs, across images too
            largest = _with_neighbours(largest)
        even = bool(((smallest == 0) | (largest <= smallest + lost)).all())
    if even and method == "fft" and images.channels > 1:  # and so do channels
        channels = images.channels * images.groups
        even = _gap(array, spec.N, channels, math.prod(images.size), spec.channels_last) <= lost
    return Judged(levels.largest, even)


def judge_filters(op: str, spec: ConvSpec, method: str, w: np.ndarray) -> Judged:
    """Judge the weights: the Fourier transforms of two filters of a group travel together."""
    if w.dtype.kind == "c":
        return _both([judge_filters(op, spec, method, part) for part in _parts(w)])
    exponent, even = load_name("fastconv.cpu.magnitude:largest")(w), True
    inner = spec.C // spec.groups
    if method == "fft" and op == "conv" and spec.groups < spec.O:
        even = _gap(w, 1, spec.O, spec.taps * inner, spec.channels_last) <= LOST[w.itemsize]
    elif method == "fft" and op == "conv_input_grad" and inner > 1:
        N, positions = (spec.taps, spec.O) if spec.channels_last else (spec.O, spec.taps)
        even = _gap(w, N, inner, positions, False) <= LOST[w.itemsize]
    return Judged(exponent, even)


def _gap(*args: Any) -> int:
    return load_name("fastconv.cpu.magnitude:channel_gap")(*args)


@lru_cache(maxsize=1024)
def _view(op: str, spec: ConvSpec, dy: bool) -> tuple[Any, tuple[int, int]]:
    """How the images of x or dy lie in memory; rows and columns of half a window, for a gradient to x of one on dy."""
    channels, size = (spec.O, spec.out) if dy else (spec.C, spec.size)
    images = load_name("fastconv.cpu.magnitude:Images")(
        spec.N, spec.groups, channels // spec.groups, size, spec.channels_last
    )
    windows: tuple[int, ...] = spec.kernel[1:]
    if op == "conv_input_grad":
        windows = tuple(-(-k // s) for k, s in zip(windows, spec.stride[1:], strict=True))
    rows, columns = ((k + 1) // 2 for k in windows)
    return images, (rows, columns)


def _with_neighbours(largest: np.ndarray) -> np.ndarray:
    """The largest of each image and of those before and behind it."""
    around = largest.copy()
    np.maximum(around[1:], largest[:-1], out=around[1:])
    np.maximum(around[:-1], largest[1:], out=around[:-1])
    return around


def _parts(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(array.real), np.ascontiguousarray(array.imag)


def _both(parts: list[Judged]) -> Judged:
    return Judged(max(p.exponent for p in parts), all(p.even for p in parts))
