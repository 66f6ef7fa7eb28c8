"""Convolutions, dense layers and pools."""

from __future__ import annotations

from typing import Any

from ...onnx.writing import Writer
from ..basics.unknown import sized
from ..layers import Dense
from ..layers.convolution import Conv
from ..layers.pooling import GlobalPooling, Pooling
from ..layers.separable import SeparableConv
from ..layers.transposed import ConvTranspose
from .activations import Sketch, activated
from .values import Value, array_of, border, images, plain, rule


@rule(Conv)
def _convolution(writer: Writer, layer: Conv, x: Value) -> Value:
    return _linear(writer, layer, x, "Conv", **border(layer, x))


@rule(ConvTranspose)
def _transposed(writer: Writer, layer: ConvTranspose, x: Value) -> Value:
    axes = layer.problem(sized(x.shape)).axes[3 - layer.rank :]
    behind = [a.size - ((a.out - 1) * a.stride + a.extent - a.before - a.after) for a in axes]
    pads = [a.before for a in axes] + [a.after for a in axes]
    return _linear(writer, layer, x, "ConvTranspose", pads=pads, output_padding=behind)


def _linear(writer: Writer, layer: Conv, x: Value, op: str, **more: Any) -> Value:
    inputs = [images(writer, layer, x), writer.constant(f"{layer.name}/kernel", array_of(layer.kernel_first()))]
    if layer.use_bias:
        inputs.append(writer.constant(f"{layer.name}/bias", array_of(layer.bias)))
    name = writer.add(
        op,
        layer.name,
        *inputs,
        strides=layer.strides,
        dilations=layer.dilation_rate,
        group=layer.groups,
        **more,
    )
    return activated(writer, layer, Value(name, layer.output_shape or (), layer.channels_last))


@rule(SeparableConv)
def _separable(writer: Writer, layer: SeparableConv, x: Value) -> Value:
    add, name = Sketch(writer, layer.name, layer.dtype), images(writer, layer, x)
    depthwise, pointwise = (array_of(w) for w in layer.kernels(first=True))
    name = add(
        "Conv",
        name,
        depthwise,
        strides=layer.strides,
        dilations=layer.dilation_rate,
        group=layer.problem(sized(x.shape)).groups,
        **border(layer, x),
    )
    name = add("Conv", name, pointwise, *([array_of(layer.bias)] if layer.use_bias else []))
    return activated(writer, layer, Value(name, layer.output_shape or (), layer.channels_last))


@rule(Dense)
def _dense(writer: Writer, layer: Dense, x: Value) -> Value:
    name, flat = plain(writer, x), len(x.shape) == 2
    inputs = [name, writer.constant(f"{layer.name}/kernel", array_of(layer.kernel))]
    bias = [writer.constant(f"{layer.name}/bias", array_of(layer.bias))] if layer.use_bias else []
    if flat:
        name = writer.add("Gemm", layer.name, *inputs, *bias)
    else:
        name = writer.add("MatMul", layer.name, *inputs)
        name = writer.add("Add", f"{layer.name}/shifted", name, *bias) if bias else name
    return activated(writer, layer, Value(name, layer.output_shape or ()))


@rule(Pooling)
def _pool(writer: Writer, layer: Pooling, x: Value) -> Value:
    attributes = {
        "kernel_shape": layer.pool_size,
        "strides": layer.strides,
        **border(layer, x),
        **({"count_include_pad": 0} if layer.operation == "avg" else {}),
    }
    op = {"max": "MaxPool", "avg": "AveragePool"}[layer.operation]
    name = writer.add(op, layer.name, images(writer, layer, x), **attributes)
    return Value(name, x.shape, layer.channels_last)


@rule(GlobalPooling)
def _global_pool(writer: Writer, layer: GlobalPooling, x: Value) -> Value:
    op = {"max": "GlobalMaxPool", "avg": "GlobalAveragePool"}[layer.operation]
    name = writer.add(op, layer.name, images(writer, layer, x))
    if layer.keepdims:
        return Value(name, x.shape, layer.channels_last)
    return Value(writer.add("Flatten", f"{layer.name}/flat", name, axis=1), x.shape)
