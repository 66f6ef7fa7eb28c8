"""What layers take and make in a file, and the table of what writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...autograd import Tensor
from ...errors import Unsupported, shown
from ...onnx.writing import Writer
from ..basics.unknown import has_unknown, sized
from ..layers import Layer
from ..layers.base import Shape
from ..layers.spatial import Spatial

Rule = Callable[..., "Value"]
RULES: dict[type, Rule] = {}
"""Layer -> ``rule(writer, layer, x)``, which writes it, and says what it makes of x."""


def rule(*kinds: type) -> Callable[[Rule], Rule]:
    """Make a function the rule of layers of these classes; use as a decorator."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, function))
        return function

    return register


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


def written(writer: Writer, layer: Any, x: Any) -> Value:
    rule = rule_of(layer)
    assert rule is not None
    return rule(writer, layer, x)._replace(shape=layer.output_shape or x.shape)


def rule_of(layer: Layer) -> Rule | None:
    """What writes a layer; None for one that does not compute what a layer of fastconv's does."""
    kinds = type(layer).__mro__
    own = [kind for kind in kinds if issubclass(kind, Layer) and not kind.is_builtin]
    base = kinds[len(own)]
    changed = (name for kind in own for name in vars(kind) if not name.startswith("__") and hasattr(base, name))
    if "call" in vars(layer) or any(name != "is_builtin" for name in changed):
        return None
    return next((RULES[kind] for kind in kinds if kind in RULES), None)


def array_of(weight: Tensor) -> np.ndarray:
    return weight.detach().numpy()


def plain(writer: Writer, x: Value) -> str:
    """A value with its axes as the layer has them."""
    if not x.moved:
        return x.name
    return writer.add("Transpose", f"{x.name}/last", x.name, perm=[0, *range(2, len(x.shape)), 1])


def channels_first(writer: Writer, x: Value) -> str:
    """A value whose last axis is that of the channels, with these as axis 1."""
    if x.moved:
        return x.name
    last = len(x.shape) - 1
    return writer.add("Transpose", f"{x.name}/first", x.name, perm=[0, last, *range(1, last)])


def images(writer: Writer, layer: Spatial, x: Value) -> str:
    """The input of a layer of images, as ONNX has them."""
    return channels_first(writer, x) if layer.channels_last else plain(writer, x)


def known(layer: Layer, x: Value) -> Shape:
    """The shape of a value of which a layer's rule needs to know the sizes."""
    if has_unknown(x.shape):
        raise Unsupported(
            f"layer {shown(layer.name)} ({type(layer).__name__}) is written to ONNX for known sizes only, but its "
            f"input has shape {x.shape}: give `Input` the sizes"
        )
    return x.shape


def border(layer: Any, x: Value) -> dict[str, Any]:
    """The attribute that says where a window goes beyond an image of spatial axes."""
    if has_unknown(x.shape) and layer.padding == "same":
        return {"auto_pad": "SAME_UPPER"}
    pads = layer.problem(sized(x.shape)).padding[3 - layer.rank :]
    return {"pads": [before for before, _ in pads] + [behind for _, behind in pads]}


def axis_in_file(x: Value, axis: int) -> int:
    """Where an axis lies in the file."""
    last = len(x.shape) - 1
    axis %= last + 1
    return axis if not x.moved or axis == 0 else 1 if axis == last else axis + 1
