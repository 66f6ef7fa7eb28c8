"""The arguments of operations, parsed and checked: each fault is one `InvalidArgument` that shows what was given."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown

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
COMPUTED = ("float32", "float64")
CONVOLVED = (*COMPUTED, "bfloat16")  # which some processors multiply as it is
MOST = 1 << 31  # strides, paddings and the like are below
MOST_AXES = 64  # of an array of NumPy
MOST_ELEMENTS = 1 << 60  # of an array: as many float64 as can be addressed
_PLAIN = frozenset((int, str, type(None)))
_seen: dict[int, tuple[Any, ...]] = {}  # plain tuples by their ids, which nothing else has as long as they are here
MOST_SEEN, MOST_ITEMS = 512, 8


def is_plain(values: tuple[Any, ...]) -> bool:
    """Whole numbers, words, None, and tuples of such: what compares equal among these means the same."""
    for value in values:
        kind = type(value)
        if kind not in _PLAIN and not (kind is tuple and (id(value) in _seen or _is_plain_tuple(value))):
            return False
    return True


def _is_plain_tuple(value: tuple[Any, ...]) -> bool:
    """Whether a tuple is plain; kept for the next call, which a literal such as (2, 2) comes to as the same object."""
    plain = is_plain(value)
    if plain and len(value) <= MOST_ITEMS and len(_seen) < MOST_SEEN:
        _seen[id(value)] = value
    return plain


def without_lists(values: Any, depth: int = 3) -> tuple[Any, ...] | None:
    """The values with tuples for lists, which mean the same, where that makes them plain; else None."""
    found: list[Any] = []
    for value in values:
        if type(value) in (list, tuple):
            value = without_lists(value, depth - 1) if depth and len(value) <= MOST_ITEMS else None
            if value is None:
                return None
        elif type(value) not in _PLAIN:
            return None
        found.append(value)
    return tuple(found)


def parse_layout(layout: str | None, rank: int) -> bool:
    """True for channels-last; None means channels-first."""
    first, last = LAYOUTS[rank]
    if layout is not None and (not isinstance(layout, str) or layout not in (first, last)):
        raise InvalidArgument(f"layout is {shown(layout)}; expected {first!r} or {last!r}")
    return layout == last


def parse_axes(value: Any, name: str, rank: int, least: int = 1) -> tuple[int, ...]:
    """One whole number, or one per axis, each at least `least`."""
    items = value if _is_row(value) else (value,) * rank
    if len(items) != rank:
        raise InvalidArgument(f"{name} is {shown(value)}; expected one whole number or {rank} of them")
    numbers = tuple(_whole(item, name, value) for item in items)
    if min(numbers) < least:
        raise InvalidArgument(f"{name} is {shown(value)}; each must be at least {least}")
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
        raise InvalidArgument(
            f'padding is {shown(padding)}; expected "valid", "same", an int, one int or pair per axis'
        )
    items = padding if _is_row(padding) else (padding,) * rank
    if len(items) != rank:
        raise InvalidArgument(f"padding is {shown(padding)}; expected one int, or {rank} ints or (before, after) pairs")
    pairs = []
    for item in items:
        pair = item if _is_row(item) else (item, item)
        if len(pair) != 2:
            raise InvalidArgument(f"padding is {shown(padding)}; each axis takes an int or a (before, after) pair")
        pairs.append((_whole(pair[0], "padding", padding), _whole(pair[1], "padding", padding)))
    if min(min(p) for p in pairs) < 0:
        raise InvalidArgument(f"padding is {shown(padding)}; it must not be negative; crop x instead")
    return tuple(pairs)


def parse_groups(groups: Any, C: int, O: int | None, shapes: str) -> int:
    """The number of groups, which divides both channel counts."""
    number = _whole(groups, "groups", groups)
    if number < 1 or C % number or (O is not None and O % number):
        against = f"{C} input" + (f" and {O} output" if O is not None else "")
        raise InvalidArgument(f"groups is {shown(groups)}; it must divide the {against} channels {shapes}")
    return number


def parse_padding_mode(mode: Any) -> str:
    """A padding mode in NumPy's words."""
    if not isinstance(mode, str) or mode not in PADDING_MODES:
        raise InvalidArgument(f"padding_mode is {shown(mode)}; expected one of {', '.join(PADDING_MODES)}")
    return PADDING_MODES[mode]


