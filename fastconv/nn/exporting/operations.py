"""Operators and functions on symbolic tensors as nodes of an ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import Unsupported
from ...onnx.writing import Writer
from .. import activations
from ..layers.operations import Operation, spelt
from .activations import FUNCTIONS, Sketch
from .values import Value, plain, rule

FAR = 2**31 - 1  # further than any axis reaches
ALIKE = {
    **{"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow"},
    **{"maximum": "Max", "minimum": "Min", "matmul": "MatMul", "where": "Where"},
    **{"exp": "Exp", "log": "Log", "sqrt": "Sqrt", "absolute": "Abs", "sin": "Sin", "cos": "Cos"},
    **{"greater": "Greater", "greater_equal": "GreaterOrEqual", "less": "Less", "less_equal": "LessOrEqual"},
    **{"equal": "Equal", "logical_and": "And", "logical_or": "Or", "logical_not": "Not"},
}
"""Operations that are a node of their operands and nothing else."""
ACTIVATIONS = {
    **{name: {} for name in ("relu", "sigmoid", "tanh", "softplus", "softsign", "silu", "selu", "mish")},
    **{"elu": {"alpha": "alpha"}, "gelu": {"approximate": "approximate"}, "leaky_relu": {"slope": "negative_slope"}},
}
"""Operations that are activations, with what their options are called there."""
NUMBERS = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "float16": 10, "float64": 11}
"""ONNX's numbers of dtypes."""
REDUCTIONS = {"mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin"}  # which take axes as an attribute


@rule(Operation)
def _operation(writer: Writer, layer: Operation, x: Sequence[Any]) -> Value:
    add, kind, options = Sketch(writer, layer.name, layer.dtype), layer.operation.name, layer.options
    shapes = [value.shape if isinstance(value, Value) else np.shape(value) for value in x]
    names = [plain(writer, value) if isinstance(value, Value) else add.constant(value) for value in x]
    if kind in ALIKE:
        return Value(add(ALIKE[kind], *names), ())
    if kind in ACTIVATIONS:
        given = {ACTIVATIONS[kind][option]: value for option, value in options.items()}
        return Value(FUNCTIONS[activations.KNOWN[kind]](add, names[0], **given), ())
    if kind in REDUCED:
        axes = np.atleast_1d(options.get("axis", ())).tolist()
        return Value(REDUCED[kind](add, names[0], axes, bool(options.get("keepdims"))), ())
    if kind not in RULES:
        known = ", ".join(sorted((*ALIKE, *ACTIVATIONS, *REDUCED, *RULES)))
        raise Unsupported(
            f"the operation {kind!r} on a symbolic tensor is not written to ONNX files; these are: {known}"
        )
    return Value(RULES[kind](add, names, shapes, options), ())


def _sum(add: Sketch, name: str, axes: list[int], keepdims: bool) -> str:
    return add("ReduceSum", name, add.constant(axes, np.int64), keepdims=int(keepdims))


def _reduced(op: str) -> Callable[..., str]:
    return lambda add, name, axes, keepdims: add(op, name, axes=axes, keepdims=int(keepdims))


def _variance(add: Sketch, name: str, axes: list[int], keepdims: bool) -> str:
    apart = add("Sub", name, add("ReduceMean", name, axes=axes, keepdims=1))
    return add("ReduceMean", add("Mul", apart, apart), axes=axes, keepdims=int(keepdims))


REDUCED: dict[str, Callable[..., str]] = {
    **{kind: _reduced(op) for kind, op in REDUCTIONS.items()},
    "sum": _sum,
    "var": _variance,
    "std": lambda *given: given[0]("Sqrt", _variance(*given)),
}
"""Reduction -> function of a `Sketch`, the operand's name, axes, and whether they are kept."""


