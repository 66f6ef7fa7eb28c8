"""NumPy's ufuncs on device arrays: which dtypes, which shape, which kernel; results are the executor's arrays."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ...errors import InvalidArgument, Unsupported
from ...foreign import is_device_array
from .. import backend
from ..exchange import as_device
from .arithmetic import apply
from .base import Wrapper
from .elementary import FUNCTIONS
from .windows import Window, broadcast, whole

#: Other names of what `elementary` has.
NAMES = {"conjugate": "positive", "fabs": "absolute", "bitwise_not": "logical_not", "invert": "logical_not"}
#: What a ufunc is on truth values, where that is another function.
ON_BOOL = {
    "logical_and": "bitwise_and", "logical_or": "bitwise_or", "bitwise_xor": "not_equal", "logical_xor": "not_equal",
    "maximum": "bitwise_or", "minimum": "bitwise_and", "add": "bitwise_or", "multiply": "bitwise_and",
}  # fmt: skip
ONLY_BOOL = {"invert", "bitwise_not", "bitwise_xor", "logical_and", "logical_or", "logical_xor"}
ONLY_FLOAT = {"power", "reciprocal"}


def call(ufunc: np.ufunc, inputs: tuple[Any, ...], out: Wrapper | None = None, dtype: Any = None) -> Any:
    """``ufunc(*inputs, out=out)``; Python numbers take the arrays' dtype (NEP 50)."""
    operands = [operand(i) for i in inputs]
    name, *loop, result = _resolved(ufunc, tuple(map(kind_of, operands)), None if dtype is None else np.dtype(dtype))
    if ufunc.__name__.startswith("logical") and loop[0] != np.bool_ and name != "logical_not":
        operands, loop = [truth(o) for o in operands], [np.dtype(bool)] * len(loop)
        name = _name(ufunc.__name__, loop)
    if ufunc.__name__ == "power" and operands[1] == 2 and not isinstance(operands[1], Window):
        name, operands, loop = "square", operands[:1], loop[:1]
    return evaluate(name, operands, [*loop, result], out)


def evaluate(name: str, operands: list[Any], dtypes: list[np.dtype], out: Wrapper | None = None) -> Any:
    """The function `name` of windows and NumPy scalars, computed in ``dtypes[:-1]``, its result in ``dtypes[-1]``."""
    windows = [o for o in operands if isinstance(o, Window)]
    shape = np.broadcast_shapes(*(w.shape for w in windows))
    result = dtypes[-1]
    if out is None:
        y = _new(shape, result, windows[0])
    elif not isinstance(out, Wrapper):
        raise InvalidArgument(f"out is a {type(out).__name__}; expected a device array, as the operands are")
    else:
        if not np.can_cast(result, out.dtype, "same_kind"):
            raise TypeError(f"{name}: cannot cast the result from {result} to out's {out.dtype}")
        broadcast(Window(None, shape, (0,) * len(shape)), out.shape)
        y = out.handle
        operands = [apart(o, y) for o in operands]
    if result == np.bool_ and y.dtype != np.bool_:
        copy_to(whole(evaluate(name, operands, dtypes)), whole(y))
    else:
        apply(name, tuple(operands), tuple(dtypes), whole(y))
    return y


def copy_to(source: Any, target: Window) -> None:
    """Write a window, or a number, to another window, in its dtype."""
    dtype = np.dtype(target.handle.dtype)
    origin = np.dtype(source.handle.dtype) if isinstance(source, Window) else np.dtype(type(source))
    name, computed = ("truth", origin) if dtype == np.bool_ and origin != np.bool_ else ("positive", dtype)
    apply(name, (source,), (computed, dtype), target)


def contiguous(window: Window, dtype: Any = None) -> Any:
    """A new array of the executor with a window's elements."""
    y = _new(window.shape, np.dtype(dtype or window.handle.dtype), window)
    copy_to(window, whole(y))
    return y


def apart(source: Any, y: Any) -> Any:
    """`source`, or a copy of it where other elements of it than a thread's own lie in the executor's array y."""
    if not isinstance(source, Window) or source == whole(y):
        return source
    same = _address(source.handle) == _address(y) and source.shape == tuple(y.shape) and source.contiguous
    return whole(contiguous(source)) if overlap(source.handle, y) and not same else source


def overlap(a: Any, b: Any) -> bool:
    """True if two device arrays have memory in common."""
    (p, q), (n, m) = map(_address, (a, b)), (x.size * np.dtype(x.dtype).itemsize for x in (a, b))
    return p < q + m and q < p + n


def _address(handle: Any) -> int:
    return int(handle.__cuda_array_interface__["data"][0])


def operand(value: Any) -> Any:
    """A device array as a window; a number as it is; a host array is refused."""
    if isinstance(value, Wrapper):
        return whole(value.handle)
    if isinstance(value, (bool, int, float, np.generic)):
        return value
    if is_device_array(value):
        return whole(as_device(value))
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value[()]
    raise InvalidArgument(
        f"host and device arrays are mixed: a {type(value).__name__} met a fastconv device array; take it to the "
        f"device by fc.to_device(), or the other to the host by .numpy()"
    )


def _new(shape: tuple[int, ...], dtype: np.dtype, near: Window) -> Any:
    with backend.scope(near.handle):
        return backend.empty(shape, dtype)


@lru_cache(maxsize=1024)
def _resolved(ufunc: np.ufunc, kinds: tuple[Any, ...], dtype: np.dtype | None) -> tuple[Any, ...]:
    """The kernel's name and the dtypes of inputs and result, by NumPy's own rules."""
    if ufunc.nout != 1:
        raise Unsupported(f"np.{ufunc.__name__} is not there for device arrays: take .numpy() first")
    asked: dict[str, Any] = {} if dtype is None else {"signature": (None,) * ufunc.nin + (dtype,)}
    dtypes = ufunc.resolve_dtypes((*kinds, None), **asked)
    return _name(ufunc.__name__, list(dtypes)), *dtypes


def kind_of(value: Any) -> Any:
    """What NumPy's promotion looks at: a dtype, or a Python number's type."""
    if isinstance(value, Window):
        return np.dtype(value.handle.dtype)
    if isinstance(value, np.generic):
        return value.dtype
    return np.dtype(bool) if isinstance(value, bool) else type(value)


def truth(value: Any) -> Any:
    """An operand as truth values."""
    if not isinstance(value, Window):
        return np.bool_(value)
    return value if value.handle.dtype == np.bool_ else whole(contiguous(value, bool))


def _name(name: str, loop: list[np.dtype]) -> str:
    """The kernel for a ufunc's name and the dtypes it computes in."""
    kind = loop[0].kind
    kernel = ON_BOOL.get(name, name) if kind == "b" else name
    kernel = NAMES.get(kernel, kernel)
    served = kind == "f" or (kind in "iu" and name not in ONLY_FLOAT) or kind == "b"
    if name in ONLY_BOOL - {"logical_and", "logical_or", "logical_xor"} and kind != "b":
        served = False
    if not served or (kernel not in FUNCTIONS and not name.startswith("logical")):
        raise Unsupported(f"np.{name} on {loop[0]} is not there for device arrays: take .numpy() first")
    return kernel
