"""Operators and functions on symbolic tensors as configurations, in Keras's form where it has the operation.

Keras describes one by a class, with its options, and gives the call its operands one by one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from ..layers.operations import Operation, spelt
from . import registry
from .objects import Config, deserialize, serialize
from .registry import OF_OPERATIONS

NUMPY, NN, CORE = (f"{OF_OPERATIONS}.{module}" for module in ("numpy", "nn", "core"))


class Form(NamedTuple):
    """How Keras has an operation.

    Attributes
    ----------
    module : str
        Of the class.
    options : dict
        Ours -> Keras's name.
    takes_list : bool
        Whether the operands are one argument, a list.
    """

    module: str
    options: Mapping[str, str] = {}
    takes_list: bool = False


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


ALONG, REDUCED = _same("axis"), _same("axis", "keepdims")
ELEMENTWISE = (
    *("add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "matmul", "where", "getitem"),
    *("exp", "log", "sqrt", "sin", "cos", "tanh", "absolute", "logical_and", "logical_or", "logical_not"),
    *("greater", "greater_equal", "less", "less_equal", "equal", "not_equal"),
)
FORMS: dict[str, Form] = {
    **dict.fromkeys(ELEMENTWISE, Form(NUMPY)),
    **dict.fromkeys(("relu", "sigmoid", "softplus", "softsign", "silu", "selu"), Form(NN)),
    **dict.fromkeys(("mean", "sum", "max", "min", "var", "std"), Form(NUMPY, REDUCED)),
    **dict.fromkeys(("squeeze", "unsqueeze", "argmax", "argmin"), Form(NUMPY, ALONG)),
    **dict.fromkeys(("concatenate", "stack"), Form(NUMPY, ALONG, takes_list=True)),
    **dict.fromkeys(("softmax", "log_softmax"), Form(NN, ALONG)),
    "reshape": Form(NUMPY, {"shape": "newshape"}),
    "transpose": Form(NUMPY, _same("axes")),
    "clip": Form(NUMPY, {"low": "x_min", "high": "x_max"}),
    "einsum": Form(NUMPY, _same("subscripts")),
    "pad": Form(NUMPY, {"widths": "pad_width"}),
    "elu": Form(NN, _same("alpha")),
    "gelu": Form(NN, _same("approximate")),
    "leaky_relu": Form(NN, {"slope": "negative_slope"}),
    "astype": Form(CORE, _same("dtype")),
}
DEFAULTS: dict[str, Any] = {"keepdims": False, "approximate": False, "alpha": 1.0, "slope": 0.2}
"""Options that Keras is told, though they were not given: its own may be others."""


def described(layer: Operation) -> Config:
    """An operation's configuration."""
    name, options = layer.operation.name, layer.options
    if name == "getitem":
        return _of_keras(layer, layer.kind)
    if name == "clip" and None in _bounds(layer):
        return _of_keras(layer, "Minimum" if _bounds(layer)[0] is None else "Maximum")
    if name == "repeat" and len(repeated := [(n, axis) for axis, n in enumerate(options["counts"]) if n != 1]) == 1:
        return _of_keras(layer, layer.kind, dict(zip(("repeats", "axis"), repeated[0], strict=True)))
    form = FORMS.get(name)
    if form is None or set(options) - set(form.options):
        return serialize(layer)  # type: ignore[no-any-return]
    told = {theirs: serialize(options.get(ours, DEFAULTS.get(ours))) for ours, theirs in form.options.items()}
    return _of_keras(layer, layer.kind, told, form.module)


def operands_of(layer: Operation, inputs: tuple[Any, ...]) -> list[Any]:
    """What a call of the operation is given in a configuration."""
    name = layer.operation.name
    if name == "getitem":
        index = layer.options["index"]  # Keras cannot read an ellipsis in .h5 files
        return [*inputs, spelt(index, inputs[0].ndim) if isinstance(index, tuple) else index]
    if name == "clip" and None in (bounds := _bounds(layer)):
        bound = bounds[1] if bounds[0] is None else bounds[0]
        return [*inputs, math.inf if bound is None else bound]
    return [list(inputs)] if name in FORMS and FORMS[name].takes_list else list(inputs)


def _bounds(layer: Operation) -> tuple[Any, Any]:
    return layer.options.get("low"), layer.options.get("high")


def _of_keras(layer: Operation, kind: str, options: Mapping[str, Any] | None = None, module: str = NUMPY) -> Config:
    config = {"name": layer.name, **(options or {})}
    return {"module": module, "class_name": kind, "config": config, "registered_name": kind}


def function_of(config: Mapping[str, Any]) -> Callable[..., Any] | None:
    """What computes an operation in Keras's form, of symbolic tensors; None for what is no operation."""
    function = registry.operation_of(config)
    if function is None:
        return None
    takes = inspect.signature(function).parameters
    told = {k: v for k, v in deserialize(config["config"]).items() if k in takes or (k != "name" and v is not None)}
    return partial(function, **told)