def _item(add: Sketch, names: list[str], shapes: Sequence[Any], options: Mapping[str, Any]) -> str:
    """An element, part or reversal along each axis."""
    index = options["index"]
    parts = spelt(index if isinstance(index, tuple) else (index,), len(shapes[0]))
    bounds: list[tuple[Any, ...]] = []
    gone: list[int] = []
    new: list[int] = []
    for place, part in enumerate(parts):
        axis = place - len(new)
        if part is None:
            new.append(place - len(gone))
        elif isinstance(part, slice):
            step = 1 if part.step is None else part.step
            ends = (0, FAR) if step > 0 else (FAR, -FAR)
            start, stop = (end if n is None else n for n, end in zip((part.start, part.stop), ends, strict=True))
            if part != slice(None):
                bounds.append((start, stop, axis, step))
        elif isinstance(part, (int, np.integer)) and not isinstance(part, bool):
            bounds.append((part, part + 1 if part != -1 else FAR, axis, 1))
            gone.append(axis)
        else:
            raise Unsupported(
                f"an index by arrays, {part!r:.60}, is not written to ONNX files; these are: whole numbers and slices"
            )
    name = names[0]
    if bounds:
        name = add("Slice", name, *(add.constant(column, np.int64) for column in zip(*bounds, strict=True)))
    name = add("Squeeze", name, add.constant(gone, np.int64)) if gone else name
    return add("Unsqueeze", name, add.constant(new, np.int64)) if new else name


def _stack(add: Sketch, names: list[str], shapes: Sequence[Any], options: Mapping[str, Any]) -> str:
    axis = options.get("axis", 0) % (len(shapes[0]) + 1)
    return add("Concat", *(add("Unsqueeze", n, add.constant([axis], np.int64)) for n in names), axis=axis)


def _clip(add: Sketch, names: list[str], shapes: Sequence[Any], options: Mapping[str, Any]) -> str:
    bounds = [options.get(which) for which in ("low", "high")]
    return add("Clip", names[0], *("" if bound is None else add.constant(bound) for bound in bounds))


def _transpose(add: Sketch, names: list[str], shapes: Sequence[Any], options: Mapping[str, Any]) -> str:
    ndim = len(shapes[0])
    return add("Transpose", names[0], perm=[axis % ndim for axis in options.get("axes") or range(ndim)[::-1]])


def _unsqueeze(add: Sketch, names: list[str], shapes: Sequence[Any], options: Mapping[str, Any]) -> str:
    return add("Unsqueeze", names[0], add.constant(np.atleast_1d(options["axis"]), np.int64))


def _squeeze(add: Sketch, names: list[str], shapes: Sequence[Any], options: Mapping[str, Any]) -> str:
    axis = options.get("axis")
    ones = [i for i, n in enumerate(shapes[0]) if n == 1] if axis is None else np.atleast_1d(axis)
    return add("Squeeze", names[0], add.constant(ones, np.int64))


def _repeat(add: Sketch, names: list[str], shapes: Sequence[Any], options: Mapping[str, Any]) -> str:
    """Each axis with a new one behind it, along which everything is repeated, and both made one again."""
    name = names[0]
    for axis, count in enumerate(options["counts"]):
        if count != 1:
            wide = add("Unsqueeze", name, add.constant([axis + 1], np.int64))
            wide = add("Concat", *[wide] * int(count), axis=axis + 1)
            sizes = [*(0,) * axis, -1, *(n or 0 for n in shapes[0][axis + 1 :])]
            name = add("Reshape", wide, add.constant(sizes, np.int64))
    return name


def _pad(add: Sketch, names: list[str], shapes: Sequence[Any], options: Mapping[str, Any]) -> str:
    before, behind = zip(*options["widths"], strict=True)
    return add("Pad", names[0], add.constant([*before, *behind], np.int64), add.constant(options.get("value", 0.0)))


RULES: dict[str, Callable[..., str]] = {
    "getitem": _item,
    "stack": _stack,
    "clip": _clip,
    "transpose": _transpose,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "repeat": _repeat,
    "pad": _pad,
    "concatenate": lambda add, names, shapes, options: add("Concat", *names, axis=options.get("axis", -1)),
    "reshape": lambda add, names, shapes, options: add("Reshape", names[0], add.constant(options["shape"], np.int64)),
    "einsum": lambda add, names, shapes, options: add("Einsum", *names, equation=options["subscripts"]),
    "not_equal": lambda add, names, shapes, options: add("Not", add("Equal", *names)),
    "softmax": lambda add, names, shapes, options: add("Softmax", names[0], axis=options.get("axis", -1)),
    "log_softmax": lambda add, names, shapes, options: add("LogSoftmax", names[0], axis=options.get("axis", -1)),
    "astype": lambda add, names, shapes, options: add("Cast", names[0], to=NUMBERS[np.dtype(options["dtype"]).name]),
}
"""Operation -> function of a `Sketch`, the operands' names and shapes, and the operation's options."""
