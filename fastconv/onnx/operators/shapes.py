"""Shapes and axes: what moves elements and computes none. Shapes may be computed in the network: PyTorch does that."""

from __future__ import annotations

import numpy as np

from ... import memory
from ...errors import Unsupported
from ..graph import Node
from ..package import onnx_package
from .registry import ALIKE, EITHER, Fixed, Operand, Run, only, operator, value_of


def _whole(node: Node, operand: Operand | None, attribute: str, what: str) -> list[int] | None:
    """Whole numbers that were an attribute in older files and are an input in newer ones."""
    given = value_of(node, operand, what)
    if given is None:
        given = node.get(attribute)
    return None if given is None else [int(n) for n in np.ravel(given)]


@operator("Constant")
def constant(node: Node) -> Fixed:
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    for name, dtype in kinds.items():
        if name in node.attributes:
            return Fixed(np.asarray(node.get(name), dtype))
    if "value" not in node.attributes:
        raise Unsupported(f"Constant {node.name!r} has {sorted(node.attributes)}; fastconv.onnx takes numbers")
    return Fixed(node.get("value"))


@operator("ConstantOfShape")
def constant_of_shape(node: Node, shape: Operand) -> Fixed:
    value = node.get("value", np.zeros(1, np.float32))
    y = memory.empty(tuple(_whole(node, shape, "", "shape") or ()), value.dtype)
    y[...] = value[0]
    return Fixed(y)


@operator("Shape", layout=EITHER)
def shape(node: Node, x: Operand) -> Fixed:
    return Fixed(np.array(x.shape, np.int64)[node.get("start", 0) : node.get("end", x.array.ndim)])


@operator("Identity", "Dropout", layout=EITHER, refuses=only(training_mode=(0,)))
def identity(node: Node, x: Operand, rate: Operand | None = None, training: Operand | None = None) -> Run:
    asked = value_of(node, training, "training_mode")
    if asked is not None and asked.any():
        raise Unsupported(f"Dropout {node.name!r} is in training; fastconv.onnx runs networks for inference")
    return lambda x, *_: x


@operator("Cast")
def cast(node: Node, x: Operand) -> Run:
    dtype = onnx_package().helper.tensor_dtype_to_np_dtype(node.get("to"))
    return lambda x: x.astype(dtype, copy=False)


@operator("Reshape")
def reshape(node: Node, x: Operand, shape: Operand) -> Run:
    wanted = _whole(node, shape, "", "shape") or []
    if not node.get("allowzero", 0):
        wanted = [x.array.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return lambda x, _: x.reshape(wanted)


@operator("Flatten")
def flatten(node: Node, x: Operand) -> Run:
    axis, shape = node.get("axis", 1), x.array.shape
    axis += x.array.ndim if axis < 0 else 0
    rows = int(np.prod(shape[:axis]))
    return lambda x: x.reshape(rows, x.size // max(1, rows))


@operator("Transpose")
def transpose(node: Node, x: Operand) -> Run:
    order = node.get("perm")
    return lambda x: x.transpose(order)


@operator("Squeeze")
def squeeze(node: Node, x: Operand, axes: Operand | None = None) -> Run:
    chosen = _whole(node, axes, "axes", "axes")
    return lambda x, *_: np.squeeze(x, None if chosen is None else tuple(chosen))


@operator("Unsqueeze")
def unsqueeze(node: Node, x: Operand, axes: Operand | None = None) -> Run:
    chosen = tuple(_whole(node, axes, "axes", "axes") or ())
    return lambda x, *_: np.expand_dims(x, chosen)


@operator("Expand")
def expand(node: Node, x: Operand, shape: Operand) -> Run:
    wanted = np.broadcast_shapes(x.array.shape, tuple(_whole(node, shape, "", "shape") or ()))
    return lambda x, _: np.broadcast_to(x, wanted)


@operator("Gather")
def gather(node: Node, x: Operand, indices: Operand) -> Run:
    axis = node.get("axis", 0)
    return lambda x, indices: np.take(x, indices, axis)


@operator("Slice")
def slice_(node: Node, x: Operand, *rest: Operand | None) -> Run:
    names = ("starts", "ends", "axes", "steps")
    operands = (*rest, *(None,) * (4 - len(rest)))
    starts, ends, axes, steps = (_whole(node, o, n, n) for o, n in zip(operands, names, strict=True))
    cut = [slice(None)] * x.array.ndim
    for i, (start, end) in enumerate(zip(starts or (), ends or (), strict=True)):
        axis, step = (axes[i] if axes else i) % x.array.ndim, steps[i] if steps else 1
        size = x.array.shape[axis]
        if step < 0 and end < -size:  # down to the first element
            cut[axis] = slice(start, None, step)
        else:
            cut[axis] = slice(start, end, step)
    place = tuple(cut)
    return lambda x, *_: x[place]


@operator("Split", outputs=1_000_000)
def split(node: Node, x: Operand, parts: Operand | None = None) -> Run:
    axis, count = node.get("axis", 0), len(node.outputs)
    sizes = _whole(node, parts, "split", "split")
    if sizes is None:
        each = -(-x.array.shape[axis] // count)
        sizes = [each] * (count - 1)
        sizes.append(x.array.shape[axis] - sum(sizes))
    return lambda x, *_: tuple(np.split(x, np.cumsum(sizes)[:-1], axis))


@operator("Concat", layout=ALIKE)
def concat(node: Node, *operands: Operand) -> Run:
    axis = operands[0].axis(node.get("axis", 1))
    shape = list(operands[0].array.shape)
    shape[axis] = sum(o.array.shape[axis] for o in operands)
    dtype = np.result_type(*(o.array for o in operands))
    return lambda *arrays: np.concatenate(arrays, axis, out=memory.empty(tuple(shape), dtype))


@operator("Pad", layout=EITHER, refuses=only(mode=("constant", "reflect", "edge", "wrap")))
def pad(
    node: Node, x: Operand, pads: Operand | None = None, value: Operand | None = None, axes: Operand | None = None
) -> Run:
    amounts = _whole(node, pads, "pads", "pads") or []
    chosen = _whole(node, axes, "", "axes") or list(range(x.array.ndim))
    given = value_of(node, value, "value")
    number = node.get("value", 0.0) if given is None else np.ravel(given)[0]
    widths, inside = [(0, 0)] * x.array.ndim, [slice(None)] * x.array.ndim
    for axis, before, behind in zip(chosen, amounts[: len(chosen)], amounts[len(chosen) :], strict=True):
        place = x.axis(axis)
        widths[place] = (max(0, before), max(0, behind))
        inside[place] = slice(max(0, -before), x.array.shape[place] - max(0, -behind))
    mode, part = node.get("mode", "constant"), tuple(inside)
    if mode != "constant":
        return lambda x, *_: np.pad(x[part], widths, mode=mode)
    kept = x.array[part].shape
    shape = tuple(n + before + behind for n, (before, behind) in zip(kept, widths, strict=True))
    middle = tuple(slice(before, before + n) for n, (before, _) in zip(kept, widths, strict=True))

    def run(x: np.ndarray, *_: object) -> np.ndarray:
        y = memory.empty(shape, x.dtype)
        y[...] = number
        y[middle] = x[part]
        return y

    return run
