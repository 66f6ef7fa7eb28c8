"""An operation on an array that is cut into blocks, and the rules that make one of a function and its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..borders import Border
from ..errors import InvalidArgument
from .reach import CUT, Reach

Outputs = Sequence[tuple[int, int]]  # first and past-the-last output of a block along each axis


@dataclass(frozen=True)
class Operation:
    """What a block of outputs is made of, and how.

    Parameters
    ----------
    axes : tuple of Reach
        Of the array, and of the result, which has as many.
    compute : callable
        ``compute(block, outputs, stretches)``: the outputs, from the elements that they need.
    fill : number
        What lies outside of the array where a border mode is "zeros".
    """

    axes: tuple[Reach, ...]
    compute: Callable[[np.ndarray, Outputs, Sequence[Border]], np.ndarray]
    fill: Any = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return tuple(axis.out for axis in self.axes)

    def stretches(self, outputs: Outputs) -> list[Border]:
        """The elements that some outputs need, along each axis."""
        return [axis.stretch(first, last) for axis, (first, last) in zip(self.axes, outputs, strict=True)]

    def run(self, block: np.ndarray, outputs: Outputs) -> np.ndarray:
        """The outputs, from their elements; whether they have the shape that they must have is looked at."""
        y = np.asarray(self.compute(block, outputs, self.stretches(outputs)))
        expected = tuple(last - first for first, last in outputs)
        if y.shape != expected:
            raise InvalidArgument(
                f"the function made an array of shape {y.shape} of a block where {expected} was expected; it must give "
                "one element for each that it gets, which depends on no more than `depth` elements to either side"
            )
        return y

    def dtype_for(self, dtype: Any) -> np.dtype:
        """The result's dtype for an array of a dtype: from one output, of zeros. Wrong arguments are refused here."""
        outputs = [(0, axis.out if axis.whole else 1) for axis in self.axes]
        block = np.zeros([stretch.length for stretch in self.stretches(outputs)], dtype)
        return self.run(block, outputs).dtype


Rule = Callable[..., Operation]
RULES: dict[
    tuple[str, str], Rule
] = {}  # (module below fastconv or scipy, name) -> rule(function, x, *args, **keywords)


def rule(family: str, *names: str) -> Callable[[Rule], Rule]:
    """Let a function say how these functions are cut; use as a decorator."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[family, name] = function
        return function

    return register


def same_size(
    compute: Callable[[np.ndarray], Any],
    shape: Sequence[int],
    depths: Sequence[tuple[int, int]],
    modes: str | Sequence[str] = CUT,
    fill: Any = 0,
) -> Operation:
    """An operation with an output for each element, which depends on so many elements before and after it."""
    modes = [modes] * len(shape) if isinstance(modes, str) else modes
    axes = tuple(
        Reach(n, n, before=before, extent=before + 1 + after, mode=mode)
        for n, (before, after), mode in zip(shape, depths, modes, strict=True)
    )

    def trimmed(block: np.ndarray, outputs: Outputs, stretches: Sequence[Border]) -> np.ndarray:
        y = np.asarray(compute(block))
        if y.shape != block.shape:
            return y  # which is refused
        return y[tuple(slice(f - s.start, last - s.start) for (f, last), s in zip(outputs, stretches, strict=True))]

    return Operation(axes, trimmed, fill)
