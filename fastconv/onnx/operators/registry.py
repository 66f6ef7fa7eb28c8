"""The table of operators: what each name means, filled by the modules beside this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import Unsupported
from ..graph import Node

LAST, FIRST, EITHER, ALIKE = "last", "first", "either", "alike"


@dataclass(frozen=True)
class Operand:
    """An array that a node takes, as it is while the network is gone through for the first time.

    Attributes
    ----------
    array : ndarray
        In the order of the file, channels first, or with the axis of channels moved behind all others.
    constant : bool
        Whether it is the same in every run.
    last : bool
        Whether channels are last.
    """

    array: np.ndarray
    constant: bool = False
    last: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the file's order."""
        s = self.array.shape
        return (s[0], s[-1], *s[1:-1]) if self.last else s

    def axis(self, number: int) -> int:
        """Where axis `number` of the file's order lies in the array."""
        ndim = self.array.ndim
        number %= ndim
        return number if number == 0 or not self.last else ndim - 1 if number == 1 else number - 1


@dataclass(frozen=True)
class Fixed:
    """A result that depends on shapes and constants alone."""

    array: np.ndarray


Run = Callable[..., Any]  # takes the arrays of all inputs, None for those that are left out
Build = Callable[..., "Run | Fixed"]  # takes the node and its operands


@dataclass(frozen=True)
class Operator:
    """How nodes of one type are served.

    Attributes
    ----------
    build : callable
        Makes of a node and its operands, None for those that are left out, what is run for their shapes.
    layout : str
        `LAST`: the first operand comes, and the result goes, channels-last where it has spatial axes; `FIRST`: the
        file's order; `EITHER`: whatever the values have, constants as they are; `ALIKE`: the same, where constants too
        are images or are broadcast to them.
    refuses : callable
        Why a node is not served, or "".
    """

    build: Build
    layout: str
    refuses: Callable[[Node], str]


OPERATORS: dict[str, Operator] = {}


def operator(
    *names: str, layout: str = FIRST, outputs: int = 1, refuses: Callable[[Node], str] = lambda node: ""
) -> Callable[[Build], Build]:
    """Put what serves nodes of these types into the table; of more than `outputs` results none may be used."""

    def refuses_or_outputs(node: Node) -> str:
        more = [name for name in node.outputs[outputs:] if name]
        return refuses(node) or (f"its output {more[0]!r} is not served" if more else "")

    def add(build: Build) -> Build:
        OPERATORS.update({name: Operator(build, layout, refuses_or_outputs) for name in names})
        return build

    return add


def only(**allowed: Sequence[Any]) -> Callable[[Node], str]:
    """Attributes that have these values, the first of which is the default, or the node is refused."""

    def refuses(node: Node) -> str:
        for name, values in allowed.items():
            if node.get(name, values[0]) not in values:
                return f"{name}={node.get(name)!r} is not served"
        return ""

    return refuses


def sizes(node: Node, name: str, rank: int, default: int = 1) -> tuple[int, ...]:
    """An attribute with a whole number for each spatial axis."""
    return tuple(int(n) for n in node.get(name, (default,) * rank))


def value_of(node: Node, operand: Operand | None, what: str) -> np.ndarray | None:
    """The array of an operand that must not depend on the data; None if it is left out."""
    if operand is None:
        return None
    if not operand.constant:
        raise Unsupported(
            f"{node.op} {node.name!r}: its input {what!r} depends on the data; fastconv.onnx takes what follows from "
            "shapes and constants"
        )
    return operand.array
