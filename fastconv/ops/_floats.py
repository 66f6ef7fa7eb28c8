"""The arrays of element-wise functions, normalisation and optimizer steps: of one floating dtype, on one device."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from ._arrays import NATIVE, Operands
from ._reading import as_array


class Floats(Operands):
    """`Operands` that are real floating-point numbers; half precision is computed, and on the CPU returned, in float32.

    Results are of the kind of the first array.
    """

    def __init__(self, names: str, *values: Any) -> None:
        super().__init__(names, *values)
        self._named = names
        if self.compute not in NATIVE:
            raise InvalidArgument(f"{names} have dtype {self.compute}; expected real floating-point numbers")

    def finish(self, y: Any, out: Any = None) -> Any:
        """A result as the caller gets it: on the CPU as it is, sums in double precision too."""
        return y if self.device == "cpu" else super().finish(y, out)

    def alike(self, first: int = 0, stop: int | None = None) -> None:
        """Some of the arrays must have one shape."""
        shapes = [tuple(a.shape) for a in self.arrays[first:stop]]
        if any(shape != shapes[0] for shape in shapes):
            pairs = zip(self._named.split()[first:stop], shapes, strict=True)
            raise InvalidArgument(f"the shapes differ: {' and '.join(f'{n} {s}' for n, s in pairs)}; expected the same")


def with_channels(names: str, whole: int, axis: int, *values: Any) -> tuple[Floats, int, list[Any]]:
    """Arrays with a channel axis, the first `whole`, and others with a number per channel; the axis, counted from 0.

    On the CPU the numbers keep their own dtype: statistics are of double precision.
    """
    wholes, singles = _names(names, whole)
    call = Floats(wholes, *values[:whole])
    if call.device == "cuda":
        call = Floats(names, *values)
        others = list(call.arrays[whole:])
    else:
        others = [as_array(v, n) for n, v in zip(singles, values[whole:], strict=True)]
    if whole > 1:
        call.alike(0, whole)
    x = call.arrays[0]
    axis %= x.ndim
    for name, a in zip(singles, others, strict=True):
        if tuple(a.shape) != (x.shape[axis],):
            raise InvalidArgument(
                f"{name} has shape {tuple(a.shape)} but x has {x.shape[axis]} channels; expected ({x.shape[axis]},)"
            )
    return call, axis, others


@lru_cache(maxsize=16)
def _names(names: str, whole: int) -> tuple[str, list[str]]:
    """The names of whole arrays, and of those with a number per channel."""
    split = names.split()
    return " ".join(split[:whole]), split[whole:]


def exact(call: Operands) -> Any:
    """The dtype of sums over many elements: double precision, except on a GPU."""
    return np.dtype(np.float64) if call.device == "cpu" else call.compute
