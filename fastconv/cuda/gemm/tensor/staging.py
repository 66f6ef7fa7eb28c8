"""Operands for tensor cores: copies of image and weights as words of 32 bits, as ``gathered`` reads them.

An image becomes channels-last with each group's channels filled up to whole steps of STEP words by zeros; the weights
(group, output channel, column of A). Words hold one float32 rounded to TF32, or two 16-bit numbers as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba

from ... import ptx
from ...backend import cuda
from ...indexing import L
from ...launch import BLOCK
from ...runtime.source import inlined
from .gathered import NUMBERS

SIDE = 32  # words and pixels that a block turns: 128 bytes either way


class Image(NamedTuple):
    """Strides of an image's elements, channels of a group, words that hold them, pixels of an image."""

    n: int
    pixel: int
    c: int
    channels: int
    words: int
    groups: int
    pixels: int


def make_word(U: Any, numbers: str) -> Any:
    """``word(low, high)``: a word of one float32, or of two 16-bit numbers."""
    W = numba.uint32

    def rounded(low: Any, high: Any) -> Any:
        return ptx.round_tf32(low)

    def pair(low: Any, high: Any) -> Any:
        return W(W(low) | W(W(high) << W(16)))

    return inlined(rounded if NUMBERS[numbers] == 1 else pair)


