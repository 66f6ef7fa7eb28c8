"""Long signals in stretches: parts of a lowered problem's columns that are problems of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ..borders import counting
from .lowering import Lowered

LONGEST = 1 << 17  # columns of a problem, whose table takes 8 bytes each


class Stretch(NamedTuple):
    """A part of a lowered problem's columns, a problem of its own; its x and y begin so many elements later."""

    low: Lowered
    x_start: int
    y_start: int


def stretches(whole: Lowered) -> tuple[Stretch, ...]:
    """The problem in stretches of at most `LONGEST` columns, those without a border are one problem at several places.

    So the tables of a long signal, and the plans that are made of them, take no more memory than those of a short one.
    """
    columns, step, xw, yw = whole.out[2], whole.stride[2], whole.x_strides.w, whole.y_strides.w
    if columns <= LONGEST or len(whole.taps) == 0:
        return (Stretch(whole, 0, 0),)
    found: list[Stretch] = []
    inner: dict[int, Lowered] = {}
    for first in range(0, columns, LONGEST):
        count = min(LONGEST, columns - first)
        part = whole.index[2].part(first * step, (count - 1) * step + whole.span[2] + 1)
        plain = part.is_inside and part.step == 1
        low = inner.get(count) if plain else None
        if low is None:
            columns_at = counting(part.length) if plain else part
            low = replace(whole, out=(*whole.out[:2], count), index=(*whole.index[:2], columns_at))
        if plain:
            inner[count] = low
        found.append(Stretch(low, part.start * xw if plain else 0, first * yw))
    return tuple(found)