def parse_word(value: Any, name: str, words: Sequence[str]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in words:
        raise InvalidArgument(f"{name} is {shown(value)}; expected one of {', '.join(map(repr, words))}")
    return value


def parse_flag(value: Any, name: str) -> bool:
    """True or False, and nothing that merely counts as such."""
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidArgument(f"{name} is {shown(value)}; expected True or False")
    return bool(value)


def parse_real(value: Any, name: str, expected: str) -> float:
    """A real number, NaN and infinity among them: the caller says what he expects, and checks the rest of it."""
    if not isinstance(value, (bool, np.bool_, str, bytes, bytearray, complex, np.complexfloating, np.ndarray)):
        try:
            return float(value)
        except Exception:  # whatever __float__ raises: OverflowError for 10**400
            pass
    raise InvalidArgument(f"{name} is {shown(value)}; expected {expected}")


def parse_dtype(dtype: Any, known: Sequence[str] = COMPUTED) -> str:
    """The name of a dtype that is computed in; functions of arrays take others too, and turn them into one of these."""
    try:
        given = isinstance(dtype, str) and dtype in known  # NumPy need not know bfloat16
        name = str(dtype if given else np.dtype("V" if dtype is None else dtype).name)
    except Exception:  # of whatever is no dtype
        name = ""
    if name not in known:
        raise InvalidArgument(
            f"dtype is {shown(dtype)}; expected the dtype of the computation, {' or '.join(map(repr, known))}: float16 "
            "is computed in float32, integers in float64, complex numbers by parts"
        )
    return name


def parse_count(value: Any, name: str) -> int:
    """A whole number of at least 1."""
    number = _whole(value, name, value)
    if number < 1:
        raise InvalidArgument(f"{name} is {shown(value)}; expected a whole number of at least 1")
    return number


def parse_shape(shape: Any, name: str) -> tuple[int, ...]:
    """The shape of an array; one that no array can have is refused, whatever the machine's memory."""
    try:
        if isinstance(shape, (str, bytes, bytearray, Mapping, Set)):
            raise TypeError
        len(shape)  # an iterator has no length, and need not have an end
        given = tuple(map(index_of, shape))
        numbers = tuple(n for n in given if n is not None)
        if len(numbers) < len(given):
            raise TypeError
    except Exception:
        raise InvalidArgument(f"the shape of {name} is {shown(shape)}; expected a tuple of whole numbers") from None
    if any(n < 0 for n in numbers):
        raise InvalidArgument(f"the shape of {name} is {shown(numbers)}; no axis may be negative")
    if len(numbers) > MOST_AXES:
        raise InvalidArgument(
            f"the shape of {name} has {len(numbers)} numbers; no array has more than {MOST_AXES} axes"
        )
    if math.prod(max(1, n) for n in numbers) > MOST_ELEMENTS:
        raise InvalidArgument(f"the shape of {name} is {shown(numbers)}; no array has more than 2**60 elements")
    return numbers


def _is_row(value: Any) -> bool:
    """True for what holds one entry per axis."""
    return isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _whole(value: Any, name: str, given: Any) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise InvalidArgument(f"{name} is {shown(given)}; expected whole numbers, not booleans")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        raise InvalidArgument(f"{name} is a 0-d array; expected whole numbers: pass int({name})")
    number = index_of(value)
    if number is None:
        raise InvalidArgument(f"{name} is {shown(given)}; expected whole numbers")
    if abs(number) >= MOST:
        raise InvalidArgument(f"{name} is {shown(given)}; expected numbers below 2**31")
    return number


def index_of(value: Any) -> int | None:
    """A whole number as an int, None for anything else: a boolean is none."""
    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return operator.index(value)
    except Exception:  # whatever somebody else's class raises, it is no number
        return None
