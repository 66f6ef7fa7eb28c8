"""Axes as callers name them."""

from __future__ import annotations

import operator
from typing import Any

from ..errors import InvalidArgument, shown


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """One axis or several, counted from the front.

    Examples
    --------
    >>> axes_of(-1, 3), axes_of((0, -2), 3)
    ((2,), (0, 1))
    """
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    try:
        numbers = [operator.index(a) for a in axes]
    except TypeError:
        raise InvalidArgument(f"axis is {shown(axis)}; expected a whole number, or several") from None
    if any(not -ndim <= a < ndim for a in numbers):
        raise InvalidArgument(f"axis is {shown(axis)} but there are {ndim} axes")
    found = tuple(a % ndim for a in numbers)
    if len(set(found)) < len(found):
        raise InvalidArgument(f"axis is {shown(axis)}; an axis is named twice")
    return found
