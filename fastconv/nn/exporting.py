"""Layers as nodes of an ONNX file.

ONNX's images are channels-first. Those of layers that are channels-last are brought into that order once, before the
first of them, and back where a layer needs the other order: the file takes and gives what the model does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor
from ..errors import Unsupported, shown
from ..onnx.writing import Writer
from . import activations
from .layers import Activation, BatchNormalization, Dense, Dropout, Flatten, InputLayer, Layer, Permute, Reshape
from .layers.base import Shape
from .layers.convolution import Conv
from .layers.core import ZeroPadding
from .layers.pooling import GlobalPooling, Pooling
from .layers.spatial import Spatial
from .layers.transposed import ConvTranspose


class Value(NamedTuple):
    """What a layer takes or makes.

    Attributes
    ----------
    name : str
        In the file.
    shape : tuple
        As the layer has it.
    moved : bool
        Whether the file has the last axis, the channels, as axis 1.
    """

    name: str
    shape: Shape
    moved: bool = False


def export(model: Any, path: Any) -> None:
    """Write a model of built layers to an ONNX file."""
    name, stack, input_shape, dtype = model.name, model.layers, model.input_shape, model.input_dtype
    if model.graph is None or any(call.layer.takes_several or len(call.inputs) > 1 for call in model.graph.calls):
        raise Unsupported("graphs and models inside of models are not written to ONNX files yet")
    unknown = [layer for layer in stack if _rule(layer) is None]
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
        x = _written(writer, layer, x)
    writer.save(path, writer.add("Identity", "output", _plain(writer, x)), x.shape, dtype)


def _written(writer: Writer, layer: Any, x: Value) -> Value:
    rule = _rule(layer)
    assert rule is not None
    return rule(writer, layer, x)._replace(shape=layer.output_shape or x.shape)


def _rule(layer: Layer) -> Callable[..., Value] | None:
    """What writes a layer; None for one that does not compute what a layer of fastconv's does."""
    kinds = type(layer).__mro__
    own = [kind for kind in kinds if issubclass(kind, Layer) and not kind.is_builtin]
    base = kinds[len(own)]
    changed = (name for kind in own for name in vars(kind) if not name.startswith("__") and hasattr(base, name))
    if "call" in vars(layer) or any(name != "is_builtin" for name in changed):
        return None
    return next((_RULES[kind] for kind in kinds if kind in _RULES), None)


def _array(weight: Tensor) -> np.ndarray:
    return weight.detach().numpy()


# --- the order of axes ------------------------------------------------------------------------------------------------


def _plain(writer: Writer, x: Value) -> str:
    """A value with its axes as the layer has them."""
    if not x.moved:
        return x.name
    return writer.add("Transpose", f"{x.name}/last", x.name, perm=[0, *range(2, len(x.shape)), 1])


def _first(writer: Writer, x: Value) -> str:
    """A value whose last axis is that of the channels, with these as axis 1."""
    if x.moved:
        return x.name
    last = len(x.shape) - 1
    return writer.add("Transpose", f"{x.name}/first", x.name, perm=[0, last, *range(1, last)])


def _images(writer: Writer, layer: Spatial, x: Value) -> str:
    """The input of a layer of images, as ONNX has them."""
    return _first(writer, x) if layer.channels_last else _plain(writer, x)


# --- activations ------------------------------------------------------------------------------------------------------

_SIMPLE = {
    activations.relu: "Relu",
    activations.sigmoid: "Sigmoid",
    activations.tanh: "Tanh",
    activations.exponential: "Exp",
}
_ALONG = {activations.softmax: "Softmax", activations.log_softmax: "LogSoftmax"}


def _activated(writer: Writer, layer: Any, x: Value) -> Value:
    """The activation of a layer, found by the function that it is."""
    function = layer.activation
    if isinstance(function, Layer) and _rule(function) is not None:
        return _written(writer, function, x)
    base, options = function, {}
    if isinstance(function, partial) and not function.args:
        base, options = function.func, function.keywords
    if base is activations.linear:
        return x
    title = f"{layer.name}/{getattr(base, '__name__', 'activation')}"
    if base in _SIMPLE:
        return x._replace(name=writer.add(_SIMPLE[base], title, x.name))
    if base is activations.leaky_relu:
        slope = float(options.get("negative_slope", 0.2))
        return x._replace(name=writer.add("LeakyRelu", title, x.name, alpha=slope))
    if base in _ALONG:
        axis = _axis(x, options.get("axis", -1))
        return x._replace(name=writer.add(_ALONG[base], title, x.name, axis=axis))
    raise Unsupported(
        f"layer {shown(layer.name)} has the activation {shown(function)}, for which ONNX has no word; it has for "
        f"{', '.join(sorted(activations.KNOWN))}"
    )


def _axis(x: Value, axis: int) -> int:
    """Where an axis lies in the file."""
    last = len(x.shape) - 1
    axis %= last + 1
    return axis if not x.moved or axis == 0 else 1 if axis == last else axis + 1


# --- layers -----------------------------------------------------------------------------------------------------------


def _convolution(writer: Writer, layer: Conv, x: Value) -> Value:
    return _linear(writer, layer, x, "Conv")


def _transposed(writer: Writer, layer: ConvTranspose, x: Value) -> Value:
    axes = layer.problem(x.shape).axes[3 - layer.rank :]
    behind = [a.size - ((a.out - 1) * a.stride + a.extent - a.before - a.after) for a in axes]
    return _linear(writer, layer, x, "ConvTranspose", output_padding=behind)


