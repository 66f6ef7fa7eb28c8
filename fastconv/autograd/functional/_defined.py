"""How operations are made: of a forward function by itself, or a family of them by the functions of its maker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..halves import from_float32, in_float32
from ..operation import Primitive
from ._checked import checked

Pair = tuple[Callable[..., Any], Callable[..., tuple[Any, ...]]]


def operation(forward: Callable[..., Any]) -> Primitive:
    """Make an operation of a forward function, which then sees arrays and numbers only; use as a decorator."""
    return Primitive(checked(forward))


class Single(Primitive):
    """An operation of NumPy's functions, for which operands of 16 bits are widened to float32."""

    def vjp(self, function: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
        super().vjp(from_float32(function))
        return function


def single(forward: Callable[..., Any]) -> Single:
    """`operation`, where operands of 16 bits are to be computed with in float32, and results rounded."""
    return Single(checked(in_float32(forward)))


def defined(
    name: str,
    doc: str,
    forward: Callable[..., Any],
    vjp: Callable[..., tuple[Any, ...]],
    kind: type[Primitive] = Primitive,
) -> Primitive:
    """The operation of this name and docstring."""
    forward.__doc__ = doc
    made = kind(checked(in_float32(forward) if kind is Single else forward), name)
    made.vjp(vjp)
    return made


def of_ranks(stem: str, note: str, make: Callable[[str, int], Pair]) -> Iterator[Primitive]:
    """``fastconv``'s function `stem`, the rank in its braces, for signals, images and volumes; `make` gets both."""
    for rank in (1, 2, 3):
        name = stem.format(rank)
        yield defined(name, f"``fastconv.{name}``{note}.", *make(name, rank))
