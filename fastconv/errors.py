"""The exceptions fastconv raises on purpose, each a subclass of the built-in a caller would expect.

Their messages say what was given by `shown`: whatever it was, the text stays short, and making it never fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

SHOWN = 120  # most characters of a message that repeat one argument
QUOTED = 200  # most that repeat a path, or the words of another library
DEPTH = 6  # of lists in lists that are looked into


class FastconvError(Exception):
    """Base class: ``except fastconv.errors.FastconvError`` catches everything fastconv raises on purpose."""


class InvalidArgument(FastconvError, ValueError):
    """An argument is wrong whatever the method or device: the message names it, what was expected and what to do."""


class TooLarge(FastconvError, MemoryError):
    """The arrays of a legal problem do not fit into this machine's memory: the message says how much they take."""


class Unsupported(FastconvError, NotImplementedError):
    """The problem is legal but the method asked for cannot serve it: the message names those that can."""


class DeviceMissing(FastconvError, RuntimeError):
    """A device was asked for that this process cannot use: the message says what was looked for."""


class DataUnavailable(FastconvError, OSError):
    """A data set was found nowhere, or a file of it is damaged: the message lists what was tried."""


class PeerLost(FastconvError, ConnectionError):
    """Another process of a training on several machines does not answer any more: nobody can go on without it."""


class MissingExtra(FastconvError, ImportError):
    """An optional dependency is not installed: the message gives the ``pip install`` line that brings it."""


def shown(value: Any, limit: int = SHOWN) -> str:
    """What a message says was given: its ``repr``, at most `limit` characters of it; arrays by type, shape and dtype.

    Never raises, whatever `value` does in its methods, and takes no longer for a list of a million than for ten.

    Examples
    --------
    >>> import numpy as np
    >>> shown("same"), shown((1, 2.5)), shown([np.zeros((2, 3))])
    ("'same'", '(1, 2.5)', '[ndarray(shape=(2, 3), dtype=float64)]')
    >>> shown(list(range(10**6)), limit=20)
    '[0, 1, 2, 3, 4, 5...'
    """
    text = _safe_text(value, limit, DEPTH)
    return text if len(text) <= limit else text[: max(0, limit - 3)] + "..."


def quoted(text: object, limit: int = QUOTED) -> str:
    """A path, or the words of another library's error, as a part of a message: on one line, at most `limit` characters.

    Examples
    --------
    >>> quoted("cannot read:\\n  no such file"), quoted("x" * 1000, limit=10)
    ('cannot read: no such file', 'xxxxxxx...')
    """
    words = " ".join(line.strip() for line in str(text).splitlines())
    return words if len(words) <= limit else words[: max(0, limit - 3)] + "..."


def nearest(word: Any, known: Iterable[str]) -> str:
    """``; did you mean ...?`` for the nearest known word, else nothing.

    Examples
    --------
    >>> nearest("mnits", ["mnist", "car-truck"]), nearest("x", ["mnist"])
    ("; did you mean 'mnist'?", '')
    """
    from difflib import get_close_matches  # here, for importing fastconv shall be quick

    if not isinstance(word, str):
        return ""
    words: dict[str, str] = {}
    for each in known:
        words.setdefault(each.lower(), each)
    near = get_close_matches(word[:SHOWN].lower(), words, 1)
    return f"; did you mean {words[near[0]]!r}?" if near else ""


def _safe_text(value: Any, limit: int, depth: int) -> str:
    try:
        return _text(value, limit, depth)
    except Exception:  # a __repr__, a shape or a length of somebody else's class
        return object.__repr__(value)


def _text(value: Any, limit: int, depth: int) -> str:
    """Enough of the ``repr`` to know that it is longer than `limit`, if it is."""
    kind = type(value)
    if kind in (str, bytes, bytearray):
        return repr(value[: limit + 1])
    if kind is int and value.bit_length() > 4 * limit:  # so long that Python may refuse to write it
        return f"<an int of {value.bit_length()} bits>"
    if kind in (list, tuple, set, frozenset, dict):
        return _container(value, limit, depth)
    is_array = kind.__module__ != "numpy" or kind.__name__ == "ndarray"  # NumPy's numbers have a shape, too
    if is_array and not isinstance(value, type) and hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{kind.__name__}(shape={_text(value.shape, limit, depth)}, dtype={value.dtype})"
    return " ".join(repr(value).split())


def _container(value: Any, limit: int, depth: int) -> str:
    """A list, tuple, set or dict, item by item until the text is long enough."""
    kind = type(value)
    opening, closing = "[]" if kind is list else "()" if kind is tuple else "{}"
    if not value:
        return repr(value)
    if depth == 0:
        return f"{opening}...{closing}"
    parts: list[str] = []
    left = limit
    items: Iterable[Any] = value.items() if kind is dict else value
    for item in islice(items, limit):
        if left < 0:
            break
        pair = item if kind is dict else (item,)
        parts.append(": ".join(_safe_text(each, left, depth - 1) for each in pair))
        left -= len(parts[-1]) + 2
    text = opening + ", ".join(parts) + (",)" if kind is tuple and len(value) == 1 else closing)
    return f"frozenset({text})" if kind is frozenset else text
