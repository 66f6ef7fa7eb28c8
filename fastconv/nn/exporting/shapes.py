"""Layers that move, repeat, add or take away elements, and those that predictions leave out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...onnx.writing import Writer
from ...ops.resampling import interpolated
from ..layers import (
    CenterCrop,
    Embedding,
    Flatten,
    Identity,
    InputLayer,
    Layer,
    Permute,
    RepeatVector,
    Reshape,
    Resizing,
)
from ..layers.augmentation import Geometric, Toned
from ..layers.preprocessing import of_ratio
from ..layers.regularization import Random
from ..layers.reshaping import Cropping, Resized, UpSampling, ZeroPadding
from .activations import Sketch
from .values import Value, array_of, images, known, plain, rule

INT64 = 7  # ONNX's number of the dtype
END = np.iinfo(np.int64).max  # of an axis


@rule(ZeroPadding)
def _border(writer: Writer, layer: ZeroPadding, x: Value) -> Value:
    before, behind = zip(*layer.padding, strict=True)
    return _padded(writer, layer, x, before, behind, 0.0)


def _padded(
    writer: Writer, layer: Resized, x: Value, before: Sequence[int], behind: Sequence[int], value: float
) -> Value:
    amounts = writer.constant(f"{layer.name}/pads", np.array([0, 0, *before, 0, 0, *behind], np.int64))
    fill = [writer.constant(f"{layer.name}/value", np.asarray(value, layer.dtype))] if value else []
    name = writer.add("Pad", layer.name, images(writer, layer, x), amounts, *fill)
    size = [n if n is None else n + b + a for n, b, a in zip(layer.size_of(x.shape[1:]), before, behind, strict=True)]
    return Value(name, layer.in_size(x.shape, size), layer.channels_last)


@rule(Cropping)
def _cropped(writer: Writer, layer: Cropping, x: Value) -> Value:
    stops = [-behind or END for _, behind in layer.cropping]
    return _sliced(writer, layer, x, [before for before, _ in layer.cropping], stops)


def _sliced(writer: Writer, layer: Resized, x: Value, starts: Sequence[int], stops: Sequence[int]) -> Value:
    bounds = [writer.constant(f"{layer.name}/bounds", np.array(b, np.int64)) for b in (starts, stops)]
    axes = writer.constant(f"{layer.name}/axes", np.arange(2, 2 + layer.rank))
    name = writer.add("Slice", layer.name, images(writer, layer, x), *bounds, axes)
    cuts = zip(layer.size_of(x.shape[1:]), starts, stops, strict=True)
    size = [n if n is None else len(range(n)[start:stop]) for n, start, stop in cuts]
    return Value(name, layer.in_size(x.shape, size), layer.channels_last)


@rule(UpSampling)
def _upsampled(writer: Writer, layer: UpSampling, x: Value) -> Value:
    interpolation = getattr(layer, "interpolation", "nearest")
    if interpolation != "nearest":
        return _resized(writer, layer, x, layer.new_size(layer.size_of(known(layer, x)[1:])), interpolation)
    scales = writer.constant(f"{layer.name}/scales", np.array([1, 1, *layer.factors], np.float32))
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    name = writer.add("Resize", layer.name, images(writer, layer, x), "", scales, **how)
    return Value(name, x.shape, layer.channels_last)


@rule(Resizing)
def _resizing(writer: Writer, layer: Resizing, x: Value) -> Value:
    size, wanted = layer.size_of(known(layer, x)[1:]), (layer.height, layer.width)
    if layer.crop_to_aspect_ratio:
        x = _middle(writer, layer, x, of_ratio(size, wanted, larger=False))
    elif layer.pad_to_aspect_ratio:
        outer = of_ratio(size, wanted, larger=True)
        before = [(m - n) // 2 for n, m in zip(size, outer, strict=True)]
        behind = [m - n - b for n, m, b in zip(size, outer, before, strict=True)]
        x = _padded(writer, layer, x, before, behind, layer.fill_value)
    return _resized(writer, layer, x, wanted, layer.interpolation, layer.antialias)


@rule(CenterCrop)
def _center(writer: Writer, layer: CenterCrop, x: Value) -> Value:
    size, wanted = layer.size_of(known(layer, x)[1:]), (layer.height, layer.width)
    if all(n >= m for n, m in zip(size, wanted, strict=True)):
        return _middle(writer, layer, x, wanted)
    return _resized(writer, layer, _middle(writer, layer, x, of_ratio(size, wanted, larger=False)), wanted, "bilinear")


def _middle(writer: Writer, layer: Resized, x: Value, inner: Sequence[int]) -> Value:
    starts = [(n - m) // 2 for n, m in zip(layer.size_of(x.shape[1:]), inner, strict=True)]
    return _sliced(writer, layer, x, starts, [s + m for s, m in zip(starts, inner, strict=True)])


def _resized(
    writer: Writer, layer: Resized, x: Value, size: Sequence[int], interpolation: str, antialias: bool = False
) -> Value:
    """Products with the matrices of both axes: ONNX's Resize knows some interpolations only."""
    old, add = layer.size_of(x.shape[1:]), Sketch(writer, layer.name, layer.dtype)
    name = images(writer, layer, x)
    rows, columns = (interpolated(n, m, interpolation, antialias).matrix for n, m in zip(old, size, strict=True))
    if old[0] != size[0]:
        name = add("MatMul", rows, name)
    if old[1] != size[1]:
        name = add("MatMul", name, columns.T)
    shape = layer.in_size(x.shape, size)
    return Value(name, shape, layer.channels_last)


@rule(Flatten)
def _flatten(writer: Writer, layer: Flatten, x: Value) -> Value:
    name = plain(writer, x)
    if not layer.channels_last and len(x.shape) > 2:
        name = plain(writer, Value(name, x.shape, True))
    return Value(writer.add("Flatten", layer.name, name, axis=1), x.shape)


@rule(Reshape)
def _reshape(writer: Writer, layer: Reshape, x: Value) -> Value:
    sizes = (layer.output_shape or layer.compute_output_shape(x.shape))[1:]
    if sizes.count(None) > 1:
        known(layer, x)
    sizes = [-1 if n is None else n for n in sizes]
    shape = writer.constant(f"{layer.name}/shape", np.array([0, *sizes], np.int64))  # 0: as it is
    return Value(writer.add("Reshape", layer.name, plain(writer, x), shape), x.shape)


@rule(Permute)
def _permute(writer: Writer, layer: Permute, x: Value) -> Value:
    return Value(writer.add("Transpose", layer.name, plain(writer, x), perm=[0, *layer.dims]), x.shape)


@rule(RepeatVector)
def _repeated_vector(writer: Writer, layer: RepeatVector, x: Value) -> Value:
    add = Sketch(writer, layer.name, layer.dtype)
    name = add("Unsqueeze", plain(writer, x), add.constant([1], np.int64))
    return Value(add("Expand", name, add.constant([1, layer.n, 1], np.int64)), x.shape)


@rule(Embedding)
def _embedding(writer: Writer, layer: Embedding, x: Value) -> Value:
    rows = writer.add("Cast", f"{layer.name}/rows", plain(writer, x), to=INT64)
    table = writer.constant(f"{layer.name}/embeddings", array_of(layer.embeddings))
    return Value(writer.add("Gather", layer.name, table, rows, axis=0), x.shape)


@rule(Geometric, Identity, InputLayer, Random, Toned)
def _nothing(writer: Writer, layer: Layer, x: Value) -> Value:
    """What predictions leave as it is."""
    return x
