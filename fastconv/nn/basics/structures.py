"""One thing, or several in lists, tuples and dicts: what layers and models with several inputs or outputs take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The same structure with `function` of everything in it.

    Examples
    --------
    >>> mapped(len, ["one", {"b": "three"}])
    [3, {'b': 5}]
    """
    if isinstance(value, dict):
        return {key: mapped(function, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return _like(value, [mapped(function, item) for item in value])
    return function(value)


def leaves(value: Any) -> list[Any]:
    """Everything in a structure, in order."""
    return list(_leaves(value))


def filled(value: Any, items: Iterator[Any]) -> Any:
    """A structure like `value` with other things in it, in order."""
    return mapped(lambda _: next(items), value)


def is_shape(value: Any) -> bool:
    """Whether this is the shape of one array, not a structure of shapes."""
    return isinstance(value, tuple) and all(n is None or isinstance(n, int) for n in value)


def mapped_shapes(function: Callable[[Any], Any], value: Any) -> Any:
    """As `mapped`, of a structure of shapes."""
    if is_shape(value):
        return function(value)
    if isinstance(value, dict):
        return {key: mapped_shapes(function, item) for key, item in value.items()}
    return _like(value, [mapped_shapes(function, item) for item in value])


def _like(value: Any, items: list[Any]) -> Any:
    """Items in a list or tuple of the kind that `value` is; named tuples too."""
    if isinstance(value, list):
        return items
    return type(value)(*items) if hasattr(value, "_fields") else tuple(items)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    else:
        yield value
