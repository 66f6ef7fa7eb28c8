"""Index arithmetic that kernels share, as device functions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba


@lru_cache(maxsize=4)
def make_position(U: Any) -> Any:
    """``position(i, outer, D, H, W, inner)`` -> (n, c, d, h, w) of element i of a C-contiguous activation.

    Channels-first arrays (N, outer, D, H, W) have inner = 1, channels-last arrays (N, D, H, W, inner) outer = 1.
    """

    def position(i: Any, outer: Any, D: Any, H: Any, W: Any, inner: Any) -> Any:
        q = U(i // U(inner))
        c = U(i - q * U(inner))
        r = U(q // U(W))
        w = U(q - r * U(W))
        q = U(r // U(H))
        h = U(r - q * U(H))
        r = U(q // U(D))
        d = U(q - r * U(D))
        n = U(r // U(outer))
        return n, U(c + r - n * U(outer)), d, h, w

    return numba.njit(position)


@lru_cache(maxsize=4)
def make_pixel(U: Any) -> Any:
    """``pixel(m, D, H, W)`` -> (n, d, h, w) of the m-th pixel of images of D x H x W pixels."""

    def pixel(m: Any, D: Any, H: Any, W: Any) -> Any:
        q = U(m // U(W))
        r = U(q // U(H))
        n = U(r // U(D))
        return n, U(r - n * U(D)), U(q - r * U(H)), U(m - q * U(W))

    return numba.njit(pixel)


def channel_axes(C: int, channels_last: bool) -> tuple[int, int]:
    """(outer, inner) of `make_position` for C channels."""
    return (1, C) if channels_last else (C, 1)
