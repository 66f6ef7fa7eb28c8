"""Layers as nodes of an ONNX file.

ONNX's images are channels-first. Those of layers that are channels-last are brought into that order once, before the
first of them, and back where a layer needs the other order: the file takes and gives what the model does.
"""

from __future__ import annotations

from typing import Any

from ...errors import Unsupported, shown
from ...onnx.writing import Writer
from . import convolutions, normalizations, shapes
from .values import Value, plain, rule_of, written

__all__ = ["export"]
_FAMILIES = (convolutions, normalizations, shapes)  # which register their rules


def export(model: Any, path: Any) -> None:
    """Write a model of built layers to an ONNX file."""
    name, stack, input_shape, dtype = model.name, model.layers, model.input_shape, model.input_dtype
    if model.graph is None or any(call.layer.takes_several or len(call.inputs) > 1 for call in model.graph.calls):
        raise Unsupported("graphs and models inside of models are not written to ONNX files yet")
    unknown = [layer for layer in stack if rule_of(layer) is None]
    if unknown:
        listed = ", ".join(f"{shown(layer.name)} ({type(layer).__name__})" for layer in unknown)
        raise Unsupported(
            f"ONNX has no word for what layers of your own compute: {listed}; build the model of fastconv.nn's layers"
        )
    mixed = [w for layer in stack for w in layer.own_weights if w.dtype != dtype]
    if mixed:
        raise Unsupported(
            f"the model computes in {dtype} but weight {shown(mixed[0].name)} is {mixed[0].dtype}; files of ONNX have "
            "one dtype: give all layers the same"
        )
    writer = Writer(name)
    x = Value(writer.input("input", input_shape, dtype), input_shape)
    for layer in stack:
        x = written(writer, layer, x)
    writer.save(path, writer.add("Identity", "output", plain(writer, x)), x.shape, dtype)
