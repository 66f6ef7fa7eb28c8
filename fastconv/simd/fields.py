"""Integers with names for kernels: one array carries them, and kernels read them by name.

A record is a named tuple of integers and of other records. Python makes one by keywords and hands it over `packed`; a
kernel takes the array and reads it through `fields`:

    class Strides(NamedTuple):
        row: int
        pixel: int

    class Grid(NamedTuple):
        rows: int
        x: Strides

    numbers = packed(Grid(rows=4, x=Strides(row=64, pixel=1)))

    @kernel
    def last(numbers):
        grid = fields(Grid, numbers)
        return (grid.rows - 1) * grid.x.row

A view is an address: handing it to another kernel, or a record within it (``grid.x``), costs nothing. A field is one
load, which LLVM may move out of loops and keep: what is packed must not change while a kernel runs. Kernels that take a
view take the named tuple itself as well, such as one that another kernel makes of other numbers.

The array is what makes a small call quick: of the 17 microseconds of a call on 8x8 pixels Numba takes 0.05 to unpack an
array, but 3 for a named tuple of 43 integers. A structured array costs 0.1 more than a plain one, and Numba names its
type by a number that differs from process to process, which a cache on disk could mistake for another's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, get_type_hints

import numpy as np
from numba.core import types
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import intrinsic, models, register_model

from .vector import I64


def packed(record: Any, *tables: np.ndarray) -> np.ndarray:
    """The integers of a record, those of records within it at their places, then the tables behind it (see `behind`).

    Examples
    --------
    >>> from fastconv.problem import Axis
    >>> packed(Axis(size=8, out=6, kernel=3, stride=1, dilation=1, before=0, after=0), np.array([9, 10]))
    array([ 8,  6,  3,  1,  1,  0,  0,  9, 10])
    """
    numbers = np.array(_flat(record), np.int64)
    assert len(numbers) == _layout(record.__class__).length, f"{record} has fields of other kinds"
    return np.concatenate([numbers, *tables]) if tables else numbers


def _flat(record: Any) -> list[int]:
    flat: list[int] = []
    for value in record:
        flat += _flat(value) if isinstance(value, tuple) else [value]
    return flat


class _Layout(NamedTuple):
    """Where the fields of a record lie, and which of them are records."""

    places: dict[str, tuple[int, Any]]
    length: int


@lru_cache(maxsize=256)
def _layout(record: Any) -> _Layout:
    places, at = {}, 0
    for name, kind in get_type_hints(record).items():
        inner = None if kind in (int, bool) else kind
        places[name] = at, inner
        at += _layout(inner).length if inner else 1
    return _Layout(places, at)


class Fields(types.Type):
    """Numba type of a view of a record: the address of its first integer."""

    def __init__(self, record: Any) -> None:
        self.record = record
        super().__init__(name=f"Fields({record.__module__}.{record.__qualname__})")


@register_model(Fields)
class _FieldsModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, I64.as_pointer())


@infer_getattr
class _FieldsAttributes(AttributeTemplate):
    key = Fields

    def generic_resolve(self, view: Any, name: str) -> Any:
        place = _layout(view.record).places.get(name)
        if place is None:
            return None  # Numba says that there is no such field
        return Fields(place[1]) if place[1] else types.int64


@lower_getattr_generic(Fields)
def _field(context: Any, builder: Any, view: Any, value: Any, name: str) -> Any:
    at, inner = _layout(view.record).places[name]
    pointer = builder.gep(value, [I64(at)])
    if inner:
        return pointer
    loaded = builder.load(pointer)
    loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
    return loaded


@intrinsic
def fields(typingctx, record, numbers):  # type: ignore[no-untyped-def]
    """The integers of a flat array, or those behind an address (see `lanes.address`), as a record of this class.

    The array must live on elsewhere: this is for arrays that are arguments of the outermost kernel.
    """

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        if isinstance(signature.args[1], types.CPointer):
            return args[1]
        return context.make_array(signature.args[1])(context, builder, args[1]).data

    if not isinstance(record, types.NamedTupleClass) or getattr(numbers, "dtype", None) != types.int64:
        return None
    return Fields(record.instance_class)(record, numbers), codegen


@intrinsic
def behind(typingctx, view):  # type: ignore[no-untyped-def]
    """The address of what was packed behind the record that this view is of."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.gep(args[0], [I64(_layout(signature.args[0].record).length)])

    return (types.CPointer(types.int64)(view), codegen) if isinstance(view, Fields) else None
