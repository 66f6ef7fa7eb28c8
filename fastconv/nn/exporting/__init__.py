"""Layers as nodes of an ONNX file.

ONNX's images are channels-first. Those of layers that are channels-last are brought into that order once, before the
first of them, and back where a layer needs the other order: the file takes and gives what the model does.
"""

from __future__ import annotations

from typing import Any

from ...errors import Unsupported, shown
from ...onnx.writing import Writer
from ..basics.structures import leaves, mapped
from ..modelling.graph import Program, Slot
from . import convolutions, merging, normalizations, operations, shapes
from .values import Value, plain, rule_of, written

__all__ = ["export"]
_FAMILIES = (convolutions, merging, normalizations, operations, shapes)  # which register their rules


def export(model: Any, path: Any) -> None:
    """Write a model of built layers to an ONNX file."""
    program, dtype = Program(model), model.input_dtype
    layers = list({id(a.layer): a.layer for a in program.applied}.values())
    unknown = [layer for layer in layers if rule_of(layer) is None]
    if unknown:
        listed = ", ".join(f"{shown(layer.name)} ({type(layer).__name__})" for layer in unknown)
        raise Unsupported(
            f"ONNX has no word for what layers of your own compute: {listed}; build the model of fastconv.nn's layers"
        )
    mixed = [w for layer in layers for w in layer.own_weights if w.dtype != dtype]
    if mixed:
        raise Unsupported(
            f"the model computes in {dtype} but weight {shown(mixed[0].name)} is {mixed[0].dtype}; files of ONNX have "
            "one dtype: give all layers the same"
        )
    trained = [a.layer for a in program.applied if a.training]
    if trained:
        raise Unsupported(f"layer {shown(trained[0].name)} is called with training=True; a file only predicts")
    writer, values = Writer(model.name), {}
    inputs, outputs = leaves(program.inputs), leaves(program.outputs)
    for slot, name in zip(inputs, ["input"] if len(inputs) == 1 else model.input_names, strict=True):
        shape = program.shapes[slot]
        values[slot] = Value(writer.input(name, shape, dtype), shape)
    for applied in program.applied:
        given = mapped(lambda v: values[v] if isinstance(v, Slot) else v, applied.args[0])
        made = written(writer, applied.layer, given)
        values[applied.results] = made._replace(shape=program.shapes[applied.results])
    results = []
    for slot, name in zip(outputs, model.output_names or [""], strict=True):
        title = f"output_{name}" if name else "output"
        results.append((writer.add("Identity", title, plain(writer, values[slot])), program.shapes[slot]))
    writer.save(path, results, dtype)
