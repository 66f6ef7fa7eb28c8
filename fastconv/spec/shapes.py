"""Shapes and tuples of three axes: what both kinds of problem share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .arguments import LAYOUTS

AXES = ("depth", "height", "width")


def lift(values: Sequence[Any], fill: Any) -> Any:
    """Bring one entry per given axis to three, (D, H, W)."""
    return (fill,) * (3 - len(values)) + tuple(values)


def split(shape: tuple[int, ...], channels_last: bool) -> tuple[int, int, tuple[int, ...]]:
    """N, C and the spatial size of an activation's shape."""
    return (shape[0], shape[-1], shape[1:-1]) if channels_last else (shape[0], shape[1], shape[2:])


def form(rank: int, channels_last: bool) -> str:
    """A shape as text for messages."""
    return f"({', '.join(LAYOUTS[rank][channels_last])})"


def missing_axes(name: str, ndim: int, rank: int, channels_last: bool = False) -> str:
    """What to do about an array of one or two axes too few: an image without a batch, a plane without channels."""
    if ndim == rank + 1:
        return f"; add the batch axis with {name}[None]"
    if ndim == rank:
        return f"; add the batch and channel axes with {name}[None, {'..., ' if channels_last else ''}None]"
    return ""
