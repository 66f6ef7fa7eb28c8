"""Shapes and tuples of three axes: what both kinds of specification share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .arguments import LAYOUTS

Triple = tuple[int, int, int]
Pairs = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

AXES = ("depth", "height", "width")


def lift(values: Sequence[Any], fill: Any) -> Any:
    """Bring one entry per given axis to three, (D, H, W)."""
    return (fill,) * (3 - len(values)) + tuple(values)


def split(shape: tuple[int, ...], channels_last: bool) -> tuple[int, int, tuple[int, ...]]:
    """N, C and the spatial size of an activation's shape."""
    return (shape[0], shape[-1], shape[1:-1]) if channels_last else (shape[0], shape[1], shape[2:])


def arrange(N: int, C: int, size: Sequence[int], channels_last: bool) -> tuple[int, ...]:
    """An activation's shape in its layout."""
    return (N, *size, C) if channels_last else (N, C, *size)


def triple(values: Any) -> Triple:
    """Exactly three values."""
    a, b, c = values
    return a, b, c


def form(rank: int, channels_last: bool) -> str:
    """A shape as text for messages."""
    return f"({', '.join(LAYOUTS[rank][channels_last])})"


def short(values: Sequence[int], rank: int) -> str:
    """One number where all axes agree, else joined by x."""
    values = values[3 - rank :]
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))
