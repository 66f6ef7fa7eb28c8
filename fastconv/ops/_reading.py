"""What callers pass for an array, read as NumPy reads it, and where results may be written.

A masked array is refused if it has a mask, even one that masks nothing, as CUDA arrays with a mask are: no kernel
skips an element, so its mask would be dropped without a word, and whether a call is legal shall not hang on the data.
One without a mask (``numpy.ma.nomask``) is an array like any other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ._overriding import refuse_overriding

DEPTH = 64  # axes that NumPy's arrays can have: lists are nested no deeper


def read_array(value: Any, name: str) -> np.ndarray:
    """Any array-like as a NumPy array of whatever dtype it has."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, type):
        raise InvalidArgument(f"{name} is the class {shown(value)}; expected an array: make one of it")
    refuse_mask(value, name)
    try:
        array = np.asanyarray(value)
    except MemoryError:
        raise
    except Exception as error:  # an array of another library may raise anything: PyTorch where a gradient is recorded
        raise InvalidArgument(
            f"{name} cannot be read as an array: {shown(error, 200)}; pass a NumPy array of its values"
        ) from None
    if array is not value:
        refuse_mask(array, name)  # what an object's __array__ returns
    return np.asarray(array)


def as_array(value: Any, name: str) -> np.ndarray:
    """Any array-like as a NumPy array of numbers; `Overridden` for what answers for such functions itself."""
    refuse_overriding(value, name)
    array = read_array(value, name)
    if not (array.dtype.kind in "biufc" or array.dtype.name == "bfloat16"):
        raise InvalidArgument(f"{name} has dtype {_text(array.dtype)}; expected real or complex numbers")
    return array


def refuse_mask(value: Any, name: str, depth: int = DEPTH) -> None:
    """Raise `InvalidArgument` for a masked array with a mask, also for one in lists of arrays."""
    if isinstance(value, np.ma.MaskedArray):
        if np.ma.getmask(value) is not np.ma.nomask:
            raise InvalidArgument(
                f"{name} is a masked array, and masks are not looked at: fill it first, {name}.filled(0), or drop the "
                f"mask, {name}.data"
            )
    elif isinstance(value, (list, tuple)) and depth:
        kinds = set(map(type, value))
        if any(issubclass(kind, (list, tuple, np.ma.MaskedArray)) for kind in kinds):
            for item in value:
                refuse_mask(item, name, depth - 1)


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype, resident: Any = None) -> None:
    """`out` must be a writable NumPy array, or an array of the class `resident`, of the result's shape and dtype."""
    expected = f"an array of shape {shape} and dtype {dtype}"
    if not isinstance(out, np.ndarray) and not (resident and isinstance(out, resident)):
        kind = shown(out) if isinstance(out, type) else f"{type(out).__module__}.{type(out).__qualname__}"
        raise InvalidArgument(
            f"out is {kind}; expected {expected} of NumPy: pass a NumPy view of its memory, such as out.numpy(), or "
            "copy the result into it"
        )
    refuse_mask(out, "out")
    if tuple(out.shape) != shape or np.dtype(out.dtype) != dtype:
        raise InvalidArgument(f"out has shape {shown(out.shape)} and dtype {_text(out.dtype)}; expected {expected}")
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise InvalidArgument("out is read-only; pass a writable array")


def _text(dtype: np.dtype) -> str:
    """A dtype's name, cut where it has many fields."""
    return str(dtype)[:60]
