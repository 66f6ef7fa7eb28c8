"""What callers of SciPy's filters pass, read as SciPy reads it: axes, sequences, modes, origins, outputs.

Whatever is not as it should be raises `Refused`: SciPy then says what is wrong.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from .. import memory
from ..errors import Unsupported
from ..foreign import is_device_array
from ..ops import to_device
from ..ops._repeated import refuse_noting
from ._scipy import Refused

P = ParamSpec("P")
R = TypeVar("R")

MODES = frozenset(("reflect", "grid-mirror", "constant", "grid-constant", "nearest", "mirror", "wrap", "grid-wrap"))
#: What kernels compute with, by the dtype's character; booleans are bytes.
NATIVE = {c: np.dtype(c) for c in "dfBbHhIiLl"} | {c: np.dtype(np.dtype(c).str) for c in "Qq"} | {"?": np.dtype("B")}


def remembered(function: Callable[P, R]) -> Callable[P, R]:
    """Keep what a function makes of arguments that can be looked up; small calls are made of such work."""
    cached = lru_cache(maxsize=256, typed=True)(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return cached(*args, **kwargs)  # type: ignore[arg-type]
        except TypeError:  # lists
            return function(*args, **kwargs)

    return call


def read(value: Any) -> np.ndarray:
    """An input or weights as NumPy reads them; masks are not looked at, as in SciPy."""
    if type(value) is np.ndarray:
        return value
    if is_device_array(value):
        return to_device(value)  # type: ignore[no-any-return]  # has what is asked of a shape and a dtype
    return np.asarray(value)


def read_axes(axes: Any, ndim: int) -> tuple[int, ...]:
    """The axes that are filtered, counted from the first; None means all."""
    if axes is None:
        return tuple(range(ndim))
    given = (axes,) if np.isscalar(axes) else axes
    if not isinstance(given, Iterable):
        raise Refused
    found = tuple(read_axis(axis, ndim) for axis in given)
    if len(set(found)) != len(found):
        raise Refused
    return found


def read_axis(axis: Any, ndim: int) -> int:
    """One axis, counted from the first."""
    try:
        number = operator.index(axis)
    except TypeError:
        raise Refused from None
    if not -ndim <= number < ndim:
        raise Refused
    return number % ndim


def each(value: Any, count: int) -> list[Any]:
    """One value for each of `count` axes."""
    if isinstance(value, str) or not np.iterable(value):
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise Refused
    return values


def read_mode(mode: Any) -> str:
    """A mode that there is."""
    if not isinstance(mode, str) or mode not in MODES:
        raise Refused
    return mode


def read_size(size: Any) -> int:
    """The length of a window."""
    if isinstance(size, (str, bytes)) or not size >= 1:
        raise Refused
    return int(size)


def before(length: int, origin: Any) -> int:
    """Elements of a window in front of its output's own: half of them, and `origin` more."""
    try:
        count = length // 2 + operator.index(origin)
    except TypeError:
        raise Refused from None
    if not 0 <= count < length:
        raise Refused
    return count


def make_output(output: Any, x: np.ndarray, *, is_complex: bool = False, level: int = 4) -> np.ndarray:
    """The array that is returned: a new one of x's dtype or of the one named, or the caller's; `level` of warnings."""
    if not isinstance(x, np.ndarray):
        if output is not None:
            raise Unsupported("output is given, and a CUDA array; on cuda results are new arrays: pass None")
        return x
    if output is None:
        dtype = np.promote_types(x.dtype, np.complex64) if is_complex else x.dtype
        return memory.empty(x.shape, dtype if dtype.isnative else dtype.newbyteorder("="))
    if isinstance(output, (type, np.dtype, str)):
        dtype = np.dtype(output)
        if isinstance(output, str) and not issubclass(dtype.type, np.number):
            raise Refused
        if is_complex and dtype.kind != "c":
            if isinstance(output, str):
                raise Refused
            warn("promoting specified output dtype to complex", level + 2)
            dtype = np.promote_types(dtype, np.complex64)
        return memory.empty(x.shape, dtype)
    y = np.asarray(output)
    if y.shape != x.shape or (is_complex and y.dtype.kind != "c") or not y.flags.writeable:
        raise Refused
    return y


def warn(text: str, level: int) -> None:
    """Warn a caller so many calls up, each time: such a call is not noted down (`ops._repeated`)."""
    refuse_noting()
    warnings.warn(text, UserWarning, stacklevel=level)


def as_c(value: float, dtype: np.dtype) -> Any:
    """A float64 in a dtype as C converts it on these processors: SciPy's constant outside, for windows of any form."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(value)
    bits = 8 * dtype.itemsize
    through = 32 if bits < 32 or dtype == np.int32 else 64
    whole = int(value) if np.isfinite(value) else 1 << 64
    if not -(1 << through - 1) <= whole < (1 << through - (dtype != np.uint64)):
        whole = -(1 << through - 1)
    return np.array(whole % (1 << bits), f"u{dtype.itemsize}").view(dtype)[()]
