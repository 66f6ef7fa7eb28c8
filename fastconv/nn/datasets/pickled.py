"""Reading the dictionary in a pickle that may lie: nothing of it is called, and memory is bounded by its size.

A pickle is a program that may call any function there is. CIFAR's call three of NumPy's, to make an array out of bytes:
here their names stand for functions that only note down what they are given, every other name is refused, and what was
noted is looked at before an array is made.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from .files import Bytes, damaged

EXPECTED = "a Python pickle of a dictionary of lists and arrays of bytes"


class _Noted:
    """What stands for NumPy's objects while a pickle is read."""

    def __init__(self, *given: Any) -> None:
        self.given: tuple[Any, ...] = given
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _ArrayKind:
    """What stands for ``numpy.ndarray``, the class; it is given to `_Noted` only."""


def _encoded(text: Any, codec: Any) -> bytes:
    """How Python 3 writes bytes in the pickles of Python 2: as text of these numbers."""
    if type(text) is not str or codec not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("it encodes something else than bytes")
    return text.encode("latin-1")


#: What a pickled array of bytes names, in NumPy's old and new places.
STANDING_IN = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Noted for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Noted for core in ("core", "_core")},
    ("numpy", "ndarray"): _ArrayKind,
    ("numpy", "dtype"): _Noted,
    ("_codecs", "encode"): _encoded,
}


class _Reader(pickle.Unpickler):
    """An unpickler that knows nothing but `STANDING_IN`."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STANDING_IN:
            raise pickle.UnpicklingError(f"it calls {module}.{name}"[:100])
        return STANDING_IN[module, name]


def read_dictionary(data: bytes, path: Path) -> dict[str, Any]:
    """The dictionary that a pickle holds, its keys as text, its arrays as arrays of bytes; `path` is for messages.

    Raises
    ------
    DataUnavailable
        It is no pickle, is damaged, or holds or calls anything else.
    """
    try:
        _check_places(data)
        held = _Reader(io.BytesIO(data), encoding="bytes").load()
        if type(held) is not dict:
            raise pickle.UnpicklingError("it holds no dictionary")
        return {_text(key): _array(value) if isinstance(value, _Noted) else value for key, value in held.items()}
    except MemoryError:
        raise
    except Exception as fault:  # a pickle that is none ends in errors of every kind
        raise damaged(path, f"it is no sound pickle: {str(fault)[:120] or type(fault).__name__}", EXPECTED) from fault


def _check_places(data: bytes) -> None:
    """Refuse numbers of places in the unpickler's memory beyond what so short a pickle can need: it takes them all."""
    for code, argument, _ in pickletools.genops(data):
        if "PUT" in code.name and int(argument or 0) > len(data):
            raise pickle.UnpicklingError(f"it keeps an object at place {argument}")


def _text(key: Any) -> str:
    if isinstance(key, bytes):
        return key.decode("latin-1")
    if not isinstance(key, str):
        raise pickle.UnpicklingError("its keys are no text")
    return key


def _array(noted: _Noted) -> Bytes:
    """An array of bytes from what was noted of it."""
    if noted.state:  # _reconstruct(ndarray, (0,), b"b") and then (version, shape, dtype, is_fortran, bytes)
        _, shape, dtype, is_fortran, content = noted.state
        order = "F" if is_fortran else "C"
    else:  # _frombuffer(bytes, dtype, shape, order)
        content, dtype, shape, order = noted.given
    is_bytes = isinstance(dtype, _Noted) and dtype.given[:1] in (("u1",), (b"u1",))
    if not is_bytes or not isinstance(content, (bytes, bytearray)) or not all(type(n) is int and n >= 0 for n in shape):
        raise pickle.UnpicklingError("one of its arrays is not one of bytes")
    if math.prod(shape) != len(content):
        raise pickle.UnpicklingError(f"an array of shape {shape} has {len(content):,} bytes")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if order == "F" else "C")
