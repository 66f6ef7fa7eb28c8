"""Operators and functions on symbolic tensors: each is a layer in their graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...autograd import Tensor, no_grad
from ...errors import InvalidArgument
from ..tracking import Parameter
from .base import Layer
from .symbols import SymbolicTensor, dtype_of, recorded, symbols_in, zeros_for


class Operation(Layer):
    """One of `autograd`'s operations as a layer, of a tuple of its inputs; numbers among these belong to the call."""

    takes_several = True

    def __init__(self, operation: Any, options: Mapping[str, Any], **keywords: Any) -> None:
        super().__init__(**{"name": operation.name, **keywords})
        self.is_named = "name" in keywords
        self.operation, self.options = operation, dict(options)

    def converted(self, x: Any) -> Any:
        """An operator computes in what it is given."""
        return x

    def call(self, x: Any, training: bool = False) -> Tensor:
        return self.operation(*x, **self.options)


def applied(operation: Any, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> SymbolicTensor:
    """What an operation gives of inputs among which there are symbolic tensors."""
    if any(isinstance(value, Parameter) for value in inputs):
        raise InvalidArgument(
            f"{operation.name} of a symbolic tensor and a weight: no layer would have that weight, so that it would be "
            "neither trained nor saved; write a layer that makes it by add_weight"
        )
    symbols = symbols_in(inputs)
    dtype = dtype_of(symbols)
    layer = Operation(operation, options, dtype=dtype.name)
    with no_grad():
        y = operation(*zeros_for(inputs, 2), **options)
    if y.ndim == 0 or y.shape[0] != 2:
        raise InvalidArgument(
            f"{operation.name} of symbolic tensors of shape {', '.join(str(s.shape) for s in symbols)} leaves no axis "
            "for the samples: reduce along the axes behind the first alone, such as axis=1"
        )
    layer.input_shape = symbols[0].shape if len(symbols) == 1 else [s.shape for s in symbols]
    layer.output_shape = (None, *y.shape[1:])
    return recorded(layer, (inputs,), {}, layer.output_shape, y.dtype)


SymbolicTensor.on_operation = staticmethod(applied)
