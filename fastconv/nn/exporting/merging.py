"""Layers that take several tensors as nodes of an ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from ...errors import Unsupported
from ...onnx.writing import Writer
from ..layers import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from ..layers.merging import Merging
from .activations import Sketch
from .values import Value, axis_in_file, plain, rule

ELEMENTWISE = {Add: "Add", Average: "Add", Subtract: "Sub", Multiply: "Mul", Maximum: "Max", Minimum: "Min"}


@rule(Add, Average, Subtract, Multiply, Maximum, Minimum)
def _elementwise(writer: Writer, layer: Merging, x: Sequence[Value]) -> Value:
    add = Sketch(writer, layer.name, layer.dtype)
    names, moved = _aligned(writer, layer.name, x)
    op = next(op for kind, op in ELEMENTWISE.items() if isinstance(layer, kind))
    name = reduce(lambda a, b: add(op, a, b), names)
    return Value(add("Div", name, len(names)) if isinstance(layer, Average) else name, x[0].shape, moved)


@rule(Concatenate)
def _concatenated(writer: Writer, layer: Concatenate, x: Sequence[Value]) -> Value:
    moved = all(value.moved for value in x)
    names = [value.name if moved else plain(writer, value) for value in x]
    axis = axis_in_file(x[0]._replace(moved=moved), layer.axis)
    return Value(writer.add("Concat", layer.name, *names, axis=axis), x[0].shape, moved)


@rule(Dot)
def _product(writer: Writer, layer: Dot, x: Sequence[Value]) -> Value:
    add = Sketch(writer, layer.name, layer.dtype)
    names, ranks = [plain(writer, value) for value in x], [len(value.shape) for value in x]
    if max(ranks) > 3:
        raise Unsupported(
            f"layer {layer.name!r:.100} multiplies tensors of {max(ranks)} axes, but files take up to 3: "
            "put a Reshape in front"
        )
    for i, (axis, rank) in enumerate(zip(layer.axes, ranks, strict=True)):
        if layer.normalize:
            squares = add("ReduceSum", add("Mul", names[i], names[i]), add.constant([axis % rank], np.int64))
            names[i] = add("Div", names[i], add("Max", add("Sqrt", squares), 1e-7))
        wanted = 2 - i  # where matrices have the axis that is summed along
        if rank == 2:
            names[i] = add("Unsqueeze", names[i], add.constant([1 + i], np.int64))
        elif axis % rank != wanted:
            names[i] = add("Transpose", names[i], perm=[0, 2, 1])
    name = add("MatMul", *names)
    alone = [2] if ranks[1] == 2 else [1] if ranks[0] == 2 else []
    if alone:
        name = add("Squeeze", name, add.constant(alone, np.int64))
    return Value(name, x[0].shape)


def _aligned(writer: Writer, title: str, x: Sequence[Value]) -> tuple[list[str], bool]:
    """Values of one rank and order of axes, and whether the channels are axis 1: axes are put in behind the batch."""
    ndim = max(len(value.shape) for value in x)
    if all(value.moved and len(value.shape) == ndim for value in x):
        return [value.name for value in x], True
    names = []
    for value in x:
        name, missing = plain(writer, value), ndim - len(value.shape)
        if missing:
            axes = writer.constant(f"{title}/axes", np.arange(1, 1 + missing))
            name = writer.add("Unsqueeze", f"{title}/wider", name, axes)
        names.append(name)
    return names, False
