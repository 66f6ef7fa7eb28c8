"""Operands for tensor cores: copies of image and weights as words of 32 bits, as ``gemm_tensor`` reads them.

An image becomes channels-last with each group's channels filled up to whole steps of BK words by zeros; the weights
(group, output channel, column of A). Words hold one float32 rounded to TF32, or two 16-bit numbers as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba

from . import ptx
from .backend import cuda
from .gemm_tensor import NUMBERS
from .launch import BLOCK
from .source import inlined


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


def make_stage(T: Any, S: Any, U: Any, numbers: str, pixels_first: bool) -> Callable[..., None]:
    """staged[pixel, group, word] = word of x; one thread per chunk of four words.

    With `pixels_first` neighbouring threads take neighbouring pixels, which lie side by side in x, else neighbouring
    chunks.
    """
    PER = NUMBERS[numbers]
    word = make_word(U, numbers)

    def stage(x: Any, staged: Any, image: Any, size: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(size):
            chunks = U(U(image.words) // U(4))
            total = U(U(size) // chunks // U(image.groups))
            if pixels_first:
                q, p = U(i // total), U(i % total)
            else:
                p, q = U(i // U(chunks * U(image.groups))), U(i % U(chunks * U(image.groups)))
            g = U(q // chunks)
            first = U((q - g * chunks) * U(4 * PER))
            n = U(p // U(image.pixels))
            at = U(n * U(image.n) + (p - n * U(image.pixels)) * U(image.pixel) + g * U(image.channels) * U(image.c))
            to = U(U(p * U(image.groups) + g) * U(image.words) + (q - g * chunks) * U(4))
            for k in range(4):
                c = U(first + U(k * PER))
                low, high = T(0), T(0)
                if c < U(image.channels):
                    low = x[U(at + c * U(image.c))]
                if PER == 2 and U(c + U(1)) < U(image.channels):
                    high = x[U(at + U(c + U(1)) * U(image.c))]
                staged[U(to + U(k))] = word(low, high)

    return stage


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
