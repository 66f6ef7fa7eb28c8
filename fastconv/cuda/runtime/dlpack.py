"""Handing arrays out by DLPack: a capsule around a C structure that says where the elements lie.

The structures are those of dlpack.h before version 1, which every consumer takes. They, and the array, are kept until
the consumer calls the deleter, or until a capsule that nobody consumed is destroyed.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

NO_STREAM = -1  # the consumer synchronises by itself
NAME = b"dltensor"  # a consumer renames the capsule
CODES = {"i": 0, "u": 1, "f": 2, "b": 6}  # kDLInt, kDLUInt, kDLFloat, kDLBool


class Device(ctypes.Structure):
    """DLDevice."""

    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class DataType(ctypes.Structure):
    """DLDataType."""

    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class Tensor(ctypes.Structure):
    """DLTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", Device),
        ("ndim", ctypes.c_int32),
        ("dtype", DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class ManagedTensor(ctypes.Structure):
    """DLManagedTensor."""


Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
ManagedTensor._fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", Deleter)]

_given: dict[int, tuple[Any, ...]] = {}  # address of a structure -> what must live as long as it is used


@Deleter
def _delete(address: int) -> None:
    _given.pop(address, None)


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _destroy(capsule: int) -> None:
    """A capsule that still has its first name was never consumed: nobody else will call the deleter."""
    if _api("PyCapsule_IsValid", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(capsule, NAME):
        _delete(_api("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(capsule, NAME))


for _callback in (_delete, _destroy):  # consumers may call them while the interpreter is taking modules apart
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_callback))


def capsule(owner: Any, address: int, shape: tuple[int, ...], dtype: np.dtype, device: tuple[int, int]) -> Any:
    """A DLPack capsule of C-contiguous elements at `address`; `owner` lives as long as the consumer uses them."""
    sizes = (ctypes.c_int64 * len(shape))(*shape)
    steps = (ctypes.c_int64 * len(shape))(*(math.prod(shape[k + 1 :]) for k in range(len(shape))))
    managed = ManagedTensor(
        Tensor(
            address, Device(*device), len(shape), DataType(CODES[dtype.kind], dtype.itemsize * 8, 1), sizes, steps, 0
        ),
        None,
        _delete,
    )
    place = ctypes.addressof(managed)
    _given[place] = managed, sizes, steps, owner
    make = _api("PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    return make(place, NAME, ctypes.cast(_destroy, ctypes.c_void_p))


def _api(name: str, result: Any, *arguments: Any) -> Any:
    """A function of Python's C interface; an object of its own, whose types nobody else changes."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))
