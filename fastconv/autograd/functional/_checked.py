"""What differentiable operations are given, looked at before NumPy does: arrays and numbers, and what fits together."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ...errors import FastconvError, InvalidArgument, shown
from ...foreign import is_device_array
from ...ops._reading import as_array, refuse_mask

Function = TypeVar("Function", bound=Callable[..., Any])
NUMBERS = "biufc"  # kinds of dtypes
#: What NumPy raises for shapes and options; FloatingPointError is not among them: numpy.errstate asks for it.
REFUSALS = (TypeError, ValueError, IndexError, AttributeError, OverflowError, ZeroDivisionError, RuntimeError)


def checked(forward: Function) -> Function:
    """Let an operation see arrays and numbers only; what NumPy says of shapes and options becomes `InvalidArgument`.

    Arguments that the operation has no place for stay Python's own TypeError.
    """
    parameters = list(inspect.signature(forward).parameters.values())

    @functools.wraps(forward)
    def call(*inputs: Any, **options: Any) -> Any:
        for value in inputs:
            if type(value) is not np.ndarray or value.dtype.kind not in NUMBERS:
                inputs = tuple(_operand(each, i, parameters) for i, each in enumerate(inputs))
                break
        for name in options:
            refuse_mask(options[name], name)
        try:
            return forward(*inputs, **options)
        except FastconvError:
            raise
        except REFUSALS as error:
            if not _fits(forward, inputs, options):
                raise
            given = [*map(_short, inputs), *(f"{name}={_short(value)}" for name, value in options.items())]
            text = ", ".join(given)[:240]
            raise InvalidArgument(f"{call.__name__}({text}) cannot be computed: {shown(error, 200)}") from error

    return call  # type: ignore[return-value]


def _operand(value: Any, i: int, parameters: list[inspect.Parameter]) -> Any:
    """An input as an array, a number, a tensor, or None where it may be left out."""
    parameter = parameters[min(i, len(parameters) - 1)]
    if value is None and parameter.default is None:
        return None
    if value is None:
        raise InvalidArgument(f"{parameter.name} is None; expected an array")
    if type(value) in (int, float, bool) or type(value).__module__.startswith("fastconv.") or is_device_array(value):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in NUMBERS:
        return value
    return as_array(value, parameter.name)


def _fits(function: Callable[..., Any], inputs: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Whether a function has a place for every argument; if not, Python's own TypeError says so best."""
    try:
        inspect.signature(function).bind(*inputs, **options)
    except TypeError:
        return False
    return True


def _short(value: Any) -> str:
    return shown(value, 60)
