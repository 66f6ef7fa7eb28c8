"""Normalisation, by statistics that are in the file and by those of each image."""

from __future__ import annotations

import numpy as np

from ...onnx.writing import Writer
from ..layers import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    Normalization,
    Rescaling,
    RMSNormalization,
    UnitNormalization,
)
from ..layers.group_normalization import own_axes
from ..layers.sizes import known_axis
from .activations import Sketch
from .values import Value, array_of, channels_first, plain, rule


@rule(BatchNormalization)
def _normalization(writer: Writer, layer: BatchNormalization, x: Value) -> Value:
    ndim = len(x.shape)
    axis = layer.axis % ndim
    numbers = [array_of(w) for w in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)]
    if axis not in (1, ndim - 1):
        return _scaled(writer, layer, x, axis, numbers)
    name = channels_first(writer, x) if axis == ndim - 1 else plain(writer, x)
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
    name = writer.add("Mul", f"{layer.name}/scaled", plain(writer, x), writer.constant(f"{layer.name}/scale", scale))
    return Value(writer.add("Add", layer.name, name, writer.constant(f"{layer.name}/shift", shift)), x.shape)


@rule(LayerNormalization)
def _layer_norm(writer: Writer, layer: LayerNormalization, x: Value) -> Value:
    """Over the last axes; others are brought there, and back."""
    axes = own_axes(layer, layer.axis, x.shape)
    order = [*(a for a in range(len(x.shape)) if a not in axes), *axes]
    is_last, name, add = order == sorted(order), plain(writer, x), Sketch(writer, layer.name, layer.dtype)
    name = name if is_last else add("Transpose", name, perm=order)
    weights = (array_of(layer.gamma), array_of(layer.beta))
    name = add("LayerNormalization", name, *weights, axis=-len(axes), epsilon=float(layer.epsilon))
    return Value(name if is_last else add("Transpose", name, perm=np.argsort(order).tolist()), x.shape)


@rule(GroupNormalization)
def _group_norm(writer: Writer, layer: GroupNormalization, x: Value) -> Value:
    """Each group as a channel of one signal, normalised by itself; then gamma and beta."""
    ndim, add = len(x.shape), Sketch(writer, layer.name, layer.dtype)
    axis = layer.axis % ndim
    channels = known_axis(layer, x.shape, axis)
    if axis == ndim - 1:
        name, moved = channels_first(writer, x), True
    else:
        order = [0, axis, *(a for a in range(1, ndim) if a != axis)]
        name = plain(writer, x)
        name, moved = (name if axis == 1 else add("Transpose", name, perm=order)), False
    sizes = [0, channels, *(n for a, n in enumerate(x.shape) if a not in (0, axis))]
    shape = add("Shape", name) if None in sizes else add.constant(sizes, np.int64)
    groups = channels if layer.groups == -1 else layer.groups
    name = add("Reshape", name, add.constant([0, groups, -1], np.int64))
    name = add("InstanceNormalization", name, np.ones(groups), np.zeros(groups), epsilon=float(layer.epsilon))
    name = add("Reshape", name, shape)
    form = (channels, *(1,) * (ndim - 2))
    name = add("Add", add("Mul", name, array_of(layer.gamma).reshape(form)), array_of(layer.beta).reshape(form))
    if not moved and axis != 1:
        name = add("Transpose", name, perm=np.argsort(order).tolist())
    return Value(name, x.shape, moved)


@rule(RMSNormalization)
def _rms_norm(writer: Writer, layer: RMSNormalization, x: Value) -> Value:
    axes, add, name = own_axes(layer, layer.axis, x.shape), Sketch(writer, layer.name, layer.dtype), plain(writer, x)
    squares = add("ReduceMean", add("Mul", name, name), axes=list(axes), keepdims=1)
    scale = array_of(layer.scale).reshape(
        [known_axis(layer, x.shape, a) if a in axes else 1 for a in range(1, len(x.shape))]
    )
    name = add("Div", name, add("Sqrt", add("Add", squares, layer.epsilon)))
    return Value(add("Mul", name, scale), x.shape)


@rule(UnitNormalization)
def _unit_norm(writer: Writer, layer: UnitNormalization, x: Value) -> Value:
    axes, add, name = own_axes(layer, layer.axis, x.shape), Sketch(writer, layer.name, layer.dtype), plain(writer, x)
    squares = add("ReduceSum", add("Mul", name, name), add.constant(axes, np.int64), keepdims=1)
    return Value(add("Div", name, add("Sqrt", add("Max", squares, 1e-12))), x.shape)


@rule(Rescaling)
def _rescaled(writer: Writer, layer: Rescaling, x: Value) -> Value:
    add = Sketch(writer, layer.name, layer.dtype)
    return Value(add("Add", add("Mul", plain(writer, x), layer.scale), layer.offset), x.shape)


@rule(Normalization)
def _standardised(writer: Writer, layer: Normalization, x: Value) -> Value:
    add, name = Sketch(writer, layer.name, layer.dtype), plain(writer, x)
    mean, deviation = (array_of(a)[0] if a.ndim else array_of(a) for a in layer.moments())
    if layer.invert:
        return Value(add("Add", add("Mul", name, deviation), mean), x.shape)
    return Value(add("Div", add("Sub", name, mean), deviation), x.shape)
