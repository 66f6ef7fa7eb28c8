"""What a rival is: a library, and its ways to do a problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...problem import ConvProblem
from ..oracle import Arrays
from ..problems import Problem


@dataclass(frozen=True)
class Candidate:
    """One way of a library to do a problem: a call to time, and how to get its result in the problem's layout.

    `prepared` says that the call finds its weights packed, as a plan's does.
    """

    label: str
    call: Callable[[], Any]
    to_numpy: Callable[[Any], np.ndarray]
    prepared: bool = False


@dataclass(frozen=True)
class Rival:
    """A library; `candidates(problem, arrays, threads)` is a list, or the reason why it cannot do the problem."""

    name: str
    module: str
    install: str
    candidates: Callable[[Problem, Arrays, int], list[Candidate] | str]
    needs: tuple[str, ...] = ()  # other modules

    def installed(self) -> bool:
        """Whether its modules can be found (they are not imported)."""
        return all(find_spec(module) is not None for module in (self.module, *self.needs))


def plain_convolution(problem: Problem, both_sides: bool = True) -> str | None:
    """Why a library with nothing but forward convolution cannot do a problem; None where it can.

    `both_sides` means that padding before and after may differ.
    """
    spec = problem.spec
    if problem.op != "conv" or not isinstance(spec, ConvProblem):
        return "forward convolution only"
    if spec.padding_mode != "zeros":
        return f"no padding mode {spec.padding_mode}"
    if not both_sides and any(before != after for before, after in spec.padding):
        return "padding differs between the two sides"
    return None


def window(problem: Problem) -> dict[str, list[Any]]:
    """Stride, pairs of padding and dilation along the problem's own axes."""
    spec = problem.spec
    first = 3 - spec.rank
    return {
        "stride": [*spec.stride[first:]],
        "padding": [*spec.padding[first:]],
        "dilation": [*spec.dilation[first:]],
    }


def channels_first(problem: Problem, array: np.ndarray, weights: bool = False) -> np.ndarray:
    """An array of the problem's with channels first, contiguous."""
    if problem.spec.channels_last:
        array = np.moveaxis(array, (-1, -2), (0, 1)) if weights else np.moveaxis(array, -1, 1)
    return np.ascontiguousarray(array)


def from_channels_first(problem: Problem, y: Any) -> np.ndarray:
    """A result with channels first, in the problem's layout."""
    return np.moveaxis(np.asarray(y), 1, -1) if problem.spec.channels_last else np.asarray(y)
