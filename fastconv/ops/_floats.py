"""The arrays of element-wise functions, normalisation and optimizer steps: of one floating dtype, on one device."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from ._arrays import NATIVE, Operands
from ._reading import as_array
from .halves import SINGLE, is_half, rounded, widened


class Floats(Operands):
    """`Operands` that are real floating-point numbers; half precision is computed in float32, and rounded once.

    Results are of the kind of the first array. With `whole`, so many of the first arrays say what dtype they have, for
    the others are few numbers, which may be kept in float32.
    """

    def __init__(self, names: str, *values: Any, whole: int | None = None) -> None:
        super().__init__(names, *values)
        self._named = names
        if self.compute not in NATIVE:
            raise InvalidArgument(f"{names} have dtype {self.compute}; expected real floating-point numbers")
        if whole is not None and self.compute == SINGLE:
            first = {getattr(v, "dtype", SINGLE) for v in values[:whole]}
            if len(first) == 1 and is_half(min(first)):
                (self.result,) = first

    def finish(self, y: Any, out: Any = None) -> Any:
        """A result as the caller gets it: on the CPU as it is, sums in double precision too, but for 16 bits."""
        if self.device != "cpu":
            return super().finish(y, out)
        return rounded(y, self.result) if is_half(self.result) else y

    def sums(self, y: Any) -> Any:
        """Sums over many elements as the caller gets them: on the CPU as they are, in float32 at least."""
        return y if self.device == "cpu" else self.finish(y)

    def alike(self, first: int = 0, stop: int | None = None) -> None:
        """Some of the arrays must have one shape."""
        shapes = [tuple(a.shape) for a in self.arrays[first:stop]]
        if any(shape != shapes[0] for shape in shapes):
            pairs = zip(self._named.split()[first:stop], shapes, strict=True)
            raise InvalidArgument(f"the shapes differ: {' and '.join(f'{n} {s}' for n, s in pairs)}; expected the same")


def with_channels(names: str, whole: int, axis: int, *values: Any) -> tuple[Floats, int, list[Any]]:
    """Arrays with a channel axis, the first `whole`, and others with a number per channel; the axis, counted from 0.

    On the CPU the numbers keep their own dtype, statistics are of double precision; those of 16 bits come in float32.
    """
    wholes, singles = _names(names, whole)
    call = Floats(wholes, *values[:whole])
    if call.device == "cuda":
        call = Floats(names, *values)
        others = list(call.arrays[whole:])
    else:
        others = [widened(as_array(v, n)) for n, v in zip(singles, values[whole:], strict=True)]
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
