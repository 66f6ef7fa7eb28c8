"""NumPy's functions of tensors (NEP 13, 18): the operation of that name, or an error where a gradient would be lost."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import InvalidArgument
from .tape import DEPTH, PRIMITIVES, is_recording

#: NumPy's ufuncs that are operations of one name and one meaning.
OPERATIONS = {
    "absolute",
    "add",
    "cos",
    "divide",
    "exp",
    "log",
    "matmul",
    "maximum",
    "minimum",
    "multiply",
    "power",
    "sin",
    "sqrt",
    "subtract",
    "tanh",
}
OPERATORS: dict[str, Callable[..., Any]] = {
    "negative": operator.neg,
    "positive": operator.pos,
    "square": lambda x: x * x,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "invert": operator.invert,
}
METHODS = {"argmax", "argmin", "clip", "max", "mean", "min", "reshape", "squeeze", "std", "sum", "transpose", "var"}
MANY = {"concatenate", "stack"}
WITHOUT_GRADIENT = {
    "allclose",
    "array_equal",
    "array_repr",
    "array_str",
    "isclose",
    "ndim",
    "shape",
    "size",
    "full_like",
    "ones_like",
    "zeros_like",
}
RENAMED = {
    "amax": "max", "amin": "min", "permute_dims": "transpose", "expand_dims": "unsqueeze", "broadcast_to": "expand",
}  # fmt: skip


def ufunc(kind: type, function: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What a ufunc gives: a tensor of the class `kind`."""
    name = function.__name__
    if method == "__call__" and not options:
        if name in OPERATIONS:
            return PRIMITIVES[name](*inputs)
        if name in OPERATORS:
            tensor = next(i for i, value in enumerate(inputs) if isinstance(value, kind))
            return OPERATORS[name](*(kind(v) if i == 0 and tensor else v for i, v in enumerate(inputs)))
    name = f"np.{name}" if method == "__call__" else f"np.{name}.{method}"
    result = getattr(function, method)(*_arrays(kind, inputs, name), **_arrays(kind, options, name))
    return kind(result) if isinstance(result, (np.ndarray, np.generic)) and "out" not in options else result


def function(kind: type, called: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What another function gives: a tensor where there is an operation of that name, else what NumPy gives."""
    name = RENAMED.get(called.__name__, called.__name__)
    options = {n: value for n, value in options.items() if value is not None and value is not np._NoValue}
    if name in WITHOUT_GRADIENT:
        return called(*_stripped(kind, args), **_stripped(kind, options))
    if name in MANY:
        axis = options.pop("axis", args[1] if len(args) > 1 else 0)
        if len(args) < 3 and not options:
            return PRIMITIVES[name](*args[0], axis=axis)
    if name == "where" and len(args) == 3 and not options:
        return PRIMITIVES[name](*args)
    if name in METHODS or name in RENAMED.values():
        return getattr(args[0], name)(*args[1:], **options)
    return called(*_arrays(kind, args, f"np.{name}"), **_arrays(kind, options, f"np.{name}"))


def _arrays(kind: type, values: Any, name: str) -> Any:
    """Arguments without tensors; `InvalidArgument` if one requires a gradient."""
    if is_recording() and _traced(kind, values):
        raise InvalidArgument(
            f"{name} knows no gradient, and an argument is a tensor that requires one: take the operations of "
            "autograd.functional, or t.detach().numpy() where no gradient shall flow"
        )
    return _stripped(kind, values)


def _traced(kind: Any, value: Any, depth: int = DEPTH) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)) and depth:
        return any(_traced(kind, item, depth - 1) for item in value)
    return isinstance(value, kind) and value.requires_grad


def _stripped(kind: Any, value: Any, depth: int = DEPTH) -> Any:
    if isinstance(value, dict):
        return {name: _stripped(kind, item, depth - 1) for name, item in value.items()}
    if isinstance(value, (tuple, list)) and depth:
        return type(value)([_stripped(kind, item, depth - 1) for item in value])
    return value.data if isinstance(value, kind) else value