def make_stage(T: Any, S: Any, U: Any, numbers: str) -> Callable[..., None]:
    """staged[pixel, group, word] = word of a channels-last x; one thread per chunk of four words."""
    PER = NUMBERS[numbers]
    word = make_word(U, numbers)
    W = numba.uint32

    def stage(x: Any, staged: Any, image: Any, size: Any) -> None:
        v = cuda.local.array(4, W)
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(size):
            chunks = U(U(image.words) // U(4))
            q = U(i // chunks)
            p = U(q // U(image.groups))
            g, n = U(q - p * U(image.groups)), U(p // U(image.pixels))
            first = U((i - q * chunks) * U(4 * PER))
            at = U(n * U(image.n) + (p - n * U(image.pixels)) * U(image.pixel) + g * U(image.channels) * U(image.c))
            for k in range(4):
                c = U(first + U(k * PER))
                low, high = T(0), T(0)
                if c < U(image.channels):
                    low = x[U(at + c * U(image.c))]
                if PER == 2 and U(c + U(1)) < U(image.channels):
                    high = x[U(at + U(c + U(1)) * U(image.c))]
                v[k] = word(low, high)
            ptx.store_four(staged, L(i) * L(4), v[0], v[1], v[2], v[3])

    return stage


def make_stage_planes(T: Any, S: Any, U: Any, numbers: str) -> Callable[..., None]:
    """staged[pixel, group, word] = word of a channels-first x; a block turns SIDE words x SIDE pixels.

    Neighbouring threads read neighbouring pixels and write neighbouring words. Blocks are numbered (image, group,
    words, pixels); `tiles` says how many there are along pixels and words.
    """
    PER, ROWS, PITCH = NUMBERS[numbers], BLOCK // SIDE, SIDE + 1
    word = make_word(U, numbers)
    SIZE = SIDE * PITCH
    W = numba.uint32

    def stage_planes(x: Any, staged: Any, image: Any, tiles: Any) -> None:
        shared = cuda.shared.array(SIZE, W)
        t, rest = U(cuda.threadIdx.x), U(cuda.blockIdx.x)
        p0, rest = U(rest % U(tiles[0]) * U(SIDE)), U(rest // U(tiles[0]))
        w0, rest = U(rest % U(tiles[1]) * U(SIDE)), U(rest // U(tiles[1]))
        g, n = U(rest % U(image.groups)), U(rest // U(image.groups))
        lane, row = U(t % U(SIDE)), U(t // U(SIDE))
        at = U(n * U(image.n) + U(p0 + lane) * U(image.pixel) + g * U(image.channels) * U(image.c))
        for k in range(SIDE // ROWS):
            c = U(U(w0 + row + U(k * ROWS)) * U(PER))
            low, high = T(0), T(0)
            if U(p0 + lane) < U(image.pixels):
                if c < U(image.channels):
                    low = x[U(at + c * U(image.c))]
                if PER == 2 and U(c + U(1)) < U(image.channels):
                    high = x[U(at + U(c + U(1)) * U(image.c))]
            shared[U(U(row + U(k * ROWS)) * U(PITCH) + lane)] = word(low, high)
        cuda.syncthreads()
        for k in range(SIDE // ROWS):
            p, w = U(p0 + row + U(k * ROWS)), U(w0 + lane)
            if p < U(image.pixels) and w < U(image.words):
                to = U(U(U(n * U(image.pixels) + p) * U(image.groups) + g) * U(image.words) + w)
                staged[to] = shared[U(lane * U(PITCH) + row + U(k * ROWS))]

    return stage_planes


def make_pack(T: Any, S: Any, U: Any, numbers: str) -> Callable[..., None]:
    """packed[g, o, column] = word of w; offsets[number of a column] say where, or -1; one thread per word."""
    PER = NUMBERS[numbers]
    word = make_word(U, numbers)

    def pack(w: Any, packed: Any, offsets: Any, columns: Any, outputs: Any, group: Any, step: Any, size: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(size):
            q = U(i // U(columns))
            column = U(U(i - q * U(columns)) * U(PER))
            g = U(q // U(outputs))
            at = U(g * U(group) + U(q - g * U(outputs)) * U(step))
            low, high = T(0), T(0)
            offset = offsets[column]
            if offset >= 0:
                low = w[U(at + U(offset))]
            if PER == 2:
                offset = offsets[U(column + U(1))]
                if offset >= 0:
                    high = w[U(at + U(offset))]
            packed[i] = word(low, high)

    return pack


def make_pack_turned(T: Any, S: Any, U: Any, numbers: str) -> Callable[..., None]:
    """As `make_pack`, where output channels lie nearer to each other than what is summed.

    A block turns SIDE columns x SIDE output channels: neighbouring threads read neighbouring channels and write
    neighbouring columns. Blocks are numbered (group, channels, columns), `tiles` says how many there are along both.
    """
    PER, ROWS, PITCH = NUMBERS[numbers], BLOCK // SIDE, SIDE + 1
    word = make_word(U, numbers)
    SIZE = SIDE * PITCH
    W = numba.uint32

    def pack_turned(
        w: Any, packed: Any, offsets: Any, columns: Any, outputs: Any, group: Any, step: Any, tiles: Any
    ) -> None:
        shared = cuda.shared.array(SIZE, W)
        t, rest = U(cuda.threadIdx.x), U(cuda.blockIdx.x)
        c0, rest = U(rest % U(tiles[0]) * U(SIDE)), U(rest // U(tiles[0]))
        o0, g = U(rest % U(tiles[1]) * U(SIDE)), U(rest // U(tiles[1]))
        lane, row = U(t % U(SIDE)), U(t // U(SIDE))
        at = U(g * U(group) + U(o0 + lane) * U(step))
        for k in range(SIDE // ROWS):
            column = U(c0 + row + U(k * ROWS))
            low, high = T(0), T(0)
            if column < U(columns) and U(o0 + lane) < U(outputs):
                offset = offsets[U(column * U(PER))]
                if offset >= 0:
                    low = w[U(at + U(offset))]
                if PER == 2:
                    offset = offsets[U(column * U(PER) + U(1))]
                    if offset >= 0:
                        high = w[U(at + U(offset))]
            shared[U(U(row + U(k * ROWS)) * U(PITCH) + lane)] = word(low, high)
        cuda.syncthreads()
        for k in range(SIDE // ROWS):
            o, column = U(o0 + row + U(k * ROWS)), U(c0 + lane)
            if o < U(outputs) and column < U(columns):
                packed[U(U(g * U(outputs) + o) * U(columns) + column)] = shared[U(lane * U(PITCH) + row + U(k * ROWS))]

    return pack_turned
