"""The arguments of operations, parsed and checked: each fault is one `InvalidArgument` that shows what was given."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument

LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
PADDING_MODES = {
    "zeros": "zeros",
    "edge": "edge",
    "replicate": "edge",
    "reflect": "reflect",
    "symmetric": "symmetric",
    "wrap": "wrap",
    "circular": "wrap",
}


def parse_layout(layout: str | None, rank: int) -> bool:
    """True for channels-last; None means channels-first."""
    first, last = LAYOUTS[rank]
    if layout is not None and (not isinstance(layout, str) or layout not in (first, last)):
        raise InvalidArgument(f"layout is {layout!r}; expected {first!r} or {last!r}")
    return layout == last


def parse_axes(value: Any, name: str, rank: int, least: int = 1) -> tuple[int, ...]:
    """One whole number, or one per axis, each at least `least`."""
    items = value if isinstance(value, (tuple, list, np.ndarray)) else (value,) * rank
    if len(items) != rank:
        raise InvalidArgument(f"{name} is {value!r}; expected one whole number or {rank} of them")
    numbers = tuple(_whole(item, name, value) for item in items)
    if min(numbers) < least:
        raise InvalidArgument(f"{name} is {value!r}; each must be at least {least}")
    return numbers


def parse_padding(
    padding: Any, rank: int, size: Sequence[int], extent: Sequence[int], stride: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Padding as (before, after) pairs from an int, one int or pair per axis, "valid" or "same" (Keras's rule)."""
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * rank
        if padding == "same":
            total = [max(0, (-(-n // s) - 1) * s + e - n) for n, e, s in zip(size, extent, stride, strict=True)]
            return tuple((t // 2, t - t // 2) for t in total)
        raise InvalidArgument(f'padding is {padding!r}; expected "valid", "same", an int, one int or pair per axis')
    items = padding if isinstance(padding, (tuple, list, np.ndarray)) else (padding,) * rank
    if len(items) != rank:
        raise InvalidArgument(f"padding is {padding!r}; expected one int, or {rank} ints or (before, after) pairs")
    pairs = []
    for item in items:
        pair = item if isinstance(item, (tuple, list, np.ndarray)) else (item, item)
        if len(pair) != 2:
            raise InvalidArgument(f"padding is {padding!r}; each axis takes an int or a (before, after) pair")
        pairs.append((_whole(pair[0], "padding", padding), _whole(pair[1], "padding", padding)))
    if min(min(p) for p in pairs) < 0:
        raise InvalidArgument(f"padding is {padding!r}; it must not be negative; crop x instead")
    return tuple(pairs)


def parse_groups(groups: Any, C: int, O: int | None, shapes: str) -> int:
    """The number of groups, which divides both channel counts."""
    number = _whole(groups, "groups", groups)
    if number < 1 or C % number or (O is not None and O % number):
        against = f"{C} input" + (f" and {O} output" if O is not None else "")
        raise InvalidArgument(f"groups is {groups!r}; it must divide the {against} channels {shapes}")
    return number


def parse_padding_mode(mode: Any) -> str:
    """A padding mode in NumPy's words."""
    if not isinstance(mode, str) or mode not in PADDING_MODES:
        raise InvalidArgument(f"padding_mode is {mode!r}; expected one of {', '.join(PADDING_MODES)}")
    return PADDING_MODES[mode]


def _whole(value: Any, name: str, given: Any) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise InvalidArgument(f"{name} is {given!r}; expected whole numbers, not booleans")
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidArgument(f"{name} is {given!r}; expected whole numbers") from None
    if abs(number) >= 1 << 31:
        raise InvalidArgument(f"{name} is {given!r}; expected numbers below 2**31")
    return number


def parse_shape(shape: Sequence[int], name: str) -> tuple[int, ...]:
    """The shape of an array."""
    try:
        numbers = tuple(operator.index(n) for n in shape)
    except TypeError:
        raise InvalidArgument(f"the shape of {name} is {shape!r}; expected a tuple of whole numbers") from None
    if any(n < 0 for n in numbers):
        raise InvalidArgument(f"the shape of {name} is {numbers}; no axis may be negative")
    return numbers
