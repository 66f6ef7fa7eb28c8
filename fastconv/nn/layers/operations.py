"""Operators and functions on symbolic tensors: each is a layer in their graph."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...autograd import PRIMITIVES, Tensor, no_grad
from ...autograd import functional as F
from ...errors import InvalidArgument, quoted
from ..basics.names import camel_case, find
from ..basics.tracking import Parameter
from .base import Layer, Shape
from .symbols import SymbolicTensor, dtype_of, recorded, symbols_in, zeros_for


class Plain:
    """A function of tensors through which no gradient flows, where there is no operation of `autograd`."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self._function = name, function

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(value, SymbolicTensor) for value in inputs):
            return applied(self, inputs, options)
        try:
            return self._function(*inputs, **options)
        except (ValueError, OverflowError) as error:  # NumPy's: shapes, and numbers beyond a float
            shapes = ", ".join(str(np.shape(getattr(value, "values", value))) for value in inputs)
            raise InvalidArgument(f"{self.name} of operands of shape {shapes}: {quoted(error)}") from error


def _truth(x: Any) -> Any:
    """Whether each element is not 0."""
    return x if getattr(x, "dtype", None) == np.bool_ else Tensor(x) != 0


PLAIN = {
    plain.name: plain
    for plain in (
        Plain("greater", operator.gt),
        Plain("greater_equal", operator.ge),
        Plain("less", operator.lt),
        Plain("less_equal", operator.le),
        Plain("equal", operator.eq),
        Plain("not_equal", operator.ne),
        Plain("logical_and", lambda a, b: _truth(a) & _truth(b)),
        Plain("logical_or", lambda a, b: _truth(a) | _truth(b)),
        Plain("logical_not", lambda x: ~_truth(x)),
        Plain("argmax", F.argmax),
        Plain("argmin", F.argmin),
    )
}


PROBES = (2, 6), (3, 12)
"""Numbers of samples, and sizes where these are not known, that a result's shape is found out with."""
IN_KERAS = {"astype": "cast", "divide": "true_divide", "getitem": "get_item", "unsqueeze": "expand_dims"}
"""Operations that have another name in Keras."""


class Operation(Layer):
    """An operation of `autograd`, or one in `PLAIN`, as a layer, of a tuple of its inputs, which may be numbers."""

    takes_several = True

    def __init__(self, operation: Any, options: Mapping[str, Any], **keywords: Any) -> None:
        if isinstance(operation, str):
            operation = find("operation", operation, PRIMITIVES | PLAIN)
        super().__init__(**{"name": IN_KERAS.get(operation.name, operation.name), **keywords})
        self.is_named = "name" in keywords
        self.operation, self.options = operation, dict(options)

    def converted(self, x: Any) -> Any:
        """An operator computes in what it is given."""
        return x

    @property
    def kind(self) -> str:
        return camel_case(IN_KERAS.get(self.operation.name, self.operation.name))

    def get_config(self) -> dict[str, Any]:
        return {"operation": self.operation.name, "options": self.options, "name": self.name, "dtype": self.dtype.name}

    def call(self, x: Any, training: bool = False) -> Tensor:
        return self.operation(*x, **self.options)

    def _called(self, x: Any, more: tuple[Any, ...], options: dict[str, Any], training: bool | None) -> Any:
        symbols = symbols_in(x)
        with no_grad(), np.errstate(all="ignore"):
            made = [self.operation(*zeros_for(x, *sizes), **self.options) for sizes in PROBES]
        if any(y.ndim == 0 or y.shape[0] != samples for y, (samples, _) in zip(made, PROBES, strict=True)):
            raise InvalidArgument(
                f"{self.operation.name} of symbolic tensors of shape {', '.join(str(s.shape) for s in symbols)} leaves "
                "no axis for the samples: reduce along the axes behind the first alone, such as axis=1"
            )
        self.input_shape = symbols[0].shape if len(symbols) == 1 else [s.shape for s in symbols]
        sizes = zip(*(y.shape[1:] for y in made), strict=True)
        self.output_shape: Shape = (None, *(n[0] if len(set(n)) == 1 else None for n in sizes))
        return recorded(self, (x,), {}, self.output_shape, made[0].dtype, training)


def spelt(index: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """An index with a part for each axis that it takes, in place of an ellipsis or what is left out."""
    taken = sum(part is not None and part is not ... for part in index)
    place = next((i for i, part in enumerate(index) if part is ...), len(index))
    return (*index[:place], *(slice(None),) * (ndim - taken), *index[place + 1 :])


def applied(operation: Any, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> SymbolicTensor:
    """What an operation gives of inputs among which there are symbolic tensors."""
    if any(isinstance(v, Tensor) and (isinstance(v, Parameter) or v.requires_grad) for v in inputs):
        raise InvalidArgument(
            f"{operation.name} of a symbolic tensor and a weight: no layer would have that weight, so that it would be "
            "neither trained nor saved; write a layer that makes it by add_weight"
        )
    inputs = tuple(value.values if isinstance(value, Tensor) else value for value in inputs)
    dtype = dtype_of(symbols_in(inputs))
    layer = Operation(operation, options, dtype="float32" if dtype.kind == "b" else dtype.name)
    return layer._called(inputs, (), {}, None)


SymbolicTensor.on_operation = staticmethod(applied)
SymbolicTensor.comparisons = PLAIN
