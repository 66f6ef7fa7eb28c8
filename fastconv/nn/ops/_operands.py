"""What the functions of `ops` are given, and how those of one kind are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import arguments


def tensor(owner: str, x: Any, name: str = "x") -> Any:
    return arguments.tensor(owner, name, x)


def two(owner: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    """Two operands; a number beside a tensor stays one, which does not change the dtype."""
    if type(x2) in (int, float, bool):
        return tensor(owner, x1, "x1"), x2
    return (x1 if type(x1) in (int, float, bool) else tensor(owner, x1, "x1")), tensor(owner, x2, "x2")


def named(name: str, doc: str, function: Callable[..., Any]) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function