def _linear(writer: Writer, layer: Conv, x: Value, op: str, **more: Any) -> Value:
    axes = layer.problem(x.shape).axes[3 - layer.rank :]
    inputs = [_images(writer, layer, x), writer.constant(f"{layer.name}/kernel", _array(layer.kernel_first()))]
    if layer.use_bias:
        inputs.append(writer.constant(f"{layer.name}/bias", _array(layer.bias)))
    name = writer.add(
        op,
        layer.name,
        *inputs,
        strides=layer.strides,
        dilations=layer.dilation_rate,
        group=layer.groups,
        pads=[a.before for a in axes] + [a.after for a in axes],
        **more,
    )
    return _activated(writer, layer, Value(name, layer.output_shape or (), layer.channels_last))


def _dense(writer: Writer, layer: Dense, x: Value) -> Value:
    name, flat = _plain(writer, x), len(x.shape) == 2
    inputs = [name, writer.constant(f"{layer.name}/kernel", _array(layer.kernel))]
    bias = [writer.constant(f"{layer.name}/bias", _array(layer.bias))] if layer.use_bias else []
    if flat:
        name = writer.add("Gemm", layer.name, *inputs, *bias)
    else:
        name = writer.add("MatMul", layer.name, *inputs)
        name = writer.add("Add", f"{layer.name}/shifted", name, *bias) if bias else name
    return _activated(writer, layer, Value(name, layer.output_shape or ()))


def _pool(writer: Writer, layer: Pooling, x: Value) -> Value:
    pads = layer.problem(x.shape).padding[3 - layer.rank :]
    attributes = {
        "kernel_shape": layer.pool_size,
        "strides": layer.strides,
        "pads": [before for before, _ in pads] + [behind for _, behind in pads],
        **({"count_include_pad": 0} if layer.operation == "avg" else {}),
    }
    op = {"max": "MaxPool", "avg": "AveragePool"}[layer.operation]
    name = writer.add(op, layer.name, _images(writer, layer, x), **attributes)
    return Value(name, x.shape, layer.channels_last)


def _global_pool(writer: Writer, layer: GlobalPooling, x: Value) -> Value:
    op = {"max": "GlobalMaxPool", "avg": "GlobalAveragePool"}[layer.operation]
    name = writer.add(op, layer.name, _images(writer, layer, x))
    if layer.keepdims:
        return Value(name, x.shape, layer.channels_last)
    return Value(writer.add("Flatten", f"{layer.name}/flat", name, axis=1), x.shape)


def _normalization(writer: Writer, layer: BatchNormalization, x: Value) -> Value:
    ndim = len(x.shape)
    axis = layer.axis % ndim
    numbers = [_array(w) for w in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)]
    if axis not in (1, ndim - 1):
        return _scaled(writer, layer, x, axis, numbers)
    name = _first(writer, x) if axis == ndim - 1 else _plain(writer, x)
    titles = ("gamma", "beta", "moving_mean", "moving_variance")
    inputs = [writer.constant(f"{layer.name}/{t}", a) for t, a in zip(titles, numbers, strict=True)]
    name = writer.add("BatchNormalization", layer.name, name, *inputs, epsilon=float(layer.epsilon))
    return Value(name, x.shape, axis == ndim - 1)


def _scaled(writer: Writer, layer: BatchNormalization, x: Value, axis: int, numbers: list[np.ndarray]) -> Value:
    """Normalisation along an axis that ONNX does not normalise along: a scale and a shift."""
    gamma, beta, mean, variance = (n.astype(np.float64) for n in numbers)
    factor = gamma / np.sqrt(variance + layer.epsilon)
    form = [-1 if a == axis else 1 for a in range(len(x.shape))]
    scale, shift = (a.reshape(form).astype(numbers[0].dtype) for a in (factor, beta - mean * factor))
    name = writer.add("Mul", f"{layer.name}/scaled", _plain(writer, x), writer.constant(f"{layer.name}/scale", scale))
    return Value(writer.add("Add", layer.name, name, writer.constant(f"{layer.name}/shift", shift)), x.shape)


def _border(writer: Writer, layer: ZeroPadding, x: Value) -> Value:
    before, behind = zip(*layer.padding, strict=True)
    amounts = writer.constant(f"{layer.name}/pads", np.array([0, 0, *before, 0, 0, *behind], np.int64))
    return Value(writer.add("Pad", layer.name, _images(writer, layer, x), amounts), x.shape, layer.channels_last)


def _flatten(writer: Writer, layer: Flatten, x: Value) -> Value:
    name = _plain(writer, x)
    if not layer.channels_last and len(x.shape) > 2:
        name = _plain(writer, Value(name, x.shape, True))
    return Value(writer.add("Flatten", layer.name, name, axis=1), x.shape)


def _reshape(writer: Writer, layer: Reshape, x: Value) -> Value:
    sizes = (layer.output_shape or layer.compute_output_shape(x.shape))[1:]
    shape = writer.constant(f"{layer.name}/shape", np.array([0, *sizes], np.int64))  # 0: as it is
    return Value(writer.add("Reshape", layer.name, _plain(writer, x), shape), x.shape)


def _permute(writer: Writer, layer: Permute, x: Value) -> Value:
    return Value(writer.add("Transpose", layer.name, _plain(writer, x), perm=[0, *layer.dims]), x.shape)


def _nothing(writer: Writer, layer: Layer, x: Value) -> Value:
    """What predictions leave as it is."""
    return x


_RULES: dict[type, Callable[..., Value]] = {
    Activation: _activated,
    BatchNormalization: _normalization,
    Conv: _convolution,
    ConvTranspose: _transposed,
    Dense: _dense,
    Dropout: _nothing,
    Flatten: _flatten,
    GlobalPooling: _global_pool,
    InputLayer: _nothing,
    Permute: _permute,
    Pooling: _pool,
    Reshape: _reshape,
    ZeroPadding: _border,
}
