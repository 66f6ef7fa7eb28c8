"""Long signals in stretches: parts of a lowered problem's columns that are problems of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ..borders import counting_index, frozen
from .lowering import Lowered, is_identity

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
        table = whole.index[2][first * step : (first + count - 1) * step + whole.span[2] + 1]
        start = int(table[0])
        plain = start >= 0 and is_identity(table - start)
        low = inner.get(count) if plain else None
        if low is None:
            index = counting_index(len(table)) if plain else frozen(table.copy())
            low = replace(whole, out=(*whole.out[:2], count), index=(*whole.index[:2], index))
        if plain:
            inner[count] = low
        found.append(Stretch(low, start * xw if plain else 0, first * yw))
    return tuple(found)
